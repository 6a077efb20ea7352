//! The leader's lease: one leader for each shard at a time, and a proof that its commits carry.
//!
//! Only the database's clock counts. Every take-over raises the epoch, and every commit locks the lease row and compares
//! the epoch, so a leader that was paused or cut off cannot write after its successor began.
//!
//! The locks: a commit takes the weakest one (`FOR KEY SHARE`), which a renewal does not meet, so that a commit that takes long
//! does not cost the lease. A take-over takes the strongest (`FOR UPDATE`): it waits for commits that are under way. One that
//! hangs because its leader was paused or cut off in the middle is ended by the database after [`MOST_IDLE`].

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{BigInt, Bool, Double, Text, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use uuid::Uuid;

use crate::{Error, Store, hot::hot_query, transaction::Transaction};

/// The only shard there is so far.
pub const MAIN: &str = "main";

/// How long the database waits for a leader in the middle of a commit before it rolls the commit back: as long as a lease usually
/// lasts, so that a successor hardly waits longer for it than for the end of the lease.
pub const MOST_IDLE: Duration = Duration::from_secs(3);

/// The right to commit decisions. Only [`Store::acquire`] and [`Candidate::acquire`] make one.
#[derive(Debug, PartialEq, Eq)]
pub struct LeaderProof {
    shard: String,
    holder: Uuid,
    epoch: i64,
}

impl LeaderProof {
    /// What it is the right to lead.
    #[must_use]
    pub fn shard(&self) -> &str {
        &self.shard
    }

    /// The process that holds it.
    #[must_use]
    pub const fn holder(&self) -> Uuid {
        self.holder
    }

    /// Counts the leaders.
    #[must_use]
    pub const fn epoch(&self) -> i64 {
        self.epoch
    }
}

/// Who leads.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Lease {
    /// The process; the id of its row in `job`.
    #[diesel(sql_type = diesel::sql_types::Uuid)]
    pub holder: Uuid,
    /// Counts the leaders.
    #[diesel(sql_type = BigInt)]
    pub epoch: i64,
    /// When it was last renewed.
    #[diesel(sql_type = Timestamptz)]
    pub renewed_at: DateTime<Utc>,
    /// When it runs out.
    #[diesel(sql_type = Timestamptz)]
    pub expires_at: DateTime<Utc>,
    /// It has not run out.
    #[diesel(sql_type = Bool)]
    pub is_valid: bool,
}

impl Store {
    /// Becomes the leader of `shard` for `ttl`, unless somebody else is. The same holder keeps its epoch.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn acquire(
        &self,
        shard: &str,
        holder: Uuid,
        ttl: Duration,
    ) -> Result<Option<LeaderProof>, Error> {
        let mut conn = self.hot_conn().await?;
        take(&mut conn, shard, holder, ttl).await
    }

    /// Extends the lease to `ttl` from now; false when it is lost.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn renew(&self, proof: &LeaderProof, ttl: Duration) -> Result<bool, Error> {
        let mut conn = self.hot_conn().await?;
        extend(&mut conn, &proof.shard, proof.holder, proof.epoch, ttl).await
    }

    /// Gives the lease up, so that a standby need not wait for its end.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn release(&self, proof: LeaderProof) -> Result<(), Error> {
        self.renew(&proof, Duration::ZERO).await.map(|_| ())
    }

    /// Who leads `shard`, or led it last.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn current_lease(&self, shard: &str) -> Result<Option<Lease>, Error> {
        let mut conn = self.conn().await?;
        Ok(Current { shard }.get_result(&mut conn).await.optional()?)
    }
}

/// A process that leads or wants to, with a connection for that alone: nothing else can keep its renewals waiting. A connection that
/// does not answer in time is closed and replaced, so that one whose other end vanished without a word costs one attempt.
pub struct Candidate {
    store: Store,
    shard: &'static str,
    holder: Uuid,
    ttl: Duration,
    epoch: Option<i64>,
    idle: Option<AsyncPgConnection>,
}

impl Candidate {
    /// A candidate for `shard` whose lease lasts for `ttl` each time. An attempt is given up after a third of that. Nothing is asked of
    /// the database yet.
    #[must_use]
    pub const fn new(store: Store, shard: &'static str, holder: Uuid, ttl: Duration) -> Self {
        Self { store, shard, holder, ttl, epoch: None, idle: None }
    }

    /// How long a lease lasts.
    #[must_use]
    pub const fn ttl(&self) -> Duration {
        self.ttl
    }

    /// Becomes the leader, unless somebody else is. The same holder keeps its epoch.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when there was no answer in time; it may have become the leader all the same.
    pub async fn acquire(&mut self) -> Result<Option<LeaderProof>, Error> {
        let (limit, silence) = (self.ttl / 3, self.silence());
        let attempt = async {
            let mut conn = self.connection().await?;
            let proof = take(&mut conn, self.shard, self.holder, self.ttl).await?;
            self.idle = Some(conn);
            self.epoch = proof.as_ref().map(LeaderProof::epoch);
            Ok(proof)
        };
        tokio::time::timeout(limit, attempt).await.unwrap_or(Err(silence))
    }

    /// Extends the lease to its full length from now; false when it is lost, or was never won.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when there was no answer in time.
    pub async fn renew(&mut self) -> Result<bool, Error> {
        self.extend(self.ttl).await
    }

    /// Gives the lease up, so that a standby need not wait for its end.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when there was no answer in time.
    pub async fn release(&mut self, proof: LeaderProof) -> Result<(), Error> {
        drop(proof);
        self.extend(Duration::ZERO).await.map(|_| ())
    }

