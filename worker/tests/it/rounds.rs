//! Rounds of loops, as the worker sees them.

use domain::outcome::TryResult;
use serde_json::json;

use crate::fixture::{Bench, end, xcoms};

fn repeated(script: &str, until: &str) -> Bench {
    let repeat = json!({"until": format!("{{{{ {until} }}}}"), "max_rounds": 5});
    Bench::task(&json!({"bash": script, "repeat": repeat}).to_string())
}

#[tokio::test]
async fn a_round_whose_condition_does_not_hold_asks_for_another_with_what_it_left() {
    let finished = repeated("echo working", "result == 'done'").run().await;
    let said = (TryResult::Again, Some(0), "round 1 of 5: `result == 'done'` does not hold");
    assert_eq!(end(&finished), said);
    assert_eq!(xcoms(&finished)["return_value"], &json!("working"));
    let finished = repeated("echo done", "result == 'done'").run().await;
    assert_eq!((finished.result, finished.reason), (TryResult::Success, None));
}

#[tokio::test]
async fn what_was_written_by_key_counts_too() {
    let script = "echo '{\"left\": 0}' > $TRADEWIND_OUTPUT";
    let finished = repeated(script, "outputs.left == 0 and result is none").run().await;
    assert_eq!((finished.result, finished.reason), (TryResult::Success, None));
}

#[tokio::test]
async fn a_round_knows_its_number_and_what_the_one_before_left() {
    let script = "echo $TRADEWIND_ROUND {{ round }} {{ ti.round }} {{ previous }} {{ ti.xcom_pull('task') }}";
    let bench =
        repeated(script, "round == 3 and previous == 41").after_rounds(2).with_xcom("task", -1, json!(41));
    let finished = bench.run().await;
    assert_eq!((finished.result, finished.reason.as_deref()), (TryResult::Success, None));
    assert_eq!(xcoms(&finished)["return_value"], &json!("3 3 3 41 41"));
    assert!(bench.lines.all().contains("round 3 of 5"), "{}", bench.lines.all());
}

#[tokio::test]
async fn the_first_round_has_none_before_it() {
    let finished = repeated("echo '{{ previous }}'", "previous is none").run().await;
    assert_eq!((finished.result, finished.reason.as_deref()), (TryResult::Success, None));
    assert_eq!(xcoms(&finished)["return_value"], &json!("None"));
}

#[tokio::test]
async fn a_round_that_fails_or_skips_itself_is_not_asked_for_its_condition() {
    assert_eq!(repeated("exit 3", "nonsense.of.it").run().await.result, TryResult::Failed);
    assert_eq!(repeated("exit 99", "nonsense.of.it").run().await.result, TryResult::Skipped);
}

#[tokio::test]
async fn a_condition_that_cannot_be_told_is_a_failure_of_the_round() {
    let finished = repeated("echo 1", "results > 3").run().await;
    let (result, _, why) = end(&finished);
    assert_eq!(result, TryResult::Failed);
    assert!(why.contains("`repeat.until`") && why.contains("did you mean `result`?"), "{why}");
    assert!(finished.xcoms.is_empty());
}

#[tokio::test]
async fn a_condition_that_cannot_be_read_keeps_everything_from_beginning() {
    let bench = repeated("touch here", "result ==");
    let finished = bench.run().await;
    assert_eq!(finished.result, TryResult::FailedForGood);
    assert!(end(&finished).2.contains("`repeat.until`"), "{}", end(&finished).2);
    assert!(!bench.lines.all().contains("starts try"), "{}", bench.lines.all());
}

#[tokio::test]
async fn outside_of_loops_there_are_no_rounds() {
    let finished =
        Bench::task(&json!({"bash": "echo \"[$TRADEWIND_ROUND]{{ ti.round }}\""}).to_string()).run().await;
    assert_eq!(xcoms(&finished)["return_value"], &json!("[]None"));
}
