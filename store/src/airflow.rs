//! What an Airflow metadata database holds, to move here. It is only read: PostgreSQL, Airflow 2.2 to 3.x.
//!
//! Rows are read as JSON objects, so that a column which only some versions have is simply absent in the others.

mod fernet;
pub mod history;
mod pickle;

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{BigInt, Text},
};
use diesel_async::RunQueryDsl;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

pub use self::fernet::FernetKeys;
use crate::{Error, Settings, Store, connection::Connection, variable::Variable};

/// Most records of each kind.
pub const MOST: usize = 100_000;

/// A value that could not be decrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sealed {
    /// No key was given.
    WithoutKey,
    /// The key is another one, or the value is damaged.
    OtherKey,
}

/// A pool of Airflow's.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AirflowPool {
    /// Its name.
    #[serde(rename = "pool")]
    pub name: String,
    /// How many slots it has; -1 is without limit.
    pub slots: i32,
    /// What it is for.
    pub description: Option<String>,
    /// Deferred tasks keep their slots. Airflow 2.7 and later.
    #[serde(default)]
    pub include_deferred: bool,
}

/// A DAG of Airflow's whose file is there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AirflowDag {
    /// Its name.
    pub dag_id: String,
    /// Nothing of it is scheduled.
    pub is_paused: bool,
    /// The start of the data interval of its last scheduled run.
    pub data_interval_start: Option<DateTime<Utc>>,
    /// The end of it.
    pub data_interval_end: Option<DateTime<Utc>>,
}

/// Everything that moves.
#[derive(Debug, Clone, Default)]
pub struct AirflowRecords {
    /// The DAGs whose files are there, by name.
    pub dags: Vec<AirflowDag>,
    /// The pools, by name.
    pub pools: Vec<AirflowPool>,
    /// The variables, by key; the key alone where the value cannot be read.
    pub variables: Vec<Result<Variable, (String, Sealed)>>,
    /// The connections, by id; the id alone where a part cannot be read.
    pub connections: Vec<Result<Connection, (String, Sealed)>>,
}

/// An Airflow metadata database.
#[derive(Debug, Clone)]
pub struct AirflowDatabase {
    store: Store,
}

impl AirflowDatabase {
    /// Connects to it. SQLAlchemy's form of the URL, with a driver (`postgresql+psycopg2://`), is understood.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the URL is none or there is no Airflow behind it, [`Error::Unreachable`] when nobody answers.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        let settings = Settings {
            pool_size: 1,
            application_name: "tradewind migrate-from-airflow".to_owned(),
            ..Settings::new(without_driver(url), [0; 32])
        };
        let database = Self { store: Store::connect(settings).await? };
        let tables = "SELECT count(*) AS total FROM information_schema.tables
             WHERE table_name IN ('alembic_version', 'dag', 'dag_run', 'slot_pool', 'variable', 'connection')
               AND table_schema = ANY (current_schemas(false))";
        let mut conn = database.store.conn().await?;
        let found: Count = diesel::sql_query(tables).get_result(&mut conn).await?;
        drop(conn);
        if found.total < 6 {
            return Err(Error::Invalid(
                "this is not the metadata database of an Airflow: it lacks tables of Airflow's".to_owned(),
            ));
        }
        Ok(database)
    }

    /// Reads everything. Values that are encrypted are opened with `keys`.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there are more than [`MOST`] of a kind, or a table is not as in Airflow 2.2 to 3.x.
    pub async fn read(&self, keys: Option<&FernetKeys>) -> Result<AirflowRecords, Error> {
        let variables: Vec<VariableRow> =
            self.rows("variable", "SELECT * FROM variable ORDER BY key").await?;
        let connections: Vec<ConnectionRow> =
            self.rows("connection", "SELECT * FROM connection ORDER BY conn_id").await?;
        Ok(AirflowRecords {
            dags: self.rows("dag", DAGS).await?,
            pools: self.rows("slot_pool", "SELECT * FROM slot_pool ORDER BY pool").await?,
            variables: variables.into_iter().map(|row| row.opened(keys)).collect(),
            connections: connections.into_iter().map(|row| row.opened(keys)).collect(),
        })
    }

    async fn rows<R: DeserializeOwned>(&self, table: &str, query: &str) -> Result<Vec<R>, Error> {
        let mut conn = self.store.conn().await?;
        let query =
            format!("SELECT row_to_json(found)::text AS body FROM ({query}) found LIMIT {}", MOST + 1);
        let rows: Vec<Body> =
            diesel::sql_query(query).load(&mut conn).await.map_err(|error| strange(table, &error))?;
        if rows.len() > MOST {
            return Err(Error::Invalid(format!(
                "more than {MOST} rows in `{table}`: this is too much at once"
            )));
        }
        let read = |row: Body| serde_json::from_str(&row.body).map_err(|error| strange(table, &error));
        rows.into_iter().map(read).collect()
    }
}

