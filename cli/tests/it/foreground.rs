//! `dags test`, `tasks test` and `tasks render`: files that run here and now.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

use crate::binary::{Ended, Place};

const PIPELINE: &str = r#"
dag_id: pipeline
params:
  word: {type: string, default: none, minLength: 2}
tasks:
  list:
    bash: |
      echo "to standard error" >&2
      echo '["a", "b", "c"]'
  each:
    depends_on: list
    expand: {letter: "{{ ti.xcom_pull('list') }}"}
    bash: echo "letter {{ letter }} of {{ params.word }}"
  flaky:
    retries: 2
    retry_delay: 100ms
    bash: test "$TRADEWIND_TRY_NUMBER" -eq 2
  nothing: {bash: exit 99}
  behind_nothing: {depends_on: nothing, bash: echo never}
  gather:
    depends_on: [each, flaky, behind_nothing]
    trigger_rule: none_failed
    bash: echo "{{ ti.xcom_pull('each') | join('+') }}"
"#;

const FAILING: &str = r#"
dag_id: failing
tasks:
  bad: {bash: "echo about to fail; exit 3"}
  after: {depends_on: bad, bash: echo never}
  alert: {depends_on: bad, trigger_rule: one_failed, bash: echo "somebody look"}
"#;

fn states(result: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let tasks = result["tasks"].as_array().unwrap();
    let name = |task: &Value| match task["map_index"].as_i64() {
        None => text(&task["task_id"]),
        Some(index) => format!("{}[{index}]", text(&task["task_id"])),
    };
    let mut states: Vec<_> = tasks.iter().map(|task| (name(task), text(&task["state"]))).collect();
    states.sort();
    states
}

fn result(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:#?}"))
}

