//! Variables: texts that tasks read. Values are encrypted.

use chrono::{DateTime, Utc};
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{BigInt, Binary, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;

use crate::{
    Error, Store,
    cipher::Place,
    column::{Total, storable},
    hot::hot_query,
};

/// Longest key, in characters.
pub const MAX_KEY: usize = 250;
/// Most bytes of a value.
pub const MAX_VALUE: usize = 1 << 20;
/// Most keys of one list (Airflow's limit).
pub const MOST_KEYS: u32 = 10_000;

/// A variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: String,
    /// What it is for.
    pub description: Option<String>,
    /// When it was last set.
    pub updated_at: DateTime<Utc>,
}

impl Store {
    /// Sets a variable; `None` as description keeps the one it has.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the key or the value is too long, or the key is empty.
    pub async fn set_variable(&self, key: &str, value: &str, description: Option<&str>) -> Result<(), Error> {
        check(key, value)?;
        let sealed = self.cipher().seal(&place(key), value)?;
        let description = description.map(|text| storable(text).into_owned());
        let mut conn = self.conn().await?;
        Set { key, value: &sealed, description: &description }.execute(&mut conn).await?;
        Ok(())
    }

    /// A variable.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it was encrypted with another key.
    pub async fn variable(&self, key: &str) -> Result<Option<Variable>, Error> {
        let mut conn = self.conn().await?;
        let row: Option<Row> = Get { key }.get_result(&mut conn).await.optional()?;
        row.map(|row| self.open_variable(row)).transpose()
    }

    /// The variables whose key contains `search`, by key, and how many there are in all.
    ///
    /// # Errors
    /// [`Error::Invalid`] when one was encrypted with another key.
    pub async fn variables(
        &self,
        search: &str,
        limit: u32,
        offset: u32,
    ) -> Result<(Vec<Variable>, i64), Error> {
        let mut conn = self.conn().await?;
        let query = List { search, limit: &i64::from(limit), offset: &i64::from(offset) };
        let rows: Vec<Row> = query.load(&mut conn).await?;
        let total: Total = CountAll { search }.get_result(&mut conn).await?;
        let variables = rows.into_iter().map(|row| self.open_variable(row)).collect::<Result<_, _>>()?;
        Ok((variables, total.total))
    }

    /// The keys that begin with `prefix`, in their order, and how many there are in all.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn variable_keys(
        &self,
        prefix: &str,
        limit: u32,
        offset: u32,
    ) -> Result<(Vec<String>, i64), Error> {
        let mut conn = self.conn().await?;
        let (limit, offset) = (i64::from(limit.min(MOST_KEYS)), i64::from(offset));
        let rows: Vec<KeyRow> = Keys { prefix, limit: &limit, offset: &offset }.load(&mut conn).await?;
        let total: Total = CountKeys { prefix }.get_result(&mut conn).await?;
        Ok((rows.into_iter().map(|row| row.key).collect(), total.total))
    }

    /// Deletes a variable. False when there is none of that key.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn delete_variable(&self, key: &str) -> Result<bool, Error> {
        let mut conn = self.conn().await?;
        Ok(Delete { key }.execute(&mut conn).await? == 1)
    }

    fn open_variable(&self, row: Row) -> Result<Variable, Error> {
        let value = self.cipher().open(&place(&row.key), &row.value)?;
        Ok(Variable { key: row.key, value, description: row.description, updated_at: row.updated_at })
    }
}

fn check(key: &str, value: &str) -> Result<(), Error> {
    let length = key.chars().count();
    if length == 0 || length > MAX_KEY || key.contains('\0') {
        return Err(Error::Invalid(format!(
            "the key of a variable has 1 to {MAX_KEY} characters, this one has {length}"
        )));
    }
    if value.len() > MAX_VALUE {
        return Err(Error::Invalid(format!(
            "the value of `{key}` has {} bytes, at most {MAX_VALUE} are kept",
            value.len()
        )));
    }
    Ok(())
}

const fn place(key: &str) -> Place<'_> {
    Place { table: "variable", row: key, column: "value" }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Binary)]
    value: Vec<u8>,
    #[diesel(sql_type = Nullable<Text>)]
    description: Option<String>,
    #[diesel(sql_type = Timestamptz)]
    updated_at: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct KeyRow {
    #[diesel(sql_type = Text)]
    key: String,
}

hot_query! {
    Keys { prefix: str => Text, limit: i64 => BigInt, offset: i64 => BigInt }
    "SELECT key FROM variable WHERE starts_with(key, $1) ORDER BY key LIMIT $2 OFFSET $3"
}

hot_query! {
    CountKeys { prefix: str => Text }
    "SELECT count(*) AS total FROM variable WHERE starts_with(key, $1)"
}

hot_query! {
    Set { key: str => Text, value: Vec<u8> => Binary, description: Option<String> => Nullable<Text> }
    "INSERT INTO variable AS v (key, value, description) VALUES ($1, $2, $3)
     ON CONFLICT (key) DO UPDATE
     SET value = excluded.value, description = coalesce(excluded.description, v.description), updated_at = now()"
}

hot_query! {
    Get { key: str => Text }
    "SELECT key, value, description, updated_at FROM variable WHERE key = $1"
}

hot_query! {
    List { search: str => Text, limit: i64 => BigInt, offset: i64 => BigInt }
    "SELECT key, value, description, updated_at FROM variable
     WHERE $1 = '' OR strpos(lower(key), lower($1)) > 0 ORDER BY key LIMIT $2 OFFSET $3"
}

hot_query! {
    CountAll { search: str => Text }
    "SELECT count(*) AS total FROM variable WHERE $1 = '' OR strpos(lower(key), lower($1)) > 0"
}

hot_query! {
    Delete { key: str => Text }
    "DELETE FROM variable WHERE key = $1"
}
