//! E-mails through the mail server of a connection.

use std::time::Duration;

use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
    transport::smtp::{self, authentication::Credentials},
};
use serde_json::Value;
use store::{Store, connection::Connection};

use super::{
    fault::{Fault, in_words},
    text::Words,
};

/// How long the server may take for one answer.
const ANSWER: Duration = Duration::from_secs(10);
/// The port of sessions that are encrypted from the start.
const SMTPS: u16 = 465;
/// The port of sessions that are encrypted after the greeting.
const SUBMISSION: u16 = 587;
/// The port of plain sessions.
const SMTP: u16 = 25;

/// An e-mail as the DAG file has it.
pub(super) struct Letter<'a> {
    pub(super) to: &'a [String],
    pub(super) subject: Option<&'a str>,
    pub(super) body: Option<&'a str>,
}

/// Sends it.
pub(super) async fn send(
    store: &Store,
    conn_id: &str,
    letter: &Letter<'_>,
    words: &Words,
) -> Result<(), Fault> {
    let found = store.connection(conn_id).await?;
    let found = found.ok_or_else(|| Fault::lasting(format!("there is no connection `{conn_id}`")))?;
    let connection = found.connection;
    let secrets: Vec<String> = connection.password.iter().cloned().collect();
    let message = message(&connection, letter, words)?;
    let server = server(&connection)?;
    match server.send(message).await {
        Ok(_) => Ok(()),
        Err(error) => {
            let words = in_words(&error);
            let fault = if error.is_permanent() { Fault::lasting(words) } else { Fault::passing(words) };
            Err(fault.without(&secrets))
        }
    }
}

fn message(connection: &Connection, letter: &Letter<'_>, words: &Words) -> Result<Message, Fault> {
    let subject = match letter.subject {
        Some(subject) => words.render("subject", subject)?,
        None => words.headline().to_owned(),
    };
    let body = match letter.body {
        Some(body) => words.render("body", body)?,
        None => words.long(),
    };
    let from = connection.extra.get("from_email").and_then(Value::as_str).or(connection.login.as_deref());
    let from = from.ok_or_else(|| {
        Fault::lasting(format!("the connection `{}` needs `from_email` in its extra", connection.conn_id))
    })?;
    let subject = subject.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut message = Message::builder().from(mailbox(from)?).subject(subject);
    for address in letter.to {
        message = message.to(mailbox(address)?);
    }
    let message = message.header(ContentType::TEXT_PLAIN).body(body);
    message.map_err(|error| Fault::lasting(in_words(&error)))
}

fn mailbox(address: &str) -> Result<Mailbox, Fault> {
    address.parse().map_err(|error| Fault::lasting(format!("`{address}` is no e-mail address: {error}")))
}

/// Encrypted from the start, unless the extra says otherwise, as Airflow's does: `disable_ssl` encrypts after the greeting, and
/// `disable_tls` with it never.
fn server(connection: &Connection) -> Result<AsyncSmtpTransport<Tokio1Executor>, Fault> {
    let host =
        connection.host.as_deref().filter(|host| !host.is_empty()).ok_or_else(|| {
            Fault::lasting(format!("the connection `{}` names no host", connection.conn_id))
        })?;
    let says = |name: &str| connection.extra.get(name).and_then(Value::as_bool).unwrap_or(false);
    let unusable = |error: smtp::Error| Fault::lasting(in_words(&error));
    let (builder, port) = match (says("disable_ssl"), says("disable_tls")) {
        (false, _) => (AsyncSmtpTransport::<Tokio1Executor>::relay(host).map_err(unusable)?, SMTPS),
        (true, false) => {
            (AsyncSmtpTransport::<Tokio1Executor>::starttls_relay(host).map_err(unusable)?, SUBMISSION)
        }
        (true, true) => (AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host), SMTP),
    };
    let mut builder = builder.port(connection.port.unwrap_or(port)).timeout(Some(ANSWER));
    if let (Some(login), Some(password)) = (&connection.login, &connection.password) {
        builder = builder.credentials(Credentials::new(login.clone(), password.clone()));
    }
    Ok(builder.build())
}
