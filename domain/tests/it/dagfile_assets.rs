//! Assets in DAG files.

use domain::{
    asset::{AssetRef, Condition, sanitize},
    dag::Dag,
    timetable::Timetable,
};
use serde_json::json;
use test_case::test_case;

use crate::dagfile::load;

fn dag(text: &str) -> Dag {
    let parsed = load(text);
    assert!(parsed.errors.is_empty(), "{:#?}", parsed.errors);
    parsed.dags[0].dag.clone()
}

fn scheduled(schedule: &str) -> Dag {
    dag(&format!("schedule: {schedule}\ntasks: {{t: {{empty: {{}}}}}}"))
}

#[test]
fn a_task_says_what_it_makes_and_reads() {
    let dag = dag("
assets:
  orders: {uri: 'S3://shop/orders/', group: tables, extra: {owner: ann}}
  items: s3://shop/items
tasks:
  t: {empty: {}, outlets: [orders, {name: new, uri: 's3://shop/new'}, {alias: files}], inlets: items}
");
    let task = &dag.tasks[0];
    assert_eq!(
        serde_json::to_value(&task.outlets).unwrap(),
        json!([
            {"name": "orders", "uri": "s3://shop/orders", "group": "tables", "extra": {"owner": "ann"}},
            {"name": "new", "uri": "s3://shop/new"},
            {"alias": "files"},
        ])
    );
    assert_eq!(task.inlets[0].asset().unwrap().uri, "s3://shop/items");
    let back: Vec<AssetRef> = serde_json::from_value(serde_json::to_value(&task.outlets).unwrap()).unwrap();
    assert_eq!(back, task.outlets);
}

#[test_case("{assets: a}", "a")]
#[test_case("{assets: [a, b]}", "a and b"; "a list is all of them")]
#[test_case("{assets: {any: [a, {all: [b, c]}]}}", "a or (b and c)")]
#[test_case("{assets: {all: [{any: [a]}, {alias: files}]}}", "a and alias files")]
#[test_case("{assets: {uri: 's3://x/y'}}", "s3://x/y"; "known by its URI")]
fn a_condition_is_read(schedule: &str, said: &str) {
    let dag = scheduled(schedule);
    let condition = dag.asset_condition.clone().unwrap();
    assert_eq!(condition.summary(), said);
    assert_eq!((dag.schedule.clone(), dag.schedule_summary().as_str()), (Timetable::Null, "Asset"));
    let back: Dag = serde_json::from_value(serde_json::to_value(&dag).unwrap()).unwrap();
    assert_eq!(back, dag);
}

#[test_case("'0 6 * * *'", "Asset or 0 6 * * *")]
#[test_case("['0 6 * * *', {every: 2h}]", "Asset or 0 6 * * *, every 2h")]
#[test_case("{cron: '0 6 * * *', jitter: 5m}", "Asset or 0 6 * * * (jitter 5m)")]
#[test_case("null", "Asset")]
fn assets_stand_beside_times(times: &str, summary: &str) {
    let dag = scheduled(&format!("{{assets: {{any: [a, b]}}, or: {times}}}"));
    assert_eq!(dag.schedule_summary(), summary);
    assert!(matches!(dag.asset_condition, Some(Condition::Any(_))));
}

#[test_case("schedule: {asset: a}", 1, 12, "did you mean `assets`?"; "a misspelt key")]
#[test_case("schedule: {or: '@daily'}", 1, 1, "has `or` but no `assets`"; "times without assets")]
#[test_case("schedule: {assets: a, cron: '@daily'}", 1, 23, "put the times below `or`"; "times beside assets")]
#[test_case("schedule: ['@daily', {assets: a}]", 1, 23, "assets stand beside times"; "assets among times")]
#[test_case("schedule: {assets: {any: []}}", 1, 26, "is empty"; "nothing to wait for")]
#[test_case("schedule: {assets: {any: a}}", 1, 26, "must be a list"; "one is no list")]
#[test_case("schedule: {assets: {any: [a], all: [b]}}", 1, 20, "has both `any` and `all`"; "any and all")]
#[test_case("schedule: {assets: {anny: [a]}}", 1, 21, "did you mean `any`?"; "a misspelt condition")]
#[test_case("schedule: {assets: self}", 1, 20, "cannot be called `self`"; "a prohibited name")]
#[test_case("schedule: {assets: 'airflow://x'}", 1, 20, "is reserved"; "a reserved scheme")]
#[test_case("schedule: {assets: {alias: f, uri: x}}", 1, 21, "has both `alias` and `uri`"; "an alias is only a name")]
#[test_case("assets: [a]", 1, 9, "must be a mapping"; "assets are described by name")]
#[test_case("assets: {a: {url: x}}", 1, 14, "did you mean `uri`?"; "a misspelt part")]
#[test_case("assets: {a: s3://x, b: s3://x}", 1, 21, "has the URI of `a`"; "one place with two names")]
#[test_case("assets: {a: s3://x}\nschedule: {assets: {name: a, uri: s3://y}}", 2, 20, "described in two ways"; "two places of one name")]
fn a_mistake_is_told_at_its_place(head: &str, line: u32, column: u32, said: &str) {
    let parsed = load(&format!("{head}\ntasks: {{t: {{empty: {{}}}}}}"));
    let error = parsed.errors.first().unwrap();
    assert_eq!((error.line, error.column), (line, column), "{error}");
    let whole = parsed.errors.iter().map(ToString::to_string).collect::<String>();
    assert!(whole.contains(said), "{whole}");
}

#[test]
fn outlets_are_checked() {
    let said = |outlets: &str| {
        let parsed = load(&format!("tasks: {{t: {{empty: {{}}, outlets: {outlets}}}}}"));
        parsed.errors.iter().map(ToString::to_string).collect::<String>()
    };
    assert!(said("[a, a]").contains("names an asset twice"));
    assert!(said("{group: g}").contains("needs a `name` or a `uri`"));
    assert!(said("3").contains("must be a text"), "{}", said("3"));
    assert!(said(&format!("[{}]", "x, ".repeat(101))).contains("at most 100"));
    assert!(said(&format!("'{}'", "x".repeat(1501))).contains("at most 1500 characters"));
    assert!(said(&format!("{{name: a, extra: {{b: '{}'}}}}", "x".repeat(20_000))).contains("bytes as JSON"));
    let deep = format!("{}a{}", "{any: [".repeat(12), "]}".repeat(12));
    let parsed = load(&format!("schedule: {{assets: {deep}}}\ntasks: {{t: {{empty: {{}}}}}}"));
    assert!(parsed.errors[0].to_string().contains("deeper than 10 levels"), "{}", parsed.errors[0]);
}

#[test_case("s3://bucket/key/", "s3://bucket/key")]
#[test_case("S3://bucket", "s3://bucket/")]
#[test_case("postgres://ann:secret@host/db?b=2&a=1#x", "postgres://host/db?a=1&b=2")]
#[test_case("sftp://ann@host/x", "sftp://ann@host/x")]
#[test_case("plain name", "plain name")]
#[test_case("x-our:A//b/", "x-our:A//b/")]
#[test_case("orders:daily", "orders:daily")]
fn a_uri_has_one_spelling(written: &str, kept: &str) {
    assert_eq!(sanitize(written).unwrap(), kept);
}
