//! Commands beside a running `standalone` of the same home.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Stdio},
    time::Instant,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;

use crate::binary::{LONG, Place, ended_in_time};

const DAG: &str = r#"
dag_id: shaky
params:
  fail: {type: boolean, default: false}
tasks:
  first: {bash: echo one}
  second: {depends_on: first, bash: "test {{ params.fail }} = False || test -e mended"}
  third: {depends_on: second, bash: echo three}
"#;

pub struct Standalone(Option<Child>);

impl Standalone {
    /// Starts it and waits until it says that it is ready. Nobody reads on from there, which must not trouble it.
    pub fn start(place: &Place) -> Self {
        let mut command = place.command(&["standalone", "--port", "0", "--dags", "dags"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("ready")));
        assert!(ready.is_some(), "standalone ended with {:?}", child.wait());
        Self(Some(child))
    }

    pub fn stop(mut self) {
        let child = self.0.take().unwrap();
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
        assert_eq!(ended_in_time(child).status.code(), Some(0));
    }
}

impl Drop for Standalone {
    fn drop(&mut self) {
        // Only a test that failed gets here with a process that still runs.
        if let Some(mut child) = self.0.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

#[test]
fn runs_are_triggered_watched_and_cleared_from_the_command_line() {
    let place = Place::new();
    place.file("dags/shaky.yaml", DAG);
    let standalone = Standalone::start(&place);
    until(|| place.run(&["jobs", "check", "--job-type", "SchedulerJob", "--local"]).status == Some(0));
    wait_until_listed(&place);

    let trigger = [
        "dags",
        "trigger",
        "shaky",
        "--run-id",
        "fine",
        "--logical-date",
        "2026-03-27",
        "--wait",
        "-o",
        "json",
    ];
    let run = place.run(&trigger).json();
    assert_eq!((&run["state"], &run["logical_date"]), (&json!("success"), &json!("2026-03-27T00:00:00Z")));
    place.run(&trigger).bad(1, &["`fine`", "exists already"]);
    place.run(&["dags", "trigger", "unknown"]).bad(1, &["no DAG `unknown`"]);
    place.run(&["dags", "trigger", "shaky", "--conf", r#"{"fail": 7}"#]).bad(1, &["param `fail`"]);
    place
        .run(&["dags", "trigger", "shaky", "--run-id", "scheduled__x"])
        .bad(1, &["refused", "given by the scheduler"]);

    let trigger = ["dags", "trigger", "shaky", "--run-id", "broken", "--conf", r#"{"fail": true}"#, "--wait"];
    place.run(&trigger).bad(1, &[]);
    assert_eq!(place.run(&["tasks", "state", "shaky", "second", "broken"]).good(), "failed\n");
    let states = place.run(&["tasks", "states-for-dag-run", "shaky", "broken", "-o", "json"]).json();
    assert_eq!((&states[0]["state"], &states[2]["state"]), (&json!("success"), &json!("upstream_failed")));
    assert_eq!(place.run(&["tasks", "state", "shaky", "third", "2026-03-27"]).good(), "success\n");

    place.file("dags/mended", "");
    place.run(&["tasks", "clear", "shaky", "--run-id", "broken", "--only-failed"]).bad(1, &["not confirmed"]);
    place.run(&["tasks", "clear", "shaky", "--run-id", "broken", "--only-failed", "--yes"]).good();
    wait_for_success(&place);
    let runs = place.run(&["dags", "list-runs", "shaky", "--state", "success", "-o", "json"]).json();
    assert_eq!(runs.as_array().unwrap().len(), 2);
    why_it_waits(&place);
    standalone.stop();
    place.run(&["dags", "list"]).bad(1, &["tradewind standalone"]);
}

/// A run that is ordered for later waits, and says so.
fn why_it_waits(place: &Place) {
    let later = ["dags", "trigger", "shaky", "--run-id", "later", "--run-after", "2190-01-01"];
    place.run(&later).good();
    let rows = place.run(&["tasks", "failed-deps", "shaky", "second", "later", "-o", "json"]).json();
    let names: Vec<&str> =
        rows.as_array().unwrap().iter().map(|row| row["dependency"].as_str().unwrap()).collect();
    assert_eq!(names[..2], ["Execution Date", "Trigger Rule"], "{rows}");
    let ended = place.run(&["tasks", "failed-deps", "shaky", "second", "broken"]);
    assert!(ended.stderr.contains("It has ended: success."), "{ended:?}");
    place
        .run(&["tasks", "failed-deps", "shaky", "none", "later"])
        .bad(1, &["no instance -1 of a task `none`"]);
}

#[test]
fn a_backfill_is_previewed_created_and_cancelled_from_the_command_line() {
    let place = Place::new();
    place.file("dags/shaky.yaml", DAG);
    let past = "dag_id: past\nschedule: '0 0 * * *'\nend_date: 2020-02-01\ntasks: {t: {bash: echo done}}";
    place.file("dags/past.yaml", past);
    let standalone = Standalone::start(&place);
    wait_until_listed(&place);
    until(|| place.run(&["dags", "list", "-o", "plain"]).good().contains("past"));
    let create = |more: &[&str]| {
        let range = ["--dag-id", "past", "--from-date", "2020-01-01", "--to-date", "2020-01-03"];
        place.run(&[&["backfill", "create"], range.as_slice(), more].concat())
    };
    let dates = create(&["--dry-run", "--run-backwards", "-o", "json"]).json();
    assert_eq!(
        (dates.as_array().unwrap().len(), &dates[0]["logical_date"]),
        (3, &json!("2020-01-03T00:00:00Z"))
    );
    create(&["--reprocess-behavior", "sometimes"]).bad(2, &["none, failed or completed"]);
    create(&["--max-active-runs", "0"]).bad(2, &["1..="]);
    let made = create(&["--max-active-runs", "1", "-o", "json"]).json();
    let id = made["id"].to_string();
    let listed = || place.run(&["backfill", "list", "--dag-id", "past", "-o", "json"]).json()[0].clone();
    until(|| listed()["state"] == "completed");
    assert_eq!(
        (&listed()["dates"], &listed()["done"], &listed()["failed"]),
        (&json!(3), &json!(3), &json!(0))
    );
    assert_eq!(create(&["--dry-run", "-o", "json"]).json(), json!([]), "all dates have runs");
    place.run(&["backfill", "pause", &id]).bad(1, &["already completed"]);
    place.run(&["backfill", "cancel", "4711"]).bad(1, &["no backfill 4711"]);
    let shaky =
        ["backfill", "create", "--dag-id", "shaky", "--from-date", "2020-01-01", "--to-date", "2020-01-03"];
    place.run(&shaky).bad(1, &["non-periodic schedule"]);
    standalone.stop();
}

/// The scheduler reads the folder soon after it starts.
fn wait_until_listed(place: &Place) {
    until(|| place.run(&["dags", "list", "-o", "plain"]).good().contains("shaky"));
}

fn wait_for_success(place: &Place) {
    until(|| place.run(&["tasks", "state", "shaky", "third", "broken"]).good() == "success\n");
}

/// Looks until something is so. Each look is a process that asks the database, so this is no busy loop.
#[track_caller]
pub fn until(is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < deadline, "it never came true");
    }
}
