//! What is wrong with DAG files.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Integer, Nullable, Text, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::{Error, Store, column::storable, hot::hot_query};

/// One thing that is wrong with a DAG file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewImportError {
    /// The line, from 1.
    pub line: Option<u32>,
    /// The column, from 1.
    pub column: Option<u32>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The place in the file, drawn for people.
    pub snippet: Option<String>,
}

/// One thing that is wrong with a DAG file, as recorded.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct ImportError {
    /// Its number.
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    /// The file, as the loader named it.
    #[diesel(sql_type = Text)]
    pub file: String,
    /// The line, from 1.
    #[diesel(sql_type = Nullable<Integer>)]
    pub line: Option<i32>,
    /// The column, from 1.
    #[diesel(sql_type = Nullable<Integer>)]
    pub column: Option<i32>,
    /// What is wrong.
    #[diesel(sql_type = Text)]
    pub message: String,
    /// What to do about it.
    #[diesel(sql_type = Nullable<Text>)]
    pub hint: Option<String>,
    /// The place in the file, drawn for people.
    #[diesel(sql_type = Nullable<Text>)]
    pub snippet: Option<String>,
    /// When it was found.
    #[diesel(sql_type = Timestamptz)]
    pub seen_at: DateTime<Utc>,
    /// How many there are in all.
    #[diesel(sql_type = BigInt)]
    pub total: i64,
}

impl Store {
    /// What is wrong with DAG files, by file and line; optionally only those whose file contains `file`.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn import_errors(
        &self,
        file: Option<&str>,
        limit: u32,
        offset: u32,
    ) -> Result<Vec<ImportError>, Error> {
        let mut conn = self.conn().await?;
        let query =
            List { file: file.unwrap_or_default(), limit: &i64::from(limit), offset: &i64::from(offset) };
        Ok(query.load(&mut conn).await?)
    }
}

/// Forgets what was wrong with these files.
pub(crate) async fn clear(conn: &mut AsyncPgConnection, files: &[&str]) -> Result<(), Error> {
    Clear { files }.execute(conn).await?;
    Ok(())
}

pub(crate) async fn insert(
    conn: &mut AsyncPgConnection,
    errors: &[(&str, &NewImportError)],
) -> Result<(), Error> {
    if errors.is_empty() {
        return Ok(());
    }
    let position = |number: Option<u32>| number.and_then(|number| i32::try_from(number).ok());
    let message: Vec<_> = errors.iter().map(|(_, error)| storable(&error.message)).collect();
    let hint: Vec<_> = errors.iter().map(|(_, error)| error.hint.as_deref().map(storable)).collect();
    let snippet: Vec<_> = errors.iter().map(|(_, error)| error.snippet.as_deref().map(storable)).collect();
    let query = Insert {
        file: &errors.iter().map(|(file, _)| *file).collect::<Vec<_>>(),
        line: &errors.iter().map(|(_, error)| position(error.line)).collect::<Vec<_>>(),
        column: &errors.iter().map(|(_, error)| position(error.column)).collect::<Vec<_>>(),
        message: &message.iter().map(|text| &**text).collect::<Vec<_>>(),
        hint: &hint.iter().map(Option::as_deref).collect::<Vec<_>>(),
        snippet: &snippet.iter().map(Option::as_deref).collect::<Vec<_>>(),
    };
    query.execute(conn).await?;
    Ok(())
}

hot_query! {
    List { file: str => Text, limit: i64 => BigInt, offset: i64 => BigInt }
    "SELECT *, count(*) OVER () AS total FROM import_error WHERE strpos(file, $1) > 0 OR $1 = ''
     ORDER BY file, line, id LIMIT $2 OFFSET $3"
}

hot_query! {
    Clear { files: [&'a str] => Array<Text> }
    "DELETE FROM import_error WHERE file = ANY($1)"
}

hot_query! {
    Insert {
        file: [&'a str] => Array<Text>,
        line: [Option<i32>] => Array<Nullable<Integer>>,
        column: [Option<i32>] => Array<Nullable<Integer>>,
        message: [&'a str] => Array<Text>,
        hint: [Option<&'a str>] => Array<Nullable<Text>>,
        snippet: [Option<&'a str>] => Array<Nullable<Text>>,
    }
    "INSERT INTO import_error (file, line, \"column\", message, hint, snippet, seen_at)
     SELECT *, now() FROM unnest($1::text[], $2::integer[], $3::integer[], $4::text[], $5::text[], $6::text[])"
}
