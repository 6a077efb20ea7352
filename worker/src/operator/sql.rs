//! `sql`: statements on PostgreSQL, in one transaction.
//!
//! The text goes to the server as it is, which also takes it apart; so everything that psql's users write works,
//! function bodies included. The last result set becomes the XCom.

mod fault;
mod result;
mod statements;

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value};
use store::connection::Connection;
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::NoTlsStream;
use tokio_postgres::types::Type;
use tokio_postgres::{AsyncMessage, Client, Config, Connection as Wire, NoTls, SimpleQueryMessage, Socket};

use super::{Done, On, Work};
use crate::output::{Output, Source};
use crate::template::{Error, Renderer};
use result::ResultSet;

/// How long the server may take to answer the first time.
const CONNECT: Duration = Duration::from_secs(30);
/// How long it may take to cancel.
const CANCEL: Duration = Duration::from_secs(5);

/// Rendered statements and where they run.
pub(crate) struct Sql {
    sql: String,
    file: Option<String>,
    connection: Arc<Connection>,
}

/// Renders the statements and finds the connection.
pub(crate) async fn prepare(
    conn_id: &str,
    sql: &str,
    file: Option<&str>,
    renderer: &mut Renderer<'_>,
) -> Result<Sql, Error> {
    let conn_id = renderer.text("sql.conn_id", conn_id).await?;
    let connection = renderer.connection("sql.conn_id", &conn_id).await?;
    let field = file.map_or_else(|| "sql".to_owned(), |file| format!("sql, {file}"));
    Ok(Sql { sql: renderer.text(&field, sql).await?, file: file.map(str::to_owned), connection })
}

impl Work for Sql {
    fn fields(&self) -> Map<String, Value> {
        Map::from_iter([
            ("sql".to_owned(), self.sql.clone().into()),
            ("conn_id".to_owned(), self.connection.conn_id.clone().into()),
        ])
    }

    fn run<'a>(&'a self, on: &'a On<'a>) -> BoxFuture<'a, Done> {
        Box::pin(async move {
            let what = self.file.as_deref().unwrap_or("sql");
            on.begin(&format!("{what} on the connection {}", self.connection.conn_id));
            match config(&self.connection, on) {
                Ok(config) => self.work(&config, on).await,
                Err(reason) => Done::failed_for_good(reason),
            }
        })
    }
}

impl Sql {
    async fn work(&self, config: &Config, on: &On<'_>) -> Done {
        let connecting = tokio::time::timeout(CONNECT, config.connect(NoTls));
        let connected = tokio::select! {
            connected = connecting => connected,
            cause = on.ended_from_outside() => {
                return Done::cut_short(cause, on.assignment).unwrap_or_else(|| Done::failed("stopped"));
            }
        };
        let (client, wire) = match connected {
            Ok(Ok(connected)) => connected,
            Ok(Err(error)) => {
                return Done::failed(format!(
                    "cannot connect to {}: {}",
                    place(&self.connection),
                    fault::in_words(&error, "")
                ));
            }
            Err(_) => return Done::failed(format!("{} does not answer", place(&self.connection))),
        };
        let canceller = client.cancel_token();
        let driven = drive(wire, on.output);
        let work = transaction(&client, &self.sql, on);
        tokio::pin!(driven, work);
        let mut open = true;
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = &mut driven, if open => open = false,
                cause = on.ended_from_outside() => {
                    // Without this the server would go on until it next looks at the connection.
                    let _ = tokio::time::timeout(CANCEL, canceller.cancel_query(NoTls)).await;
                    return Done::cut_short(cause, on.assignment).unwrap_or_else(|| Done::failed("stopped"));
                }
            }
        }
    }
}

fn config(connection: &Connection, on: &On<'_>) -> Result<Config, String> {
    let conn_id = &connection.conn_id;
    if !matches!(connection.conn_type.as_str(), "postgres" | "postgresql") {
        let kind = &connection.conn_type;
        return Err(format!(
            "the connection `{conn_id}` is of type {kind}; the sql operator speaks to postgres"
        ));
    }
    let mut config = Config::new();
    config.host(connection.host.as_deref().unwrap_or("localhost"));
    config.port(connection.port.unwrap_or(5432));
    config.application_name(format!(
        "tradewind {}.{}",
        on.assignment.dag.dag_id,
        on.assignment.task().task_id
    ));
    if let Some(login) = &connection.login {
        config.user(login);
    }
    if let Some(password) = &connection.password {
        config.password(password);
    }
    if let Some(schema) = &connection.schema {
        config.dbname(schema);
    }
    let text = |name: &str| connection.extra.get(name).and_then(Value::as_str);
    if let Some(options) = text("options") {
        config.options(options);
    }
    match text("sslmode") {
        Some("require" | "verify-ca" | "verify-full") => {
            return Err(format!(
                "the connection `{conn_id}` wants TLS, which the sql operator does not speak; use sslmode=prefer, or psql in a bash task"
            ));
        }
        Some(_) | None => config.ssl_mode(SslMode::Disable),
    };
    Ok(config)
}

