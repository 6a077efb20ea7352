//! Signing in by name and password or by a one-time link, and signing out.

use std::future::ready;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::LOCATION,
    web::{Data, Path, Query},
};
use askama::Template;
use serde::Deserialize;
use store::account::Account;

use super::{form::Form, password, session};
use crate::{
    AppState,
    error::Error,
    pages::{parts::Theme, sign_in::SignInPage},
    static_files,
};

/// The same for every reason, so that nobody learns which names exist.
pub(super) const REFUSED: &str =
    "User name or password is wrong. After several failures in a row an account is locked for some minutes.";

/// Where the sign-in page was asked for.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    next: String,
}

/// What the sign-in form holds.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    username: String,
    password: String,
    #[serde(default)]
    next: String,
}

/// The form.
pub(super) async fn show(
    state: Data<AppState>,
    request: HttpRequest,
    wanted: Query<Wanted>,
) -> Result<HttpResponse, Error> {
    ready(page(&state, &request, &wanted.next, String::new(), None)).await
}

/// Takes the form.
pub(super) async fn enter(
    state: Data<AppState>,
    request: HttpRequest,
    form: Form<Entry>,
) -> Result<HttpResponse, Error> {
    let Form(entry) = form;
    match check(&state, &entry.username, entry.password).await? {
        Some(account) => begin(&state, &request, &account, &entry.next).await,
        None => page(&state, &request, &entry.next, entry.username, Some(REFUSED.to_owned())),
    }
}

/// Ends the session.
pub(super) async fn leave(
    state: Data<AppState>,
    request: HttpRequest,
    _form: Form<Vec<(String, String)>>,
) -> Result<HttpResponse, Error> {
    if let Some(token) = session::token(&request) {
        state.store.delete_session(&token).await?;
    }
    Ok(HttpResponse::SeeOther()
        .insert_header((LOCATION, "/sign-in"))
        .cookie(session::forget_token(&request))
        .finish())
}

/// Uses a one-time link. A browser that fetches a page before anybody asks for it says so (Fetch Standard, `Sec-Purpose`),
/// and does not use it up.
pub(super) async fn ask_about_link(
    state: Data<AppState>,
    request: HttpRequest,
    token: Path<String>,
) -> Result<HttpResponse, Error> {
    if is_prefetch(&request) {
        return Err(Error::Invalid("a one-time link is not fetched in advance: open it".to_owned()));
    }
    use_link(state, request, token).await
}

/// Signs in whoever the link was made for, once.
pub(super) async fn use_link(
    state: Data<AppState>,
    request: HttpRequest,
    token: Path<String>,
) -> Result<HttpResponse, Error> {
    match state.store.use_sign_in_link(&token).await? {
        Some(account) => begin(&state, &request, &account, "/").await,
        None if session::token(&request).is_some() => {
            Ok(HttpResponse::SeeOther().insert_header((LOCATION, "/")).finish())
        }
        None => {
            let problem =
                "This link was used already or is too old. Sign in with your password, or make a new link.";
            page(&state, &request, "", String::new(), Some(problem.to_owned()))
        }
    }
}

/// The account, when name and password are right and it is not locked. A failure is counted.
pub(super) async fn check(
    state: &AppState,
    username: &str,
    password: String,
) -> Result<Option<Account>, Error> {
    let found = state.store.credentials(username).await?;
    let usable = found.filter(|found| found.account.is_active && !found.account.is_locked);
    let hash = usable.as_ref().and_then(|found| found.password_hash.clone());
    let right = password.len() <= password::MAX_LENGTH && state.passwords.check(password, hash).await?;
    let Some(account) = usable.map(|found| found.account) else {
        return Ok(None);
    };
    if right {
        state.store.sign_in_succeeded(account.id).await?;
        return Ok(Some(account));
    }
    state.store.sign_in_failed(account.id, state.settings.sign_in_attempts, state.settings.lock_out).await?;
    Ok(None)
}

/// Whether a text is a path of this site, and not a way to another one.
pub(crate) fn is_local(path: &str) -> bool {
    let mut letters = path.chars();
    letters.next() == Some('/')
        && !matches!(letters.next(), Some('/' | '\\'))
        && path.len() <= 2_000
        && !path.contains(|letter: char| letter.is_control() || letter == '\\')
}

async fn begin(
    state: &AppState,
    request: &HttpRequest,
    account: &Account,
    next: &str,
) -> Result<HttpResponse, Error> {
    let token = state.store.create_session(account.id, state.settings.session_lifetime).await?;
    let next = if is_local(next) { next } else { "/" };
    Ok(HttpResponse::SeeOther()
        .insert_header((LOCATION, next))
        .cookie(session::keep_token(request, &state.settings, token))
        .finish())
}

fn page(
    state: &AppState,
    request: &HttpRequest,
    next: &str,
    username: String,
    problem: Option<String>,
) -> Result<HttpResponse, Error> {
    let visitor = session::visitor(request).unwrap_or_else(|| format!("{:032x}", rand::random::<u128>()));
    // A form is checked against the session when the browser has one.
    let owner = session::token(request).unwrap_or_else(|| visitor.clone());
    let page = SignInPage {
        theme: request.cookie(Theme::COOKIE).map_or(Theme::Auto, |cookie| Theme::parse(cookie.value())),
        assets: static_files::version(),
        csrf: state.keys.form_token(&owner),
        next: if is_local(next) { next.to_owned() } else { String::new() },
        username,
        problem,
    };
    let mut response = if page.problem.is_some() { HttpResponse::Unauthorized() } else { HttpResponse::Ok() };
    Ok(response
        .content_type("text/html; charset=utf-8")
        .cookie(session::keep_visitor(request, visitor))
        .body(page.render()?))
}

fn is_prefetch(request: &HttpRequest) -> bool {
    let purpose = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let purposes = [purpose("sec-purpose"), purpose("purpose")];
    purposes.into_iter().flatten().any(|purpose| purpose.starts_with("prefetch"))
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn only_paths_of_this_site_are_followed() {
        for path in ["/", "/dags", "/dags/a?x=//b", "/dags/a#b"] {
            assert!(is_local(path), "{path}");
        }
        for path in [
            "",
            "dags",
            "//evil",
            "/\\evil",
            "https://evil",
            "/a\r\nb",
            "/a\\b",
            &format!("/{}", "x".repeat(2_000)),
        ] {
            assert!(!is_local(path), "{path}");
        }
    }
}
