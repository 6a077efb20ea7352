//! What tasks leave for others.

use domain::outcome::TryResult;
use serde_json::{Value, json};
use test_case::test_case;

use crate::fixture::{Bench, bash, xcoms};

#[test_case("echo first; echo last", json!({"return_value": "last"}))]
#[test_case("echo '[1, 2]'; echo", json!({"return_value": [1, 2]}))]
#[test_case("echo '  indented  '", json!({"return_value": "  indented"}))]
#[test_case("echo err >&2", json!({}))]
#[test_case("echo x; echo '{\"rows\": 3, \"names\": [\"a\"]}' > $TRADEWIND_OUTPUT", json!({"return_value": "x", "rows": 3, "names": ["a"]}))]
#[test_case("echo x; echo '{\"return_value\": {\"a\": null}}' > $TRADEWIND_OUTPUT", json!({"return_value": {"a": null}}))]
#[tokio::test]
async fn output_becomes_xcoms(script: &str, wanted: Value) {
    let finished = Bench::task(&bash(script)).run().await;
    assert_eq!(json!(xcoms(&finished)), wanted);
}

#[tokio::test]
async fn a_task_can_keep_its_last_line_to_itself() {
    let bench =
        Bench::task("{bash: 'echo x; echo \"{\\\"a\\\": 1}\" > $TRADEWIND_OUTPUT', do_xcom_push: false}");
    assert_eq!(json!(xcoms(&bench.run().await)), json!({"a": 1}));
}

#[test_case("echo oops > $TRADEWIND_OUTPUT", "the file $TRADEWIND_OUTPUT is not that: ")]
#[test_case("printf '{\"%0513d\": 1}' 0 > $TRADEWIND_OUTPUT", "the key of an XCom has 1 to 512 characters" ; "long key")]
#[test_case("head -c 2000000 /dev/zero | tr '\\0' ' ' > $TRADEWIND_OUTPUT", "longer than 1048576 bytes")]
#[test_case(
    "echo some-result-of-its-own; printf '{\"a\": \"%01048560d\"}' 0 > $TRADEWIND_OUTPUT",
    "bytes of XComs; at most 1048576 are allowed"
)]
#[tokio::test]
async fn what_cannot_be_kept_fails_the_try(script: &str, reason: &str) {
    let finished = Bench::task(&bash(script)).run().await;
    assert_eq!(finished.result, TryResult::Failed);
    assert!(finished.reason.as_ref().unwrap().contains(reason), "{finished:?}");
}

#[tokio::test]
async fn xcoms_of_others_are_pulled() {
    let bench = Bench::dag(
        "tasks:\n  a: {bash: x}\n  m: {bash: x, expand: {i: [1, 2]}}\n  task:\n    bash: >-\n      {{ ti.xcom_pull('a') }} {{ ti.xcom_pull(task_ids=['a', 'm'], key='return_value') }}\n      {{ ti.xcom_pull('a', key='none') }} {{ task_instance.xcom_pull(task_ids='m', map_indexes=1) }}\n      {{ ti.xcom_pull('m')[0]['x'] }} {{ ti.xcom_pull('a', key='none', default=9) }}\n",
    );
    let bench = bench.with_xcom("a", -1, json!({"rows": 3})).with_xcom("m", 0, json!({"x": 10})).with_xcom(
        "m",
        1,
        json!({"x": 20}),
    );
    assert_eq!(
        bench.rendered().await.unwrap()["bash_command"],
        "{'rows': 3} [{'rows': 3}, [{'x': 10}, {'x': 20}]] None {'x': 20} 10 9"
    );
}

#[test_case(0, "a-1")]
#[test_case(1, "a-2")]
#[test_case(2, "b-1")]
#[test_case(3, "b-2")]
#[tokio::test]
async fn mapped_instances_get_their_elements(map_index: i32, wanted: &str) {
    let bench = Bench::dag("tasks:\n  task: {bash: '{{ x }}-{{ y }}', expand: {x: [a, b], y: [1, 2]}}\n")
        .mapped(map_index);
    assert_eq!(bench.rendered().await.unwrap()["bash_command"], wanted);
}

