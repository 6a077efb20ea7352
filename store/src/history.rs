//! Runs that ended before this installation knew of them, for example in an Airflow. They are put in as they were, beside a leader that
//! goes on leading.
//!
//! The engine holds active runs only, and asks the records about those that have ended; so what is put in here changes nothing that it
//! remembers. The keys of these runs lie below zero: the engine counts up from 1, and they are older than everything that it made.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{Array, BigInt, Integer, Nullable, Text, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    engine::record::{AuditRecord, RunRecord, TiRecord, TryRecord, VersionId, XComRecord},
    id::{DagId, RunKey},
};
use serde_json::json;

use crate::{Error, Store, commit, hot::hot_query};

/// An ended run with everything that is known of it. Its key and its version, and the keys in what belongs to it, are given when it is
/// put in.
#[derive(Debug, Clone)]
pub struct PastRun {
    /// The run.
    pub run: RunRecord,
    /// Its task instances, numbered from 0; those of a task in the order of their mapped index.
    pub tis: Vec<TiRecord>,
    /// The tries of these that have ended.
    pub tries: Vec<TryRecord>,
    /// What they left.
    pub xcoms: Vec<XComRecord>,
}

/// What is here already of a DAG.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownRuns {
    /// The end of the data interval of the last run that its schedule created; none before the first.
    pub until: Option<DateTime<Utc>>,
    /// The runs that were asked for and are here, by name,
    pub run_ids: HashSet<String>,
    /// and by logical date: a DAG has one run of a date (Airflow's `dag_run_dag_id_logical_date_key`).
    pub dates: HashSet<DateTime<Utc>>,
}

impl KnownRuns {
    /// Whether a run of this name or of this logical date is here.
    #[must_use]
    pub fn has(&self, run_id: &str, logical_date: Option<DateTime<Utc>>) -> bool {
        self.run_ids.contains(run_id) || logical_date.is_some_and(|date| self.dates.contains(&date))
    }
}

impl Store {
    /// Which of some runs are here, named by id and logical date; `None` when no file with the DAG was read yet.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn known_runs(
        &self,
        dag_id: &DagId,
        wanted: &[(&str, Option<DateTime<Utc>>)],
    ) -> Result<Option<KnownRuns>, Error> {
        let mut conn = self.conn().await?;
        let Some(dag) = At { dag_id: dag_id.as_str() }.get_result::<Standing>(&mut conn).await.optional()?
        else {
            return Ok(None);
        };
        Ok(Some(KnownRuns { until: dag.cursor_end, ..known(&mut conn, dag_id, wanted).await? }))
    }

    /// Puts ended runs of one DAG in, newest first, as runs of its present version: all or nothing, without those that are here. How
    /// many were put in; none when the DAG is not here any more.
    ///
    /// # Errors
    /// [`Error::Invalid`] when one has not ended; otherwise only when the database fails.
    pub async fn keep_history(
        &self,
        dag_id: &DagId,
        past: Vec<PastRun>,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<usize, Error> {
        if let Some(past) = past.iter().find(|past| past.run.ended_at.is_none() || past.run.dag_id != *dag_id)
        {
            return Err(Error::Invalid(format!("`{}` is no ended run of {dag_id}", past.run.run_id)));
        }
        let mut transaction = self.begin().await?;
        let conn = &mut *transaction;
        Lock {}.execute(conn).await?;
        let Some(dag) = At { dag_id: dag_id.as_str() }.get_result::<Standing>(conn).await.optional()? else {
            transaction.commit().await?;
            return Ok(0);
        };
        let wanted: Vec<_> =
            past.iter().map(|past| (past.run.run_id.as_str(), past.run.logical_date)).collect();
        let known = known(conn, dag_id, &wanted).await?;
        let is_new = |past: &PastRun| !known.has(past.run.run_id.as_str(), past.run.logical_date);
        let new: Vec<PastRun> = past.into_iter().filter(is_new).collect();
        let count = i32::try_from(new.len()).unwrap_or(i32::MAX);
        let keys: Vec<Key> = NextKeys { count: &count }.load(conn).await?;
        let records = Records::new(new, keys, VersionId(dag.version_id));
        if records.runs.is_empty() {
            transaction.commit().await?;
            return Ok(0);
        }
        let audit = AuditRecord {
            at: now,
            by: by.to_owned(),
            event: "migrate_history",
            dag_id: Some(dag_id.clone()),
            run_id: None,
            task_id: None,
            extra: json!({ "runs": records.runs.len(), "task_instances": records.tis.len() }),
        };
        commit::write_history(&transaction, &records, &audit).await?;
        transaction.commit().await?;
        Ok(records.runs.len())
    }
}

