//! Decides what a batch of DAG files changes: which DAGs are new, have a new version, went away, or belong to another
//! file.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Timestamptz},
};

use domain::id::TaskId;

use super::{LoadedDag, LoadedFile, Refused};
use crate::column::Parsed;

/// A DAG as recorded, with what is needed of its newest version.
#[derive(QueryableByName)]
pub(super) struct Known {
    #[diesel(sql_type = Text)]
    pub(super) dag_id: String,
    #[diesel(sql_type = BigInt)]
    pub(super) version_id: i64,
    #[diesel(sql_type = Integer)]
    pub(super) number: i32,
    #[diesel(sql_type = Text)]
    pub(super) hash: String,
    #[diesel(sql_type = Text)]
    pub(super) version_file: String,
    #[diesel(sql_type = Text)]
    pub(super) file: String,
    #[diesel(sql_type = Bool)]
    pub(super) is_paused: bool,
    #[diesel(sql_type = Bool)]
    pub(super) is_stale: bool,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(super) cursor_start: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(super) cursor_end: Option<DateTime<Utc>>,
    #[diesel(sql_type = Array<Text>)]
    pub(super) disabled: Vec<Parsed<TaskId>>,
    #[diesel(sql_type = Integer)]
    pub(super) failed_runs: i32,
}

impl Known {
    /// What operators switched off.
    pub(super) fn disabled(&self) -> BTreeSet<TaskId> {
        self.disabled.iter().map(|id| id.0.clone()).collect()
    }
}

/// What is to be written.
#[derive(Default)]
pub(super) struct Plan<'a> {
    /// DAGs with new contents, or from another file than before.
    pub(super) new_versions: Vec<Save<'a>>,
    /// DAGs that came back as they were.
    pub(super) revived: Vec<Save<'a>>,
    /// DAGs that are as they were, but their timetables were asked and may have answered something else.
    pub(super) asked: Vec<Save<'a>>,
    /// DAGs that are as they were.
    pub(super) same: Vec<Save<'a>>,
    /// DAGs that went away.
    pub(super) vanished: Vec<&'a Known>,
    /// DAGs that belong to another file.
    pub(super) refused: Vec<Refused>,
}

/// A DAG to write.
pub(super) struct Save<'a> {
    pub(super) file: &'a str,
    pub(super) loaded: &'a LoadedDag,
    pub(super) hash: String,
    pub(super) known: Option<&'a Known>,
}

pub(super) fn plan<'a>(files: &'a [LoadedFile], known: &'a [Known]) -> Plan<'a> {
    let mut plan = Plan::default();
    let by_id: HashMap<&str, &Known> = known.iter().map(|row| (row.dag_id.as_str(), row)).collect();
    let gone: HashSet<&str> =
        known.iter().filter(|row| has_vanished(row, files)).map(|row| &*row.dag_id).collect();
    let live = known.iter().filter(|row| !row.is_stale && !gone.contains(&*row.dag_id));
    let mut owners: HashMap<&str, &str> = live.map(|row| (&*row.dag_id, &*row.file)).collect();
    let mut saved: HashSet<&str> = HashSet::new();
    for (file, loaded) in files.iter().flat_map(|file| file.dags.iter().map(move |dag| (&*file.file, dag))) {
        let dag_id = loaded.dag.dag_id.as_str();
        let owner = *owners.entry(dag_id).or_insert(file);
        if owner != file || !saved.insert(dag_id) {
            plan.refused.push(Refused {
                dag_id: loaded.dag.dag_id.clone(),
                file: file.to_owned(),
                place: loaded.place,
                owner: owner.to_owned(),
            });
            continue;
        }
        let save = Save { file, loaded, hash: loaded.dag.content_hash(), known: by_id.get(dag_id).copied() };
        plan.file(save);
    }
    plan.vanished =
        known.iter().filter(|row| gone.contains(&*row.dag_id) && !saved.contains(&*row.dag_id)).collect();
    plan
}

impl<'a> Plan<'a> {
    fn file(&mut self, save: Save<'a>) {
        match save.known {
            Some(known) if known.hash != save.hash || known.version_file != save.file => {
                self.new_versions.push(save)
            }
            Some(known) if known.is_stale => self.revived.push(save),
            Some(_) if save.loaded.dag.schedule.listed().is_some() => self.asked.push(save),
            Some(_) => self.same.push(save),
            None => self.new_versions.push(save),
        }
    }
}

