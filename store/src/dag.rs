//! The DAGs: one row for each, pointing to its newest version.

mod listing;
mod plan;
mod save;

use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{BigInt, Bool, Json, Text},
};
use diesel_async::RunQueryDsl;
use domain::{dag::Dag, engine::record::DagRecord, id::DagId};
use serde_json::json;
use std::sync::Arc;

use crate::{
    Error, Store,
    clean::RaiseRunKey,
    column::{Parsed, ToJson, storable},
    hot::hot_query,
    import_error::NewImportError,
};

pub use self::listing::Progress;

/// Most files of one [`Store::save`].
pub const MOST_FILES: usize = 500;

/// Runs deleted by one statement.
const RUNS_AT_ONCE: i64 = 200;

/// A DAG file as the loader read it; without DAGs and errors it is a file that is gone.
#[derive(Debug, Clone, Default)]
pub struct LoadedFile {
    /// The loader's name for it: its path below the DAGs folder.
    pub file: String,
    /// What could be read.
    pub dags: Vec<LoadedDag>,
    /// What could not. While there are errors, a DAG that the file had before and does not show now goes on.
    pub errors: Vec<NewImportError>,
}

/// A DAG as the loader read it.
#[derive(Debug, Clone)]
pub struct LoadedDag {
    /// The DAG.
    pub dag: Arc<Dag>,
    /// The text it was read from, for people.
    pub source: String,
    /// The line and the column of its id in that text, from 1.
    pub place: (u32, u32),
}

/// What [`Store::save`] changed.
#[derive(Debug, Clone, Default)]
pub struct Saved {
    /// DAGs that are new, have a new version, came back or went away, or whose timetable was asked: tell the engine.
    pub changed: Vec<DagRecord>,
    /// DAGs that were not saved, because another file has them; each is an import error of its file.
    pub refused: Vec<Refused>,
}

/// A DAG that was not saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its id.
    pub dag_id: DagId,
    /// The file it was read from.
    pub file: String,
    /// The line and the column of its id there, from 1.
    pub place: (u32, u32),
    /// The file that has it.
    pub owner: String,
}

/// Whether a DAG is paused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PausedFlag {
    /// The DAG.
    pub dag_id: DagId,
    /// No new runs, and nothing new starts in existing ones.
    pub is_paused: bool,
}

impl Store {
    /// Pauses or unpauses a DAG and writes that to the audit log. False when there is no such DAG. Ring the engine's
    /// doorbell afterwards: it looks at [`Store::paused_flags`].
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn set_paused(&self, dag_id: &DagId, is_paused: bool, by: &str) -> Result<bool, Error> {
        let extra = ToJson::of(&json!({"is_paused": is_paused}))?;
        let query =
            SetPaused { dag_id: dag_id.as_str(), is_paused: &is_paused, by: &storable(by), extra: &extra };
        let mut conn = self.conn().await?;
        Ok(query.execute(&mut conn).await? == 1)
    }

    /// Which DAGs are paused and which are not: how the leader notices what web servers changed.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn paused_flags(&self) -> Result<Vec<PausedFlag>, Error> {
        let mut conn = self.conn().await?;
        let rows: Vec<Flag> = PausedFlags {}.load(&mut conn).await?;
        Ok(rows
            .into_iter()
            .map(|row| PausedFlag { dag_id: row.dag_id.0, is_paused: row.is_paused })
            .collect())
    }

    /// The files that have DAGs or errors, by name: a loader that starts finds those that are gone.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn known_files(&self) -> Result<Vec<String>, Error> {
        let mut conn = self.conn().await?;
        let rows: Vec<File> = KnownFiles {}.load(&mut conn).await?;
        Ok(rows.into_iter().map(|row| row.file).collect())
    }

    /// Deletes a DAG with all its history. False when there is no such DAG. Tell the engine afterwards. While its file
    /// exists, the loader brings the DAG back, without history.
    ///
    /// # Errors
    /// [`Error::Conflict`] while runs of it are active.
    pub async fn delete_dag(&self, dag_id: &DagId, by: &str) -> Result<bool, Error> {
        let mut transaction = self.begin().await?;
        let query = LockDag { dag_id: dag_id.as_str() };
        let Some(found) = query.get_result::<Active>(&mut transaction).await.optional()? else {
            transaction.commit().await?;
            return Ok(false);
        };
        if found.active > 0 {
            return Err(Error::Conflict(format!(
                "{dag_id} has {} active runs: mark them as failed or let them end, then delete it",
                found.active
            )));
        }
        Retire { dag_id: dag_id.as_str() }.execute(&mut transaction).await?;
        RaiseRunKey {}.execute(&mut transaction).await?;
        transaction.commit().await?;

        let mut conn = self.conn().await?;
        let batch = DeleteRuns { dag_id: dag_id.as_str(), limit: &RUNS_AT_ONCE };
        while batch.execute(&mut conn).await? > 0 {}
        let query = DeleteDag { dag_id: dag_id.as_str(), by: &storable(by) };
        query.execute(&mut conn).await?;
        Ok(true)
    }
}

#[derive(QueryableByName)]
struct Flag {
    #[diesel(sql_type = Text)]
    dag_id: Parsed<DagId>,
    #[diesel(sql_type = Bool)]
    is_paused: bool,
}

#[derive(QueryableByName)]
struct File {
    #[diesel(sql_type = Text)]
    file: String,
}

#[derive(QueryableByName)]
struct Active {
    #[diesel(sql_type = BigInt)]
    active: i64,
}

hot_query! {
    SetPaused { dag_id: str => Text, is_paused: bool => Bool, by: str => Text, extra: ToJson => Json }
    "WITH changed AS (UPDATE dag SET is_paused = $2 WHERE dag_id = $1 RETURNING dag_id)
     INSERT INTO event_log (at, event, owner, dag_id, extra) SELECT now(), 'patch_dag', $3, dag_id, $4 FROM changed"
}

hot_query! {
    PausedFlags {}
    "SELECT dag_id, is_paused FROM dag ORDER BY dag_id"
}

hot_query! {
    /// Without what stands for a file where there is none ([`crate::adhoc::FILE`]).
    KnownFiles {}
    "SELECT file FROM dag WHERE NOT is_stale AND file <> '(tasks api)' UNION SELECT file FROM import_error ORDER BY file"
}

hot_query! {
    LockDag { dag_id: str => Text }
    "SELECT (SELECT count(*) FROM dag_run r WHERE r.dag_id = d.dag_id AND r.state IN ('queued', 'running')) AS active
     FROM dag d WHERE d.dag_id = $1 FOR UPDATE"
}

hot_query! {
    /// Keeps the schedule from creating a run while the history is being deleted.
    Retire { dag_id: str => Text }
    "UPDATE dag SET is_paused = true, is_stale = true WHERE dag_id = $1"
}

hot_query! {
    DeleteRuns { dag_id: str => Text, limit: i64 => BigInt }
    "DELETE FROM dag_run WHERE key IN (
         SELECT key FROM dag_run WHERE dag_id = $1 AND state IN ('success', 'failed') LIMIT $2
     )"
}

hot_query! {
    DeleteDag { dag_id: str => Text, by: str => Text }
    "WITH gone AS (DELETE FROM dag WHERE dag_id = $1 RETURNING dag_id),
          versions AS (DELETE FROM dag_version WHERE dag_id = $1),
          learned AS (DELETE FROM task_duration WHERE dag_id = $1),
          backfills AS (DELETE FROM backfill WHERE dag_id = $1)
     INSERT INTO event_log (at, event, owner, dag_id) SELECT now(), 'delete_dag', $2, dag_id FROM gone"
}
