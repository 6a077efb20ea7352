//! Requests that ask for what must not be had: names that try to climb out, bodies without end, wrong passwords.

use serde_json::{Value, json};

use crate::{
    platform::{PASSWORD, Platform},
    raw::Answer,
};

/// Most bytes of a body.
const LIMIT: usize = 1 << 20;

/// No name leads out of its folder, into an error of ours, or to a page without a way back.
pub async fn tricks_with_names_lead_nowhere(platform: &Platform) {
    let (long, endless) = ("x".repeat(300), "x".repeat(9_000));
    let tricks = [
        "..",
        "../..",
        "%2e%2e",
        "%2e%2e%2fetc%2fpasswd",
        "..%5c..",
        "a%00b",
        "%00",
        "%ff",
        "a%0ab",
        ".",
        &long,
        &endless,
    ];
    for trick in tricks {
        programs_find_nothing(platform, trick).await;
        people_find_nothing(platform, trick).await;
        let searched = get(platform, &format!("/dags?search={trick}"), "text/html").await;
        assert_eq!(searched.status, 200, "{searched:?}");
    }
    let page = get(platform, "/dags/lost/runs/r/tasks/undefined?map_index=..", "text/html").await;
    assert_eq!(page.status, 400, "{page:?}");
    assert!(page.prose().contains("A value behind the ? of this address is wrong"), "{page:?}");
    let stats = get(platform, "/api/v2/dagStats?dag_ids=%00", "application/json").await;
    assert!(stats.status < 500, "{stats:?}");
}

async fn programs_find_nothing(platform: &Platform, trick: &str) {
    let instance = "/api/v2/dags/lost/dagRuns/r/taskInstances";
    for path in [
        format!("/api/v2/dags/{trick}"),
        format!("/api/v2/dags/lost/dagRuns/{trick}"),
        format!("{instance}/{trick}"),
        format!("{instance}/{trick}/logs/1"),
        format!("{instance}/undefined/xcomEntries/{trick}"),
        format!("/api/v2/pools/{trick}"),
        format!("/api/v2/variables/{trick}"),
        format!("/api/v2/connections/{trick}"),
    ] {
        let answer = get(platform, &path, "application/json").await;
        // What has a NUL in it is no text for the records.
        let is_refused = answer.status == 404 || (trick.contains("%00") && answer.status == 400);
        assert!(is_refused, "{path:.100}: {answer:?}");
        assert!(detail(&answer).len() < 1_200, "{path:.100}: {answer:?}");
    }
}

async fn people_find_nothing(platform: &Platform, trick: &str) {
    let run = "/dags/lost/runs/r";
    for path in [
        format!("/dags/{trick}"),
        format!("/dags/{trick}/graph"),
        format!("/dags/lost/runs/{trick}"),
        format!("{run}/tasks/{trick}"),
        format!("{run}/tasks/{trick}/log"),
        format!("{run}/tasks/undefined/artifacts/{trick}"),
        format!("/static/{trick}"),
    ] {
        let page = get(platform, &path, "text/html").await;
        assert_eq!(page.status, 404, "{path:.100}: {page:?}");
        assert!(page.body.contains("<h1>Not found</h1>") && page.body.contains("href=\"/dags\""), "{page:?}");
        assert!(page.body.len() < 6_000, "{path:.100}: {}", page.body.len());
    }
}

