//! One person's look at one page: who, when, which part of it, and everything that every page needs.

use actix_web::{
    FromRequest, HttpRequest, HttpResponse,
    cookie::{Cookie, SameSite, time::Duration},
    dev::Payload,
    http::header::{LOCATION, VARY},
    web::Data,
};
use chrono::{DateTime, Utc};
use futures_util::{FutureExt, future::LocalBoxFuture};
use store::{account::Role, view::page_shell::MOST_QUESTIONS};

use super::{
    parts::{Mood, Notice, Shell, Theme},
    paths,
    shelf::Shelf,
};
use crate::{
    AppState,
    auth::{self, Viewer},
    error::Error,
    static_files,
};

/// Names the one part of a page that is asked for.
const FRAGMENT: &str = "X-Fragment";
/// Carries the news of an action to the page that follows it.
const NOTICE: &str = "tradewind_notice";
/// Longest news, in bytes; a cookie has room for 4096.
const LONGEST_NOTICE: usize = 1_000;

/// See the module's documentation. Taking one as an argument lets only people in who are signed in.
#[derive(Clone)]
pub(crate) struct Visit {
    /// Everything a handler can reach.
    pub(crate) state: Data<AppState>,
    /// Whoever is asking.
    pub(crate) viewer: Viewer,
    /// The moment for which the page is made.
    pub(crate) now: DateTime<Utc>,
    shelf: Data<Shelf>,
    request: HttpRequest,
}

impl FromRequest for Visit {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        async move {
            let viewer = Viewer::extract(&request).await?;
            let missing = || Error::Internal("a page without state".to_owned());
            let state = request.app_data::<Data<AppState>>().ok_or_else(missing)?.clone();
            let shelf = request.app_data::<Data<Shelf>>().ok_or_else(missing)?.clone();
            Ok(Self { now: state.clock.now(), state, viewer, shelf, request })
        }
        .boxed_local()
    }
}

impl Visit {
    /// DAG versions and graphs that are known already.
    pub(crate) fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// The part of the page that is asked for; the whole page when there is none.
    pub(crate) fn fragment(&self) -> Option<&str> {
        self.request.headers().get(FRAGMENT).and_then(|name| name.to_str().ok())
    }

    /// The page's own address, with its query.
    pub(crate) fn path(&self) -> String {
        self.request.uri().path_and_query().map(ToString::to_string).unwrap_or_default()
    }

    /// The frame around a page of the navigation's entry `section`. A part of a page is shown without it and costs nothing.
    ///
    /// # Errors
    /// Only when the database fails.
    pub(crate) async fn shell(&self, section: &'static str) -> Result<Shell, Error> {
        let health = match self.fragment() {
            Some(_) => None,
            None => Some(self.state.store.shell_facts(self.viewer.name()).await?),
        };
        let notice = self.notice().filter(|_| health.is_some());
        Ok(Shell {
            theme: self
                .request
                .cookie(Theme::COOKIE)
                .map_or(Theme::Auto, |cookie| Theme::parse(cookie.value())),
            user: Some(self.viewer.name().to_owned()),
            csrf: auth::csrf(&self.state, &self.viewer),
            can_act: self.viewer.is_at_least(Role::User),
            can_operate: self.viewer.is_at_least(Role::Op),
            section,
            notices: notice.into_iter().collect(),
            alerts: health.as_ref().map(alerts).unwrap_or_default(),
            import_errors: health.map_or(0, |health| health.broken_files),
            open_questions: health.map_or_else(String::new, |health| questions(health.open_questions)),
            version: env!("CARGO_PKG_VERSION"),
            assets: static_files::version(),
            path: self.path(),
        })
    }

    /// The page as an answer.
    ///
    /// # Errors
    /// When the template could not be filled in.
    pub(crate) fn answer(&self, html: askama::Result<String>) -> Result<HttpResponse, Error> {
        let mut response = HttpResponse::Ok();
        response.content_type("text/html; charset=utf-8").insert_header((VARY, FRAGMENT));
        if self.fragment().is_none() && self.notice().is_some() {
            response.cookie(notice_cookie(String::new(), Duration::ZERO));
        }
        Ok(response.body(html?))
    }

    /// As [`Visit::answer`], for a form that was sent and cannot be accepted.
    ///
    /// # Errors
    /// When the template could not be filled in.
    pub(crate) fn refuse(&self, html: askama::Result<String>) -> Result<HttpResponse, Error> {
        Ok(HttpResponse::UnprocessableEntity().content_type("text/html; charset=utf-8").body(html?))
    }

    fn notice(&self) -> Option<Notice> {
        let cookie = self.request.cookie(NOTICE)?;
        let (kind, text) = cookie.value().split_once(':')?;
        let text = url::form_urlencoded::parse(format!("t={text}").as_bytes()).next()?.1.into_owned();
        (!text.is_empty()).then(|| Notice { kind: Mood::parse(kind), text })
    }
}

/// Sends a person on to a page that tells them what became of what they did.
pub(crate) fn go(path: &str, kind: Mood, text: &str) -> HttpResponse {
    let shown: String = text
        .chars()
        .scan(0, |bytes, c| {
            *bytes += paths::segment(c.encode_utf8(&mut [0; 4])).len();
            (*bytes <= LONGEST_NOTICE).then_some(c)
        })
        .collect();
    let value = format!("{}:{}", kind.name(), paths::segment(&shown));
    HttpResponse::SeeOther()
        .insert_header((LOCATION, path))
        .cookie(notice_cookie(value, Duration::minutes(1)))
        .finish()
}

/// The page that a form named to go back to, when it is one of ours; else `otherwise`.
pub(crate) fn back(wanted: Option<&str>, otherwise: &str) -> String {
    wanted.filter(|path| auth::is_local(path)).unwrap_or(otherwise).to_owned()
}

fn notice_cookie(value: String, age: Duration) -> Cookie<'static> {
    Cookie::build(NOTICE, value).path("/").http_only(true).same_site(SameSite::Lax).max_age(age).finish()
}

/// How many questions there are; nothing when there are none.
fn questions(count: i64) -> String {
    match count {
        ..=0 => String::new(),
        MOST_QUESTIONS.. => format!("{}+", MOST_QUESTIONS - 1),
        _ => count.to_string(),
    }
}

fn alerts(facts: &store::view::page_shell::ShellFacts) -> Vec<String> {
    let mut alerts = Vec::new();
    if !facts.has_scheduler {
        alerts.push(
            "No scheduler is running: nothing new starts, and what you ask for waits until there is one."
                .to_owned(),
        );
    }
    if !facts.has_worker {
        alerts.push("No worker is running: tasks that are ready wait until there is one.".to_owned());
    }
    alerts
}