/// Where a connection leads, without secrets.
fn place(connection: &Connection) -> String {
    let host = connection.host.as_deref().unwrap_or("localhost");
    format!("{host}:{}/{}", connection.port.unwrap_or(5432), connection.schema.as_deref().unwrap_or_default())
}

/// Keeps the connection going and shows what the server remarks.
async fn drive(mut wire: Wire<Socket, NoTlsStream>, output: &Output) {
    while let Some(message) = poll_fn(|cx| wire.poll_message(cx)).await {
        match message {
            Ok(AsyncMessage::Notice(notice)) => {
                output.line(Source::Stderr, &format!("{}: {}", notice.severity(), notice.message()));
            }
            Ok(_) => {}
            // Whoever waits for an answer is told.
            Err(_) => return,
        }
    }
}

async fn transaction(client: &Client, sql: &str, on: &On<'_>) -> Done {
    let result = run(client, sql, on).await;
    match result {
        Ok(None) => Done::success(indexmap::IndexMap::new()),
        Ok(Some(rows)) => Done::success(on.returns(rows)),
        Err((error, text)) => {
            let words = fault::in_words(&error, text);
            on.output.line(Source::Stderr, &words);
            Done::failed(words)
        }
    }
}

type Failure<'a> = (tokio_postgres::Error, &'a str);

async fn run<'a>(client: &Client, sql: &'a str, on: &On<'_>) -> Result<Option<Value>, Failure<'a>> {
    let other = |error| (error, "");
    client.batch_execute("BEGIN; SET LOCAL datestyle TO ISO").await.map_err(other)?;
    let last = execute(client, sql, on).await.map_err(|error| (error, sql))?;
    let wanted = last.filter(|_| on.assignment.task().do_xcom_push);
    let rows = match wanted {
        None => None,
        Some(set) => {
            let types = types(client, sql, &set).await;
            if set.was_cut() {
                on.output.note(&format!(
                    "only the first {} of {} rows are kept as return_value",
                    set.kept(),
                    set.count()
                ));
            }
            Some(set.into_value(&types))
        }
    };
    client.batch_execute("COMMIT").await.map_err(other)?;
    Ok(rows)
}

/// Runs everything and gives the last result set.
async fn execute(
    client: &Client,
    sql: &str,
    on: &On<'_>,
) -> Result<Option<ResultSet>, tokio_postgres::Error> {
    let stream = client.simple_query_raw(sql).await?;
    tokio::pin!(stream);
    let mut last = None;
    let mut current: Option<ResultSet> = None;
    let mut statement = 0;
    while let Some(message) = stream.try_next().await? {
        match message {
            SimpleQueryMessage::RowDescription(columns) => {
                current = Some(ResultSet::new(
                    statement,
                    columns.iter().map(|column| column.name().to_owned()).collect(),
                ));
            }
            SimpleQueryMessage::Row(row) => {
                if let Some(set) = &mut current {
                    set.push((0..row.len()).map(|at| row.get(at)));
                }
            }
            SimpleQueryMessage::CommandComplete(rows) => {
                statement += 1;
                on.output.note(&format!(
                    "statement {statement}: {rows} {}",
                    if rows == 1 { "row" } else { "rows" }
                ));
                last = current.take().or(last);
            }
            // The library may learn of other messages.
            _ => {}
        }
    }
    Ok(last)
}

/// The types of a result set's columns. The simple protocol does not tell them, so the statement is described once more
/// without being run. Empty when that does not work; the values stay texts then.
async fn types(client: &Client, sql: &str, set: &ResultSet) -> Vec<Type> {
    let Some(statement) = statements::split(sql).into_iter().nth(set.statement()) else {
        return Vec::new();
    };
    if client.batch_execute("SAVEPOINT describing").await.is_err() {
        return Vec::new();
    }
    match client.prepare(statement).await {
        Ok(described) if described.columns().len() == set.width() => {
            described.columns().iter().map(|column| column.type_().clone()).collect()
        }
        Ok(_) => Vec::new(),
        Err(_) => {
            let _ = client.batch_execute("ROLLBACK TO describing").await;
            Vec::new()
        }
    }
}
