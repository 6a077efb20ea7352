//! Webhooks: one POST of JSON, to whoever the DAG file or a connection names.

use std::{sync::OnceLock, time::Duration};

use indexmap::IndexMap;
use reqwest::{Client, RequestBuilder, Response, StatusCode, redirect};
use runtime::secret::is_secret_name;
use serde_json::{Value, json};
use store::{Store, connection::Connection};
use url::Url;

use super::{
    fault::{Fault, in_words},
    text::Words,
};

/// How long the other side may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How much of an answer that says no is kept, in bytes.
const EXCERPT: usize = 300;
/// Where Slack's incoming webhooks are.
const SLACK: &str = "https://hooks.slack.com/services";

/// Where a message goes, and with what.
pub(super) struct Place {
    url: Url,
    login: Option<(String, Option<String>)>,
    headers: Vec<(String, String)>,
    secrets: Vec<String>,
}

impl Place {
    /// The place of a webhook. A connection gives what an `http` task takes of it: host, credentials and headers.
    pub(super) async fn find(
        store: &Store,
        url: Option<&str>,
        conn_id: Option<&str>,
        headers: &IndexMap<String, String>,
    ) -> Result<Self, Fault> {
        let own = headers.iter().map(|(name, value)| (name.clone(), value.clone()));
        let Some(conn_id) = conn_id else {
            return Self::new(url.unwrap_or_default(), None, own.collect(), Vec::new());
        };
        let connection = connection(store, conn_id).await?;
        let text = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
        let headers = connection.extra.iter().filter_map(text).chain(own).collect();
        let whole = joined(&base(&connection), url.unwrap_or_default());
        let secrets = connection.password.iter().cloned().collect();
        let login = connection.login.map(|login| (login, connection.password));
        Self::new(&whole, login, headers, secrets)
    }

    /// The place of a message to Slack. As in Airflow's connections, the password is the secret end of the URL.
    pub(super) async fn find_slack(
        store: &Store,
        url: Option<&str>,
        conn_id: Option<&str>,
    ) -> Result<Self, Fault> {
        let Some(conn_id) = conn_id else {
            return Self::new(url.unwrap_or_default(), None, Vec::new(), Vec::new());
        };
        let connection = connection(store, conn_id).await?;
        let host = connection.host.as_deref().map(|_| base(&connection));
        let end = url.or(connection.password.as_deref()).unwrap_or_default();
        let whole =
            if end.contains("://") { end.to_owned() } else { joined(host.as_deref().unwrap_or(SLACK), end) };
        Self::new(&whole, None, Vec::new(), connection.password.iter().cloned().collect())
    }

    fn new(
        url: &str,
        login: Option<(String, Option<String>)>,
        headers: Vec<(String, String)>,
        mut secrets: Vec<String>,
    ) -> Result<Self, Fault> {
        let secret = headers.iter().filter(|(name, _)| is_secret_name(name)).map(|(_, value)| value.clone());
        secrets.extend(secret);
        let url: Url = url.parse().map_err(|error| Fault::lasting(format!("no URL to send to: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Fault::lasting(format!("alerts go to http and https only, not {}", url.scheme())));
        }
        secrets.push(url.path().to_owned());
        Ok(Self { url, login, headers, secrets })
    }

    /// Posts the facts, or the body that was asked for.
    pub(super) async fn webhook(&self, body: Option<&Value>, words: &Words) -> Result<(), Fault> {
        let request = match body {
            None => self.request()?.json(&words.payload()),
            Some(Value::String(text)) => self.request()?.body(words.render("body", text)?),
            Some(
                json @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)),
            ) => self.request()?.json(&words.render_json("body", json)?),
        };
        self.send(request).await
    }

    /// Posts a message.
    pub(super) async fn slack(&self, text: Option<&str>, words: &Words) -> Result<(), Fault> {
        let text = match text {
            Some(text) => words.render("text", text)?,
            None => escaped(&words.short()),
        };
        self.send(self.request()?.json(&json!({ "text": text }))).await
    }

