//! The cookies of browsers.

use actix_web::{
    HttpRequest,
    cookie::{Cookie, SameSite, time},
};

use crate::settings::Settings;

/// Holds the token of a session.
const SESSION: &str = "tradewind_session";
/// Ties the sign-in form to the browser that it was shown in.
const VISITOR: &str = "tradewind_visitor";
/// Tokens have 43 characters; nothing longer is looked up.
const LONGEST: usize = 128;

/// The token of the session that the browser has.
pub(super) fn token(request: &HttpRequest) -> Option<String> {
    value(request, SESSION)
}

/// The mark of the browser that it was given with the sign-in form.
pub(super) fn visitor(request: &HttpRequest) -> Option<String> {
    value(request, VISITOR)
}

/// Gives a browser the token of its session.
pub(super) fn keep_token(request: &HttpRequest, settings: &Settings, token: String) -> Cookie<'static> {
    let seconds = i64::try_from(settings.session_lifetime.as_secs()).unwrap_or(i64::MAX);
    cookie(request, SESSION, token, time::Duration::seconds(seconds))
}

/// Gives a browser its mark.
pub(super) fn keep_visitor(request: &HttpRequest, visitor: String) -> Cookie<'static> {
    cookie(request, VISITOR, visitor, time::Duration::hours(12))
}

/// Takes the token away.
pub(super) fn forget_token(request: &HttpRequest) -> Cookie<'static> {
    cookie(request, SESSION, String::new(), time::Duration::ZERO)
}

fn value(request: &HttpRequest, name: &str) -> Option<String> {
    let cookie = request.cookie(name)?;
    (1..=LONGEST).contains(&cookie.value().len()).then(|| cookie.value().to_owned())
}

fn cookie(request: &HttpRequest, name: &'static str, value: String, age: time::Duration) -> Cookie<'static> {
    Cookie::build(name, value)
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(request.connection_info().scheme() == "https")
        .max_age(age)
        .finish()
}
