//! The audit log as people read it.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Integer, Json, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use serde_json::Value;

use super::{Listing, Page, texts};
use crate::{
    Error, Store,
    column::{FromJson, Total},
    hot::view_query,
};

/// Which lines are wanted. An empty condition is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// About this DAG.
    pub dag_id: Option<String>,
    /// About this run.
    pub run_id: Option<String>,
    /// About this task.
    pub task_id: Option<String>,
    /// By this person or program.
    pub owner: Option<String>,
    /// Of one of these kinds.
    pub events: Vec<String>,
    /// Of none of these kinds.
    pub excluded_events: Vec<String>,
    /// From here on.
    pub from: Option<DateTime<Utc>>,
    /// Before this moment.
    pub to: Option<DateTime<Utc>>,
    /// Older than this line: the last of the page before. Instead of an offset.
    pub before: Option<i64>,
}

/// A line of the audit log.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Its number.
    pub id: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub event: String,
    /// Who.
    pub owner: String,
    /// About which DAG.
    pub dag_id: Option<String>,
    /// About which run.
    pub run_id: Option<String>,
    /// About which task.
    pub task_id: Option<String>,
    /// About which of its instances.
    pub map_index: Option<i32>,
    /// In which try.
    pub try_number: Option<i32>,
    /// The rest.
    pub extra: Option<Value>,
}

impl Store {
    /// A page of the audit log, newest first. Counted up to 100,000.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn event_lines(&self, filter: &Filter, page: Page) -> Result<Listing<Line>, Error> {
        let query = List {
            dag_id: &filter.dag_id.as_deref(),
            run_id: &filter.run_id.as_deref(),
            task_id: &filter.task_id.as_deref(),
            owner: &filter.owner.as_deref(),
            events: &texts(&filter.events),
            excluded_events: &texts(&filter.excluded_events),
            from: &filter.from,
            to: &filter.to,
            before: &filter.before,
            limit: &page.limit,
            offset: &page.offset,
        };
        let mut conn = self.conn().await?;
        let rows: Vec<Row> = query.load(&mut conn).await?;
        let total: Total = CountLines(query).get_result(&mut conn).await?;
        Ok(Listing { rows: rows.into_iter().map(Line::from).collect(), total: total.total })
    }
}

impl From<Row> for Line {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            at: row.at,
            event: row.event,
            owner: row.owner,
            dag_id: row.dag_id,
            run_id: row.run_id,
            task_id: row.task_id,
            map_index: row.map_index,
            try_number: row.try_number,
            extra: row.extra.map(|extra| extra.0),
        }
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Timestamptz)]
    at: DateTime<Utc>,
    #[diesel(sql_type = Text)]
    event: String,
    #[diesel(sql_type = Text)]
    owner: String,
    #[diesel(sql_type = Nullable<Text>)]
    dag_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    run_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    task_id: Option<String>,
    #[diesel(sql_type = Nullable<Integer>)]
    map_index: Option<i32>,
    #[diesel(sql_type = Nullable<Integer>)]
    try_number: Option<i32>,
    #[diesel(sql_type = Nullable<Json>)]
    extra: Option<FromJson<Value>>,
}

view_query! {
    List {
        dag_id: Option<&'a str> => Nullable<Text>,
        run_id: Option<&'a str> => Nullable<Text>,
        task_id: Option<&'a str> => Nullable<Text>,
        owner: Option<&'a str> => Nullable<Text>,
        events: Option<Vec<String>> => Nullable<Array<Text>>,
        excluded_events: Option<Vec<String>> => Nullable<Array<Text>>,
        from: Option<DateTime<Utc>> => Nullable<Timestamptz>,
        to: Option<DateTime<Utc>> => Nullable<Timestamptz>,
        before: Option<i64> => Nullable<BigInt>,
        limit: i64 => BigInt,
        offset: i64 => BigInt,
    }
    concat!(
        include_str!("event_log/matched.sql"),
        "SELECT * FROM matched WHERE $9 IS NULL OR id < $9 ORDER BY id DESC LIMIT $10 OFFSET $11"
    );
    CountLines concat!(
        include_str!("event_log/matched.sql"),
        "SELECT count(*) AS total FROM (SELECT FROM matched LIMIT 100000) AS few"
    )
}