/// Bodies that are too long, are not what they should be, or name what cannot be.
pub async fn bodies_are_refused(platform: &Platform) {
    let long = json!({"key": "k", "value": "x".repeat(LIMIT)}).to_string();
    let too_long = format!("the body is longer than the {LIMIT} bytes that are accepted");
    for path in ["/api/v2/variables", "/tasks", "/auth/token"] {
        let answer = post(platform, path, "application/json", long.as_bytes()).await;
        assert_eq!((answer.status, detail(&answer)), (413, json!(too_long).to_string()), "{path}");
    }
    let form = format!("csrf=x&key={}", "x".repeat(LIMIT));
    let page = post(platform, "/variables", "application/x-www-form-urlencoded", form.as_bytes()).await;
    assert_eq!(page.status, 413, "{page:?}");
    assert!(
        page.body.contains("<h1>Too much at once</h1>") && page.body.contains(&too_long[1..]),
        "{page:?}"
    );

    let not_a_name = "'/' is not allowed, use letters, digits";
    for (path, body, status, words) in [
        ("/api/v2/dags/lost/dagRuns", json!({"logical_date": null, "dag_run_id": "../x"}), 400, not_a_name),
        (
            "/api/v2/dags/lost/clearTaskInstances",
            json!({"dag_run_id": "r", "task_ids": ["../x"]}),
            422,
            "id of a task",
        ),
        ("/api/v2/pools", json!({"name": "../x", "slots": 1}), 422, not_a_name),
        (
            "/api/v2/connections",
            json!({"connection_id": "../x", "conn_type": "http"}),
            422,
            "is made of letters, digits",
        ),
        (
            "/api/v2/connections",
            json!({"connection_id": "\0", "conn_type": "http"}),
            422,
            "is made of letters, digits",
        ),
        ("/api/v2/variables", json!({"key": "a\0", "value": "x"}), 400, "NUL"),
        ("/tasks", json!({"name": "../x"}), 422, not_a_name),
        ("/tasks", json!({"name": "x", "dependancies": []}), 422, "`dependencies`"),
    ] {
        let answer = post(platform, path, "application/json", body.to_string().as_bytes()).await;
        assert_eq!(answer.status, status, "{path} {body}: {answer:?}");
        assert!(detail(&answer).contains(words), "{path} {body}: no {words:?} in {answer:?}");
    }
}

/// At the sign-in page and for a token.
pub async fn wrong_passwords_are_refused(platform: &Platform) {
    let body = json!({"username": "admin", "password": "wrong"}).to_string();
    let answer = post(platform, "/auth/token", "application/json", body.as_bytes()).await;
    assert_eq!((answer.status, detail(&answer)), (401, json!("Invalid credentials").to_string()));
    for username in ["admin", "nobody", "%00"] {
        let page = sign_in(platform, username, "wrong").await;
        assert!(page.status == 401 || (username == "%00" && page.status == 400), "{page:?}");
        assert!(page.body.contains("User name or password is wrong.") || username == "%00", "{page:?}");
    }
    let page = sign_in(platform, "admin", &PASSWORD.replace(' ', "+")).await;
    assert_eq!((page.status, page.header("location").next()), (303, Some("/")), "{page:?}");
    let stranger = platform.send_raw("GET /api/v2/dags", &[("Authorization", "Bearer x")], b"").await;
    assert_eq!(stranger.status, 401, "{stranger:?}");
}

/// The platform runs, and then its database is gone: nothing is invented, and nobody waits for long.
pub async fn a_database_that_is_gone_is_named(platform: &mut Platform) {
    platform.stop_postgres().await;
    let answer = get(platform, "/api/v2/dags", "application/json").await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(detail(&answer).contains("try again in a moment"), "{answer:?}");
    let page = get(platform, "/dags", "text/html").await;
    assert!(page.status == 503 && page.body.contains("<h1>Not available right now</h1>"), "{page:?}");
    let health = get(platform, "/api/v2/monitor/health", "application/json").await;
    let health: Value = serde_json::from_str(&health.body).unwrap();
    assert_eq!(health["metadatabase"]["status"], "unhealthy");
}

async fn get(platform: &Platform, path: &str, accept: &str) -> Answer {
    let headers = [("Authorization", &*platform.authorization()), ("Accept", accept)];
    platform.send_raw(&format!("GET {path}"), &headers, b"").await
}

async fn post(platform: &Platform, path: &str, kind: &str, body: &[u8]) -> Answer {
    let accept = if kind.contains("json") { "application/json" } else { "text/html" };
    let authorization = platform.authorization();
    let headers = [("Authorization", &*authorization), ("Accept", accept), ("Content-Type", kind)];
    platform.send_raw(&format!("POST {path}"), &headers, body).await
}

/// Takes the form as a browser gets it, and sends it.
async fn sign_in(platform: &Platform, username: &str, password: &str) -> Answer {
    let page = platform.send_raw("GET /sign-in", &[("Accept", "text/html")], b"").await;
    let token =
        page.body.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let cookies: Vec<&str> =
        page.header("set-cookie").map(|cookie| cookie.split(';').next().unwrap()).collect();
    let body = format!("csrf={token}&username={username}&password={password}");
    let kind = "application/x-www-form-urlencoded";
    let headers = [("Accept", "text/html"), ("Content-Type", kind), ("Cookie", &*cookies.join("; "))];
    platform.send_raw("POST /sign-in", &headers, body.as_bytes()).await
}

/// The error's words, as JSON.
fn detail(answer: &Answer) -> String {
    let body: Value =
        serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"));
    assert!(!body["detail"].is_null(), "{answer:?}");
    body["detail"].to_string()
}
