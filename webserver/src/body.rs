//! Bodies of requests, and FastAPI's words for what is wrong with them.

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    error::PayloadError,
    http::StatusCode,
    web::{Bytes, Data},
};
use futures_util::{FutureExt, future::LocalBoxFuture};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    AppState,
    error::{Error, Problem},
};

/// A body of JSON.
#[derive(Debug, Clone)]
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, bytes) = (request.clone(), Bytes::from_request(request, payload));
        async move { read(&whole(&request, bytes.await)?).map(Self) }.boxed_local()
    }
}

/// A body of JSON that may be left out, or be null.
#[derive(Debug, Clone)]
pub(crate) struct MaybeBody<T>(pub(crate) Option<T>);

impl<T: DeserializeOwned + 'static> FromRequest for MaybeBody<T> {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, bytes) = (request.clone(), Bytes::from_request(request, payload));
        let maybe = |bytes: Bytes| if bytes.is_empty() { Ok(None) } else { read(&bytes) };
        async move { maybe(whole(&request, bytes.await)?).map(Self) }.boxed_local()
    }
}

/// The body, or what kept it from being read whole.
pub(crate) fn whole(request: &HttpRequest, bytes: Result<Bytes, actix_web::Error>) -> Result<Bytes, Error> {
    bytes.map_err(|fault| {
        let limit = request.app_data::<Data<AppState>>().map_or(0, |state| state.settings.body_limit);
        let overflows = matches!(fault.as_error::<PayloadError>(), Some(PayloadError::Overflow));
        if overflows || fault.as_response_error().status_code() == StatusCode::PAYLOAD_TOO_LARGE {
            return Error::TooLarge { limit };
        }
        Error::Invalid(format!("the body could not be read: {fault}"))
    })
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    if bytes.is_empty() {
        let problem = Problem {
            kind: "missing",
            place: vec!["body".to_owned()],
            message: "Field required".to_owned(),
            input: Value::Null,
        };
        return Err(problem.into());
    }
    let value: Value = serde_json::from_slice(bytes).map_err(|fault| {
        let message = format!("JSON decode error: {fault}");
        Error::from(Problem {
            kind: "json_invalid",
            place: vec!["body".to_owned()],
            message,
            input: Value::Null,
        })
    })?;
    T::deserialize(&value).map_err(|fault| explain(&fault.to_string(), value).into())
}

// serde says what is wrong in words only; the name of the field is between the backquotes.
fn explain(fault: &str, input: Value) -> Problem {
    let quoted = |start: &str| {
        let rest = fault.strip_prefix(start)?.strip_prefix('`')?;
        rest.split_once('`').map(|(name, _)| name.to_owned())
    };
    if let Some(name) = quoted("missing field ") {
        return Problem::new("missing", "body", &name, "Field required", input);
    }
    if let Some(name) = quoted("unknown field ") {
        let message = format!(
            "Extra inputs are not permitted; {}",
            fault.split_once(", ").map_or("", |(_, expected)| expected)
        );
        let value = input.get(&name).cloned().unwrap_or(Value::Null);
        return Problem::new("extra_forbidden", "body", &name, message, value);
    }
    Problem { kind: "value_error", place: vec!["body".to_owned()], message: fault.to_owned(), input }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[expect(dead_code, reason = "only its presence matters")]
        count: u32,
    }

    fn fault(text: &str) -> (&'static str, String) {
        let Err(Error::Unprocessable(problems)) = read::<Sample>(text.as_bytes()) else { panic!("{text}") };
        (problems[0].kind, problems[0].place.join("."))
    }

    #[test]
    fn faults_have_fastapis_names() {
        assert_eq!(fault(""), ("missing", "body".to_owned()));
        assert_eq!(fault("{"), ("json_invalid", "body".to_owned()));
        assert_eq!(fault("{}"), ("missing", "body.count".to_owned()));
        assert_eq!(fault(r#"{"count": 1, "x": 2}"#), ("extra_forbidden", "body.x".to_owned()));
        assert_eq!(fault(r#"{"count": "a"}"#), ("value_error", "body".to_owned()));
    }
}
