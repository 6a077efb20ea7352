//! Numbers for monitoring. Nothing here reads history: each part costs as much as there is work under way.

use diesel::{
    QueryableByName,
    sql_types::{BigInt, Double, Nullable, Text},
};
use diesel_async::RunQueryDsl;

use crate::{Error, Store, hot::hot_query};

/// One number.
#[derive(Debug, Clone, PartialEq, QueryableByName)]
pub struct Gauge {
    /// What it counts: `runs`, `ended`, `tasks`, `workers`, `slots`, `inbox`, `heartbeat` or `dags`.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// Of which state or kind.
    #[diesel(sql_type = Nullable<Text>)]
    pub kind: Option<String>,
    /// How much.
    #[diesel(sql_type = Double)]
    pub value: f64,
}

/// A queue of workers and how much waits in it, by the records.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct QueueLoad {
    /// The queue.
    #[diesel(sql_type = Text)]
    pub queue: String,
    /// Task instances that are queued.
    #[diesel(sql_type = BigInt)]
    pub queued: i64,
}

impl Store {
    /// All gauges.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn gauges(&self) -> Result<Vec<Gauge>, Error> {
        let mut conn = self.conn().await?;
        Ok(Gauges {}.load(&mut conn).await?)
    }

    /// What is queued, by queue.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn queue_loads(&self) -> Result<Vec<QueueLoad>, Error> {
        let mut conn = self.conn().await?;
        Ok(QueueLoads {}.load(&mut conn).await?)
    }
}

hot_query! {
    Gauges {}
    include_str!("api_metrics.sql")
}

hot_query! {
    QueueLoads {}
    "SELECT t.queue, count(*) AS queued FROM dag_run r JOIN task_instance t ON t.run_key = r.key
     WHERE r.state IN ('queued', 'running') AND t.state = 'queued' GROUP BY t.queue ORDER BY t.queue LIMIT 100"
}
