//! Timetables and weight rules that plugins bring: what they say is compared with what we make of it.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

use crate::{airflow_environment::environment, platform::Standalone, servers::tradewind};

const PLUGINS: &str = "TRADEWIND_AIRFLOW_PLUGINS_FOLDER";
/// Runs that the API tells at once.
const PAGE: usize = 100;

/// What the timetable says itself, by DAG.
fn said(interpreter: &Path) -> Value {
    let output = Command::new(interpreter).args(["-c", include_str!("airflow/said.py")]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let last = text.lines().next_back().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {text} {:?}", output.stderr))
}

async fn runs(standalone: &Standalone, dag_id: &str, count: usize) -> Vec<Value> {
    let path =
        |offset: usize| format!("/dags/{dag_id}/dagRuns?limit={PAGE}&offset={offset}&order_by=logical_date");
    let has_all = |answer: &Value| answer["total_entries"].as_u64() >= Some(count as u64);
    standalone.until("the runs were created", &path(0), has_all).await;
    let mut found = Vec::new();
    for offset in (0..=count).step_by(PAGE) {
        let (_, page) = standalone.api("GET", &path(offset), None).await;
        found.extend_from_slice(page["dag_runs"].as_array().unwrap());
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_says_when_runs_are_due_and_what_tasks_weigh() {
    let Some(environment) = environment().await else { return };
    let (dags, plugins) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(plugins.path().join("shop.py"), include_str!("airflow/plugins/shop.py")).unwrap();
    for (name, text) in [
        ("shop_dags.py", include_str!("airflow/shop.py")),
        ("unknown.py", include_str!("airflow/unknown.py")),
        ("fails.py", include_str!("airflow/fails.py")),
        ("hangs.py", include_str!("airflow/hangs.py")),
    ] {
        fs::write(dags.path().join(name), text).unwrap();
    }
    let standalone = Standalone::start_with(dags.path(), &[(PLUGINS, plugins.path())]).await;
    std::os::unix::fs::symlink(environment.folder(), standalone.folder.path().join("home/python")).unwrap();
    let said = said(&environment.interpreter());

    let found = runs(&standalone, "workdays", 10).await;
    let dates = |run: &Value| json!([run["data_interval_start"], run["data_interval_end"], run["run_after"]]);
    assert_eq!(found.iter().map(dates).collect::<Value>(), said["workdays"]);
    assert_eq!(found.len(), 10);
    assert_eq!(found[0]["dag_run_id"], "scheduled__2021-01-02T00:00:00+00:00");

    check_weights(&standalone).await;
    check_next(&standalone, &said["from_now_on"]).await;
    check_by_hand(&standalone, &said["by_hand"]).await;
    check_names(&standalone).await;
    check_backfill(&standalone, &said["workdays"]).await;
    check_steps(&standalone).await;
    check_errors(&standalone).await;
}

async fn check_weights(standalone: &Standalone) {
    let (_, tasks) = standalone.api("GET", "/dags/workdays/tasks", None).await;
    let weight = |task: &Value| (task["task_id"].clone(), task["priority_weight"].clone());
    let weights: Vec<_> = tasks["tasks"].as_array().unwrap().iter().map(weight).collect();
    assert!(weights.contains(&(json!("tires"), json!(4))), "3 - 0 + 1, as before its first try: {weights:?}");
    assert!(weights.contains(&(json!("counts"), json!(42))), "{weights:?}");
}

async fn check_next(standalone: &Standalone, said: &Value) {
    let first = &said[0];
    let path = "/dags/from_now_on";
    let is_known = |answer: &Value| answer["next_dagrun_run_after"].is_string();
    let found = standalone.until("its next run is known", path, is_known).await;
    let keys = ["next_dagrun_data_interval_start", "next_dagrun_data_interval_end", "next_dagrun_run_after"];
    assert_eq!(keys.iter().map(|key| found[*key].clone()).collect::<Value>(), *first, "{found:#}");

    let mut command = Command::new(tradewind());
    command.args(["dags", "next-execution", "from_now_on", "--num-executions", "3", "--output", "json"]);
    let output = command.env("TRADEWIND_HOME", standalone.folder.path().join("home")).output().unwrap();
    let told: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let after: Value = said.as_array().unwrap().iter().map(|run| run[2].clone()).collect();
    assert_eq!(told[0]["executions"], after);
}

/// A run without a date needs no data interval; that of one with a date only the timetable knows.
async fn check_by_hand(standalone: &Standalone, said: &Value) {
    let start = async |body: Value| standalone.api("POST", "/dags/from_now_on/dagRuns", Some(body)).await;
    let (status, answer) = start(json!({"logical_date": null})).await;
    assert!(status.is_success(), "{status} {answer:#}");
    let date = "2021-01-05T07:00:00Z";
    let (status, answer) = start(json!({"logical_date": date})).await;
    assert!(status.is_success(), "{status} {answer:#}");
    assert_eq!(json!([answer["data_interval_start"], answer["data_interval_end"]]), *said);
    let (from, to) = ("2021-01-04T00:00:00Z", "2021-01-05T00:00:00Z");
    let other = "2021-01-06T07:00:00Z";
    let given = json!({"logical_date": other, "data_interval_start": from, "data_interval_end": to});
    let (status, answer) = start(given).await;
    assert!(status.is_success(), "{status} {answer:#}");
    assert_eq!(answer["data_interval_start"], from);
}

/// Runs are called as the timetable calls them; one that it needs is nobody else's.
async fn check_names(standalone: &Standalone) {
    let found = runs(standalone, "named", 3).await;
    let names: Vec<&str> = found.iter().map(|run| run["dag_run_id"].as_str().unwrap()).collect();
    assert_eq!(names, ["scheduled.00-00", "scheduled.00-01", "scheduled.00-02"]);
    let body = json!({"logical_date": null});
    let (status, answer) = standalone.api("POST", "/dags/named/dagRuns", Some(body)).await;
    assert!(status.is_success() && answer["dag_run_id"] == "manual.no_time", "{status} {answer:#}");
    let body = json!({"logical_date": "2021-01-01T05:00:00Z"});
    let (status, answer) = standalone.api("POST", "/dags/named/dagRuns", Some(body)).await;
    assert!(status.is_client_error() && answer.to_string().contains("shop.Named"), "{status} {answer:#}");
}

/// The dates of a backfill are those that the timetable names.
async fn check_backfill(standalone: &Standalone, said: &Value) {
    let body = json!({"dag_id": "from_now_on", "from_date": "2021-01-01T00:00:00Z", "to_date": "2021-01-07T00:00:00Z"});
    let (status, dry) = standalone.api("POST", "/backfills/dry_run", Some(body.clone())).await;
    assert!(status.is_success(), "{status} {dry:#}");
    let dates = |rows: &[Value], key: &str| rows.iter().map(|row| row[key].clone()).collect::<Vec<_>>();
    let named: Vec<Value> = said.as_array().unwrap()[..].iter().map(|run| run[0].clone()).collect();
    let expected: Vec<Value> =
        named.into_iter().filter(|date| date.as_str() <= Some("2021-01-07T00:00:00Z")).collect();
    assert_eq!(dates(dry["backfills"].as_array().unwrap(), "logical_date"), expected);
    let (status, made) = standalone.api("POST", "/backfills", Some(body)).await;
    assert!(status.is_success(), "{status} {made:#}");
    let path = format!("/backfills/{}", made["id"]);
    standalone.until("the backfill is over", &path, |found| found["completed_at"].is_string()).await;
    let (_, runs) = standalone
        .api("GET", "/dags/from_now_on/dagRuns?run_type=backfill&order_by=logical_date", None)
        .await;
    assert_eq!(dates(runs["dag_runs"].as_array().unwrap(), "logical_date"), expected);
    assert_eq!(runs["dag_runs"][0]["dag_run_id"], "backfill__2021-01-02T00:00:00+00:00");
}

/// More runs than one answer holds: it is asked again. One that hangs is left where it hung.
async fn check_steps(standalone: &Standalone) {
    let found = runs(standalone, "steps", 230).await;
    assert_eq!(found.len(), 230);
    for (minute, run) in found.iter().enumerate() {
        assert_eq!(run["logical_date"], format!("2021-01-01T{:02}:{:02}:00Z", minute / 60, minute % 60));
    }
    assert_eq!(found[229]["run_after"], "2021-01-01T03:50:30Z");
    assert_eq!(runs(standalone, "hangs", 2).await.len(), 2);
    let (_, hangs) = standalone.api("GET", "/dags/hangs", None).await;
    let words = hangs["timetable_description"].as_str().unwrap();
    assert!(words.contains("Step by step") && words.contains("longer than 5 seconds"), "{words}");
    let (_, versions) = standalone.api("GET", "/dags/steps/dagVersions", None).await;
    assert_eq!(versions["total_entries"], 1, "another answer is no new version: {versions:#}");
}

async fn check_errors(standalone: &Standalone) {
    let two = |answer: &Value| answer["total_entries"] == 2;
    let found = standalone.until("two files cannot be used", "/importErrors", two).await;
    let told = |file: &str| {
        let errors = found["import_errors"].as_array().unwrap();
        let error = errors.iter().find(|error| error["filename"].as_str().unwrap().ends_with(file));
        error.unwrap_or_else(|| panic!("{file}: {found:#}")).to_string()
    };
    assert!(told("unknown.py").contains("'shop.Unknown' is not registered"), "{}", told("unknown.py"));
    assert!(told("fails.py").contains("LookupError: no scales"), "{}", told("fails.py"));
}