const OVER_XCOM: &str =
    "tasks:\n  list: {bash: x}\n  task: {bash: '{{ it }}', expand: {it: \"{{ ti.xcom_pull('list') }}\"}}\n";
const OVER_MAPPED: &str = "tasks:\n  list: {bash: x, expand: {i: [1, 2, 3]}}\n  task: {bash: '{{ it }}', expand: {it: \"{{ ti.xcom_pull('list') }}\"}}\n";

#[tokio::test]
async fn tasks_are_mapped_over_xcoms() {
    let list = || Bench::dag(OVER_XCOM).with_xcom("list", -1, json!(["a", "b"]));
    assert_eq!(list().mapped(1).rendered().await.unwrap()["bash_command"], "b");
    let gone = list().mapped(2).rendered().await.unwrap_err();
    assert_eq!(
        gone,
        "`expand`: `it` has no such element any more: the list that this task is mapped over has changed"
    );
    let object = Bench::dag(OVER_XCOM).with_xcom("list", -1, json!({"x": 1, "y": 2})).mapped(1);
    assert_eq!(object.rendered().await.unwrap()["bash_command"], "['y', 2]");
    // The instance in the middle was skipped and left nothing.
    let mapped =
        Bench::dag(OVER_MAPPED).with_xcom("list", 0, json!("p")).with_xcom("list", 2, json!("q")).mapped(1);
    assert_eq!(mapped.rendered().await.unwrap()["bash_command"], "q");
}

const FORMS: &str = r#"tasks:
  list: {bash: x}
  zip: {bash: '{{ p }}', expand: {p: {zip: [[1, 2, 3], "{{ ti.xcom_pull('list') }}"]}}}
  filled: {bash: '{{ p }}', expand: {p: {zip: [[1, 2, 3], "{{ ti.xcom_pull('list') }}"], fillvalue: 0}}}
  concat: {bash: '{{ p }}', expand: {p: {concat: [[1], "{{ ti.xcom_pull('list') }}", [2]]}}}
  each: {bash: '{{ a }}{{ b | default(9) }}', expand_kwargs: [{a: 1, b: 2}, {a: 3}]}
  bad: {bash: '{{ a }}', expand_kwargs: "{{ ti.xcom_pull('list') }}"}
"#;

#[test_case("zip", 1, Ok("[2, 'b']"))]
#[test_case(
    "zip",
    2,
    Err("`expand`: `p` has no such element any more: the list that this task is mapped over has changed")
)]
#[test_case("filled", 2, Ok("[3, 0]"))]
#[test_case("concat", 0, Ok("1"))]
#[test_case("concat", 2, Ok("b"))]
#[test_case("concat", 3, Ok("2"))]
#[test_case("each", 0, Ok("12"))]
#[test_case("each", 1, Ok("39"))]
#[test_case("bad", 0, Err("`expand`: `expand_kwargs`: element 0 must be a mapping of names, not \"a\""))]
#[tokio::test]
async fn every_form_of_a_mapping_has_its_elements(task: &str, map_index: i32, wanted: Result<&str, &str>) {
    let bench = Bench::dag(FORMS).with_xcom("list", -1, json!(["a", "b"])).mapped(map_index);
    let rendered = bench.rendered_of(task).await;
    let rendered = rendered.as_ref().map(|fields| fields["bash_command"].as_str().unwrap());
    assert_eq!(rendered.map_err(String::as_str), wanted);
}

const GROUPS: &str = r#"tasks:
  list: {bash: x}
  o:
    expand: {x: [a, b]}
    tasks:
      first: {bash: x}
      i:
        expand: {y: "{{ ti.xcom_pull('list') }}"}
        tasks:
          deep: {bash: "{{ x }}{{ y }} {{ ti.xcom_pull('o.first') }} {{ ti.xcom_pull('list') }}"}
      last: {bash: "{{ x }} {{ ti.xcom_pull('o.i.deep') }} {{ ti.xcom_pull('o.first', map_indexes=0) }}"}
  after: {bash: "{{ ti.xcom_pull('o.first') }}"}
