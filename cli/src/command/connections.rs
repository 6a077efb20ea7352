//! `tradewind connections`

use anyhow::{Context, Result, bail};
use runtime::secret::MASK;
use serde::Serialize;
use serde_json::{Map, Value};
use store::{Store, connection::Connection};

use super::file;
use crate::{
    args::{
        Common,
        records::{Connections, Form, SetConnection},
    },
    output, setup,
};

/// Connections read at once.
const PAGE: u32 = 500;

/// A connection as it may be seen.
#[derive(Serialize)]
struct Row {
    conn_id: String,
    conn_type: String,
    description: Option<String>,
    host: Option<String>,
    schema: Option<String>,
    login: Option<String>,
    password: Option<&'static str>,
    port: Option<u16>,
    extra: Map<String, Value>,
}

/// Works with connections.
pub async fn run(common: &Common, command: Connections) -> Result<()> {
    let (_, store) = setup::for_command(common).await?;
    match command {
        Connections::List => {
            let rows: Vec<Row> = all(&store).await?.into_iter().map(row).collect();
            output::list(common.output, &rows)
        }
        Connections::Get { conn_id } => {
            let found = store.connection(&conn_id).await?.with_context(|| none(&conn_id))?;
            output::record(common.output, &row(found.connection))
        }
        Connections::Set(set) => {
            let conn_id = set.conn_id.clone();
            store.set_connection(&written(*set)?).await?;
            output::say(&format!("The connection {conn_id} is set."))
        }
        Connections::Delete { conn_id } => {
            if !store.delete_connection(&conn_id).await? {
                bail!(none(&conn_id));
            }
            output::say(&format!("The connection {conn_id} is deleted."))
        }
        Connections::Import { file, overwrite } => import(&store, &file, overwrite).await,
        Connections::Export { file, serialization_format } => {
            file::write_object(&file, exported(all(&store).await?, serialization_format))
        }
    }
}

pub(super) async fn all(store: &Store) -> Result<Vec<Connection>> {
    let mut connections = Vec::new();
    loop {
        let (page, total) = store.connections("", PAGE, u32::try_from(connections.len())?).await?;
        let is_last = page.is_empty();
        connections.extend(page.into_iter().map(|stored| stored.connection));
        if is_last || i64::try_from(connections.len())? >= total {
            return Ok(connections);
        }
    }
}

async fn import(store: &Store, file: &str, overwrite: bool) -> Result<()> {
    let mut connections = Vec::new();
    for (conn_id, value) in file::read_object(file)? {
        let text = match value {
            Value::String(uri) => uri,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                value.to_string()
            }
        };
        connections.push(Connection::parse(&conn_id, &text)?);
    }
    let mut imported = 0;
    for connection in &connections {
        if !overwrite && store.connection(&connection.conn_id).await?.is_some() {
            output::note(&format!("kept: {} exists already, --overwrite changes it", connection.conn_id));
            continue;
        }
        store.set_connection(connection).await?;
        imported += 1;
    }
    output::say(&format!("{imported} connections imported."))
}

fn written(set: SetConnection) -> Result<Connection> {
    if let Some(text) = set.uri.or(set.json) {
        let connection = Connection::parse(&set.conn_id, &file::text_or_input(text)?)?;
        let description = set.conn_description.or(connection.description.clone());
        return Ok(Connection { description, ..connection });
    }
    Ok(Connection {
        conn_id: set.conn_id,
        conn_type: set.conn_type.unwrap_or_default(),
        description: set.conn_description,
        host: set.conn_host,
        login: set.conn_login,
        password: set.conn_password.map(file::text_or_input).transpose()?,
        schema: set.conn_schema,
        port: set.conn_port,
        extra: set.conn_extra.map(|extra| extra.0).unwrap_or_default(),
    })
}

fn exported(connections: Vec<Connection>, form: Form) -> Map<String, Value> {
    let written = |connection: Connection| match form {
        Form::Json => (connection.conn_id.clone(), connection.json()),
        Form::Uri => (connection.conn_id.clone(), Value::String(connection.uri())),
    };
    connections.into_iter().map(written).collect()
}

fn row(connection: Connection) -> Row {
    // Which values of the extra are secret only its system knows, so none is shown.
    let extra = connection.extra.into_iter().map(|(key, _)| (key, Value::from(MASK))).collect();
    Row {
        conn_id: connection.conn_id,
        conn_type: connection.conn_type,
        description: connection.description,
        host: connection.host,
        schema: connection.schema,
        login: connection.login,
        password: connection.password.map(|_| MASK),
        port: connection.port,
        extra,
    }
}

fn none(conn_id: &str) -> String {
    format!("there is no connection `{conn_id}`")
}
