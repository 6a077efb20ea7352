//! Pools of slots.

use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{BigInt, Bool, Integer, Nullable, Text},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    engine::{floor::Policy, record::PoolRecord},
    id::PoolName,
};

use crate::{
    Error, Store,
    column::{Parsed, storable},
    hot::hot_query,
};

/// The pool of every task that names none; it can be resized but not deleted.
pub const DEFAULT: &str = "default_pool";
/// How many slots it has until somebody resizes it (`migrations/2026-11-21-000001_spine`).
pub const DEFAULT_SLOTS: i32 = 128;

/// What a person says about a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPool {
    /// Its name.
    pub name: PoolName,
    /// How many slots it has; `None` is without limit (Airflow's -1).
    pub slots: Option<u32>,
    /// What it is for.
    pub description: Option<String>,
    /// Deferred tasks keep their slots.
    pub include_deferred: bool,
    /// The order in which those that wait for it go; `None` leaves it to the installation's.
    pub policy: Option<Policy>,
}

/// A pool and how it is used now. Counts are slots, not tasks.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Pool {
    /// Its name.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// How many slots it has; -1 is without limit.
    #[diesel(sql_type = Integer)]
    pub slots: i32,
    /// What it is for.
    #[diesel(sql_type = Nullable<Text>)]
    pub description: Option<String>,
    /// Deferred tasks keep their slots.
    #[diesel(sql_type = Bool)]
    pub include_deferred: bool,
    /// The name of its policy ([`Policy`]), if it has one of its own.
    #[diesel(sql_type = Nullable<Text>)]
    pub policy: Option<String>,
    /// Slots of running tasks.
    #[diesel(sql_type = BigInt)]
    pub running: i64,
    /// Slots of queued tasks.
    #[diesel(sql_type = BigInt)]
    pub queued: i64,
    /// Slots that scheduled tasks wait for.
    #[diesel(sql_type = BigInt)]
    pub scheduled: i64,
    /// Slots of deferred tasks.
    #[diesel(sql_type = BigInt)]
    pub deferred: i64,
}

impl Pool {
    /// The slots that are taken.
    #[must_use]
    pub const fn occupied(&self) -> i64 {
        self.running + self.queued + if self.include_deferred { self.deferred } else { 0 }
    }

    /// The slots that are free; `None` is without limit. Negative after the pool was made smaller.
    #[must_use]
    pub fn open(&self) -> Option<i64> {
        (self.slots >= 0).then(|| i64::from(self.slots) - self.occupied())
    }
}

impl Store {
    /// All pools by name with their use, at most `limit` from `offset` on.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn pools(&self, limit: u32, offset: u32) -> Result<Vec<Pool>, Error> {
        let mut conn = self.conn().await?;
        Ok(List { name: &None, limit: &i64::from(limit), offset: &i64::from(offset) }.load(&mut conn).await?)
    }

    /// One pool with its use.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn pool(&self, name: &PoolName) -> Result<Option<Pool>, Error> {
        let mut conn = self.conn().await?;
        let name = Some(name.as_str().to_owned());
        let row: Option<Pool> =
            List { name: &name, limit: &1, offset: &0 }.get_result(&mut conn).await.optional()?;
        Ok(row)
    }

    /// All pools as the engine needs them.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn pool_records(&self) -> Result<Vec<PoolRecord>, Error> {
        let mut conn = self.conn().await?;
        records(&mut conn).await
    }

    /// Adds a pool.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the name is taken.
    pub async fn create_pool(&self, pool: &NewPool) -> Result<(), Error> {
        let description = pool.description.as_deref().map(|text| storable(text).into_owned());
        let query = Insert {
            name: pool.name.as_str(),
            slots: &slots(pool.slots),
            description: &description,
            include_deferred: &pool.include_deferred,
            policy: &pool.policy.map(Policy::name),
        };
        let mut conn = self.conn().await?;
        match query.execute(&mut conn).await? {
            0 => Err(Error::Conflict(format!("the pool `{}` already exists", pool.name))),
            _ => Ok(()),
        }
    }

    /// Changes a pool. False when there is none of that name.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn update_pool(&self, pool: &NewPool) -> Result<bool, Error> {
        let description = pool.description.as_deref().map(|text| storable(text).into_owned());
        let query = Update {
            name: pool.name.as_str(),
            slots: &slots(pool.slots),
            description: &description,
            include_deferred: &pool.include_deferred,
            policy: &pool.policy.map(Policy::name),
        };
        let mut conn = self.conn().await?;
        Ok(query.execute(&mut conn).await? == 1)
    }

    /// Deletes a pool. False when there is none of that name.
    ///
    /// # Errors
    /// [`Error::Conflict`] for [`DEFAULT`].
    pub async fn delete_pool(&self, name: &PoolName) -> Result<bool, Error> {
        if name.as_str() == DEFAULT {
            return Err(Error::Conflict(format!(
                "the pool `{DEFAULT}` cannot be deleted: tasks without a pool use it"
            )));
        }
        let mut conn = self.conn().await?;
        Ok(Delete { name: name.as_str() }.execute(&mut conn).await? == 1)
    }
}

pub(crate) async fn records(conn: &mut AsyncPgConnection) -> Result<Vec<PoolRecord>, Error> {
    let rows: Vec<Row> = Records {}.load(conn).await?;
    let record = |row: Row| PoolRecord {
        name: row.name.0,
        slots: u32::try_from(row.slots).ok(),
        include_deferred: row.include_deferred,
        policy: row.policy.and_then(|name| name.parse().ok()),
    };
    Ok(rows.into_iter().map(record).collect())
}

fn slots(slots: Option<u32>) -> i32 {
    slots.map_or(-1, |slots| i32::try_from(slots).unwrap_or(i32::MAX))
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    name: Parsed<PoolName>,
    #[diesel(sql_type = Integer)]
    slots: i32,
    #[diesel(sql_type = Bool)]
    include_deferred: bool,
    #[diesel(sql_type = Nullable<Text>)]
    policy: Option<String>,
}

hot_query! {
    List { name: Option<String> => Nullable<Text>, limit: i64 => BigInt, offset: i64 => BigInt }
    include_str!("pool/list.sql")
}

hot_query! {
    Records {}
    "SELECT name, slots, include_deferred, policy FROM pool ORDER BY name"
}

hot_query! {
    Insert {
        name: str => Text,
        slots: i32 => Integer,
        description: Option<String> => Nullable<Text>,
        include_deferred: bool => Bool,
        policy: Option<&'a str> => Nullable<Text>,
    }
    "INSERT INTO pool (name, slots, description, include_deferred, policy) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT DO NOTHING"
}

hot_query! {
    Update {
        name: str => Text,
        slots: i32 => Integer,
        description: Option<String> => Nullable<Text>,
        include_deferred: bool => Bool,
        policy: Option<&'a str> => Nullable<Text>,
    }
    "UPDATE pool SET slots = $2, description = $3, include_deferred = $4, policy = $5 WHERE name = $1"
}

hot_query! {
    Delete { name: str => Text }
    "DELETE FROM pool WHERE name = $1"
}