    fn request(&self) -> Result<RequestBuilder, Fault> {
        let mut request = client()?.post(self.url.clone());
        if let Some((login, password)) = &self.login {
            request = request.basic_auth(login, password.as_ref());
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        Ok(request)
    }

    async fn send(&self, request: RequestBuilder) -> Result<(), Fault> {
        let answer = match request.send().await {
            Ok(answer) => answer,
            // The URL may be a secret.
            Err(error) => {
                let is_ours = error.is_builder();
                let words = in_words(&error.without_url());
                let fault = if is_ours { Fault::lasting(words) } else { Fault::passing(words) };
                return Err(fault.without(&self.secrets));
            }
        };
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let words = format!("the answer was {status}: {}", excerpt(answer).await);
        let fault = if may_pass(status) { Fault::passing(words) } else { Fault::lasting(words) };
        Err(fault.without(&self.secrets))
    }
}

async fn connection(store: &Store, conn_id: &str) -> Result<Connection, Fault> {
    let found = store.connection(conn_id).await?;
    let found = found.ok_or_else(|| Fault::lasting(format!("there is no connection `{conn_id}`")))?;
    Ok(found.connection)
}

/// The host of a connection as the begin of a URL, as Airflow's HttpHook puts it together.
fn base(connection: &Connection) -> String {
    let host = connection.host.as_deref().unwrap_or_default();
    let mut base = if host.contains("://") {
        host.to_owned()
    } else {
        let is_plain = connection.conn_type == "http";
        let scheme = connection
            .schema
            .as_deref()
            .filter(|scheme| !scheme.is_empty())
            .unwrap_or(if is_plain { "http" } else { "https" });
        format!("{scheme}://{host}")
    };
    if let Some(port) = connection.port {
        base.push_str(&format!(":{port}"));
    }
    base
}

fn joined(base: &str, path: &str) -> String {
    if path.is_empty() {
        return base.to_owned();
    }
    format!("{}/{}", base.trim_end_matches('/'), path.trim_start_matches('/'))
}

/// Whether the same request may be answered otherwise later.
fn may_pass(status: StatusCode) -> bool {
    let later = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
    status.is_server_error() || later.contains(&status)
}

async fn excerpt(mut answer: Response) -> String {
    let mut body = Vec::new();
    while body.len() < EXCERPT {
        match answer.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk[..chunk.len().min(EXCERPT - body.len())]),
            Ok(None) | Err(_) => break,
        }
    }
    let text = String::from_utf8_lossy(&body);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What Slack asks to be escaped, so that a reason cannot become a link or a mention.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// One client for all. It follows no redirects: they could lead where the DAG file did not point.
fn client() -> Result<Client, Fault> {
    static CLIENT: OnceLock<Result<Client, String>> = OnceLock::new();
    let made = CLIENT.get_or_init(|| {
        // Fails when the program has chosen a provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Client::builder()
            .user_agent(concat!("tradewind/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT)
            .timeout(super::ATTEMPT)
            .build()
            .map_err(|error| in_words(&error))
    });
    made.clone().map_err(|error| Fault::passing(format!("this scheduler cannot send requests: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_put_together_from_connections() {
        for (connection, path, whole) in [
            ("http://example.org:8080", "/v1/x", "http://example.org:8080/v1/x"),
            ("https://example.org", "v1", "https://example.org/v1"),
            ("slack://example.org", "", "https://example.org"),
        ] {
            let connection = Connection::parse("x", connection).unwrap();
            assert_eq!(joined(&base(&connection), path), whole);
        }
    }

    #[test]
    fn only_the_web_is_spoken_to() {
        for url in ["ftp://example.org", "file:///etc/passwd", "no url", ""] {
            let fault = Place::new(url, None, Vec::new(), Vec::new()).err().unwrap();
            assert!(fault.is_lasting(), "{url}");
        }
    }

    #[test]
    fn a_reason_cannot_mention_everybody() {
        assert_eq!(escaped("<!channel> a & b"), "&lt;!channel&gt; a &amp; b");
    }
}
