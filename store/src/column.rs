//! How values of the domain are written to columns and read back, and the columns that many statements have.

use std::{fmt::Display, io::Write, str::FromStr};

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    deserialize::{self, FromSql, FromSqlRow},
    pg::{Pg, PgValue},
    serialize::{self, IsNull, Output, ToSql},
    sql_types::{BigInt, Integer, Json, Text},
};
use domain::{
    id::{RunKey, TiKey, TryKey},
    timetable::DataInterval,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::Error;

/// How many rows a list has in all.
#[derive(QueryableByName)]
pub(crate) struct Total {
    #[diesel(sql_type = BigInt)]
    pub(crate) total: i64,
}

/// The columns that name a try.
#[derive(QueryableByName)]
pub(crate) struct TryRow {
    #[diesel(sql_type = BigInt)]
    run_key: i64,
    #[diesel(sql_type = Integer)]
    index: i32,
    #[diesel(sql_type = Integer)]
    try_number: i32,
}

impl From<TryRow> for TryKey {
    fn from(row: TryRow) -> Self {
        let ti = TiKey { run: RunKey(row.run_key), index: count(row.index) };
        Self { ti, try_number: count(row.try_number) }
    }
}

/// Tries as parameters of a statement: the columns of [`TryRow`], each as an array.
pub(crate) struct TryColumns {
    pub(crate) run_key: Vec<i64>,
    pub(crate) index: Vec<i32>,
    pub(crate) try_number: Vec<i32>,
}

impl TryColumns {
    pub(crate) fn of(tries: &[TryKey]) -> Self {
        Self {
            run_key: tries.iter().map(|attempt| attempt.ti.run.0).collect(),
            index: tries.iter().map(|attempt| int(attempt.ti.index)).collect(),
            try_number: tries.iter().map(|attempt| int(attempt.try_number)).collect(),
        }
    }
}

/// A count of the domain on its way into an `integer`, whose end it is never near.
pub(crate) fn int(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// A count from its column, where CHECKs keep it from being negative.
pub(crate) fn count(column: i32) -> u32 {
    u32::try_from(column).unwrap_or(0)
}

/// A data interval from its two columns, which are both null or both not.
pub(crate) fn interval(start: Option<DateTime<Utc>>, end: Option<DateTime<Utc>>) -> Option<DataInterval> {
    Some(DataInterval { start: start?, end: end? })
}

/// A text column that is parsed when it is read: a name or a state.
#[derive(Debug, Clone, FromSqlRow)]
pub(crate) struct Parsed<T>(pub(crate) T);

impl<T> FromSql<Text, Pg> for Parsed<T>
where
    T: FromStr,
    T::Err: Display,
{
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        let text = std::str::from_utf8(value.as_bytes())?;
        text.parse().map(Self).map_err(|error: T::Err| error.to_string().into())
    }
}

/// A JSON column that is turned into `T` when it is read.
#[derive(Debug, Clone, FromSqlRow)]
pub(crate) struct FromJson<T>(pub(crate) T);

impl<T: DeserializeOwned> FromSql<Json, Pg> for FromJson<T> {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(Self(serde_json::from_slice(value.as_bytes())?))
    }
}

/// The text of a JSON column as it stands, for rows that must be readable even when their contents are not.
#[derive(Debug, Clone, FromSqlRow)]
pub(crate) struct RawJson(pub(crate) Vec<u8>);

impl FromSql<Json, Pg> for RawJson {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(Self(value.as_bytes().to_vec()))
    }
}

/// JSON on its way into a column.
#[derive(Debug, Clone)]
pub(crate) struct ToJson(String);

impl ToJson {
    /// Serialises `value`. A NUL character, which PostgreSQL cannot keep, becomes U+FFFD.
    pub(crate) fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, Error> {
        let text = serde_json::to_string(value)
            .map_err(|error| Error::Invalid(format!("a value cannot be written as JSON: {error}")))?;
        Ok(Self(without_nul_escapes(text)))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl ToSql<Json, Pg> for ToJson {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(self.0.as_bytes())?;
        Ok(IsNull::No)
    }
}

/// A text without NUL characters, which PostgreSQL cannot keep: each becomes U+FFFD.
pub(crate) fn storable(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{fffd}").into() } else { text.into() }
}

fn without_nul_escapes(text: String) -> String {
    if !text.contains("\\u0000") {
        return text;
    }
    let mut clean = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find('\\') {
        clean.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(tail) = rest.strip_prefix("\\u0000") {
            clean.push('\u{fffd}');
            rest = tail;
        } else {
            // A backslash is always followed by an ASCII character, possibly another backslash.
            let (escape, tail) = rest.split_at(2);
            clean.push_str(escape);
            rest = tail;
        }
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nul_is_replaced_and_everything_else_kept() {
        for (value, kept) in [
            ("a\0b", "a\u{fffd}b"),
            ("a\\u0000b", "a\\u0000b"),
            ("\\\0", "\\\u{fffd}"),
            ("quote\" tab\t é \u{1}", "quote\" tab\t é \u{1}"),
        ] {
            let json = ToJson::of(value).unwrap();
            assert_eq!(serde_json::from_str::<String>(&json.0).unwrap(), kept, "{value:?}");
        }
        assert_eq!(storable("a\0b"), "a\u{fffd}b");
    }
}
