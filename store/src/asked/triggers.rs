//! Wishes of tasks, each of which is written down once.

use diesel::{
    QueryableByName,
    sql_types::{BigInt, Binary, Json, Text},
};
use diesel_async::RunQueryDsl;
use domain::intent::{Intent, Message, TaskTrigger, Wish};
use sha2::{Digest, Sha256};

use crate::{Error, InboxId, Store, column::ToJson, hot::hot_query};

impl Store {
    /// Puts a task's wish for a run into the inbox, unless that was done under the same number before: whoever does not know whether it
    /// was written down may ask again. Ring the engine's doorbell afterwards. For what became of it see [`Store::fate`].
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn post_trigger(&self, by: &str, asked: &TaskTrigger) -> Result<(InboxId, Intent), Error> {
        let intent = Intent { by: by.to_owned(), wish: Wish::TriggerByTask(asked.clone()) };
        let body = ToJson::of(&Message::Intent(intent.clone()))?;
        let token = asked.id.to_string();
        let mut conn = self.conn().await?;
        let query = Post {
            dag_id: asked.run.dag_id.as_str(),
            key: &format!("task {token}"),
            hash: &Sha256::digest(&token).to_vec(),
            run_id: asked.run.run_id.as_str(),
            body: &body,
            token: &token,
        };
        let row: Row = query.get_result(&mut conn).await?;
        Ok((InboxId(row.id), intent))
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

hot_query! {
    /// No message has the number 0: that of a wish which the engine has taken in already.
    Post {
        dag_id: str => Text,
        key: str => Text,
        hash: Vec<u8> => Binary,
        run_id: str => Text,
        body: ToJson => Json,
        token: str => Text,
    }
    "WITH noted AS (
         INSERT INTO trigger_key (dag_id, key, body, run_id) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING RETURNING key
     ), posted AS (
         INSERT INTO inbox (body) SELECT $5 FROM noted RETURNING id
     )
     SELECT coalesce(
         (SELECT id FROM posted),
         (SELECT id FROM inbox WHERE body -> 'wish' ->> 'id' = $6 LIMIT 1),
         0) AS id"
}