fn strange(table: &str, error: &dyn std::fmt::Display) -> Error {
    Error::Invalid(format!("the table `{table}` is not as in Airflow 2.2 to 3.x: {error}"))
}

fn without_driver(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => format!("{}://{rest}", scheme.split('+').next().unwrap_or(scheme)),
        None => url.to_owned(),
    }
}

// A file that is gone is `is_active = false` in Airflow 2 and `is_stale` in Airflow 3.
const DAGS: &str = "SELECT d.dag_id, d.is_paused, last.data_interval_start, last.data_interval_end
     FROM dag d
     LEFT JOIN LATERAL (
         SELECT r.data_interval_start, r.data_interval_end FROM dag_run r
         WHERE r.dag_id = d.dag_id AND r.run_type = 'scheduled' AND r.data_interval_start IS NOT NULL
         ORDER BY r.data_interval_end DESC, r.data_interval_start DESC LIMIT 1
     ) last ON true
     WHERE coalesce((to_jsonb(d) ->> 'is_active')::boolean, true)
       AND NOT coalesce((to_jsonb(d) ->> 'is_stale')::boolean, false)
     ORDER BY d.dag_id";

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    total: i64,
}

#[derive(QueryableByName)]
struct Body {
    #[diesel(sql_type = Text)]
    body: String,
}

#[derive(Deserialize)]
struct VariableRow {
    key: String,
    val: Option<String>,
    description: Option<String>,
    is_encrypted: Option<bool>,
}

impl VariableRow {
    fn opened(self, keys: Option<&FernetKeys>) -> Result<Variable, (String, Sealed)> {
        match opened(self.val.unwrap_or_default(), self.is_encrypted, keys) {
            Ok(value) => {
                let (key, description) = (self.key, self.description.filter(|text| !text.is_empty()));
                Ok(Variable { key, value, description, updated_at: DateTime::UNIX_EPOCH })
            }
            Err(sealed) => Err((self.key, sealed)),
        }
    }
}

#[derive(Deserialize)]
struct ConnectionRow {
    conn_id: String,
    conn_type: Option<String>,
    description: Option<String>,
    host: Option<String>,
    login: Option<String>,
    password: Option<String>,
    schema: Option<String>,
    port: Option<i64>,
    extra: Option<String>,
    is_encrypted: Option<bool>,
    is_extra_encrypted: Option<bool>,
}

impl ConnectionRow {
    fn opened(self, keys: Option<&FernetKeys>) -> Result<Connection, (String, Sealed)> {
        let part = |text: Option<String>, is_encrypted| {
            let text = text.filter(|text| !text.is_empty());
            text.map(|text| opened(text, is_encrypted, keys)).transpose()
        };
        let parts = part(self.password, self.is_encrypted)
            .and_then(|password| Ok((password, part(self.extra, self.is_extra_encrypted)?)));
        let (password, extra) = match parts {
            Ok(parts) => parts,
            Err(sealed) => return Err((self.conn_id, sealed)),
        };
        let kept = |text: Option<String>| text.filter(|text| !text.is_empty());
        Ok(Connection {
            conn_id: self.conn_id,
            conn_type: self.conn_type.unwrap_or_default(),
            description: kept(self.description),
            host: kept(self.host),
            login: kept(self.login),
            password,
            schema: kept(self.schema),
            port: self.port.and_then(|port| u16::try_from(port).ok()),
            extra: extra.map(|text| object(&text)).unwrap_or_default(),
        })
    }
}

fn opened(text: String, is_encrypted: Option<bool>, keys: Option<&FernetKeys>) -> Result<String, Sealed> {
    match (is_encrypted, keys) {
        (Some(false) | None, _) => Ok(text),
        (Some(true), None) => Err(Sealed::WithoutKey),
        (Some(true), Some(keys)) => keys.open(&text).ok_or(Sealed::OtherKey),
    }
}

// Airflow reads an extra that is no object as one text of this name (`models/connection.py`, Airflow 2).
fn object(text: &str) -> Map<String, Value> {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => object,
        Ok(_) | Err(_) => Map::from_iter([("extra".to_owned(), Value::from(text))]),
    }
}
