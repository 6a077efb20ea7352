//! What stands around every page: whether somebody does the work, and how many files have errors.

use diesel::{
    QueryableByName,
    sql_types::{BigInt, Bool, Double, Text},
};
use diesel_async::RunQueryDsl;

use crate::{Error, Store, column::storable, hot::hot_query, job::LEASE};

/// More open questions are not counted.
pub const MOST_QUESTIONS: i64 = 100;

/// What is known about the platform at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub struct ShellFacts {
    /// A scheduler leads.
    #[diesel(sql_type = Bool)]
    pub has_scheduler: bool,
    /// A worker takes tasks.
    #[diesel(sql_type = Bool)]
    pub has_worker: bool,
    /// DAG files with errors.
    #[diesel(sql_type = BigInt)]
    pub broken_files: i64,
    /// Questions that whoever looks may answer, as far as they are counted: at most [`MOST_QUESTIONS`].
    #[diesel(sql_type = BigInt)]
    pub open_questions: i64,
}

impl Store {
    /// The state of the platform at a glance for a user: one small statement, because every page asks.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn shell_facts(&self, user: &str) -> Result<ShellFacts, Error> {
        let mut conn = self.conn().await?;
        let query =
            ReadShellFacts { lease: &LEASE.as_secs_f64(), user: &storable(user), most: &MOST_QUESTIONS };
        Ok(query.get_result(&mut conn).await?)
    }
}

hot_query! {
    ReadShellFacts { lease: f64 => Double, user: str => Text, most: i64 => BigInt }
    "SELECT EXISTS (SELECT 1 FROM lease WHERE expires_at > now()) AS has_scheduler,
            EXISTS (
                SELECT 1 FROM job
                WHERE kind = 'worker' AND state = 'running' AND renewed_at > now() - make_interval(secs => $1)
            ) AS has_worker,
            (SELECT count(DISTINCT file) FROM import_error) AS broken_files,
            (SELECT count(*) FROM (
                SELECT FROM approval
                WHERE closed_at IS NULL AND (cardinality(assigned_users) = 0 OR $2 = ANY(assigned_users)) LIMIT $3
            ) AS few) AS open_questions"
}
