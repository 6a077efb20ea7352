//! The smaller lists of the API: the audit log, XComs, import errors.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{BigInt, Integer, Json, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use serde_json::Value;

use super::{
    Total,
    api_list::{Ask, Columns},
};
use crate::{
    Error, Store,
    column::{FromJson, RawJson},
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

/// Something that is wrong with a DAG file.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct ImportErrorRow {
    /// Its number.
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    /// The file.
    #[diesel(sql_type = Text)]
    pub file: String,
    /// The line, from 1.
    #[diesel(sql_type = Nullable<Integer>)]
    pub line: Option<i32>,
    /// The column, from 1.
    #[diesel(sql_type = Nullable<Integer>)]
    pub column: Option<i32>,
    /// What is wrong.
    #[diesel(sql_type = Text)]
    pub message: String,
    /// What to do about it.
    #[diesel(sql_type = Nullable<Text>)]
    pub hint: Option<String>,
    /// The place in the file, drawn for people.
    #[diesel(sql_type = Nullable<Text>)]
    pub snippet: Option<String>,
    /// When it was found.
    #[diesel(sql_type = Timestamptz)]
    pub seen_at: DateTime<Utc>,
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

impl Store {
    /// A list of lines of the audit log and how many there are in all.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a column that does not exist.
    pub async fn api_events(&self, ask: &Ask) -> Result<(Vec<EventRow>, i64), Error> {
        let from = "event_log e LEFT JOIN dag_run r ON r.dag_id = e.dag_id AND r.run_id = e.run_id";
        let statements = ask.statements(&EVENTS, "e.*, r.logical_date", from)?;
        let mut conn = self.conn().await?;
        let total: Total = statements.total.get_result(&mut conn).await?;
        Ok((statements.rows.load(&mut conn).await?, total.total))
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
        let statements = ask.statements(&XCOMS, &select, "dag_run r JOIN xcom x ON x.run_key = r.key")?;
        let mut conn = self.conn().await?;
        let total: Total = statements.total.get_result(&mut conn).await?;
        Ok((statements.rows.load(&mut conn).await?, total.total))
    }

    /// A list of what is wrong with DAG files and how many there are in all.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a column that does not exist.
    pub async fn api_import_errors(&self, ask: &Ask) -> Result<(Vec<ImportErrorRow>, i64), Error> {
        let select = "e.id, e.file, e.line, e.\"column\", e.message, e.hint, e.snippet, e.seen_at";
        let statements = ask.statements(&IMPORT_ERRORS, select, "import_error e")?;
        let mut conn = self.conn().await?;
        let total: Total = statements.total.get_result(&mut conn).await?;
        Ok((statements.rows.load(&mut conn).await?, total.total))
    }
}
