//! `http`: one request.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use domain::outcome::MAX_XCOM_BYTES;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use indexmap::IndexMap;
use reqwest::{Client, Method, RequestBuilder, Response, redirect};
use serde_json::{Map, Value};
use store::connection::Connection;

use super::{Done, On, Work};
use crate::output::Source;
use crate::template::{Error, Renderer};

/// Most redirects that are followed.
const MOST_REDIRECTS: usize = 10;
/// How long the other side may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(30);
/// How long the other side may be silent.
const SILENCE: Duration = Duration::from_secs(300);
/// How much of an answer that says no is shown, in characters.
const EXCERPT: usize = 2_000;
/// How much of it goes into the reason.
const SHORT_EXCERPT: usize = 200;

/// The request as the DAG file has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written<'a> {
    /// Host, credentials and headers.
    pub(crate) conn_id: Option<&'a str>,
    /// GET and so on.
    pub(crate) method: &'a str,
    /// The URL, or a path of the connection's host.
    pub(crate) url: &'a str,
    /// Headers.
    pub(crate) headers: &'a IndexMap<String, String>,
    /// A body.
    pub(crate) body: Option<&'a Value>,
}

/// A rendered request.
pub(crate) struct Http {
    method: String,
    url: String,
    headers: IndexMap<String, String>,
    body: Option<Value>,
    connection: Option<Arc<Connection>>,
}

/// Renders the request.
pub(crate) async fn prepare(written: Written<'_>, renderer: &mut Renderer<'_>) -> Result<Http, Error> {
    let connection = match written.conn_id {
        Some(conn_id) => {
            let conn_id = renderer.text("http.conn_id", conn_id).await?;
            Some(renderer.connection("http.conn_id", &conn_id).await?)
        }
        None => None,
    };
    let mut headers = IndexMap::new();
    for (name, value) in written.headers {
        headers.insert(name.clone(), renderer.text(&format!("http.headers.{name}"), value).await?);
    }
    let body = match written.body {
        Some(body) => Some(renderer.json("http.body", body).await?),
        None => None,
    };
    let url = renderer.text("http.url", written.url).await?;
    Ok(Http { method: written.method.to_owned(), url, headers, body, connection })
}

impl Work for Http {
    fn fields(&self) -> Map<String, Value> {
        let mut fields = Map::from_iter([
            ("method".to_owned(), self.method.clone().into()),
            ("endpoint".to_owned(), self.url.clone().into()),
        ]);
        if !self.headers.is_empty() {
            let headers = self.headers.iter().map(|(name, value)| (name.clone(), Value::from(value.clone())));
            fields.insert("headers".to_owned(), headers.collect());
        }
        fields.extend(self.body.clone().map(|body| ("data".to_owned(), body)));
        fields
    }

    fn run<'a>(&'a self, on: &'a On<'a>) -> BoxFuture<'a, Done> {
        Box::pin(async move {
            let url = self.whole_url();
            on.begin(&format!("{} {url}", self.method));
            let request = match self.request(&url) {
                Ok(request) => request,
                Err(reason) => return Done::failed_for_good(reason),
            };
            tokio::select! {
                done = send(request, on) => done,
                // Dropping the request closes its connection.
                cause = on.ended_from_outside() => {
                    Done::cut_short(cause, on.assignment).unwrap_or_else(|| Done::failed("stopped"))
                }
            }
        })
    }
}

impl Http {
    /// With the connection's host in front, as Airflow's HttpHook puts it together.
    pub(crate) fn whole_url(&self) -> String {
        let Some(connection) = self.connection.as_ref().filter(|_| !self.url.contains("://")) else {
            return self.url.clone();
        };
        let host = connection.host.as_deref().unwrap_or_default();
        let mut base = if host.contains("://") {
            host.to_owned()
        } else {
            let https = connection.conn_type == "https";
            let scheme = connection.schema.as_deref().unwrap_or(if https { "https" } else { "http" });
            format!("{scheme}://{host}")
        };
        if let Some(port) = connection.port {
            base.push_str(&format!(":{port}"));
        }
        match (base.ends_with('/'), self.url.strip_prefix('/')) {
            (true, Some(path)) => base + path,
            (false, None) if !self.url.is_empty() => format!("{base}/{}", self.url),
            (true, None) | (false, Some(_) | None) => base + &self.url,
        }
    }