    async fn extend(&mut self, ttl: Duration) -> Result<bool, Error> {
        let Some(epoch) = self.epoch else {
            return Ok(false);
        };
        let (limit, silence) = (self.ttl / 3, self.silence());
        let attempt = async {
            let mut conn = self.connection().await?;
            let extended = extend(&mut conn, self.shard, self.holder, epoch, ttl).await?;
            self.idle = Some(conn);
            Ok(extended)
        };
        tokio::time::timeout(limit, attempt).await.unwrap_or(Err(silence))
    }

    // It is taken out for each attempt: one that fails, or is dropped half-way, closes it.
    async fn connection(&mut self) -> Result<AsyncPgConnection, Error> {
        if let Some(conn) = self.idle.take() {
            return Ok(conn);
        }
        let mut conn = self.store.lone_conn().await?;
        // The server must not grant later what nobody waits for any more.
        let limit = self.ttl.as_millis();
        conn.batch_execute(&format!("SET statement_timeout = {limit}; SET lock_timeout = {limit}")).await?;
        Ok(conn)
    }

    fn silence(&self) -> Error {
        let reason = format!("no answer about the lease within {} ms", (self.ttl / 3).as_millis());
        Error::Unreachable { place: format!(" at {}", self.store.place()), reason }
    }
}

async fn take(
    conn: &mut AsyncPgConnection,
    shard: &str,
    holder: Uuid,
    ttl: Duration,
) -> Result<Option<LeaderProof>, Error> {
    let query = Acquire { shard, holder: &holder, seconds: &ttl.as_secs_f64() };
    let row: Option<Epoch> = query.get_result(conn).await.optional()?;
    Ok(row.map(|row| LeaderProof { shard: shard.to_owned(), holder, epoch: row.epoch }))
}

async fn extend(
    conn: &mut AsyncPgConnection,
    shard: &str,
    holder: Uuid,
    epoch: i64,
    ttl: Duration,
) -> Result<bool, Error> {
    let query = Renew { shard, holder: &holder, epoch: &epoch, seconds: &ttl.as_secs_f64() };
    Ok(query.execute(conn).await? == 1)
}

impl Transaction {
    /// Makes sure that the proof still holds, and that it holds until the transaction ends.
    pub(crate) async fn assert_leader(&self, proof: &LeaderProof) -> Result<(), Error> {
        let most_idle = MOST_IDLE.as_millis().to_string();
        let query =
            Assert { shard: &proof.shard, holder: &proof.holder, epoch: &proof.epoch, most_idle: &most_idle };
        match query.execute(&mut &**self).await? {
            0 => Err(fenced(proof)),
            _ => Ok(()),
        }
    }

    /// Like [`Transaction::assert_leader`] where nothing is written and so nothing can be locked.
    pub(crate) async fn check_leader(&self, proof: &LeaderProof) -> Result<(), Error> {
        let query = Check { shard: &proof.shard, holder: &proof.holder, epoch: &proof.epoch };
        match query.execute(&mut &**self).await? {
            0 => Err(fenced(proof)),
            _ => Ok(()),
        }
    }
}

fn fenced(proof: &LeaderProof) -> Error {
    Error::Fenced { shard: proof.shard.clone() }
}

hot_query! {
    /// While somebody else leads, nothing is locked: standbys that try keep nobody waiting.
    Acquire { shard: str => Text, holder: Uuid => diesel::sql_types::Uuid, seconds: f64 => Double }
    "WITH free AS (
         SELECT FROM lease WHERE shard = $1 AND (holder = $2 OR expires_at <= now()) FOR UPDATE
     )
     INSERT INTO lease AS l (shard, holder, epoch, renewed_at, expires_at)
     SELECT $1, $2, 1, now(), now() + make_interval(secs => $3)
     WHERE EXISTS (SELECT FROM free) OR NOT EXISTS (SELECT FROM lease WHERE shard = $1)
     ON CONFLICT (shard) DO UPDATE
     SET holder = excluded.holder, epoch = l.epoch + (l.holder <> excluded.holder)::int,
         renewed_at = excluded.renewed_at, expires_at = excluded.expires_at
     WHERE l.holder = excluded.holder OR l.expires_at <= now()
     RETURNING epoch"
}

hot_query! {
    Renew { shard: str => Text, holder: Uuid => diesel::sql_types::Uuid, epoch: i64 => BigInt, seconds: f64 => Double }
    "UPDATE lease SET renewed_at = now(), expires_at = now() + make_interval(secs => $4)
     WHERE shard = $1 AND holder = $2 AND epoch = $3"
}

hot_query! {
    Current { shard: str => Text }
    "SELECT holder, epoch, renewed_at, expires_at, expires_at > now() AS is_valid FROM lease WHERE shard = $1"
}

hot_query! {
    /// The lock keeps a successor waiting until the transaction ends, and the limit sees to it that it ends.
    Assert { shard: str => Text, holder: Uuid => diesel::sql_types::Uuid, epoch: i64 => BigInt, most_idle: str => Text }
    "SELECT set_config('idle_in_transaction_session_timeout', $4, true) FROM lease
     WHERE shard = $1 AND holder = $2 AND epoch = $3 AND expires_at > now() FOR KEY SHARE"
}

hot_query! {
    Check { shard: str => Text, holder: Uuid => diesel::sql_types::Uuid, epoch: i64 => BigInt }
    "SELECT 1 FROM lease WHERE shard = $1 AND holder = $2 AND epoch = $3 AND expires_at > now()"
}

#[derive(QueryableByName)]
struct Epoch {
    #[diesel(sql_type = BigInt)]
    epoch: i64,
}
