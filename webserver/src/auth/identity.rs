//! Turns a request into whoever sent it.

use std::rc::Rc;

use actix_web::{
    HttpMessage, HttpRequest,
    http::{Method, header},
    web::Data,
};
use store::account::{Account, Role};

use super::{session, token};
use crate::{AppState, error::Error};

/// Whoever sent a request.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// The account.
    pub(crate) account: Account,
    /// How the request proved it.
    pub(crate) via: Via,
}

/// How a request proves whose it is.
#[derive(Debug, Clone)]
pub(crate) enum Via {
    /// By the cookie of a session; this is its token.
    Session(String),
    /// By a token of the API.
    Token,
}

const ANONYMOUS: &str = "Not authenticated";

impl Identity {
    /// The name for records.
    pub(crate) fn name(&self) -> &str {
        &self.account.username
    }

    /// Whether it may do what `role` may.
    pub(crate) fn is_at_least(&self, role: Role) -> bool {
        self.account.role >= role
    }

    /// Whoever sent the request. Asked once for each request.
    ///
    /// # Errors
    /// [`Error::NotSignedIn`].
    pub(super) async fn of(request: &HttpRequest) -> Result<Rc<Self>, Error> {
        let known = request.extensions().get::<Rc<Self>>().cloned();
        if let Some(identity) = known {
            return Ok(identity);
        }
        let identity = Rc::new(find(request).await?);
        request.extensions_mut().insert(Rc::clone(&identity));
        Ok(identity)
    }
}

async fn find(request: &HttpRequest) -> Result<Identity, Error> {
    let Some(state) = request.app_data::<Data<AppState>>() else {
        return Err(Error::Internal("a route without state".to_owned()));
    };
    if let Some(bearer) = bearer(request) {
        let account = token::account(state, bearer).await?;
        return Ok(Identity { account, via: Via::Token });
    }
    let is_safe = matches!(*request.method(), Method::GET | Method::HEAD);
    if is_program_path(request.path()) && !is_safe {
        // A browser sends its cookie wherever it is made to go; a program that changes something shows a token.
        return Err(Error::NotSignedIn(ANONYMOUS));
    }
    let token = session::token(request).ok_or(Error::NotSignedIn(ANONYMOUS))?;
    let session = state.store.session(&token).await?.ok_or(Error::NotSignedIn(ANONYMOUS))?;
    Ok(Identity { account: session.account, via: Via::Session(token) })
}

fn is_program_path(path: &str) -> bool {
    path.starts_with("/api/") || path == "/tasks" || path.starts_with("/tasks/")
}

fn bearer(request: &HttpRequest) -> Option<&str> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}
