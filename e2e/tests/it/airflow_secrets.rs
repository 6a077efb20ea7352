//! A task may do with a secret what it likes: nobody sees it, neither in a log nor on a page nor through the API.

use std::{fs, process::Command};

use serde_json::{Value, json};

use crate::{airflow_environment::environment, platform::Standalone};

/// Every kind of sign that somebody escapes somewhere.
const PASSWORD: &str = "p@ss w/ö'\"\\€%+&<1>";
const NESTED: &str = "client.*[secret]+$";
const API_KEY: &str = "k3y=of?the#castle/ü";
const TOKEN: &str = "t0ken\\with\\backslashes";
const MIRRORED: &str = "it's a m1rrored \"phrase\"";
const TASKS: [&str; 8] = ["says", "breaks", "renders", "leaves", "gives", "reads", "plants", "defers"];

/// Everything that answers people and programs, after the run.
fn places() -> Vec<String> {
    let (run, page) = ("/api/v2/dags/leaks/dagRuns/r", "/dags/leaks/runs/r");
    let mut places: Vec<String> = [
        "/api/v2/importErrors",
        "/import-errors",
        "/api/v2/connections",
        "/api/v2/connections/leaky",
        "/connections",
        "/variables",
        "/api/v2/variables/api_key",
        "/api/v2/variables/settings",
        "/api/v2/eventLogs?limit=100",
        "/audit",
        "/dags/leaks",
        "/dags/leaks/graph",
        "/dags/leaks/details",
        "/api/v2/dags/leaks/details",
        "/api/v2/dags/leaks/tasks",
    ]
    .map(str::to_owned)
    .into();
    places.extend([
        run.to_owned(),
        format!("{run}/taskInstances?limit=100"),
        page.to_owned(),
        format!("{page}/graph"),
    ]);
    for task in TASKS {
        let instance = format!("{run}/taskInstances/{task}");
        places.extend(
            ["", "/tries", "/logs/1", "/logs/1?full_content=true", "/xcomEntries"]
                .map(|end| format!("{instance}{end}")),
        );
        places.extend(
            ["", "/log", "/attempts", "/rendered", "/xcom", "/details"]
                .map(|end| format!("{page}/tasks/{task}{end}")),
        );
    }
    for key in ["early", "return_value", "all", "named", "plain"] {
        for end in ["", "?stringify=true"] {
            places.push(format!("{run}/taskInstances/leaves/xcomEntries/{key}{end}"));
        }
    }
    for key in ["return_value", "planted", "by_trigger"] {
        places.push(format!("{run}/taskInstances/gives/xcomEntries/{key}"));
    }
    places.push(format!("{run}/taskInstances/defers/xcomEntries/ended_with"));
    places.extend((0..5).map(|index| format!("{run}/taskInstances/takes/{index}")));
    places.extend((0..5).map(|index| format!("{page}/tasks/takes?map_index={index}")));
    places.push(format!("{page}/tasks/takes/instances"));
    places
}

