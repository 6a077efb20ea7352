//! Signing in and out, roles, lock-out, links, tokens and forged requests.

use std::time::Duration;

use reqwest::{
    Method, RequestBuilder, Response, StatusCode,
    header::{COOKIE, LOCATION, SET_COOKIE},
};
use scraper::{Html, Selector};
use serde_json::json;
use store::account::Role;
use webserver::Settings;

use crate::app::{App, PASSWORD};

/// A browser: it keeps cookies and sends the headers that browsers send.
struct Browser<'a> {
    app: &'a App,
    cookies: Vec<(String, String)>,
}

impl<'a> Browser<'a> {
    fn new(app: &'a App) -> Self {
        Self { app, cookies: Vec::new() }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = self.app.client.request(method, self.app.url(path)).header("accept", "text/html");
        request.header("sec-fetch-site", "same-origin").header(COOKIE, cookies.join("; "))
    }

    async fn open(&mut self, path: &str) -> Response {
        let answer = self.request(Method::GET, path).send().await.unwrap();
        self.keep(&answer);
        answer
    }

    async fn submit(&mut self, path: &str, fields: &[(&str, &str)]) -> Response {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self
            .request(Method::POST, path)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body);
        let answer = request.send().await.unwrap();
        self.keep(&answer);
        answer
    }

    fn keep(&mut self, answer: &Response) {
        for cookie in answer.headers().get_all(SET_COOKIE) {
            let text = cookie.to_str().unwrap();
            let (name, value) = text.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.retain(|(known, _)| known != name);
            if !value.is_empty() {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    async fn sign_in(&mut self, name: &str, password: &str, next: &str) -> Response {
        let page = self.open(&format!("/sign-in?next={next}")).await.text().await.unwrap();
        let token = field(&page, "csrf");
        self.submit(
            "/sign-in",
            &[("csrf", &token), ("username", name), ("password", password), ("next", &field(&page, "next"))],
        )
        .await
    }
}

fn field(page: &str, name: &str) -> String {
    let input = Selector::parse(&format!("input[name={name}]")).unwrap();
    Html::parse_document(page)
        .select(&input)
        .next()
        .unwrap()
        .value()
        .attr("value")
        .unwrap_or_default()
        .to_owned()
}

fn location(answer: &Response) -> String {
    answer.headers()[LOCATION].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_person_signs_in_and_out() {
    let app = App::start().await;
    app.account("ann", Role::Viewer).await;
    let mut browser = Browser::new(&app);

    let sent_away = browser.open("/dags?q=x").await;
    assert_eq!(
        (sent_away.status(), location(&sent_away)),
        (StatusCode::SEE_OTHER, "/sign-in?next=%2Fdags%3Fq%3Dx".to_owned())
    );
    let answer = browser.sign_in("ann", PASSWORD, "%2Fdags%3Fq%3Dx").await;
    assert_eq!((answer.status(), location(&answer)), (StatusCode::SEE_OTHER, "/dags?q=x".to_owned()));
    let cookie = answer
        .headers()
        .get_all(SET_COOKIE)
        .iter()
        .map(|cookie| cookie.to_str().unwrap())
        .collect::<String>();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax") && !cookie.contains("Secure"),
        "{cookie}"
    );
    let page = browser.open("/dags").await;
    assert_eq!(page.status(), StatusCode::OK);
    let page = page.text().await.unwrap();

    // The cookie opens the API for reading, and only for that.
    assert_eq!(browser.request(Method::GET, "/api/v2/dags").send().await.unwrap().status(), StatusCode::OK);
    let change = browser.request(Method::PATCH, "/api/v2/dags/pipeline").json(&json!({"is_paused": true}));
    assert_eq!(change.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);

    let answer = browser.submit("/sign-out", &[("csrf", &field(&page, "csrf"))]).await;
    assert_eq!(location(&answer), "/sign-in");
    assert_eq!(browser.open("/dags").await.status(), StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn only_paths_of_this_site_are_gone_to() {
    let app = App::start().await;
    app.account("ann", Role::Viewer).await;
    for next in ["https%3A%2F%2Fevil", "%2F%2Fevil", "%2F%5Cevil"] {
        let answer = Browser::new(&app).sign_in("ann", PASSWORD, next).await;
        assert_eq!(location(&answer), "/", "{next}");
    }
}

#[tokio::test]
async fn forged_forms_and_foreign_sites_are_refused() {
    let app = App::start().await;
    app.account("ann", Role::Admin).await;
    let mut browser = Browser::new(&app);
    browser.sign_in("ann", PASSWORD, "").await;
    for token in ["", "AAAA", "x"] {
        let answer = browser.submit("/sign-out", &[("csrf", token)]).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{token}");
    }
    let mut other = Browser::new(&app);
    let theirs = other.open("/sign-in").await.text().await.unwrap();
    let answer = browser.submit("/sign-out", &[("csrf", &field(&theirs, "csrf"))]).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);

    let page = browser.open("/dags").await.text().await.unwrap();
    let good = format!("csrf={}", field(&page, "csrf"));
    for (header, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
    ] {
        let cookies: Vec<String> =
            browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request =
            app.client.post(app.url("/sign-out")).header(COOKIE, cookies.join("; ")).header(header, value);
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(good.clone());
        assert_eq!(request.send().await.unwrap().status(), StatusCode::FORBIDDEN, "{header}: {value}");
    }
    assert_eq!(browser.open("/dags").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn failures_in_a_row_lock_the_account_and_say_nothing_about_it() {
    let settings =
        Settings { sign_in_attempts: 3, lock_out: Duration::from_secs(600), ..Settings::default() };
    let app = App::without_leader(settings).await;
    app.account("ann", Role::Viewer).await;
    let refused = |answer: Response| async move {
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        let page = answer.text().await.unwrap();
        let alert = Selector::parse("[role=alert]").unwrap();
        let text = Html::parse_document(&page).select(&alert).next().unwrap().text().collect::<String>();
        text.trim().to_owned()
    };
    let unknown = refused(Browser::new(&app).sign_in("nobody", PASSWORD, "").await).await;
    let mut texts = vec![unknown];
    for password in ["wrong", "wrong", "wrong", PASSWORD] {
        texts.push(refused(Browser::new(&app).sign_in("ann", password, "").await).await);
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "{texts:?}");
    let entry = json!({"username": "ann", "password": PASSWORD});
    let answer = app.client.post(app.url("/auth/token")).json(&entry).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);

    app.db.execute("UPDATE account SET locked_until = now()").await;
    assert_eq!(Browser::new(&app).sign_in("ann", PASSWORD, "").await.status(), StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_link_signs_in_once() {
    let app = App::start().await;
    let id = app.account("ann", Role::Admin).await;
    let token = app.db.store.create_sign_in_link(id, Duration::from_secs(60)).await.unwrap();
    let path = format!("/auth/link/{token}");
    // A browser that fetches it in advance does not use it up.
    let early =
        app.client.get(app.url(&path)).header("sec-purpose", "prefetch;prerender").send().await.unwrap();
    assert_eq!(early.status(), StatusCode::BAD_REQUEST);

    let mut browser = Browser::new(&app);
    let answer = browser.open(&path).await;
    assert_eq!((answer.status(), location(&answer)), (StatusCode::SEE_OTHER, "/".to_owned()));
    assert_eq!(browser.open("/dags").await.status(), StatusCode::OK);
    let again = Browser::new(&app).open(&path).await;
    assert_eq!(again.status(), StatusCode::UNAUTHORIZED);
    assert!(again.text().await.unwrap().contains("used already"));
}

#[tokio::test]
async fn each_role_may_do_what_it_may() {
    let app = App::start().await;
    let pause = |path: &'static str| (Method::PATCH, path, json!({"is_paused": false}));
    let asks = [
        (Role::Viewer, (Method::GET, "/api/v2/dags", json!(null))),
        (Role::User, pause("/api/v2/dags/pipeline")),
        (Role::Op, (Method::GET, "/api/v2/connections", json!(null))),
        (Role::Admin, (Method::GET, "/api/v2/config", json!(null))),
    ];
    for role in Role::ALL {
        let program = app.program(*role).await;
        for (least, (method, path, body)) in &asks {
            let answer = program.request(method.clone(), path).json(body).send().await.unwrap();
            let wanted = if role >= least { StatusCode::OK } else { StatusCode::FORBIDDEN };
            assert_eq!(answer.status(), wanted, "{role} {path}: {}", answer.text().await.unwrap());
        }
    }
}

#[tokio::test]
async fn a_token_is_good_until_the_password_changes() {
    let app = App::start().await;
    let program = app.program(Role::Viewer).await;
    program.get("/dags").await;
    let good = program.token.clone();
    let forged = [
        String::new(),
        "x".repeat(5_000),
        good[..good.len() - 2].to_owned(),
        // The same statement, signed by nobody.
        format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.", good.split('.').nth(1).unwrap()),
    ];
    for token in forged {
        let answer = app.client.get(app.url("/api/v2/dags")).bearer_auth(&token).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{token:.60}");
        assert_eq!(answer.headers()["www-authenticate"], "Bearer");
    }
    let hash = webserver::hash_password("another password").unwrap();
    app.db.store.set_password("viewer-program", &hash).await.unwrap();
    program.refused("/dags", 401).await;
}
