//! What can go wrong with a request, and how it is said: a page with a way back for people, Airflow's body for programs.

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    error::QueryPayloadError,
    http::{Method, StatusCode, header},
    web,
};
use askama::Template;
use serde_json::{Value, json};

use crate::{
    pages::{error::ErrorPage, parts::Theme},
    static_files,
};

/// Most characters of an error's words.
const LONGEST: usize = 1_000;

/// Why a request was not answered with what it asked for. The texts are shown to whoever asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Nobody is signed in, or the token is not good.
    #[error("{0}")]
    NotSignedIn(&'static str),
    /// Somebody is, but may not do this.
    #[error("{0}")]
    Forbidden(String),
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// The path exists, the method does not.
    #[error("{0} is not possible here")]
    Method(Method),
    /// The request makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// It does not fit what is there already.
    #[error("{0}")]
    Conflict(String),
    /// Parts of the request are not what they should be.
    #[error("{}", in_words(.0))]
    Unprocessable(Vec<Problem>),
    /// The request is understood, and cannot be.
    #[error("{0}")]
    Rejected(String),
    /// The body is too long.
    #[error("the body is longer than the {limit} bytes that are accepted")]
    TooLarge {
        /// Most bytes.
        limit: usize,
    },
    /// Too many of these at once.
    #[error("{0}")]
    TooMany(&'static str),
    /// Something that is needed is away; it may work in a moment.
    #[error("{0}")]
    Unavailable(String),
    /// It took too long.
    #[error("the answer took too long and was given up; try again")]
    Timeout,
    /// A fault of ours or of the database. Only the log says what it was.
    #[error("something went wrong in Tradewind; its log has more under this request's id")]
    Internal(String),
}

/// One part of a request that is not what it should be, in FastAPI's shape.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Problem {
    /// FastAPI's name for the kind of fault, for example `missing`.
    pub(crate) kind: &'static str,
    /// Where it is, for example `["query", "limit"]`.
    pub(crate) place: Vec<String>,
    /// What is wrong and what is wanted.
    pub(crate) message: String,
    /// What was given.
    pub(crate) input: Value,
}

impl Problem {
    /// A fault in `part` (`query`, `path` or `body`) at `name`.
    pub(crate) fn new(
        kind: &'static str,
        part: &str,
        name: &str,
        message: impl Into<String>,
        input: Value,
    ) -> Self {
        Self { kind, place: vec![part.to_owned(), name.to_owned()], message: message.into(), input }
    }

    fn to_json(&self) -> Value {
        json!({"type": self.kind, "loc": self.place, "msg": self.message, "input": self.input})
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Unprocessable(vec![problem])
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Unreachable { .. } => Self::Unavailable(format!("{error}; try again in a moment")),
            store::Error::Conflict(text) => Self::Conflict(text),
            store::Error::Invalid(text) => Self::Invalid(text),
            store::Error::Schema { .. } | store::Error::Fenced { .. } | store::Error::Database(_) => {
                Self::Internal(error.to_string())
            }
        }
    }
}

impl From<queue::Error> for Error {
    fn from(error: queue::Error) -> Self {
        Self::Unavailable(format!("{error}; try again in a moment"))
    }
}

impl From<runtime::logs::Error> for Error {
    fn from(error: runtime::logs::Error) -> Self {
        use runtime::logs::Error as Logs;
        match error {
            Logs::NotFound(_) => {
                Self::NotFound("there is no such file among the logs and artifacts".to_owned())
            }
            Logs::ArtifactName(_) => Self::NotFound(error.to_string()),
            Logs::NotBuilt { .. } | Logs::Folder { .. } | Logs::File { .. } | Logs::Storage(_) => {
                Self::Internal(error.to_string())
            }
        }
    }
}

impl From<askama::Error> for Error {
    fn from(error: askama::Error) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<domain::id::Error> for Error {
    fn from(error: domain::id::Error) -> Self {
        // A name that cannot exist names nothing.
        Self::NotFound(error.to_string())
    }
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::NotSignedIn(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Unprocessable(_) | Self::Rejected(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    // The body is written by `front`, which knows who asked.
    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.status_code())
    }
}

/// Who is to read an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reader {
    /// A program: JSON.
    Program,
    /// A person in a browser: a page.
    Person {
        /// The theme that they chose.
        theme: Theme,
        /// Where they wanted to go, when that was a page: path and query.
        wanted: Option<String>,
    },
}

impl Reader {
    /// Guesses from the path and what is accepted.
    pub(crate) fn of(request: &HttpRequest) -> Self {
        let path = request.path();
        let prefixes = ["/api/", "/auth/token", "/tasks", "/metrics", "/openapi.json", "/health", "/live"];
        let accepts_pages = request
            .headers()
            .get(header::ACCEPT)
            .and_then(|accept| accept.to_str().ok())
            .is_some_and(|accept| accept.contains("text/html"));
        if prefixes.iter().any(|prefix| path.starts_with(prefix)) && !(accepts_pages && path == "/tasks") {
            return Self::Program;
        }
        let theme = request.cookie(Theme::COOKIE).map_or(Theme::Auto, |cookie| Theme::parse(cookie.value()));
        let wanted = matches!(*request.method(), Method::GET | Method::HEAD)
            .then(|| request.uri().path_and_query().map(ToString::to_string))
            .flatten();
        Self::Person { theme, wanted }
    }
}

