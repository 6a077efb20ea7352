//! Alerts: messages that wait to be sent, were sent, or could not be.
//!
//! Whoever sends one claims it first. A claim is a lease: when its holder is never heard of again, the alert becomes due once more.
//! So each is sent at least once, and by one at a time.

use std::time::Duration;

use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{Array, BigInt, Double, Integer, Json, Nullable, Text},
};
use diesel_async::RunQueryDsl;
use domain::{
    alert::{Facts, Notification},
    engine::record::AuditRecord,
    id::{DagId, RunId, TaskId},
};
use serde_json::json;

use crate::{
    Error, Store,
    column::{Parsed, RawJson, count, storable},
    event_log,
    hot::hot_query,
};

/// Longest error that is kept, in characters.
const MAX_ERROR: usize = 1_000;
/// Longest log that is kept, in characters: its end.
const MAX_LOG: usize = 16_000;

/// An alert that its holder is to send now.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimedAlert {
    /// Its number.
    pub id: i64,
    /// The number of the claim, which goes back with the result.
    pub claim: i64,
    /// How often it was tried, this time included.
    pub attempts: u32,
    /// Where it goes, as the list of busy places names it.
    pub target: String,
    /// How it is sent and what it says.
    pub message: Message,
}

/// How an alert is sent and what it says.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// As it was asked for.
    Known(Box<Notification>, Box<Facts>),
    /// It cannot be read, because another version wrote it; the reason.
    Unreadable(String),
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// The other side took it.
    Sent,
    /// It did not; it is due again after a while.
    Again {
        /// How long it waits.
        after: Duration,
        /// What went wrong.
        error: String,
    },
    /// It is given up.
    Failed {
        /// What went wrong.
        error: String,
    },
}

impl Store {
    /// Claims alerts that are due, oldest first, at most `limit` and none for a place in `busy`. They are due again after `lease`.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn claim_alerts(
        &self,
        busy: &[String],
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<ClaimedAlert>, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut conn = self.conn().await?;
        let query = Claim { busy, limit: &limit, lease: &lease.as_secs_f64() };
        let rows: Vec<ClaimedRow> = query.load(&mut conn).await?;
        Ok(rows.into_iter().map(ClaimedAlert::from).collect())
    }

    /// Records what became of an attempt. False when the claim no longer holds: the alert was sent again meanwhile, or deleted.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn settle_alert(&self, id: i64, claim: i64, settled: &Settled) -> Result<bool, Error> {
        let (state, after, error) = match settled {
            Settled::Sent => ("sent", Duration::ZERO, None),
            Settled::Again { after, error } => ("waiting", *after, Some(error)),
            Settled::Failed { error } => ("failed", Duration::ZERO, Some(error)),
        };
        let error =
            error.map(|text| storable(&text.chars().take(MAX_ERROR).collect::<String>()).into_owned());
        let mut conn = self.conn().await?;
        let query = Settle { id: &id, claim: &claim, state, after: &after.as_secs_f64(), error: &error };
        Ok(query.execute(&mut conn).await? == 1)
    }

    /// Keeps what callbacks wrote, instead of what they wrote before. False when the claim no longer holds.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn log_alert(&self, id: i64, claim: i64, log: &str) -> Result<bool, Error> {
        let surplus = log.chars().count().saturating_sub(MAX_LOG);
        let log = storable(&log.chars().skip(surplus).collect::<String>()).into_owned();
        let mut conn = self.conn().await?;
        Ok(Log { id: &id, claim: &claim, log: &log }.execute(&mut conn).await? == 1)
    }

    /// Makes an alert due again that was sent or given up, and writes that to the audit log. False when it waits anyway, or does
    /// not exist.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn resend_alert(
        &self,
        id: i64,
        by: &str,
        now: chrono::DateTime<chrono::Utc>,
    ) -> Result<bool, Error> {
        let mut transaction = self.begin().await?;
        let row: Option<ResentRow> = Resend { id: &id }.get_result(&mut *transaction).await.optional()?;
        let Some(row) = row else { return Ok(false) };
        let line = AuditRecord {
            at: now,
            by: by.to_owned(),
            event: "resend_alert",
            dag_id: Some(row.dag_id.0),
            run_id: Some(row.run_id.0),
            task_id: row.task_id.map(|id| id.0),
            extra: json!({ "alert": id, "channel": row.channel, "target": row.target }),
        };
        event_log::insert(&transaction, &[line]).await?;
        transaction.commit().await?;
        Ok(true)
    }
}

impl From<ClaimedRow> for ClaimedAlert {
    fn from(row: ClaimedRow) -> Self {
        let notification = serde_json::from_slice(&row.notification.0);
        let message = match (notification, serde_json::from_slice(&row.facts.0)) {
            (Ok(notification), Ok(facts)) => Message::Known(Box::new(notification), Box::new(facts)),
            (Err(error), _) | (_, Err(error)) => Message::Unreadable(error.to_string()),
        };
        Self { id: row.id, claim: row.claim, attempts: count(row.attempts), target: row.target, message }
    }
}

#[derive(QueryableByName)]
struct ClaimedRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    claim: i64,
    #[diesel(sql_type = Integer)]
    attempts: i32,
    #[diesel(sql_type = Text)]
    target: String,
    #[diesel(sql_type = Json)]
    notification: RawJson,
    #[diesel(sql_type = Json)]
    facts: RawJson,
}

#[derive(QueryableByName)]
struct ResentRow {
    #[diesel(sql_type = Text)]
    dag_id: Parsed<DagId>,
    #[diesel(sql_type = Text)]
    run_id: Parsed<RunId>,
    #[diesel(sql_type = Nullable<Text>)]
    task_id: Option<Parsed<TaskId>>,
    #[diesel(sql_type = Text)]
    channel: String,
    #[diesel(sql_type = Text)]
    target: String,
}

hot_query! {
    Claim { busy: [String] => Array<Text>, limit: i64 => BigInt, lease: f64 => Double }
    "UPDATE alert SET attempts = attempts + 1, claim = claim + 1, next_at = now() + make_interval(secs => $3)
     WHERE id IN (
         SELECT id FROM alert WHERE state = 'waiting' AND next_at <= now() AND target <> ALL($1)
         ORDER BY next_at LIMIT $2 FOR UPDATE SKIP LOCKED
     )
     RETURNING id, claim, attempts, target, notification, facts"
}

hot_query! {
    Settle {
        id: i64 => BigInt,
        claim: i64 => BigInt,
        state: str => Text,
        after: f64 => Double,
        error: Option<String> => Nullable<Text>,
    }
    "UPDATE alert
     SET state = $3, next_at = now() + make_interval(secs => $4), error = $5,
         settled_at = CASE WHEN $3 = 'waiting' THEN NULL ELSE now() END
     WHERE id = $1 AND claim = $2 AND state = 'waiting'"
}

hot_query! {
    Log { id: i64 => BigInt, claim: i64 => BigInt, log: str => Text }
    "UPDATE alert SET log = $3 WHERE id = $1 AND claim = $2"
}

hot_query! {
    Resend { id: i64 => BigInt }
    "UPDATE alert a
     SET state = 'waiting', attempts = 0, claim = claim + 1, next_at = now(), error = NULL, settled_at = NULL
     FROM dag_run r
     WHERE a.id = $1 AND a.state <> 'waiting' AND r.key = a.run_key
     RETURNING a.dag_id, r.run_id, a.facts->>'task_id' AS task_id, a.channel, a.target"
}
