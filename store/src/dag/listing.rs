//! What timetables that plugins bring have answered, and from where they are asked on.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{Array, BigInt, Bool, Json, Nullable, Text, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    id::{DagId, RunId},
    timetable::{DataInterval, NextRun},
};

use super::plan::Save;
use crate::{
    Error, Store,
    column::{Parsed, ToJson, interval},
    hot::hot_query,
};

/// How far the schedule of a DAG has got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The DAG.
    pub dag_id: DagId,
    /// Its DAG file.
    pub file: String,
    /// No new runs are created.
    pub is_paused: bool,
    /// The last run that the schedule created.
    pub last: Option<NextRun>,
}

impl Store {
    /// How far the schedules of the DAGs of some files have got.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn progress_of(&self, files: &[&str]) -> Result<Vec<Progress>, Error> {
        let mut conn = self.conn().await?;
        let rows: Vec<Row> = ProgressOf { files }.load(&mut conn).await?;
        Ok(rows.into_iter().map(Progress::from).collect())
    }

    /// One of the names, if a run of the DAG has it that is not about the same time.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn taken_name(
        &self,
        dag_id: &DagId,
        named: &[(&RunId, &NextRun)],
    ) -> Result<Option<RunId>, Error> {
        if named.is_empty() {
            return Ok(None);
        }
        let query = TakenName {
            dag_id: dag_id.as_str(),
            run_id: &named.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
            logical_date: &named.iter().map(|(_, run)| run.logical_date).collect::<Vec<_>>(),
        };
        let mut conn = self.conn().await?;
        let row: Option<NameRow> = query.get_result(&mut conn).await.optional()?;
        Ok(row.map(|row| row.run_id.0))
    }
}

#[derive(QueryableByName)]
struct NameRow {
    #[diesel(sql_type = Text)]
    run_id: Parsed<RunId>,
}

/// Writes the answers beside the newest versions, whose ids by DAG are in `new` when they were just made.
pub(super) async fn write<'a>(
    conn: &mut AsyncPgConnection,
    saves: impl Iterator<Item = &'a Save<'a>>,
    new: &HashMap<String, i64>,
) -> Result<(), Error> {
    let (mut ids, mut listings) = (Vec::new(), Vec::new());
    for save in saves {
        let version = new.get(save.loaded.dag.dag_id.as_str()).copied();
        let version = version.or(save.known.map(|known| known.version_id));
        if let (Some(version), Some(listed)) = (version, save.loaded.dag.schedule.listed()) {
            ids.push(version);
            listings.push(ToJson::of(listed.listing())?);
        }
    }
    if !ids.is_empty() {
        Write { ids: &ids, listings: &listings }.execute(conn).await?;
    }
    Ok(())
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    dag_id: Parsed<DagId>,
    #[diesel(sql_type = Text)]
    file: String,
    #[diesel(sql_type = Bool)]
    is_paused: bool,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    cursor_start: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    cursor_end: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    run_after: Option<DateTime<Utc>>,
}

impl From<Row> for Progress {
    fn from(row: Row) -> Self {
        let run = |data_interval: DataInterval| NextRun {
            logical_date: data_interval.start,
            data_interval,
            run_after: row.run_after.unwrap_or(data_interval.end),
        };
        Self {
            dag_id: row.dag_id.0,
            file: row.file,
            is_paused: row.is_paused,
            last: interval(row.cursor_start, row.cursor_end).map(run),
        }
    }
}

hot_query! {
    ProgressOf { files: [&'a str] => Array<Text> }
    "SELECT d.dag_id, d.file, d.is_paused, d.cursor_start, d.cursor_end,
            (SELECT max(r.run_after) FROM dag_run r
             WHERE r.dag_id = d.dag_id AND r.logical_date = d.cursor_start AND r.run_type = 'scheduled') AS run_after
     FROM dag d WHERE d.file = ANY($1) AND NOT d.is_stale"
}

hot_query! {
    TakenName {
        dag_id: str => Text,
        run_id: [&'a str] => Array<Text>,
        logical_date: [DateTime<Utc>] => Array<Timestamptz>,
    }
    "SELECT r.run_id FROM unnest($2::text[], $3::timestamptz[]) AS n (run_id, logical_date)
     JOIN dag_run r ON r.dag_id = $1 AND r.run_id = n.run_id
     WHERE r.logical_date IS DISTINCT FROM n.logical_date LIMIT 1"
}

hot_query! {
    Write { ids: [i64] => Array<BigInt>, listings: [ToJson] => Array<Json> }
    "UPDATE dag_version v SET listing = n.listing FROM unnest($1::bigint[], $2::json[]) AS n (id, listing) WHERE v.id = n.id"
}
