//! DAGs as programs read them.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use domain::id::DagId;

use super::{
    api_list::{Ask, Columns, Test},
    texts,
};
use crate::{Error, Store, hot::hot_query};

/// A DAG with what its newest version says about its limits.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct DagRow {
    /// Its name.
    #[diesel(sql_type = Text)]
    pub dag_id: String,
    /// The number of its newest version in the records.
    #[diesel(sql_type = BigInt)]
    pub version_id: i64,
    /// Counts its versions.
    #[diesel(sql_type = Integer)]
    pub version_number: i32,
    /// When that version was first seen.
    #[diesel(sql_type = Timestamptz)]
    pub version_created_at: DateTime<Utc>,
    /// Nothing new starts.
    #[diesel(sql_type = Bool)]
    pub is_paused: bool,
    /// Its file is gone.
    #[diesel(sql_type = Bool)]
    pub is_stale: bool,
    /// Its file.
    #[diesel(sql_type = Text)]
    pub file: String,
    /// One line about it.
    #[diesel(sql_type = Nullable<Text>)]
    pub description: Option<String>,
    /// Who looks after it.
    #[diesel(sql_type = Text)]
    pub owner: String,
    /// Its labels.
    #[diesel(sql_type = Array<Text>)]
    pub tags: Vec<String>,
    /// Its schedule in short.
    #[diesel(sql_type = Text)]
    pub schedule: String,
    /// Its schedule in words.
    #[diesel(sql_type = Text)]
    pub schedule_description: String,
    /// It is due again and again: by cron or by interval.
    #[diesel(sql_type = Bool)]
    pub is_periodic: bool,
    /// Its runs are about partitions that its schedule or its assets name (Airflow's `timetable_partitioned`).
    #[diesel(sql_type = Bool)]
    pub is_partitioned: bool,
    /// The logical date of its next scheduled run.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub next_logical_date: Option<DateTime<Utc>>,
    /// The start of that run's data interval.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub next_interval_start: Option<DateTime<Utc>>,
    /// The end of that run's data interval.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub next_interval_end: Option<DateTime<Utc>>,
    /// When that run is due.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub next_run_after: Option<DateTime<Utc>>,
    /// When its file was last read.
    #[diesel(sql_type = Timestamptz)]
    pub parsed_at: DateTime<Utc>,
    /// Task instances of a run that may be in flight at the same time.
    #[diesel(sql_type = Integer)]
    pub max_active_tasks: i32,
    /// Runs that may be running at the same time.
    #[diesel(sql_type = Integer)]
    pub max_active_runs: i32,
    /// One of its tasks limits its own instances.
    #[diesel(sql_type = Bool)]
    pub limits_tasks: bool,
    /// Its file cannot be read now; the last good version keeps running.
    #[diesel(sql_type = Bool)]
    pub has_import_errors: bool,
    /// Its runs that are not over.
    #[diesel(sql_type = BigInt)]
    pub active_runs: i64,
}

/// How many runs of a DAG are in a state.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct DagStat {
    /// The DAG.
    #[diesel(sql_type = Text)]
    pub dag_id: String,
    /// The state.
    #[diesel(sql_type = Text)]
    pub state: String,
    /// How many.
    #[diesel(sql_type = BigInt)]
    pub count: i64,
}

/// A version of a DAG.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct VersionRow {
    /// Its number in the records.
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    /// The DAG.
    #[diesel(sql_type = Text)]
    pub dag_id: String,
    /// Counts the versions of the DAG.
    #[diesel(sql_type = Integer)]
    pub number: i32,
    /// When it was first seen.
    #[diesel(sql_type = Timestamptz)]
    pub created_at: DateTime<Utc>,
}

