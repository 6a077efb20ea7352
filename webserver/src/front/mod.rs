//! What happens to every request on its way in and every answer on its way out: an id, a time limit, protection from
//! panics and forged requests, errors in the reader's form, security headers, one line in the log, one count in the metrics.

mod forgery;
mod headers;
mod request_id;
#[cfg(test)]
mod tests;

use std::{panic::AssertUnwindSafe, time::Instant};

use actix_web::{
    HttpMessage,
    body::{BodySize, EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    error::InternalError,
    http::{Method, StatusCode, header::HeaderMap},
    middleware::Next,
    web::Data,
};
use futures_util::FutureExt;
use tracing::{debug, error, info, warn};

use crate::{
    AppState,
    error::{self, Error, Reader},
};

pub(crate) use request_id::RequestId;

type Answer<B> = Result<ServiceResponse<EitherBody<B>>, actix_web::Error>;

/// Answers one request, whatever becomes of its handler.
pub(crate) async fn answer<B: MessageBody + 'static>(
    state: Data<AppState>,
    mut request: ServiceRequest,
    next: Next<B>,
) -> Answer<B> {
    let began = Instant::now();
    let id = RequestId::of(request.headers());
    request.extensions_mut().insert(id.clone());
    let about = About { id, method: request.method().clone(), reader: Reader::of(request.request()) };
    if request.method() == Method::HEAD && request.path() != "/live" {
        // The answer to HEAD is that to GET; its body is not sent.
        request.head_mut().method = Method::GET;
    }
    if let Err(refusal) = forgery::check(request.request()) {
        let answer = error::answer(&refusal, &about.reader, about.id.as_str());
        let answer = request.into_response(answer).map_into_right_body();
        return Ok(about.finish(&state, began, answer, Some(&refusal)));
    }
    let called = AssertUnwindSafe(tokio::time::timeout(state.settings.request_timeout, next.call(request)));
    match called.catch_unwind().await {
        Ok(Ok(Ok(answer))) => Ok(about.worded(&state, began, answer)),
        Ok(Ok(Err(fault))) => Err(about.give_up(&state, began, &Error::Internal(fault.to_string()))),
        Ok(Err(_)) => Err(about.give_up(&state, began, &Error::Timeout)),
        Err(panic) => Err(about.give_up(&state, began, &Error::Internal(panic_text(&*panic)))),
    }
}

/// What is kept of a request while its handler has it.
struct About {
    id: RequestId,
    method: Method,
    reader: Reader,
}

impl About {
    /// Gives errors their words.
    fn worded<B: MessageBody + 'static>(
        &self,
        state: &AppState,
        began: Instant,
        answer: ServiceResponse<B>,
    ) -> ServiceResponse<EitherBody<B>> {
        let Some(fault) = fault_of(&answer) else {
            return self.finish(state, began, answer.map_into_left_body(), None);
        };
        let fault = match &fault {
            Fault::Ours(fault) => fault,
            Fault::Foreign(fault) => fault,
        };
        let worded = error::answer(fault, &self.reader, self.id.as_str());
        // The request is needed for the log, and the fault lives in the answer: so the answer's parts are taken last.
        let worded = ServiceResponse::new(answer.request().clone(), worded).map_into_right_body();
        self.finish(state, began, worded, Some(fault))
    }

    /// The answer when the request itself is gone with its handler.
    fn give_up(&self, state: &AppState, began: Instant, fault: &Error) -> actix_web::Error {
        let mut answer = error::answer(fault, &self.reader, self.id.as_str());
        self.record(state, began, "-", answer.status(), Some(fault));
        self.dress(answer.headers_mut());
        InternalError::from_response(fault.to_string(), answer).into()
    }

    fn finish<B>(
        &self,
        state: &AppState,
        began: Instant,
        mut answer: ServiceResponse<B>,
        fault: Option<&Error>,
    ) -> ServiceResponse<B> {
        let route = answer.request().match_pattern();
        self.record(state, began, route.as_deref().unwrap_or("-"), answer.status(), fault);
        self.dress(answer.headers_mut());
        answer
    }

    fn dress(&self, headers: &mut HeaderMap) {
        headers::secure(headers);
        self.id.write(headers);
    }

    // One line for each request, without the query and the parts of the path, which may hold secrets.
    fn record(
        &self,
        state: &AppState,
        began: Instant,
        route: &str,
        status: StatusCode,
        fault: Option<&Error>,
    ) {
        let took = began.elapsed();
        let (method, id, status) = (self.method.as_str(), self.id.as_str(), status.as_u16());
        state.metrics.answered(method, route, status, took);
        let millis = took.as_secs_f64() * 1e3;
        match fault {
            Some(Error::Internal(why)) => error!(method, route, status, millis, id, why, "request"),
            Some(fault) if status >= 500 => {
                warn!(method, route, status, millis, id, why = error::words(fault), "request");
            }
            Some(fault) => info!(method, route, status, millis, id, why = error::words(fault), "request"),
            None if is_noise(route) => debug!(method, route, status, millis, id, "request"),
            None => info!(method, route, status, millis, id, "request"),
        }
    }
}

enum Fault<'a> {
    Ours(&'a Error),
    Foreign(Error),
}

// What the framework refused by itself has no words of ours yet.
fn fault_of<B: MessageBody>(answer: &ServiceResponse<B>) -> Option<Fault<'_>> {
    if let Some(fault) = answer.response().error() {
        let foreign = || Fault::Foreign(foreign(answer.status(), fault.to_string()));
        return Some(fault.as_error::<Error>().map_or_else(foreign, Fault::Ours));
    }
    let is_bare = matches!(answer.response().body().size(), BodySize::None | BodySize::Sized(0));
    let status = answer.status();
    if is_bare && status == StatusCode::METHOD_NOT_ALLOWED {
        return Some(Fault::Foreign(Error::Method(answer.request().method().clone())));
    }
    (is_bare && status.is_client_error()).then(|| Fault::Foreign(foreign(status, status.to_string())))
}

fn foreign(status: StatusCode, text: String) -> Error {
    match status {
        StatusCode::NOT_FOUND => Error::NotFound("Not Found".to_owned()),
        StatusCode::PAYLOAD_TOO_LARGE => Error::Invalid("the body is too long".to_owned()),
        status if status.is_client_error() => Error::Invalid(text),
        _ => Error::Internal(text),
    }
}

fn is_noise(route: &str) -> bool {
    ["/health", "/metrics", "/static", "/api/v2/monitor"].iter().any(|start| route.starts_with(start))
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    format!("a handler panicked: {text}")
}
