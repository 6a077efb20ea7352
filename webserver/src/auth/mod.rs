//! Who is asking, and what they may do.
//!
//! A browser signs in and gets a session: a random token in a cookie whose hash is in the store. A program gets a token of
//! the API for name and password. Either way a request turns into an [`Identity`], and the guards [`Viewer`], [`User`],
//! [`Operator`] and [`Admin`] are identities that may do so much: a handler that takes one cannot be reached without.

mod form;
mod guard;
mod identity;
pub(crate) mod keys;
pub(crate) mod password;
mod session;
mod sign_in;
mod token;

use actix_web::web::{self, ServiceConfig};

pub(crate) use form::{Form, csrf};
pub(crate) use guard::{Admin, Operator, User, Viewer};
pub(crate) use identity::{Identity, Via};
pub(crate) use sign_in::is_local;

/// Sign-in, sign-out, one-time links and tokens.
pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .route("/sign-in", web::get().to(sign_in::show))
        .route("/sign-in", web::post().to(sign_in::enter))
        .route("/sign-out", web::post().to(sign_in::leave))
        .route("/auth/link/{token}", web::get().to(sign_in::ask_about_link))
        .route("/auth/link/{token}", web::post().to(sign_in::use_link))
        .route("/auth/token", web::post().to(token::create))
        .route("/auth/token/cli", web::post().to(token::create));
}
