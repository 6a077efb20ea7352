//! Alerts as people and programs list them: what waits, what was sent, what failed and why.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{BigInt, Integer, Json, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use domain::alert::AlertEvent;
use serde_json::Value;

use super::{Listing, Page};
use crate::{
    Error, Store,
    column::{FromJson, Parsed, Total, count},
    hot::view_query,
};

/// Which alerts are wanted. An empty condition is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this DAG.
    pub dag_id: Option<String>,
    /// Of this run.
    pub run_id: Option<String>,
    /// In this state.
    pub state: Option<AlertState>,
}

/// Where an alert stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertState {
    /// It is due now or later.
    Waiting,
    /// The other side took it.
    Sent,
    /// It was given up.
    Failed,
}

impl AlertState {
    /// All states.
    pub const ALL: [Self; 3] = [Self::Waiting, Self::Sent, Self::Failed];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sent => "sent",
            Self::Failed => "failed",
        }
    }
}

impl std::str::FromStr for AlertState {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|state| state.as_str() == name);
        known.ok_or_else(|| format!("`{name}` is not a state of alerts: waiting, sent or failed"))
    }
}

/// An alert.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// Its number.
    pub id: i64,
    /// Of which DAG.
    pub dag_id: String,
    /// Of which run.
    pub run_id: String,
    /// What happened.
    pub event: AlertEvent,
    /// `webhook`, `slack`, `email` or `callback`.
    pub channel: String,
    /// The connection, or the host of the URL.
    pub target: String,
    /// What it says, as [`domain::alert::Facts`].
    pub facts: Value,
    /// Where it stands.
    pub state: AlertState,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is due, while it waits.
    pub next_at: DateTime<Utc>,
    /// What went wrong the last time.
    pub error: Option<String>,
    /// What the callbacks of a DAG file wrote.
    pub log: Option<String>,
    /// When it came to be.
    pub created_at: DateTime<Utc>,
    /// When it was sent or given up.
    pub settled_at: Option<DateTime<Utc>>,
}

impl Store {
    /// A page of the alerts, newest first. Counted up to 100,000.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn alerts(&self, filter: &Filter, page: Page) -> Result<Listing<Alert>, Error> {
        let query = List {
            dag_id: &filter.dag_id.as_deref(),
            run_id: &filter.run_id.as_deref(),
            state: &filter.state.map(AlertState::as_str),
            limit: &page.limit,
            offset: &page.offset,
        };
        let mut conn = self.conn().await?;
        let rows: Vec<Row> = query.load(&mut conn).await?;
        let total: Total = CountAlerts(query).get_result(&mut conn).await?;
        Ok(Listing { rows: rows.into_iter().map(Alert::from).collect(), total: total.total })
    }
}

impl From<Row> for Alert {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            dag_id: row.dag_id,
            run_id: row.run_id,
            event: row.event.0,
            channel: row.channel,
            target: row.target,
            facts: row.facts.0,
            state: row.state.0,
            attempts: count(row.attempts),
            next_at: row.next_at,
            error: row.error,
            log: row.log,
            created_at: row.created_at,
            settled_at: row.settled_at,
        }
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    dag_id: String,
    #[diesel(sql_type = Text)]
    run_id: String,
    #[diesel(sql_type = Text)]
    event: Parsed<AlertEvent>,
    #[diesel(sql_type = Text)]
    channel: String,
    #[diesel(sql_type = Text)]
    target: String,
    #[diesel(sql_type = Json)]
    facts: FromJson<Value>,
    #[diesel(sql_type = Text)]
    state: Parsed<AlertState>,
    #[diesel(sql_type = Integer)]
    attempts: i32,
    #[diesel(sql_type = Timestamptz)]
    next_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Text>)]
    error: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    log: Option<String>,
    #[diesel(sql_type = Timestamptz)]
    created_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    settled_at: Option<DateTime<Utc>>,
}

view_query! {
    List {
        dag_id: Option<&'a str> => Nullable<Text>,
        run_id: Option<&'a str> => Nullable<Text>,
        state: Option<&'a str> => Nullable<Text>,
        limit: i64 => BigInt,
        offset: i64 => BigInt,
    }
    concat!(
        include_str!("alerts/matched.sql"),
        "SELECT * FROM matched ORDER BY id DESC LIMIT $4 OFFSET $5"
    );
    CountAlerts concat!(
        include_str!("alerts/matched.sql"),
        "SELECT count(*) AS total FROM (SELECT FROM matched LIMIT 100000) AS few"
    )
}