#[test]
fn a_dag_runs_with_mapping_skips_retries_and_rules() {
    let place = Place::new();
    let file = place.file("pipeline.yaml", PIPELINE);
    let said = place.run(&["dags", "test", &file, "2026-03-27", "--conf", r#"{"word": "fun"}"#]).good();
    for line in ["list | to standard error", "each[0] | letter a of fun", "each[2] | letter c of fun"] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(said.contains("gather | letter a of fun+letter b of fun+letter c of fun"), "{said}");
    assert!(said.contains("flaky * tries again in"), "{said}");
    assert!(said.contains("behind_nothing * skipped"), "{said}");
    assert!(said.contains("pipeline manual__2026-03-27T00:00:00+00:00: success"), "{said}");

    let ended = place.run(&["dags", "test", &file, "--output", "json"]);
    assert!(ended.stderr.contains("each[1] | letter b of none"), "{ended:#?}");
    let result = result(&ended);
    assert_eq!((ended.status, &result["state"]), (Some(0), &json!("success")));
    let wanted = [
        ("behind_nothing", "skipped"),
        ("each[0]", "success"),
        ("each[1]", "success"),
        ("each[2]", "success"),
        ("flaky", "success"),
        ("gather", "success"),
        ("list", "success"),
        ("nothing", "skipped"),
    ];
    assert_eq!(states(&result), wanted.map(|(task, state)| (task.to_owned(), state.to_owned())));
    let flaky = result["tasks"].as_array().unwrap().iter().find(|task| task["task_id"] == "flaky").unwrap();
    assert_eq!(flaky["tries"], 2);
}

#[test]
fn a_run_that_failed_ends_with_1() {
    let place = Place::new();
    let file = place.file("failing.yaml", FAILING);
    let ended = place
        .run(&["dags", "test", &file, "--output", "json"])
        .bad(1, &["bad | about to fail", "somebody look"]);
    let result = result(&ended);
    let wanted = [("after", "upstream_failed"), ("alert", "success"), ("bad", "failed")];
    assert_eq!(states(&result), wanted.map(|(task, state)| (task.to_owned(), state.to_owned())));
    let bad = &result["tasks"][0];
    assert!(bad["reason"].as_str().unwrap().contains('3'), "{bad}");
}

#[test]
fn params_are_checked_before_anything_runs() {
    let place = Place::new();
    let file = place.file("pipeline.yaml", PIPELINE);
    let ended =
        place.run(&["dags", "test", &file, "--conf", r#"{"word": "x"}"#]).bad(1, &["param `word`", "--conf"]);
    assert_eq!(ended.stdout, "");
}

#[test]
fn one_task_runs_alone() {
    let place = Place::new();
    let file = place.file("failing.yaml", FAILING);
    let said = place.run(&["tasks", "test", &file, "alert"]).good();
    assert!(
        said.contains("alert | somebody look") && said.contains("XCom return_value: \"somebody look\""),
        "{said}"
    );
    let ended = place.run(&["tasks", "test", &file, "bad"]).bad(1, &[]);
    assert!(ended.stdout.contains("bad | about to fail"), "{ended:#?}");
    place.run(&["tasks", "test", &file, "baad"]).bad(1, &["no task `baad`", "bad, after, alert"]);
    let file = place.file("pipeline.yaml", PIPELINE);
    place.run(&["tasks", "test", &file, "each"]).bad(1, &["mapped over what `list` leaves", "dags test"]);
}

#[test]
fn a_connection_or_variable_that_is_not_there_is_named() {
    let place = Place::new();
    let file = place.file("sql.yaml", "tasks: {q: {sql: {conn_id: warehouze, sql: SELECT 1}}}\n");
    let ended = place.run(&["tasks", "test", &file, "q"]).bad(1, &[]);
    assert!(ended.stdout.contains("warehouze"), "{ended:#?}");
    let file = place.file("var.yaml", "tasks: {v: {bash: 'echo {{ var.value.colour }}'}}\n");
    place.run(&["tasks", "render", &file, "v"]).bad(1, &["colour"]);
    let mut command = place.command(&["tasks", "render", &file, "v", "--output", "json"]);
    let output = command.env("AIRFLOW_VAR_COLOUR", "blue").output().unwrap();
    let fields: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(fields["bash_command"], "echo blue");
}

#[test]
fn templates_are_rendered_or_their_error_is_shown() {
    let place = Place::new();
    let dag = "tasks:\n  a: {bash: 'load {{ ds }}', env: {NEXT: '{{ macros.ds_add(ds, 1) }}'}}\n  b: {bash: '{{ dss }}'}\n";
    let file = place.file("templates.yaml", dag);
    let fields = place.run(&["tasks", "render", &file, "a", "2026-02-28", "-o", "json"]).json();
    assert_eq!(
        (&fields["bash_command"], &fields["env"]["NEXT"]),
        (&json!("load 2026-02-28"), &json!("2026-03-01"))
    );
    place.run(&["tasks", "render", &file, "b"]).bad(1, &["dss"]);
}

#[test]
fn a_dag_is_found_by_its_id_in_the_dags_folder() {
    let place = Place::new();
    place.file("dags/deep/several.yaml", format!("{FAILING}---\n{PIPELINE}"));
    let said = place.run(&["tasks", "test", "failing", "alert", "--dags", "dags"]).good();
    assert!(said.contains("alert | somebody look"), "{said}");
    place.run(&["tasks", "test", "unknown", "alert", "--dags", "dags"]).bad(1, &["`unknown`", "DAGs folder"]);
    let file = "dags/deep/several.yaml";
    place.run(&["tasks", "test", file, "alert"]).bad(1, &["--dag-id", "failing, pipeline"]);
    place.run(&["tasks", "test", file, "alert", "--dag-id", "failing"]).good();
    place.run(&["tasks", "test", file, "alert", "--dag-id", "other"]).bad(1, &["no DAG `other`"]);
}

#[test]
fn a_signal_stops_the_tasks_and_fails_the_run() {
    let place = Place::new();
    let file = place.file(
        "long.yaml",
        "tasks: {long: {bash: 'echo begun; sleep 600'}, after: {depends_on: long, bash: x}}\n",
    );
    let mut child = place.command(&["dags", "test", &file]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "long | begun"));
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(
        rest.iter().any(|line| line.starts_with("long long") || line.contains(": failed after")),
        "{rest:#?}"
    );
}

const RULES: &str = r#"
dag_id: rules
max_consecutive_failed_dag_runs: 1
tasks:
  newest: {latest_only: {}}
  careful: {depends_on: newest, bash: echo go, depends_on_past: true, wait_for_downstream: true}
  choose: {depends_on: careful, branch: {bash: echo left}}
  left: {depends_on: choose, bash: echo left}
  right: {depends_on: choose, bash: echo right}
  bad: {depends_on: left, bash: exit 3}
"#;

#[test]
fn a_trial_knows_no_earlier_run_and_pauses_no_dag() {
    let place = Place::new();
    let file = place.file("rules.yaml", RULES);
    let ended = place.run(&["dags", "test", &file, "2026-03-27", "--output", "json"]);
    assert_eq!(ended.status, Some(1), "{ended:#?}");
    let found = states(&result(&ended));
    let state = |name: &str| found.iter().find(|(task, _)| task == name).map(|(_, state)| state.as_str());
    assert_eq!(state("careful"), Some("success"), "{ended:#?}");
    assert_eq!((state("left"), state("right")), (Some("success"), Some("skipped")), "{ended:#?}");
    assert_eq!(state("bad"), Some("failed"), "{ended:#?}");
}
