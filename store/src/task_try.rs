//! The tries that have ended. They are written with the decisions ([`Store::commit`]).

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{BigInt, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use domain::{engine::record::TryRecord, id::TiKey, state::TaskState};
use uuid::Uuid;

use crate::{
    Error, Store,
    column::{Parsed, TryRow, count, int},
    hot::hot_query,
};

/// Most tries that [`Store::tries`] returns.
pub const MOST_TRIES: i64 = 1_000;

impl Store {
    /// The tries of a task instance that have ended, oldest first: of very many the newest [`MOST_TRIES`].
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn tries(&self, ti: TiKey) -> Result<Vec<TryRecord>, Error> {
        let mut conn = self.conn().await?;
        let rows: Vec<Row> =
            Tries { run_key: &ti.run.0, index: &int(ti.index), limit: &MOST_TRIES }.load(&mut conn).await?;
        Ok(rows.into_iter().rev().map(TryRecord::from).collect())
    }
}

impl From<Row> for TryRecord {
    fn from(row: Row) -> Self {
        Self {
            attempt: row.attempt.into(),
            state: row.state.0,
            round: row.round.map(count),
            queued_at: row.queued_at,
            started_at: row.started_at,
            ended_at: row.ended_at,
            worker: row.worker,
            exit_code: row.exit_code,
            reason: row.reason,
        }
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(embed)]
    attempt: TryRow,
    #[diesel(sql_type = Text)]
    state: Parsed<TaskState>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    queued_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    started_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Timestamptz)]
    ended_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    worker: Option<Uuid>,
    #[diesel(sql_type = Nullable<Integer>)]
    exit_code: Option<i32>,
    #[diesel(sql_type = Nullable<Text>)]
    reason: Option<String>,
    #[diesel(sql_type = Nullable<Integer>)]
    round: Option<i32>,
}

hot_query! {
    Tries { run_key: i64 => BigInt, index: i32 => Integer, limit: i64 => BigInt }
    "SELECT * FROM task_try WHERE run_key = $1 AND index = $2 ORDER BY try_number DESC LIMIT $3"
}