    fn request(&self, url: &str) -> Result<RequestBuilder, String> {
        let method: Method = self
            .method
            .to_uppercase()
            .parse()
            .map_err(|_| format!("{:?} is not an HTTP method", self.method))?;
        let url: url::Url = url.parse().map_err(|error| format!("{url:?} is not a URL: {error}"))?;
        let mut request = client()?.request(method, url);
        if let Some(connection) = &self.connection {
            for (name, value) in &connection.extra {
                if let Some(value) = value.as_str() {
                    request = request.header(name, value);
                }
            }
            if let Some(login) = &connection.login {
                request = request.basic_auth(login, connection.password.as_ref());
            }
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        Ok(match &self.body {
            None => request,
            Some(Value::String(text)) => request.body(text.clone()),
            Some(
                json @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)),
            ) => request.json(json),
        })
    }
}

/// One client for all: it keeps connections open and trusts what the system trusts.
fn client() -> Result<Client, String> {
    static CLIENT: OnceLock<Result<Client, String>> = OnceLock::new();
    let made = CLIENT.get_or_init(|| {
        // Fails when the program has chosen a provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = Client::builder()
            .user_agent(concat!("tradewind/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::limited(MOST_REDIRECTS))
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE);
        builder.build().map_err(|error| format!("this worker cannot send requests: {}", in_words(&error)))
    });
    made.clone()
}

/// Why there was no answer.
#[derive(Debug)]
pub(crate) enum Silence {
    /// There may be one later.
    Now(String),
    /// There will never be one.
    Never(String),
}

impl Http {
    /// Asks once: the status and as much of the body as an XCom may have.
    pub(crate) async fn probe(&self) -> Result<(u16, String), Silence> {
        let request = self.request(&self.whole_url()).map_err(Silence::Never)?;
        let response = request.send().await.map_err(|error| {
            let words = in_words(&error);
            if error.is_builder() { Silence::Never(words) } else { Silence::Now(words) }
        })?;
        let status = response.status().as_u16();
        let (body, _) = read(response).await.map_err(|error| Silence::Now(in_words(&error)))?;
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }
}

async fn send(request: RequestBuilder, on: &On<'_>) -> Done {
    let began = Instant::now();
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) if error.is_builder() => return Done::failed_for_good(in_words(&error)),
        Err(error) => return Done::failed(in_words(&error)),
    };
    let status = response.status();
    let is_json = response
        .headers()
        .get(reqwest::header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.contains("json"));
    let (body, whole) = match read(response).await {
        Ok(body) => body,
        Err(error) => return Done::failed(format!("the answer broke off: {}", in_words(&error))),
    };
    let more = if whole { "" } else { " or more" };
    on.output.note(&format!(
        "{status}, {} bytes{more}, after {:.2} s",
        body.len(),
        began.elapsed().as_secs_f64()
    ));
    let text = String::from_utf8_lossy(&body);
    if status.is_client_error() || status.is_server_error() {
        on.output.line(Source::Stderr, &excerpt(&text, EXCERPT));
        return Done::failed(format!("the server answered {status}: {}", excerpt(&text, SHORT_EXCERPT)));
    }
    if !on.assignment.task().do_xcom_push || body.is_empty() {
        return Done::success(IndexMap::new());
    }
    if !whole {
        on.output.note(&format!(
            "the answer is longer than {MAX_XCOM_BYTES} bytes and is not kept as return_value"
        ));
        return Done::success(IndexMap::new());
    }
    let json = if is_json { serde_json::from_slice(&body).ok() } else { None };
    Done::success(on.returns(json.unwrap_or_else(|| Value::from(text.into_owned()))))
}

/// The body as far as an XCom may be long, and whether that is all of it.
async fn read(response: Response) -> Result<(Vec<u8>, bool), reqwest::Error> {
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        let room = MAX_XCOM_BYTES - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            return Ok((body, false));
        }
    }
    Ok((body, true))
}

fn excerpt(text: &str, most: usize) -> String {
    let text = text.trim();
    let shown: String = text.chars().take(most).collect();
    if shown.len() < text.len() { shown + " ..." } else { shown }
}

/// The error with its causes: reqwest's own text leaves out why.
fn in_words(error: &reqwest::Error) -> String {
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        words.push_str(&format!(": {error}"));
        cause = error.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("http://example.com:8080", "/v1/x", "http://example.com:8080/v1/x")]
    #[test_case("http://example.com", "v1/x", "http://example.com/v1/x")]
    #[test_case("https://example.com", "", "https://example.com")]
    #[test_case("http://ignored", "https://other/x", "https://other/x")]
    fn urls_are_put_together(connection: &str, url: &str, whole: &str) {
        let connection = Connection::parse("x", connection).unwrap();
        let request = Http {
            method: "GET".into(),
            url: url.into(),
            headers: IndexMap::new(),
            body: None,
            connection: Some(Arc::new(connection)),
        };
        assert_eq!(request.whole_url(), whole);
    }
}
