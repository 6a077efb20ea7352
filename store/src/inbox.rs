//! The inbox: outcomes and intents on their way to the engine, which deletes them in the transaction that applies them.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Json, Timestamptz},
};
use diesel_async::RunQueryDsl;
use domain::{deferral::Word, intent::Message};
use serde_json::json;

use crate::{
    Error, Store,
    column::{RawJson, ToJson},
    hot::hot_query,
    xcom,
};

/// Most messages of one [`Store::post`].
pub const MOST_MESSAGES: usize = 5_000;

/// The number of a message, in the order of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InboxId(pub i64);

impl Store {
    /// Puts messages into the inbox, all or none, and returns their numbers. Ring the engine's doorbell afterwards.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there are more than [`MOST_MESSAGES`], or when the engine could not record what one of them
    /// says: see [`xcom::check_key`].
    pub async fn post(&self, messages: &[Message]) -> Result<Vec<InboxId>, Error> {
        if messages.len() > MOST_MESSAGES {
            return Err(Error::Invalid(format!(
                "at most {MOST_MESSAGES} messages at once, not {}",
                messages.len()
            )));
        }
        if messages.is_empty() {
            return Ok(Vec::new());
        }
        messages.iter().try_for_each(check)?;
        let bodies = messages.iter().map(ToJson::of).collect::<Result<Vec<_>, _>>()?;
        let mut conn = self.hot_conn().await?;
        let rows: Vec<Posted> = Post { bodies: &bodies }.load(&mut conn).await?;
        Ok(rows.into_iter().map(|row| InboxId(row.id)).collect())
    }

    /// The oldest messages, at most `limit`. Reads from the lowest number every time, because numbers may become visible
    /// out of order. A message that cannot be understood is moved to the audit log, so that it blocks nobody.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn read(&self, limit: usize) -> Result<Vec<(InboxId, Message)>, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut conn = self.hot_conn().await?;
        let rows: Vec<Row> = Read { limit: &limit }.load(&mut conn).await?;
        drop(conn);
        let mut messages = Vec::with_capacity(rows.len());
        for row in rows {
            match serde_json::from_slice(&row.body.0) {
                Ok(message) => messages.push((InboxId(row.id), message)),
                Err(error) => self.set_aside(row, &error).await?,
            }
        }
        Ok(messages)
    }

    /// How many messages wait, and since when the oldest.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn backlog(&self) -> Result<(i64, Option<DateTime<Utc>>), Error> {
        let mut conn = self.conn().await?;
        let row: Backlog = CountBacklog {}.get_result(&mut conn).await?;
        Ok((row.waiting, row.oldest))
    }

    async fn set_aside(&self, row: Row, error: &serde_json::Error) -> Result<(), Error> {
        let body = String::from_utf8_lossy(&row.body.0).into_owned();
        tracing::error!(id = row.id, %error, "a message of the inbox cannot be understood and was moved to the audit log");
        let extra = ToJson::of(&json!({"inbox_id": row.id, "error": error.to_string(), "body": body}))?;
        let mut conn = self.conn().await?;
        SetAside { id: &row.id, extra: &extra }.execute(&mut conn).await?;
        Ok(())
    }
}

pub(crate) fn check(message: &Message) -> Result<(), Error> {
    match message {
        Message::Outcome(outcome) => outcome.xcoms.keys().try_for_each(|key| xcom::check_key(key)),
        Message::Fired(fired) => match &fired.word {
            Word::Ended { xcoms, .. } => xcoms.keys().try_for_each(|key| xcom::check_key(key)),
            Word::Event(_) | Word::Failed(_) => Ok(()),
        },
        Message::Intent(_) => Ok(()),
    }
}

#[derive(QueryableByName)]
struct Posted {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Json)]
    body: RawJson,
}

#[derive(QueryableByName)]
struct Backlog {
    #[diesel(sql_type = BigInt)]
    waiting: i64,
    #[diesel(sql_type = diesel::sql_types::Nullable<Timestamptz>)]
    oldest: Option<DateTime<Utc>>,
}

hot_query! {
    Post { bodies: [ToJson] => Array<Json> }
    "INSERT INTO inbox (body)
     SELECT b.body FROM unnest($1::json[]) WITH ORDINALITY AS b (body, place) ORDER BY b.place
     RETURNING id"
}

hot_query! {
    Read { limit: i64 => BigInt }
    "SELECT id, body FROM inbox ORDER BY id LIMIT $1"
}

hot_query! {
    CountBacklog {}
    "SELECT count(*) AS waiting, min(created_at) AS oldest FROM inbox"
}

hot_query! {
    SetAside { id: i64 => BigInt, extra: ToJson => Json }
    "WITH gone AS (DELETE FROM inbox WHERE id = $1 RETURNING id)
     INSERT INTO event_log (at, event, owner, extra) SELECT now(), 'undecodable_message', 'scheduler', $2 FROM gone"
}
