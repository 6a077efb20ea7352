//! The leader's lease: one leader for each shard at a time, and a proof that its commits carry.
//!
//! Only the database's clock counts. Every take-over raises the epoch, and every commit locks the lease row and compares
//! the epoch, so a leader that was paused or cut off cannot write after its successor began.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{BigInt, Bool, Double, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{Error, Store, hot::hot_query, transaction::Transaction};

/// The only shard there is so far.
pub const MAIN: &str = "main";

/// The right to commit decisions. Only [`Store::acquire`] makes one.
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
        let query = Acquire { shard, holder: &holder, seconds: &ttl.as_secs_f64() };
        let row: Option<Epoch> = query.get_result(&mut conn).await.optional()?;
        Ok(row.map(|row| LeaderProof { shard: shard.to_owned(), holder, epoch: row.epoch }))
    }

    /// Extends the lease to `ttl` from now; false when it is lost.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn renew(&self, proof: &LeaderProof, ttl: Duration) -> Result<bool, Error> {
        let mut conn = self.hot_conn().await?;
        let query = Renew {
            shard: &proof.shard,
            holder: &proof.holder,
            epoch: &proof.epoch,
            seconds: &ttl.as_secs_f64(),
        };
        Ok(query.execute(&mut conn).await? == 1)
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

impl Transaction {
    /// Makes sure that the proof still holds, and that it holds until the transaction ends.
    pub(crate) async fn assert_leader(&self, proof: &LeaderProof) -> Result<(), Error> {
        let query = Assert { shard: &proof.shard, holder: &proof.holder, epoch: &proof.epoch };
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
    Acquire { shard: str => Text, holder: Uuid => diesel::sql_types::Uuid, seconds: f64 => Double }
    "INSERT INTO lease AS l (shard, holder, epoch, renewed_at, expires_at)
     VALUES ($1, $2, 1, now(), now() + make_interval(secs => $3))
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
    /// The lock keeps a successor waiting until the transaction ends.
    Assert { shard: str => Text, holder: Uuid => diesel::sql_types::Uuid, epoch: i64 => BigInt }
    "SELECT 1 FROM lease WHERE shard = $1 AND holder = $2 AND epoch = $3 AND expires_at > now() FOR SHARE"
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
