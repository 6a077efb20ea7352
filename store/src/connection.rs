//! Connections: where tasks find the systems they work with. Passwords and extras are encrypted.

mod form;
mod uri;

use std::fmt;

use chrono::{DateTime, Utc};
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{BigInt, Binary, Integer, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use serde_json::{Map, Value};

pub use self::uri::percent_encoded;
use crate::{Error, Store, cipher::Place, column::Total, hot::hot_query};

/// Longest id, in characters.
pub const MAX_ID: usize = 250;
/// Most bytes of each text, and of the extra as JSON.
pub const MAX_TEXT: usize = 64 << 10;

/// A connection, with Airflow's fields.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Connection {
    /// Its name.
    pub conn_id: String,
    /// The kind of system: `postgres`, `http`, ...
    pub conn_type: String,
    /// What it is for.
    pub description: Option<String>,
    /// Where it is; may carry a protocol, as in `https://example.org`.
    pub host: Option<String>,
    /// Who signs in.
    pub login: Option<String>,
    /// With which password.
    pub password: Option<String>,
    /// The database, or whatever the system has in its place.
    pub schema: Option<String>,
    /// The port.
    pub port: Option<u16>,
    /// Everything else.
    pub extra: Map<String, Value>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("conn_id", &self.conn_id)
            .field("conn_type", &self.conn_type)
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// Reads a connection from one text: Airflow's URI (`postgres://user:password@host:5432/database?sslmode=require`) or
    /// its JSON form (`{"conn_type": "postgres", "host": ...}`), as in the variables `AIRFLOW_CONN_*`.
    ///
    /// # Errors
    /// [`Error::Invalid`] says what is wrong, without the text itself, which may hold a password.
    pub fn parse(conn_id: &str, text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let connection =
            if text.starts_with('{') { form::parse(conn_id, text) } else { uri::parse(conn_id, text) }?;
        connection.check()?;
        Ok(connection)
    }

    /// As Airflow's URI, with the password. [`Connection::parse`] reads it back.
    #[must_use]
    pub fn uri(&self) -> String {
        uri::write(self)
    }

    /// As Airflow's JSON form, with the password. [`Connection::parse`] reads it back.
    #[must_use]
    pub fn json(&self) -> Value {
        form::write(self)
    }

    /// Whether it can be kept.
    ///
    /// # Errors
    /// [`Error::Invalid`] when something is empty, too long or unreadable.
    pub fn check(&self) -> Result<(), Error> {
        let length = self.conn_id.chars().count();
        if length == 0
            || length > MAX_ID
            || self.conn_id.contains(|c: char| c.is_control() || c.is_whitespace())
        {
            return Err(Error::Invalid(format!(
                "the id of a connection has 1 to {MAX_ID} characters and no spaces, `{}` has {length}",
                self.conn_id.escape_debug()
            )));
        }
        if self.conn_type.is_empty() {
            return Err(Error::Invalid(format!(
                "the connection `{}` needs a type, such as postgres or http",
                self.conn_id
            )));
        }
        let texts = [&self.description, &self.host, &self.login, &self.password, &self.schema];
        let texts = texts.into_iter().flatten().chain([&self.conn_type]);
        for text in texts {
            if text.len() > MAX_TEXT || text.contains('\0') {
                return Err(Error::Invalid(format!(
                    "a field of the connection `{}` is longer than {MAX_TEXT} bytes or has a NUL character",
                    self.conn_id
                )));
            }
        }
        Ok(())
    }
}

/// A connection as recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredConnection {
    /// The connection.
    pub connection: Connection,
    /// When it was last set.
    pub updated_at: DateTime<Utc>,
}

impl Store {
    /// Sets a connection, new or not.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it cannot be kept.
    pub async fn set_connection(&self, connection: &Connection) -> Result<(), Error> {
        connection.check()?;
        let id = connection.conn_id.as_str();
        let seal =
            |column, text: &str| self.cipher().seal(&Place { table: "connection", row: id, column }, text);
        let password = connection.password.as_deref().map(|text| seal("password", text)).transpose()?;
        let extra = extra_text(connection)?.map(|text| seal("extra", &text)).transpose()?;
        let query = Set {
            conn_id: id,
            conn_type: &connection.conn_type,
            description: &connection.description,
            host: &connection.host,
            login: &connection.login,
            password: &password,
            schema: &connection.schema,
            port: &connection.port.map(i32::from),
            extra: &extra,
        };
        let mut conn = self.conn().await?;
        query.execute(&mut conn).await?;
        Ok(())
    }

    /// A connection.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it was encrypted with another key.
    pub async fn connection(&self, conn_id: &str) -> Result<Option<StoredConnection>, Error> {
        let mut conn = self.conn().await?;
        let row: Option<Row> = Get { conn_id }.get_result(&mut conn).await.optional()?;
        row.map(|row| self.open_connection(row)).transpose()
    }

