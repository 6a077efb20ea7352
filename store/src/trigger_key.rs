//! The keys by which programs trigger runs: the same key of the same DAG is the same run, for a day.

use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{Binary, Bool, Text},
};
use diesel_async::RunQueryDsl;
use domain::id::{DagId, RunId};
use sha2::{Digest, Sha256};

use crate::{Error, Store, column::Parsed, hot::hot_query};

/// What a key stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriggerKey {
    /// The run; it may not exist yet.
    pub run_id: RunId,
    /// The same was asked for.
    pub is_same: bool,
}

impl Store {
    /// What a key stands for, if it was used in the last 24 hours. `body` is what is asked for now.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn trigger_key(
        &self,
        dag_id: &DagId,
        key: &str,
        body: &str,
    ) -> Result<Option<TriggerKey>, Error> {
        let mut conn = self.conn().await?;
        let query = Find { dag_id: dag_id.as_str(), key, body: &hash(body) };
        Ok(query.get_result::<Row>(&mut conn).await.optional()?.map(Row::record))
    }

    /// Lets a key stand for a run, unless it stands for another one already: whoever comes first decides. Keys that are
    /// older than 24 hours are forgotten, some with each call.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn keep_trigger_key(
        &self,
        dag_id: &DagId,
        key: &str,
        body: &str,
        run_id: &RunId,
    ) -> Result<TriggerKey, Error> {
        let mut conn = self.conn().await?;
        let limit = FORGOTTEN;
        Forget { limit: &limit }.execute(&mut conn).await?;
        let query = Keep { dag_id: dag_id.as_str(), key, body: &hash(body), run_id: run_id.as_str() };
        Ok(query.get_result::<Row>(&mut conn).await?.record())
    }
}

/// Most keys that are forgotten in one go.
const FORGOTTEN: i64 = 100;

fn hash(body: &str) -> Vec<u8> {
    Sha256::digest(body).to_vec()
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    run_id: Parsed<RunId>,
    #[diesel(sql_type = Bool)]
    is_same: bool,
}

impl Row {
    fn record(self) -> TriggerKey {
        TriggerKey { run_id: self.run_id.0, is_same: self.is_same }
    }
}

hot_query! {
    Find { dag_id: str => Text, key: str => Text, body: Vec<u8> => Binary }
    "SELECT run_id, body = $3 AS is_same FROM trigger_key
     WHERE dag_id = $1 AND key = $2 AND at >= now() - interval '24 hours'"
}

hot_query! {
    Forget { limit: i64 => diesel::sql_types::BigInt }
    "DELETE FROM trigger_key WHERE (dag_id, key) IN (
         SELECT dag_id, key FROM trigger_key WHERE at < now() - interval '24 hours' ORDER BY at LIMIT $1
     )"
}

hot_query! {
    Keep { dag_id: str => Text, key: str => Text, body: Vec<u8> => Binary, run_id: str => Text }
    "INSERT INTO trigger_key AS k (dag_id, key, body, run_id) VALUES ($1, $2, $3, $4)
     ON CONFLICT (dag_id, key) DO UPDATE SET
         body = CASE WHEN k.at < now() - interval '24 hours' THEN excluded.body ELSE k.body END,
         run_id = CASE WHEN k.at < now() - interval '24 hours' THEN excluded.run_id ELSE k.run_id END,
         at = CASE WHEN k.at < now() - interval '24 hours' THEN excluded.at ELSE k.at END
     RETURNING run_id, body = $3 AS is_same"
}
