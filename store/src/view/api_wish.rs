//! What became of a wish.

use diesel::{
    QueryableByName,
    sql_types::{BigInt, Bool, Nullable, Text},
};
use diesel_async::RunQueryDsl;
use domain::{
    id::{DagId, RunId},
    intent::Intent,
};

use crate::{Error, InboxId, Store, column::storable, hot::hot_query};

/// What became of a wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The engine has not taken it in yet.
    Waiting,
    /// It was carried out.
    Done,
    /// It was refused, for this reason.
    Refused(String),
}

impl Store {
    /// What became of a wish that was posted under `id`.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn fate(&self, id: InboxId, intent: &Intent) -> Result<Fate, Error> {
        let (dag_id, run_id) = intent.wish.subject();
        let token = intent.wish.token().map(|token| token.to_string());
        let query = Find {
            id: &id.0,
            dag_id: &dag_id.map(DagId::as_str),
            run_id: &run_id.map(RunId::as_str),
            event: intent.wish.name(),
            owner: &storable(&intent.by),
            token: &token.as_deref(),
        };
        let mut conn = self.conn().await?;
        let row: Row = query.get_result(&mut conn).await?;
        Ok(match row.refusal {
            _ if row.waits => Fate::Waiting,
            Some(reason) => Fate::Refused(reason),
            None => Fate::Done,
        })
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Bool)]
    waits: bool,
    #[diesel(sql_type = Nullable<Text>)]
    refusal: Option<String>,
}

hot_query! {
    /// The message goes and the line of the audit log comes in the same transaction.
    Find { id: i64 => BigInt, dag_id: Option<&'a str> => Nullable<Text>, run_id: Option<&'a str> => Nullable<Text>, event: str => Text, owner: str => Text, token: Option<&'a str> => Nullable<Text> }
    "SELECT w.waits, CASE WHEN NOT w.waits THEN (
         SELECT extra ->> 'reason' FROM event_log
         WHERE (dag_id = $2 OR $2 IS NULL AND dag_id IS NULL) AND run_id IS NOT DISTINCT FROM $3 AND event = $4 AND owner = $5
           AND ($6 IS NULL OR extra -> 'wish' ->> 'id' = $6)
         ORDER BY id DESC LIMIT 1
     ) END AS refusal
     FROM (SELECT EXISTS (SELECT FROM inbox WHERE id = $1) AS waits) w"
}