async fn text(standalone: &Standalone, path: &str) -> String {
    let request = standalone.client.get(format!("{}{path}", standalone.url)).bearer_auth(&standalone.token);
    let answer = request.send().await.unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
    answer.text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_shown_in_any_form() {
    let Some(environment) = environment().await else { return };
    let dags = tempfile::tempdir().unwrap();
    let forms = include_str!("airflow/forms.py");
    fs::write(dags.path().join("forms.py"), forms).unwrap();
    fs::write(dags.path().join("leaking.py"), include_str!("airflow/leaking.py")).unwrap();
    fs::write(dags.path().join("leaks.py"), include_str!("airflow/leaks.py")).unwrap();
    let mut command = Command::new(environment.interpreter());
    command.args(["-c", forms]).args([PASSWORD, NESTED, API_KEY, TOKEN, MIRRORED]);
    let said = command.output().unwrap();
    let forms: Vec<String> = serde_json::from_slice(&said.stdout).unwrap_or_else(|_| panic!("{said:?}"));
    assert!(forms.len() > 40 && forms.iter().any(|form| form == PASSWORD), "{forms:#?}");

    let standalone = Standalone::start(dags.path()).await;
    std::os::unix::fs::symlink(environment.folder(), standalone.folder.path().join("home/python")).unwrap();
    let extra = json!({"sslmode": "require", "nested": {"client_secret": NESTED}}).to_string();
    let connection = json!({"connection_id": "leaky", "conn_type": "postgres", "host": "h", "login": "me", "password": PASSWORD, "extra": extra});
    assert!(standalone.api("POST", "/connections", Some(connection)).await.0.is_success());
    let mirrored: String = MIRRORED.chars().rev().collect();
    let settings = json!({"deep": [{"token": TOKEN}]}).to_string();
    for (key, value) in
        [("api_key", API_KEY), ("mirrored", mirrored.as_str()), ("settings", settings.as_str())]
    {
        let (status, answer) =
            standalone.api("POST", "/variables", Some(json!({"key": key, "value": value}))).await;
        assert!(status.is_success(), "{answer:#}");
    }
    fs::write(dags.path().join("leaks_at_once.py"), include_str!("airflow/leaks_at_once.py")).unwrap();
    standalone.until("the DAG is known", "/dags/leaks", |answer| answer["dag_id"] == "leaks").await;
    let shown = |answer: &Value| answer.to_string().contains("ValueError");
    standalone.until("the bad file is told of", "/importErrors", shown).await;
    let body = json!({"dag_run_id": "r", "logical_date": null});
    assert!(standalone.api("POST", "/dags/leaks/dagRuns", Some(body)).await.0.is_success());
    let ended = |answer: &Value| answer["state"] == "success" || answer["state"] == "failed";
    standalone.until("the run ended", "/dags/leaks/dagRuns/r", ended).await;

    for place in places() {
        let text = text(&standalone, &place).await;
        let found: Vec<&String> = forms.iter().filter(|form| text.contains(form.as_str())).collect();
        assert!(found.is_empty(), "{place} shows {found:#?}\n{text}");
    }
    check_that_all_was_tried(&standalone).await;
}

/// What is not there cannot be found: each form has come where stars are now, and tasks have the secrets themselves.
async fn check_that_all_was_tried(standalone: &Standalone) {
    let task = "/api/v2/dags/leaks/dagRuns/r/taskInstances";
    let log = text(standalone, &format!("{task}/says/logs/1")).await;
    for kind in [
        "plain",
        "repr",
        "ascii",
        "bytes",
        "json in json",
        "quote_plus",
        "html",
        "hex",
        "base64",
        "uri",
        "basic",
        "error",
    ] {
        for name in ["password", "extra", "variable", "json", "masked"] {
            for way in ["print", "stderr", "log"] {
                let begin = format!("{way} {name} by {kind}: ");
                let line = log.split(&begin).nth(1).unwrap_or_else(|| panic!("no {begin:?} in {log}"));
                let line = line.split('|').next().unwrap();
                assert!(line.contains("***"), "{begin}{line}");
            }
        }
    }
    for way in ["written", "child", "halves"] {
        assert_eq!(log.matches(&format!("{way} ")).count(), 5, "{log}");
    }
    let broken = text(standalone, &format!("{task}/breaks/logs/1")).await;
    assert!(
        broken.contains("KeyError") && broken.contains("RuntimeError") && broken.contains("***"),
        "{broken}"
    );
    let rendered = text(standalone, &format!("{task}/renders")).await;
    assert!(rendered.contains("postgres://me:***@h"), "{rendered}");
    let xcom = async |of: &str| {
        let (instance, key) = of.split_once('/').unwrap();
        let path = format!("/dags/leaks/dagRuns/r/taskInstances/{instance}/xcomEntries/{key}");
        standalone.api("GET", &path, None).await.1["value"].clone()
    };
    let stars = json!({"password": "***", "extra": "***", "variable": "***", "json": "***", "masked": "***"});
    assert_eq!(xcom("leaves/named").await, stars);
    assert_eq!(xcom("gives/planted").await, stars);
    assert_eq!(xcom("gives/by_trigger").await, json!({"it is": "***"}));
    assert_eq!(xcom("defers/ended_with").await, json!(["***"]));
    assert_eq!(
        (xcom("reads/return_value").await, xcom("plants/return_value").await),
        (true.into(), true.into())
    );
    for (index, name) in ["password", "extra", "variable", "json", "masked"].iter().enumerate() {
        assert_eq!(xcom(&format!("takes/return_value?map_index={index}")).await, json!([name]));
    }
}