/// Its file was read without errors and does not have it any more.
fn has_vanished(row: &Known, files: &[LoadedFile]) -> bool {
    let file = files.iter().find(|file| file.file == row.file && file.errors.is_empty());
    !row.is_stale
        && file.is_some_and(|file| file.dags.iter().all(|loaded| loaded.dag.dag_id.as_str() != row.dag_id))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use domain::dag::Dag;
    use serde_json::json;

    use super::*;

    fn dag(id: &str, owner: &str) -> LoadedDag {
        let dag: Dag = serde_json::from_value(json!({
            "dag_id": id, "schedule": null, "timezone": "UTC", "catchup": false, "max_active_runs": 16,
            "max_active_tasks": 16, "owner": owner, "tasks": []
        }))
        .unwrap();
        LoadedDag { dag: Arc::new(dag), source: String::new(), place: (1, 1) }
    }

    fn file(name: &str, dags: Vec<LoadedDag>) -> LoadedFile {
        LoadedFile { file: name.to_owned(), dags, errors: Vec::new() }
    }

    fn known(loaded: &LoadedDag, file: &str, is_stale: bool) -> Known {
        Known {
            dag_id: loaded.dag.dag_id.to_string(),
            version_id: 1,
            number: 1,
            hash: loaded.dag.content_hash(),
            version_file: file.to_owned(),
            file: file.to_owned(),
            is_paused: false,
            is_stale,
            cursor_start: None,
            cursor_end: None,
            disabled: Vec::new(),
            failed_runs: 0,
        }
    }

    fn shape(plan: &Plan<'_>) -> [usize; 5] {
        [
            plan.new_versions.len(),
            plan.revived.len(),
            plan.same.len(),
            plan.vanished.len(),
            plan.refused.len(),
        ]
    }

    #[test]
    fn only_new_contents_make_a_new_version() {
        let (before, after) = (dag("a", "ann"), dag("a", "bob"));
        let records = [known(&before, "a.yaml", false)];
        assert_eq!(shape(&plan(&[file("a.yaml", vec![before])], &records)), [0, 0, 1, 0, 0]);
        assert_eq!(shape(&plan(&[file("a.yaml", vec![after.clone()])], &records)), [1, 0, 0, 0, 0]);
        assert_eq!(shape(&plan(&[file("a.yaml", vec![after])], &[])), [1, 0, 0, 0, 0]);
    }

    #[test]
    fn the_timetable_of_a_plugin_may_answer_something_else_each_time() {
        let mut listed = dag("a", "ann");
        let schedule = json!({"class": "shop.OpeningHours", "summary": "opening hours"});
        Arc::make_mut(&mut listed.dag).schedule = serde_json::from_value(schedule).unwrap();
        let records = [known(&listed, "a.yaml", false)];
        let files = [file("a.yaml", vec![listed])];
        let plan = plan(&files, &records);
        assert_eq!((shape(&plan), plan.asked.len()), ([0; 5], 1));
    }

    #[test]
    fn a_dag_vanishes_only_from_a_file_without_errors() {
        let records = [known(&dag("a", "ann"), "a.yaml", false)];
        assert_eq!(shape(&plan(&[file("a.yaml", vec![])], &records)), [0, 0, 0, 1, 0]);
        let broken = LoadedFile { errors: vec![Default::default()], ..file("a.yaml", vec![]) };
        assert_eq!(shape(&plan(&[broken], &records)), [0; 5]);
        assert_eq!(shape(&plan(&[file("b.yaml", vec![])], &records)), [0; 5]);
    }

    #[test]
    fn a_dag_belongs_to_the_first_file_that_has_it_and_may_move() {
        let records = [known(&dag("a", "ann"), "old.yaml", false)];
        let twice = [file("new.yaml", vec![dag("a", "ann")])];
        let refused = plan(&twice, &records);
        assert_eq!(shape(&refused), [0, 0, 0, 0, 1]);
        assert_eq!(refused.refused[0].owner, "old.yaml");
        let moved = [file("new.yaml", vec![dag("a", "ann")]), file("old.yaml", vec![])];
        assert_eq!(shape(&plan(&moved, &records)), [1, 0, 0, 0, 0]);
        let two_new = [file("x.yaml", vec![dag("n", "ann")]), file("y.yaml", vec![dag("n", "ann")])];
        assert_eq!(shape(&plan(&two_new, &[])), [1, 0, 0, 0, 1]);
        let gone_before = [known(&dag("a", "ann"), "old.yaml", true)];
        assert_eq!(shape(&plan(&[file("old.yaml", vec![dag("a", "ann")])], &gone_before)), [0, 1, 0, 0, 0]);
        assert_eq!(shape(&plan(&twice, &gone_before)), [1, 0, 0, 0, 0]);
    }
}
