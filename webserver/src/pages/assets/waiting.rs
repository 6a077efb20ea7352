//! The partitions that wait for an asset: what they have of it, and what they lack.

use std::collections::BTreeSet;

use domain::{
    asset::AssetName,
    id::DagId,
    partition::{Key, Mappers, Wanted},
};
use store::view::assets::WaitingPartition;

use super::Link;
use crate::{
    api::names,
    error::Error,
    pages::{parts::Moment, paths, visit::Visit, words},
};

/// Most partitions of a DAG that are shown.
const SHOWN: i64 = 20;
/// Most keys that are named of what is missing.
const NAMED: usize = 12;

/// A partition that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) dag: Link,
    pub(crate) key: String,
    pub(crate) since: Moment,
    /// How much of the asset it has.
    pub(crate) has: String,
    /// What it lacks of it.
    pub(crate) missing: Option<String>,
}

/// The partitions of DAGs that wait for an asset, the oldest of each; and how many more there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Partitions {
    pub(crate) lines: Vec<Line>,
    pub(crate) more: i64,
}

/// Finds the partitions that wait in these DAGs.
///
/// # Errors
/// When the database fails, or the version of a DAG cannot be read.
pub(super) async fn partitions(
    visit: &Visit,
    dags: &[Link],
    (asset_id, asset): (i64, &AssetName),
) -> Result<Partitions, Error> {
    let store = &visit.state.store;
    let mut all = Partitions::default();
    for link in dags {
        let id = DagId::new(&link.label)?;
        let (rows, total) = store.waiting_partitions(&id, asset_id, SHOWN).await?;
        let Some(row) = (if rows.is_empty() { None } else { store.api_dag(&id).await? }) else { continue };
        let dag = names::version(&visit.state, row.version_id).await?;
        let Some(mappers) = dag.mappers() else { continue };
        all.more += total - i64::try_from(rows.len()).unwrap_or(total);
        all.lines.extend(rows.into_iter().map(|row| line(link, &row, mappers, asset, visit)));
    }
    Ok(all)
}

fn line(link: &Link, row: &WaitingPartition, mappers: &Mappers, asset: &AssetName, visit: &Visit) -> Line {
    let (has, missing) = match mappers.wanted(asset, &row.key) {
        Ok(wanted) => said(&wanted, &row.told),
        Err(error) => ("nothing that counts".to_owned(), Some(error.to_string())),
    };
    Line {
        dag: Link { label: link.label.clone(), href: paths::dag(&link.label) },
        key: row.key.to_string(),
        since: words::moment(row.since, visit.now),
        has,
        missing,
    }
}

fn said(wanted: &Wanted, told: &BTreeSet<Key>) -> (String, Option<String>) {
    match wanted {
        Wanted::Any if told.is_empty() => ("not yet".to_owned(), None),
        Wanted::Any => ("yes; another asset is missing".to_owned(), None),
        Wanted::Parts { needs, keys } => {
            let has = keys.iter().filter(|key| told.contains(key.as_str())).count();
            if *needs > keys.len() {
                let never = format!("it asks for {needs} of {} and will never run", keys.len());
                return (format!("{has} of {needs}"), Some(never));
            }
            let lacks: Vec<&str> =
                keys.iter().filter(|key| !told.contains(key.as_str())).map(String::as_str).collect();
            let more = lacks.len().saturating_sub(NAMED);
            let mut missing = lacks[..lacks.len() - more].join(", ");
            if more > 0 {
                missing = format!("{missing} and {more} more");
            }
            (format!("{has} of {needs}"), (has < *needs).then_some(missing))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let told = |keys: &[&str]| keys.iter().map(|key| Key::new(key).unwrap()).collect::<BTreeSet<Key>>();
        let parts = |needs, count: usize| Wanted::Parts {
            needs,
            keys: (0..count).map(|number| format!("k{number:02}")).collect(),
        };
        assert_eq!(said(&Wanted::Any, &told(&[])), ("not yet".to_owned(), None));
        let (has, missing) = said(&parts(3, 3), &told(&["k01", "other"]));
        assert_eq!((has.as_str(), missing.as_deref()), ("1 of 3", Some("k00, k02")));
        assert_eq!(said(&parts(1, 3), &told(&["k01"])), ("1 of 1".to_owned(), None));
        let (_, missing) = said(&parts(20, 20), &told(&[]));
        assert!(missing.unwrap().ends_with("k11 and 8 more"));
        assert!(said(&parts(4, 3), &told(&[])).1.unwrap().contains("will never run"));
    }
}
