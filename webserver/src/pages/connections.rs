//! Connections: list and form.

use actix_web::{HttpResponse, web::Query};
use askama::Template;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::connection::Connection;

use super::{
    audit_line, pager,
    parts::{Field, Mood, Pager, Shell},
    visit::{self, Visit},
};
use crate::{
    auth::{Form, Operator},
    error::Error,
};

/// Stands for a password or extra that is kept and not shown.
const KEPT: &str = "Something is kept here and not shown. Nothing leaves it as it is.";

/// What is asked for.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Params {
    page: Option<u32>,
    edit: Option<String>,
}

/// What the form holds.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Entry {
    conn_id: String,
    conn_type: String,
    description: String,
    host: String,
    port: String,
    login: String,
    password: String,
    schema: String,
    extra: String,
    /// Set when an existing connection is changed.
    existing: bool,
    /// Forget the password that is kept.
    no_password: bool,
    /// Forget the extra that is kept.
    no_extra: bool,
}

/// What the button that deletes holds.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Which {
    conn_id: String,
}

/// The list and the form.
#[derive(Debug, Template)]
#[template(path = "connections.html")]
pub(crate) struct ConnectionsPage {
    pub(crate) shell: Shell,
    pub(crate) rows: Vec<ConnectionRow>,
    pub(crate) pager: Pager,
    pub(crate) editing: bool,
    pub(crate) problem: Option<String>,
    pub(crate) form: Vec<Field>,
}

/// One connection, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConnectionRow {
    pub(crate) conn_id: String,
    pub(crate) conn_type: String,
    pub(crate) description: String,
    /// Host and port.
    pub(crate) host: String,
    pub(crate) login: String,
    pub(crate) schema: String,
}

/// What is kept of a connection and not shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Hidden {
    password: bool,
    extra: bool,
}

/// Answers.
pub(crate) async fn show(
    visit: Visit,
    _operator: Operator,
    params: Query<Params>,
) -> Result<HttpResponse, Error> {
    let (entry, hidden) = match &params.edit {
        Some(conn_id) => {
            let kept = find(&visit, conn_id).await?.ok_or_else(|| no_such(conn_id))?;
            (shown(&kept), Hidden::of(&kept))
        }
        None => (Entry::default(), Hidden::default()),
    };
    visit.answer(page(&visit, params.page, &entry, hidden, None).await?.render())
}

/// Makes or changes a connection.
pub(crate) async fn save(
    visit: Visit,
    _operator: Operator,
    form: Form<Entry>,
) -> Result<HttpResponse, Error> {
    let Form(entry) = form;
    let conn_id = entry.conn_id.trim();
    let kept = find(&visit, conn_id).await?;
    let hidden = kept.as_ref().filter(|_| entry.existing).map(Hidden::of).unwrap_or_default();
    let refuse = async |problem: String| {
        visit.refuse(page(&visit, None, &entry, hidden, Some(problem)).await?.render())
    };
    if kept.is_some() && !entry.existing {
        return refuse(format!("There is a connection `{conn_id}` already: change that one instead.")).await;
    }
    let connection = match read(&entry, kept) {
        Ok(connection) => connection,
        Err(problem) => return refuse(problem).await,
    };
    match visit.state.store.set_connection(&connection).await {
        Ok(()) => {}
        Err(store::Error::Invalid(text)) => return refuse(format!("It was not kept: {text}.")).await,
        Err(fault) => return Err(fault.into()),
    }
    let event = if entry.existing { "patch_connection" } else { "post_connection" };
    audit_line::write(&visit, event, json!({"conn_id": conn_id, "conn_type": connection.conn_type})).await?;
    Ok(visit::go("/connections", Mood::Good, &format!("The connection {conn_id} is kept.")))
}

/// Deletes a connection.
pub(crate) async fn delete(
    visit: Visit,
    _operator: Operator,
    form: Form<Which>,
) -> Result<HttpResponse, Error> {
    let conn_id = form.0.conn_id;
    if !visit.state.store.delete_connection(&conn_id).await? {
        return Err(no_such(&conn_id));
    }
    audit_line::write(&visit, "delete_connection", json!({"conn_id": conn_id})).await?;
    Ok(visit::go("/connections", Mood::Good, &format!("The connection {conn_id} is gone.")))
}

async fn find(visit: &Visit, conn_id: &str) -> Result<Option<Connection>, Error> {
    Ok(visit.state.store.connection(conn_id).await?.map(|stored| stored.connection))
}

fn no_such(conn_id: &str) -> Error {
    Error::NotFound(format!("There is no connection `{conn_id}`."))
}

impl Hidden {
    fn of(kept: &Connection) -> Self {
        Self { password: kept.password.is_some(), extra: !kept.extra.is_empty() }
    }
}

fn shown(kept: &Connection) -> Entry {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    Entry {
        conn_id: kept.conn_id.clone(),
        conn_type: kept.conn_type.clone(),
        description: text(&kept.description),
        host: text(&kept.host),
        port: kept.port.map(|port| port.to_string()).unwrap_or_default(),
        login: text(&kept.login),
        schema: text(&kept.schema),
        existing: true,
        ..Entry::default()
    }
}