/// The answer to a request that failed.
pub(crate) fn answer(error: &Error, reader: &Reader, request_id: &str) -> HttpResponse {
    match reader {
        Reader::Program => to_program(error),
        Reader::Person { theme, wanted } => to_person(error, *theme, wanted.as_deref(), request_id),
    }
}

/// What a query that is not what the page expects is answered with.
pub(crate) fn bad_query(fault: &QueryPayloadError) -> Error {
    let QueryPayloadError::Deserialize(fault) = fault else {
        return Error::Invalid("the address cannot be read".to_owned());
    };
    Error::Invalid(format!("a value behind the `?` of this address is wrong: {fault}"))
}

/// An error in words that fit on a page and in a line of the log, whatever name was asked for.
pub(crate) fn words(error: &Error) -> String {
    let mut words = error.to_string();
    if let Some((end, _)) = words.char_indices().nth(LONGEST) {
        words.truncate(end);
        words.push_str(" ...");
    }
    words
}

/// What is answered where there is no route.
pub(crate) async fn nothing_here(request: HttpRequest) -> Result<HttpResponse, Error> {
    std::future::ready(Err(Error::NotFound(match Reader::of(&request) {
        Reader::Program => "Not Found".to_owned(),
        Reader::Person { .. } => "There is no page at this address.".to_owned(),
    })))
    .await
}

/// A route for every method that a path does not have.
pub(crate) fn no_method() -> actix_web::Route {
    web::to(|request: HttpRequest| {
        std::future::ready(Err::<HttpResponse, _>(Error::Method(request.method().clone())))
    })
}

fn to_program(error: &Error) -> HttpResponse {
    let mut response = HttpResponse::build(error.status_code());
    if matches!(error, Error::NotSignedIn(_)) {
        response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
    }
    if matches!(error, Error::Unavailable(_) | Error::TooMany(_)) {
        response.insert_header((header::RETRY_AFTER, "2"));
    }
    match error {
        Error::Unprocessable(problems) => {
            let detail: Vec<Value> = problems.iter().map(Problem::to_json).collect();
            response.json(json!({"detail": detail}))
        }
        Error::NotSignedIn(_)
        | Error::Forbidden(_)
        | Error::NotFound(_)
        | Error::Method(_)
        | Error::Invalid(_)
        | Error::Conflict(_)
        | Error::Rejected(_)
        | Error::TooLarge { .. }
        | Error::TooMany(_)
        | Error::Unavailable(_)
        | Error::Timeout
        | Error::Internal(_) => response.json(json!({"detail": words(error)})),
    }
}

fn to_person(error: &Error, theme: Theme, wanted: Option<&str>, request_id: &str) -> HttpResponse {
    if matches!(error, Error::NotSignedIn(_)) {
        return to_sign_in(wanted);
    }
    let status = error.status_code();
    let page = ErrorPage {
        theme,
        assets: static_files::version(),
        status: status.as_u16(),
        title: title(error).to_owned(),
        text: capitalised(&words(error)),
        hint: None,
        back: "/dags".to_owned(),
        back_label: "To the DAGs".to_owned(),
        request_id: Some(request_id.to_owned()),
    };
    match page.render() {
        Ok(html) => HttpResponse::build(status).content_type("text/html; charset=utf-8").body(html),
        Err(fault) => HttpResponse::build(status)
            .content_type("text/plain; charset=utf-8")
            .body(format!("{}\n{fault}", words(error))),
    }
}

fn to_sign_in(wanted: Option<&str>) -> HttpResponse {
    let query = match wanted.filter(|wanted| *wanted != "/") {
        Some(wanted) => format!(
            "?{}",
            url::form_urlencoded::Serializer::new(String::new()).append_pair("next", wanted).finish()
        ),
        None => String::new(),
    };
    HttpResponse::SeeOther().insert_header((header::LOCATION, format!("/sign-in{query}"))).finish()
}

const fn title(error: &Error) -> &'static str {
    match error {
        Error::NotSignedIn(_) => "Sign in first",
        Error::Forbidden(_) => "You may not do this",
        Error::NotFound(_) => "Not found",
        Error::Method(_) | Error::Invalid(_) | Error::Unprocessable(_) | Error::Rejected(_) => {
            "That cannot be done"
        }
        Error::Conflict(_) => "That does not fit",
        Error::TooLarge { .. } => "Too much at once",
        Error::TooMany(_) => "Too many at once",
        Error::Unavailable(_) => "Not available right now",
        Error::Timeout => "It took too long",
        Error::Internal(_) => "Something went wrong",
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn in_words(problems: &[Problem]) -> String {
    let words = problems.iter().map(|problem| match problem.place.last() {
        Some(name) => format!("{name}: {}", problem.message),
        None => problem.message.clone(),
    });
    words.collect::<Vec<_>>().join("; ")
}