const SELECT: &str = include_str!("api_dag.sql");
const FROM: &str = "dag d JOIN dag_version v ON v.id = d.version_id";
const HAS_ERRORS: &str = "EXISTS (SELECT FROM import_error e WHERE e.file = d.file)";
const LAST_RUN: &str =
    "(SELECT r.state FROM dag_run r WHERE r.dag_id = d.dag_id ORDER BY r.run_after DESC, r.key DESC LIMIT 1)";
const LAST_START: &str = "(SELECT r.started_at FROM dag_run r WHERE r.dag_id = d.dag_id ORDER BY r.run_after DESC, r.key DESC LIMIT 1)";

const COLUMNS: Columns = Columns {
    names: &[
        ("dag_id", "d.dag_id"),
        ("dag_display_name", "d.dag_id"),
        ("is_paused", "d.is_paused"),
        ("is_stale", "d.is_stale"),
        ("tags", "d.tags"),
        ("owners", "d.owner"),
        ("has_import_errors", HAS_ERRORS),
        ("last_run_state", LAST_RUN),
        ("last_run_start_date", LAST_START),
        ("next_dagrun", "d.next_logical_date"),
        ("next_dagrun_logical_date", "d.next_logical_date"),
        ("next_dagrun_run_after", "d.next_run_after"),
        ("last_parsed_time", "d.parsed_at"),
    ],
    tie: "d.dag_id",
};

const VERSIONS: Columns = Columns {
    names: &[
        ("id", "v.id"),
        ("dag_id", "v.dag_id"),
        ("version_number", "v.number"),
        ("number", "v.number::bigint"),
        ("created_at", "v.created_at"),
    ],
    tie: "v.id",
};

const TAGS: Columns = Columns { names: &[("name", "tag")], tie: "tag" };

impl Store {
    /// A list of DAGs and how many there are in all.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a column that does not exist.
    pub async fn api_dags(&self, ask: &Ask) -> Result<(Vec<DagRow>, i64), Error> {
        ask.statements(&COLUMNS, SELECT, FROM)?.load(self).await
    }

    /// One DAG, also when its file is gone.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn api_dag(&self, dag_id: &DagId) -> Result<Option<DagRow>, Error> {
        let ask = Ask { limit: 1, ..Ask::default() }.with("dag_id", Test::is(dag_id.as_str()));
        Ok(self.api_dags(&ask).await?.0.into_iter().next())
    }

    /// How many runs of these DAGs are in which state; of all DAGs when none is named.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn api_dag_stats(&self, dag_ids: &[String]) -> Result<Vec<DagStat>, Error> {
        let mut conn = self.conn().await?;
        Ok(Stats { dag_ids: &texts(dag_ids) }.load(&mut conn).await?)
    }

    /// A list of tags of DAGs that have a file, and how many there are in all.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a column that does not exist.
    pub async fn api_tags(&self, ask: &Ask) -> Result<(Vec<String>, i64), Error> {
        let from = "(SELECT DISTINCT unnest(tags) AS tag FROM dag WHERE NOT is_stale) AS t";
        let (rows, total) = ask.statements(&TAGS, "tag", from)?.load::<Tag>(self).await?;
        Ok((rows.into_iter().map(|row| row.tag).collect(), total))
    }

    /// A list of versions and how many there are in all.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a column that does not exist.
    pub async fn api_versions(&self, ask: &Ask) -> Result<(Vec<VersionRow>, i64), Error> {
        ask.statements(&VERSIONS, "v.id, v.dag_id, v.number, v.created_at", "dag_version v")?.load(self).await
    }
}

#[derive(QueryableByName)]
struct Tag {
    #[diesel(sql_type = Text)]
    tag: String,
}

hot_query! {
    Stats { dag_ids: Option<Vec<String>> => Nullable<Array<Text>> }
    "SELECT d.dag_id, r.state, count(*) AS count FROM dag d JOIN dag_run r ON r.dag_id = d.dag_id
     WHERE $1 IS NULL AND NOT d.is_stale OR d.dag_id = ANY($1) GROUP BY d.dag_id, r.state ORDER BY d.dag_id, r.state LIMIT 10000"
}
