//! A person with a browser: opens pages, presses buttons, reads what is there.

use std::time::Duration;

use reqwest::{
    Method, Response,
    header::{COOKIE, LOCATION, SET_COOKIE},
};
use scraper::{ElementRef, Html, Selector};
use store::account::Role;

use crate::app::App;

/// A signed-in person. Scripts do not run in this browser.
pub(super) struct Browser<'a> {
    app: &'a App,
    cookies: Vec<(String, String)>,
}

/// An answer as the browser shows it.
pub(super) struct Page {
    pub(super) status: u16,
    pub(super) path: String,
    pub(super) html: Html,
    pub(super) text: String,
}

impl<'a> Browser<'a> {
    /// A person with this role, already signed in.
    pub(super) async fn of(app: &'a App, role: Role) -> Self {
        let id = app.account(&format!("{role}-person"), role).await;
        let token = app.db.store.create_session(id, Duration::from_secs(600)).await.unwrap();
        Self { app, cookies: vec![("tradewind_session".to_owned(), token)] }
    }

    /// Opens an address and follows where it leads.
    pub(super) async fn open(&mut self, path: &str) -> Page {
        let answer = self.send(Method::GET, path, None, None).await;
        self.follow(path, answer).await
    }

    /// Asks for one part of a page, as its script does.
    pub(super) async fn part(&mut self, path: &str, name: &str) -> Page {
        let answer = self.send(Method::GET, path, None, Some(name)).await;
        assert_eq!(answer.headers()["vary"].to_str().unwrap(), "X-Fragment");
        page(path, answer).await
    }

    /// Sends the form that `selector` finds on the page, with `changes` to its fields, and follows where it leads.
    pub(super) async fn submit(&mut self, page: &Page, selector: &str, changes: &[(&str, &str)]) -> Page {
        let form = page.one(selector);
        let action = form.attr("action").unwrap_or(&page.path).to_owned();
        let mut fields = fields(form);
        for (name, value) in changes {
            fields.retain(|(known, _)| known != name);
            fields.push(((*name).to_owned(), (*value).to_owned()));
        }
        self.post(&action, &fields).await
    }

    /// Sends fields to an address and follows where it leads.
    pub(super) async fn post(&mut self, path: &str, fields: &[(String, String)]) -> Page {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let answer = self.send(Method::POST, path, Some(body), None).await;
        self.follow(path, answer).await
    }

    pub(super) fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    async fn follow(&mut self, path: &str, mut answer: Response) -> Page {
        let mut path = path.to_owned();
        for _ in 0..5 {
            let Some(next) = answer.headers().get(LOCATION) else {
                break;
            };
            path = next.to_str().unwrap().to_owned();
            answer = self.send(Method::GET, &path, None, None).await;
        }
        page(&path, answer).await
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Option<String>,
        part: Option<&str>,
    ) -> Response {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = self.app.client.request(method, self.app.url(path)).header("accept", "text/html");
        request = request.header("sec-fetch-site", "same-origin").header(COOKIE, cookies.join("; "));
        if let Some(name) = part {
            request = request.header("x-fragment", name);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        }
        let answer = request.send().await.unwrap();
        for cookie in answer.headers().get_all(SET_COOKIE) {
            let (name, value) = cookie.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.retain(|(known, _)| known != name);
            if !value.is_empty() {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        answer
    }
}

impl Page {
    /// The only element that the selector finds.
    pub(super) fn one(&self, selector: &str) -> ElementRef<'_> {
        let found = self.all(selector);
        assert_eq!(found.len(), 1, "{selector} on {}: {}", self.path, self.text);
        found[0]
    }

    pub(super) fn all(&self, selector: &str) -> Vec<ElementRef<'_>> {
        self.html.select(&Selector::parse(selector).unwrap()).collect()
    }

    pub(super) fn has(&self, selector: &str) -> bool {
        !self.all(selector).is_empty()
    }

    /// The words of each element that the selector finds.
    pub(super) fn words(&self, selector: &str) -> Vec<String> {
        self.all(selector).into_iter().map(words).collect()
    }

    /// The words of the only element that the selector finds.
    pub(super) fn said(&self, selector: &str) -> String {
        words(self.one(selector))
    }

    /// An attribute of the only element that the selector finds.
    pub(super) fn attr(&self, selector: &str, name: &str) -> String {
        self.one(selector).attr(name).unwrap_or_default().to_owned()
    }
}

async fn page(path: &str, answer: Response) -> Page {
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    Page { status, path: path.to_owned(), html: Html::parse_document(&text), text }
}

fn words(element: ElementRef<'_>) -> String {
    element.text().collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a browser sends of a form that nobody touched.
fn fields(form: ElementRef<'_>) -> Vec<(String, String)> {
    let inputs = Selector::parse("input[name], textarea[name], select[name]").unwrap();
    form.select(&inputs).filter_map(field).collect()
}

fn field(input: ElementRef<'_>) -> Option<(String, String)> {
    let name = input.attr("name")?.to_owned();
    let value = match input.value().name() {
        "textarea" => input.text().collect(),
        "select" => {
            let options = input.select(&Selector::parse("option").unwrap()).collect::<Vec<_>>();
            let chosen =
                options.iter().find(|option| option.attr("selected").is_some()).or(options.first())?;
            chosen.attr("value").map_or_else(|| chosen.text().collect(), str::to_owned)
        }
        _ if input.attr("type") == Some("checkbox") => {
            input.attr("checked")?;
            input.attr("value").unwrap_or("on").to_owned()
        }
        _ => input.attr("value").unwrap_or_default().to_owned(),
    };
    Some((name, value))
}
