//! Connections. Passwords are never shown, and neither are the secrets among the extras.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use runtime::secret::MASK;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::connection::Connection;

use super::{
    batch::given,
    dags::wrong,
    query::Query,
    settings::{self, Mask},
};
use crate::{
    AppState,
    auth::Operator,
    body::Body,
    error::Error,
    masked::{masked, unmasked},
};

type Given<T> = Option<Option<T>>;

/// A connection as it is sent. A field that is left out keeps what it has.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sent {
    connection_id: String,
    conn_type: String,
    #[serde(default, deserialize_with = "given")]
    description: Given<String>,
    #[serde(default, deserialize_with = "given")]
    host: Given<String>,
    #[serde(default, deserialize_with = "given")]
    login: Given<String>,
    #[serde(default, deserialize_with = "given")]
    schema: Given<String>,
    #[serde(default, deserialize_with = "given")]
    port: Given<i64>,
    #[serde(default, deserialize_with = "given")]
    password: Given<String>,
    #[serde(default, deserialize_with = "given")]
    extra: Given<String>,
    #[serde(default, rename = "team_name")]
    _team_name: Option<String>,
}

pub(super) async fn list(
    state: Data<AppState>,
    _operator: Operator,
    query: Query,
) -> Result<HttpResponse, Error> {
    let (rows, _) = state.store.connections("", settings::MOST, 0).await?;
    let rows: Vec<Value> = rows.iter().map(|row| shape(&row.connection)).collect();
    let filters = ["connection_id_pattern", "connection_id_prefix_pattern"];
    Ok(HttpResponse::Ok().json(settings::page(&query, "connections", "connection_id", rows, filters)?))
}

pub(super) async fn get(
    state: Data<AppState>,
    _operator: Operator,
    id: Path<String>,
) -> Result<HttpResponse, Error> {
    Ok(HttpResponse::Ok().json(shape(&find(&state, &id).await?)))
}

pub(super) async fn create(
    state: Data<AppState>,
    operator: Operator,
    body: Body<Sent>,
) -> Result<HttpResponse, Error> {
    let sent = body.0;
    let id = sent.connection_id.clone();
    check_id(&id)?;
    if state.store.connection(&id).await?.is_some() {
        return Err(Error::Conflict(format!("The Connection with connection_id: `{id}` already exists")));
    }
    let nothing = Connection { conn_id: id.clone(), ..Connection::default() };
    let connection = change(nothing, sent, &Mask::of(&Query::default()))?;
    state.store.set_connection(&connection).await?;
    settings::record(&state, operator.name(), "post_connection", &id).await?;
    Ok(HttpResponse::Created().json(shape(&find(&state, &id).await?)))
}

pub(super) async fn patch(
    state: Data<AppState>,
    operator: Operator,
    id: Path<String>,
    query: Query,
    body: Body<Sent>,
) -> Result<HttpResponse, Error> {
    let sent = body.0;
    if sent.connection_id != id.as_str() {
        let fault = "The connection_id in the request body does not match the URL parameter";
        return Err(Error::Invalid(fault.to_owned()));
    }
    let connection = change(find(&state, &id).await?, sent, &Mask::of(&query))?;
    state.store.set_connection(&connection).await?;
    settings::record(&state, operator.name(), "patch_connection", &id).await?;
    Ok(HttpResponse::Ok().json(shape(&find(&state, &id).await?)))
}

pub(super) async fn delete(
    state: Data<AppState>,
    operator: Operator,
    id: Path<String>,
) -> Result<HttpResponse, Error> {
    if !state.store.delete_connection(&id).await? {
        return Err(missing(&id));
    }
    settings::record(&state, operator.name(), "delete_connection", &id).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn find(state: &AppState, id: &str) -> Result<Connection, Error> {
    let found = state.store.connection(id).await?;
    found.map(|found| found.connection).ok_or_else(|| missing(id))
}

/// Airflow's pattern for new ones, `^[\w.-]+$`.
fn check_id(id: &str) -> Result<(), Error> {
    let is_good = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '.' | '-');
    if id.is_empty() || !id.chars().all(is_good) {
        let message = "the id of a connection is made of letters, digits, `_`, `-` and `.`";
        return Err(wrong("connection_id", message, id.into()));
    }
    Ok(())
}

fn missing(id: &str) -> Error {
    Error::NotFound(format!("The Connection with connection_id: `{id}` was not found"))
}

fn change(mut connection: Connection, sent: Sent, mask: &Mask) -> Result<Connection, Error> {
    let set = |field: &mut Option<String>, name: &str, given: Given<String>| {
        if let Some(given) = given.filter(|_| mask.has(name)) {
            *field = given;
        }
    };
    if mask.has("conn_type") {
        connection.conn_type = sent.conn_type;
    }
    set(&mut connection.description, "description", sent.description);
    set(&mut connection.host, "host", sent.host);
    set(&mut connection.login, "login", sent.login);
    set(&mut connection.schema, "schema", sent.schema);
    set(
        &mut connection.password,
        "password",
        sent.password.filter(|password| password.as_deref() != Some(MASK)),
    );
    if let Some(port) = sent.port.filter(|_| mask.has("port")) {
        connection.port = port.map(port_of).transpose()?;
    }
    if let Some(extra) = sent.extra.filter(|_| mask.has("extra")) {
        connection.extra = unmasked(extra_of(extra.as_deref())?, &connection.extra);
    }
    Ok(connection)
}

fn port_of(port: i64) -> Result<u16, Error> {
    let fault = || wrong("port", "Input should be a port from 1 to 65535", port.into());
    u16::try_from(port).ok().filter(|port| *port > 0).ok_or_else(fault)
}

fn extra_of(text: Option<&str>) -> Result<Map<String, Value>, Error> {
    match text.map(str::trim).filter(|text| !text.is_empty()) {
        None => Ok(Map::new()),
        Some(text) => serde_json::from_str(text).map_err(|_| {
            let shown: String = text.chars().take(60).collect();
            wrong("extra", "Value error, the `extra` field must be a JSON object as text", shown.into())
        }),
    }
}

/// `ConnectionResponse`
fn shape(connection: &Connection) -> Value {
    let extra = (!connection.extra.is_empty()).then(|| Value::Object(masked(&connection.extra)).to_string());
    json!({
        "connection_id": connection.conn_id, "conn_type": connection.conn_type, "description": connection.description,
        "host": connection.host, "login": connection.login, "schema": connection.schema, "port": connection.port,
        "password": connection.password.as_ref().map(|_| MASK), "extra": extra, "team_name": null,
    })
}