"#;

#[test_case("o.i.deep", 4, "b2 f1 [1, 2, 3]")]
#[test_case("o.last", 1, "b ['d3', 'd5'] f0")]
#[test_case("after", -1, "['f0', 'f1']")]
#[tokio::test]
async fn within_a_mapped_group_an_instance_sees_its_own_element(task: &str, map_index: i32, wanted: &str) {
    let mut bench = Bench::dag(GROUPS).with_xcom("list", -1, json!([1, 2, 3])).mapped(map_index);
    for at in 0..2 {
        bench = bench.with_xcom("o.first", at, json!(format!("f{at}")));
    }
    // The instance in the middle of the second element left nothing.
    for at in [0, 1, 2, 3, 5] {
        bench = bench.with_xcom("o.i.deep", at, json!(format!("d{at}")));
    }
    assert_eq!(bench.rendered_of(task).await.unwrap()["bash_command"], wanted);
}

#[test_case("true", 0; "nothing said")]
#[test_case("echo '{\"asset\": \"orders\", \"extra\": {\"rows\": 3}}' >> $TRADEWIND_ASSET_EVENTS", 1; "one event")]
#[test_case("echo '[{\"asset\": \"orders\"}, {\"alias\": \"files\", \"asset\": \"s3://x/1\"}]' > $TRADEWIND_ASSET_EVENTS", 2; "a list")]
#[tokio::test]
async fn a_task_says_what_it_made(script: &str, count: usize) {
    let task = json!({"bash": script, "outlets": ["orders", {"alias": "files"}]});
    let finished = Bench::task(&task.to_string()).run().await;
    assert_eq!((finished.result, finished.asset_events.len()), (TryResult::Success, count), "{finished:?}");
}

#[test_case("echo oops > $TRADEWIND_ASSET_EVENTS", "it is not JSON"; "no JSON")]
#[test_case("echo '{\"asset\": \"order\"}' > $TRADEWIND_ASSET_EVENTS", "did you mean `orders`?"; "no outlet")]
#[tokio::test]
async fn what_is_wrong_about_assets_fails_the_try(script: &str, reason: &str) {
    let finished = Bench::task(&json!({"bash": script, "outlets": ["orders"]}).to_string()).run().await;
    assert_eq!(finished.result, TryResult::Failed);
    assert!(finished.reason.as_ref().unwrap().contains(reason), "{finished:?}");
}

#[tokio::test]
async fn a_run_that_assets_asked_for_sees_its_events() {
    let event =
        |name: &str, rows: i64| json!({"name": name, "extra": {"rows": rows}, "source_task_id": "load"});
    let script =
        "echo {{ triggering_asset_events['orders'][-1].extra.rows }} {{ triggering_asset_events | length }}";
    let bench = Bench::task(&bash(script)).with_asset_events(vec![
        event("orders", 1),
        event("x", 2),
        event("orders", 3),
    ]);
    assert_eq!(bench.rendered().await.unwrap()["bash_command"], "echo 3 2");
    let bench = Bench::task(&bash("echo \"$TRADEWIND_TRIGGERING_ASSET_EVENTS\""))
        .with_asset_events(vec![event("x", 2)]);
    assert_eq!(json!(xcoms(&bench.run().await))["return_value"], json!({"x": [event("x", 2)]}));
    let long: Vec<Value> = (0..100).map(|_| event(&"x".repeat(1_000), 1)).collect();
    let shown = Bench::task(&bash("x")).with_asset_events(long).assignment("task").run.events_by_asset();
    assert_eq!(shown.values().map(|list| list.as_array().unwrap().len()).collect::<Vec<_>>(), [62]);
}
