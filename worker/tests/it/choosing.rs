//! Branches and short circuits: programs whose result says what runs next.

use domain::outcome::TryResult::{Failed, Skipped, Success};
use runtime::logs::Stream;
use serde_json::{Value, json};
use test_case::test_case;

use crate::fixture::{Bench, end, xcoms};
use crate::site::{Site, attempt};

fn branch(program: &Value) -> String {
    json!({"branch": program}).to_string()
}

fn short_circuit(program: &Value) -> String {
    json!({"short_circuit": program}).to_string()
}

#[test_case(json!({"bash": "echo looking; echo load"}), json!("load"); "a script prints an id")]
#[test_case(json!({"bash": "echo '[\"load\", \"report\"]'"}), json!(["load", "report"]); "a script prints a list")]
#[test_case(json!({"python": "print('load')"}), json!("load"); "a program prints an id")]
#[test_case(json!({"python": "import json; print(json.dumps(['load', 'report']))"}), json!(["load", "report"]); "a program prints a list")]
#[test_case(
    json!({"bash": "echo done; echo '{\"return_value\": [\"load\"]}' > $TRADEWIND_OUTPUT"}),
    json!(["load"]);
    "a script leaves a file"
)]
#[tokio::test]
async fn a_branch_leaves_what_it_chose(program: Value, chosen: Value) {
    let bench = Bench::task(&branch(&program));
    let finished = bench.run().await;
    assert_eq!(end(&finished), (Success, Some(0), ""));
    assert_eq!(json!(xcoms(&finished)), json!({"return_value": chosen}));
    let notes = bench.lines.of(Stream::Tradewind);
    assert!(notes[0].starts_with("testhost starts try 2: branch as process "), "{notes:?}");
}

#[tokio::test]
async fn a_branch_that_chooses_nobody_leaves_nothing() {
    let finished = Bench::task(&branch(&json!({"bash": "true"}))).run().await;
    assert_eq!((end(&finished), finished.xcoms.len()), ((Success, Some(0), ""), 0));
}

#[test_case("exit 0", Success, Some(0), "", json!({}))]
#[test_case("echo false", Success, Some(0), "", json!({"return_value": false}))]
#[test_case(
    "echo no rows; exit 1",
    Success,
    Some(1),
    "exit code 1 says no: what is behind it is skipped",
    json!({"return_value": "no rows"})
)]
#[test_case("exit 2", Failed, Some(2), "exit code 2", json!({}))]
#[test_case("exit 99", Skipped, Some(99), "exit code 99 means skipped", json!({}))]
#[tokio::test]
async fn a_script_says_yes_or_no(
    script: &str,
    result: domain::outcome::TryResult,
    code: Option<i32>,
    reason: &str,
    left: Value,
) {
    let finished = Bench::task(&short_circuit(&json!({"bash": script}))).run().await;
    assert_eq!(end(&finished), (result, code, reason));
    assert_eq!(json!(xcoms(&finished)), left);
}

#[test_case("print(3 > 4)", Success, 0, json!({"return_value": "False"}))]
#[test_case("import json; print(json.dumps([]))", Success, 0, json!({"return_value": []}))]
#[test_case("raise SystemExit(1)", Failed, 1, json!({}))]
#[tokio::test]
async fn a_program_answers_by_what_it_prints(
    source: &str,
    result: domain::outcome::TryResult,
    code: i32,
    left: Value,
) {
    let finished = Bench::task(&short_circuit(&json!({"python": source}))).run().await;
    assert_eq!((finished.result, finished.exit_code), (result, Some(code)));
    assert_eq!(json!(xcoms(&finished)), left);
}

#[tokio::test]
async fn exit_code_1_says_no_in_a_short_circuit_only() {
    let finished = Bench::task(&branch(&json!({"bash": "exit 1"}))).run().await;
    assert_eq!(end(&finished), (Failed, Some(1), "exit code 1"));
}

#[tokio::test]
async fn a_script_that_was_stopped_has_not_said_no() {
    let program = json!({"bash": "trap 'exit 1' TERM; echo ready; while :; do sleep 0.02; done"});
    let bench = Bench::task(&short_circuit(&program));
    let (finished, ()) = tokio::join!(bench.run(), async {
        bench.lines.wait_for("ready").await;
        bench.cancel.cancel();
    });
    assert_eq!(end(&finished), (Failed, None, "stopped by you"));
}

#[tokio::test]
async fn fields_are_those_of_the_program() {
    let script = Bench::task("{branch: {bash: 'echo load_{{ ds_nodash }}'}, env: {DAY: '{{ ds }}'}}");
    let rendered = Value::Object(script.rendered().await.unwrap());
    assert_eq!(rendered, json!({"bash_command": "echo load_20260102", "env": {"DAY": "2026-01-02"}}));
    let program = Bench::task("{short_circuit: {python: 'print(1)'}}");
    assert_eq!(Value::Object(program.rendered().await.unwrap()), json!({"python": "print(1)"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_reports_choices_and_shows_what_templates_became() {
    let site = Site::new(
        "  pick: {branch: {bash: 'echo day_{{ ds_nodash }}'}}\n  ask: {short_circuit: {bash: exit 1}}\n  day_20260102: {bash: 'true', depends_on: pick}\n",
    )
    .await;
    let worker = site.start();
    site.push(0..2).await;
    let outcomes = site.outcomes(2).await;
    assert_eq!((outcomes[0].result, &outcomes[0].xcoms["return_value"]), (Success, &json!("day_20260102")));
    assert_eq!((outcomes[1].result, outcomes[1].exit_code), (Success, Some(1)));
    site.shutdown.advance();
    tokio::time::timeout(crate::fixture::LIMIT, worker).await.unwrap().unwrap();
    let rendered = site.store.rendered(attempt(0)).await.unwrap().unwrap();
    assert_eq!(rendered["bash_command"], "echo day_20260102");
    assert_eq!(site.store.rendered(attempt(1)).await.unwrap(), None);
}