    /// The connections whose id contains `search`, by id, and how many there are in all.
    ///
    /// # Errors
    /// [`Error::Invalid`] when one was encrypted with another key.
    pub async fn connections(
        &self,
        search: &str,
        limit: u32,
        offset: u32,
    ) -> Result<(Vec<StoredConnection>, i64), Error> {
        let mut conn = self.conn().await?;
        let query = List { search, limit: &i64::from(limit), offset: &i64::from(offset) };
        let rows: Vec<Row> = query.load(&mut conn).await?;
        let total: Total = CountAll { search }.get_result(&mut conn).await?;
        let connections = rows.into_iter().map(|row| self.open_connection(row)).collect::<Result<_, _>>()?;
        Ok((connections, total.total))
    }

    /// Deletes a connection. False when there is none of that id.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn delete_connection(&self, conn_id: &str) -> Result<bool, Error> {
        let mut conn = self.conn().await?;
        Ok(Delete { conn_id }.execute(&mut conn).await? == 1)
    }

    fn open_connection(&self, row: Row) -> Result<StoredConnection, Error> {
        let open = |column, bytes: &[u8]| {
            self.cipher().open(&Place { table: "connection", row: &row.conn_id, column }, bytes)
        };
        let password = row.password.as_deref().map(|bytes| open("password", bytes)).transpose()?;
        let extra = row.extra.as_deref().map(|bytes| open("extra", bytes)).transpose()?;
        let extra = extra.map(|text| serde_json::from_str(&text)).transpose();
        let extra = extra
            .map_err(|error| Error::Invalid(format!("the extra of `{}` is damaged: {error}", row.conn_id)))?;
        let connection = Connection {
            conn_id: row.conn_id,
            conn_type: row.conn_type,
            description: row.description,
            host: row.host,
            login: row.login,
            password,
            schema: row.schema,
            port: row.port.and_then(|port| u16::try_from(port).ok()),
            extra: extra.unwrap_or_default(),
        };
        Ok(StoredConnection { connection, updated_at: row.updated_at })
    }
}

fn extra_text(connection: &Connection) -> Result<Option<String>, Error> {
    if connection.extra.is_empty() {
        return Ok(None);
    }
    let text = serde_json::to_string(&connection.extra).map_err(|error| Error::Invalid(error.to_string()))?;
    if text.len() > MAX_TEXT {
        return Err(Error::Invalid(format!(
            "the extra of `{}` is longer than {MAX_TEXT} bytes",
            connection.conn_id
        )));
    }
    Ok(Some(text))
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    conn_id: String,
    #[diesel(sql_type = Text)]
    conn_type: String,
    #[diesel(sql_type = Nullable<Text>)]
    description: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    host: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    login: Option<String>,
    #[diesel(sql_type = Nullable<Binary>)]
    password: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Text>)]
    schema: Option<String>,
    #[diesel(sql_type = Nullable<Integer>)]
    port: Option<i32>,
    #[diesel(sql_type = Nullable<Binary>)]
    extra: Option<Vec<u8>>,
    #[diesel(sql_type = Timestamptz)]
    updated_at: DateTime<Utc>,
}

hot_query! {
    Set {
        conn_id: str => Text,
        conn_type: str => Text,
        description: Option<String> => Nullable<Text>,
        host: Option<String> => Nullable<Text>,
        login: Option<String> => Nullable<Text>,
        password: Option<Vec<u8>> => Nullable<Binary>,
        schema: Option<String> => Nullable<Text>,
        port: Option<i32> => Nullable<Integer>,
        extra: Option<Vec<u8>> => Nullable<Binary>,
    }
    "INSERT INTO connection (conn_id, conn_type, description, host, login, password, schema, port, extra)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
     ON CONFLICT (conn_id) DO UPDATE
     SET conn_type = excluded.conn_type, description = excluded.description, host = excluded.host,
         login = excluded.login, password = excluded.password, schema = excluded.schema, port = excluded.port,
         extra = excluded.extra, updated_at = now()"
}

hot_query! {
    Get { conn_id: str => Text }
    "SELECT * FROM connection WHERE conn_id = $1"
}

hot_query! {
    List { search: str => Text, limit: i64 => BigInt, offset: i64 => BigInt }
    "SELECT * FROM connection WHERE $1 = '' OR strpos(lower(conn_id), lower($1)) > 0 ORDER BY conn_id LIMIT $2 OFFSET $3"
}

hot_query! {
    CountAll { search: str => Text }
    "SELECT count(*) AS total FROM connection WHERE $1 = '' OR strpos(lower(conn_id), lower($1)) > 0"
}

hot_query! {
    Delete { conn_id: str => Text }
    "DELETE FROM connection WHERE conn_id = $1"
}
