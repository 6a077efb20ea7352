//! The smaller lists of the API: the audit log, XComs, import errors, warnings.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{BigInt, Integer, Json, Nullable, Text, Timestamptz},
};
use serde_json::Value;

use super::api_list::{Ask, Columns};
use crate::{
    Error, Store,
    column::{FromJson, RawJson},
    import_error::ImportError,
};

/// A line of the audit log.
#[derive(Debug, Clone, QueryableByName)]
pub struct EventRow {
    /// Its number.
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    /// When.
    #[diesel(sql_type = Timestamptz)]
    pub at: DateTime<Utc>,
    /// What.
    #[diesel(sql_type = Text)]
    pub event: String,
    /// Who.
    #[diesel(sql_type = Text)]
    pub owner: String,
    /// About which DAG.
    #[diesel(sql_type = Nullable<Text>)]
    pub dag_id: Option<String>,
    /// About which run.
    #[diesel(sql_type = Nullable<Text>)]
    pub run_id: Option<String>,
    /// About which task.
    #[diesel(sql_type = Nullable<Text>)]
    pub task_id: Option<String>,
    /// About which instance of it.
    #[diesel(sql_type = Nullable<Integer>)]
    pub map_index: Option<i32>,
    /// About which try of it.
    #[diesel(sql_type = Nullable<Integer>)]
    pub try_number: Option<i32>,
    /// The logical date of the run.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub logical_date: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Json>)]
    extra: Option<RawJson>,
}

impl EventRow {
    /// What else there is to say, as JSON.
    #[must_use]
    pub fn extra(&self) -> Option<String> {
        self.extra.as_ref().map(|extra| String::from_utf8_lossy(&extra.0).into_owned())
    }
}

/// An XCom without its value.
#[derive(Debug, Clone, QueryableByName)]
pub struct XComRow {
    /// Its key.
    #[diesel(sql_type = Text)]
    pub key: String,
    /// When it was written.
    #[diesel(sql_type = Timestamptz)]
    pub created_at: DateTime<Utc>,
    /// The logical date of its run.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub logical_date: Option<DateTime<Utc>>,
    /// From when on its run may start.
    #[diesel(sql_type = Timestamptz)]
    pub run_after: DateTime<Utc>,
    /// The mapped index of its task instance, or -1.
    #[diesel(sql_type = Integer)]
    pub map_index: i32,
    /// The task that left it.
    #[diesel(sql_type = Text)]
    pub task_id: String,
    /// Its DAG.
    #[diesel(sql_type = Text)]
    pub dag_id: String,
    /// Its run.
    #[diesel(sql_type = Text)]
    pub run_id: String,
    #[diesel(sql_type = Nullable<Json>)]
    value: Option<FromJson<Value>>,
}

impl XComRow {
    /// Its value, when it was asked for.
    #[must_use]
    pub fn value(&self) -> Option<&Value> {
        self.value.as_ref().map(|value| &value.0)
    }
}

const EVENTS: Columns = Columns {
    names: &[
        ("id", "e.id"),
        ("event_log_id", "e.id"),
        ("when", "e.at"),
        ("dttm", "e.at"),
        ("dag_id", "e.dag_id"),
        ("task_id", "e.task_id"),
        ("run_id", "e.run_id"),
        ("map_index", "e.map_index::bigint"),
        ("try_number", "e.try_number::bigint"),
        ("owner", "e.owner"),
        ("event", "e.event"),
        ("logical_date", "r.logical_date"),
        ("extra", "e.extra::text"),
    ],
    tie: "e.id",
};

const XCOMS: Columns = Columns {
    names: &[
        ("key", "x.key"),
        ("dag_id", "r.dag_id"),
        ("run_id", "r.run_id"),
        ("task_id", "x.task_id"),
        ("map_index", "x.map_index::bigint"),
        ("timestamp", "x.created_at"),
        ("logical_date", "r.logical_date"),
        ("run_after", "r.run_after"),
    ],
    tie: "r.dag_id, r.key, x.task_id, x.map_index, x.key",
};

const IMPORT_ERRORS: Columns = Columns {
    names: &[("id", "e.id"), ("import_error_id", "e.id"), ("timestamp", "e.seen_at"), ("filename", "e.file")],
    tie: "e.id",
};

const WARNINGS: Columns = Columns {
    names: &[
        ("dag_id", "w.dag_id"),
        ("warning_type", "w.warning_type"),
        ("message", "w.message"),
        ("timestamp", "w.\"timestamp\""),
    ],
    tie: "w.dag_id, w.warning_type",
};

/// Something odd about a DAG that can be read.
#[derive(Debug, Clone, QueryableByName)]
pub struct DagWarning {
    /// The DAG.
    #[diesel(sql_type = Text)]
    pub dag_id: String,
    /// Its kind, in Airflow's words.
    #[diesel(sql_type = Text)]
    pub warning_type: String,
    /// What is odd, a line each.
    #[diesel(sql_type = Text)]
    pub message: String,
    /// Since when.
    #[diesel(sql_type = Timestamptz)]
    pub timestamp: DateTime<Utc>,
}

impl Store {
    /// A list of what is odd about DAGs and how many there are in all.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a column that does not exist.
    pub async fn dag_warnings(&self, ask: &Ask) -> Result<(Vec<DagWarning>, i64), Error> {
        ask.statements(&WARNINGS, "w.*", "dag_warning w")?.load(self).await
    }

    /// A list of lines of the audit log and how many there are in all.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a column that does not exist.
    pub async fn api_events(&self, ask: &Ask) -> Result<(Vec<EventRow>, i64), Error> {
        let from = "event_log e LEFT JOIN dag_run r ON r.dag_id = e.dag_id AND r.run_id = e.run_id";
        ask.statements(&EVENTS, "e.*, r.logical_date", from)?.load(self).await
    }

    /// A list of XComs, with their values when asked for, and how many there are in all.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a column that does not exist.
    pub async fn api_xcoms(&self, ask: &Ask, with_values: bool) -> Result<(Vec<XComRow>, i64), Error> {
        let value = if with_values { "x.value" } else { "NULL::json AS value" };
        let select = format!(
            "x.key, x.created_at, r.logical_date, r.run_after, x.map_index, x.task_id, r.dag_id, r.run_id, {value}"
        );
        ask.statements(&XCOMS, &select, "dag_run r JOIN shown_xcom x ON x.run_key = r.key")?.load(self).await
    }

    /// A list of what is wrong with DAG files and how many there are in all.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a column that does not exist.
    pub async fn api_import_errors(&self, ask: &Ask) -> Result<(Vec<ImportError>, i64), Error> {
        let select = "e.*, count(*) OVER () AS total";
        ask.statements(&IMPORT_ERRORS, select, "import_error e")?.load(self).await
    }
}