/// The connection that a form stands for; what it leaves empty and was hidden stays as it was.
fn read(entry: &Entry, kept: Option<Connection>) -> Result<Connection, String> {
    let (old_password, old_extra) = kept.map(|kept| (kept.password, kept.extra)).unwrap_or_default();
    let some = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let port = match entry.port.trim() {
        "" => None,
        text => Some(
            text.parse::<u16>()
                .ok()
                .filter(|port| *port > 0)
                .ok_or_else(|| format!("The port is a number from 1 to 65535, not `{text}`."))?,
        ),
    };
    let password = Some(entry.password.clone()).filter(|password| !password.is_empty());
    let extra = match entry.extra.trim() {
        "" if entry.no_extra => Map::new(),
        "" => old_extra,
        text => read_extra(text)?,
    };
    Ok(Connection {
        conn_id: entry.conn_id.trim().to_owned(),
        conn_type: entry.conn_type.trim().to_owned(),
        description: some(&entry.description),
        host: some(&entry.host),
        login: some(&entry.login),
        password: password.or_else(|| old_password.filter(|_| !entry.no_password)),
        schema: some(&entry.schema),
        port,
        extra,
    })
}

// What the parser says may quote the text, and the text may hold a secret: only the place is told.
fn read_extra(text: &str) -> Result<Map<String, Value>, String> {
    match serde_json::from_str(text) {
        Ok(Value::Object(extra)) => Ok(extra),
        Ok(_) => Err("Extra is a JSON object, such as {\"sslmode\": \"require\"}.".to_owned()),
        Err(error) => Err(format!("Extra is not JSON: line {}, column {}.", error.line(), error.column())),
    }
}

async fn page(
    visit: &Visit,
    number: Option<u32>,
    entry: &Entry,
    hidden: Hidden,
    problem: Option<String>,
) -> Result<ConnectionsPage, Error> {
    let (found, total) = visit.state.store.connections("", pager::ROWS, pager::offset(number)).await?;
    Ok(ConnectionsPage {
        shell: visit.shell("connections").await?,
        pager: pager::pager("/connections", &[], number, found.len(), total),
        rows: found.into_iter().map(|stored| row(stored.connection)).collect(),
        editing: entry.existing,
        problem,
        form: fields(entry, hidden),
    })
}

fn fields(entry: &Entry, hidden: Hidden) -> Vec<Field> {
    let field = |name: &str, label: &str, kind, value: &str| Field {
        name: name.to_owned(),
        label: label.to_owned(),
        kind,
        value: value.to_owned(),
        ..Field::default()
    };
    let kept = |is_kept: bool| is_kept.then(|| KEPT.to_owned());
    let mut fields = vec![
        Field { required: true, fixed: entry.existing, ..field("conn_id", "Id", "text", &entry.conn_id) },
        Field {
            required: true,
            hint: Some("For example postgres or http.".to_owned()),
            ..field("conn_type", "Type", "text", &entry.conn_type)
        },
        field("host", "Host", "text", &entry.host),
        field("port", "Port", "number", &entry.port),
        field("login", "Login", "text", &entry.login),
        Field { hint: kept(hidden.password), ..field("password", "Password", "password", "") },
        field("schema", "Database", "text", &entry.schema),
        field("description", "Description", "text", &entry.description),
        Field {
            hint: kept(hidden.extra).or_else(|| Some("A JSON object.".to_owned())),
            ..field("extra", "Extra", "json", &entry.extra)
        },
    ];
    if hidden.password {
        fields.push(field("no_password", "Forget the password that is kept", "checkbox", "false"));
    }
    if hidden.extra {
        fields.push(field("no_extra", "Forget the extra that is kept", "checkbox", "false"));
    }
    fields
}

fn row(connection: Connection) -> ConnectionRow {
    let host = connection.host.unwrap_or_default();
    ConnectionRow {
        host: connection.port.map_or(host.clone(), |port| format!("{host}:{port}")),
        conn_id: connection.conn_id,
        conn_type: connection.conn_type,
        description: connection.description.unwrap_or_default(),
        login: connection.login.unwrap_or_default(),
        schema: connection.schema.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> Connection {
        let extra = json!({"sslmode": "require"}).as_object().cloned().unwrap_or_default();
        Connection {
            conn_id: "w".to_owned(),
            conn_type: "postgres".to_owned(),
            password: Some("old".to_owned()),
            extra,
            ..Connection::default()
        }
    }

    fn entry() -> Entry {
        Entry {
            conn_id: "w".to_owned(),
            conn_type: "postgres".to_owned(),
            existing: true,
            ..Entry::default()
        }
    }

    #[test]
    fn what_is_hidden_stays_unless_it_is_replaced_or_forgotten() {
        let same = read(&entry(), Some(kept())).unwrap();
        assert_eq!((same.password.as_deref(), same.extra.len()), (Some("old"), 1));
        let new = read(&Entry { password: "new".to_owned(), ..entry() }, Some(kept())).unwrap();
        assert_eq!(new.password.as_deref(), Some("new"));
        let none = read(&Entry { no_password: true, no_extra: true, ..entry() }, Some(kept())).unwrap();
        assert_eq!((none.password, none.extra.len()), (None, 0));
    }

    #[test]
    fn what_is_wrong_is_told_without_secrets() {
        assert!(read(&Entry { port: "0".to_owned(), ..entry() }, None).unwrap_err().contains("65535"));
        let problem =
            read(&Entry { extra: "{\"token\": \"hunter2\"".to_owned(), ..entry() }, None).unwrap_err();
        assert!(problem.contains("column") && !problem.contains("hunter2"), "{problem}");
        assert!(read(&Entry { extra: "[1]".to_owned(), ..entry() }, None).is_err());
    }
}