/// Runs with everything that belongs to them, ready to be written.
#[derive(Default)]
pub(crate) struct Records {
    pub(crate) runs: Vec<RunRecord>,
    pub(crate) tis: Vec<TiRecord>,
    pub(crate) tries: Vec<TryRecord>,
    pub(crate) xcoms: Vec<XComRecord>,
}

impl Records {
    fn new(past: Vec<PastRun>, keys: Vec<Key>, version: VersionId) -> Self {
        let mut records = Self::default();
        for (mut past, key) in past.into_iter().zip(keys) {
            let key = RunKey(key.key);
            (past.run.key, past.run.version) = (key, version);
            past.tis.iter_mut().for_each(|ti| ti.key.run = key);
            past.tries.iter_mut().for_each(|ended| ended.attempt.ti.run = key);
            past.xcoms.iter_mut().for_each(|xcom| xcom.ti.run = key);
            records.runs.push(past.run);
            records.tis.append(&mut past.tis);
            records.tries.append(&mut past.tries);
            records.xcoms.append(&mut past.xcoms);
        }
        records
    }
}

async fn known(
    conn: &mut AsyncPgConnection,
    dag_id: &DagId,
    wanted: &[(&str, Option<DateTime<Utc>>)],
) -> Result<KnownRuns, Error> {
    let run_id: Vec<&str> = wanted.iter().map(|(run_id, _)| *run_id).collect();
    let date: Vec<DateTime<Utc>> = wanted.iter().filter_map(|(_, date)| *date).collect();
    let query = Known { dag_id: dag_id.as_str(), run_id: &run_id, date: &date };
    let rows: Vec<KnownRow> = query.load(conn).await?;
    let dates = rows.iter().filter_map(|row| row.logical_date).collect();
    Ok(KnownRuns { until: None, run_ids: rows.into_iter().map(|row| row.run_id).collect(), dates })
}

#[derive(QueryableByName)]
struct Standing {
    #[diesel(sql_type = BigInt)]
    version_id: i64,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    cursor_end: Option<DateTime<Utc>>,
}

#[derive(QueryableByName)]
struct KnownRow {
    #[diesel(sql_type = Text)]
    run_id: String,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    logical_date: Option<DateTime<Utc>>,
}

#[derive(QueryableByName)]
struct Key {
    #[diesel(sql_type = BigInt)]
    key: i64,
}

hot_query! {
    /// One after the other, so that each sees what the one before has put in.
    Lock {}
    "SELECT pg_advisory_xact_lock(7239018450134)"
}

hot_query! {
    /// The lock keeps the version while runs are bound to it.
    At { dag_id: str => Text }
    "SELECT version_id, cursor_end FROM dag WHERE dag_id = $1 FOR KEY SHARE"
}

hot_query! {
    Known { dag_id: str => Text, run_id: [&'a str] => Array<Text>, date: [DateTime<Utc>] => Array<Timestamptz> }
    "SELECT run_id, logical_date FROM dag_run WHERE dag_id = $1 AND (run_id = ANY($2) OR logical_date = ANY($3))"
}

hot_query! {
    NextKeys { count: i32 => Integer }
    "SELECT nextval('past_run_key') AS key FROM generate_series(1, $1)"
}
