//! The button that changes the theme, for readers without scripts.

use std::future::ready;

use actix_web::{
    HttpRequest, HttpResponse,
    cookie::{Cookie, SameSite, time::Duration},
    http::header::LOCATION,
};
use serde::Deserialize;

use super::{parts::Theme, visit::back};
use crate::auth::Form;

/// Where to go afterwards.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Plain {
    back: Option<String>,
}

/// Goes on to the next theme: as the system, light, dark.
pub(crate) async fn change(request: HttpRequest, form: Form<Plain>) -> HttpResponse {
    let now = request.cookie(Theme::COOKIE).map_or(Theme::Auto, |cookie| Theme::parse(cookie.value()));
    // A script writes the same cookie, so it is one that scripts can read.
    let cookie = Cookie::build(Theme::COOKIE, now.next().name())
        .path("/")
        .same_site(SameSite::Lax)
        .max_age(Duration::days(365))
        .finish();
    let path = back(form.0.back.as_deref(), "/dags");
    ready(HttpResponse::SeeOther().insert_header((LOCATION, path)).cookie(cookie).finish()).await
}
