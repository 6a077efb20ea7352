//! DAG files: what good ones mean.

use domain::{
    dag::{Dag, Expand, Operator, Task},
    dagfile::{Parsed, parse},
};
use serde_json::json;

/// The files that the tests' DAG files refer to.
pub(crate) fn read(path: &str) -> Result<String, String> {
    match path {
        "load.sql" => Ok("insert into delays select 1;".into()),
        "scripts/report.py" => Ok("print(1)\n".into()),
        "empty.py" => Ok("\n".into()),
        _ => Err("No such file or directory".into()),
    }
}

pub(crate) fn load(text: &str) -> Parsed {
    parse(text.as_bytes(), "dags/flights.yaml", &read)
}

/// The only DAG of a file without problems.
#[track_caller]
pub(crate) fn dag(text: &str) -> Dag {
    let parsed = load(text);
    let told: Vec<String> = parsed.errors.iter().map(ToString::to_string).collect();
    assert_eq!(told, Vec::<String>::new());
    let [loaded] = parsed.dags.as_slice() else { panic!("{} DAGs", parsed.dags.len()) };
    loaded.dag.clone()
}

#[track_caller]
fn task<'d>(dag: &'d Dag, id: &str) -> &'d Task {
    dag.task(id).unwrap_or_else(|| panic!("no task {id}"))
}

#[track_caller]
fn upstream(dag: &Dag, id: &str) -> Vec<String> {
    task(dag, id).upstream.iter().map(ToString::to_string).collect()
}

const FLIGHTS: &str = include_str!("golden/dagfile/flights.yaml");

#[test]
fn the_documented_example_becomes_the_dag_it_describes() {
    let dag = dag(FLIGHTS);
    let golden = include_str!("golden/dagfile/flights.json");
    let expected: serde_json::Value = serde_json::from_str(golden).unwrap();
    let actual = serde_json::to_value(&dag).unwrap();
    assert_eq!(actual, expected, "{}", serde_json::to_string_pretty(&actual).unwrap());
}

#[test]
fn a_dag_survives_its_normal_form() {
    let dag = dag(FLIGHTS);
    let json = serde_json::to_string(&dag).unwrap();
    let back: Dag = serde_json::from_str(&json).unwrap();
    assert_eq!(back, dag);
    assert_eq!(back.content_hash(), dag.content_hash());
}

#[test]
fn the_least_that_is_a_dag() {
    let dag = dag("tasks: {hello: {bash: echo hello}}");
    assert_eq!(dag.dag_id.as_str(), "flights");
    assert_eq!((dag.max_active_runs, dag.max_active_tasks, dag.owner.as_str()), (16, 16, "tradewind"));
    assert_eq!(serde_json::to_value(&dag.schedule).unwrap(), json!(null));
    let hello = task(&dag, "hello");
    assert_eq!((hello.pool.as_str(), hello.pool_slots, hello.queue.as_str()), ("default_pool", 1, "default"));
    assert_eq!(
        (hello.retry.retries, hello.retry.delay.to_string().as_str(), hello.retry.backoff),
        (0, "5m", 0.0)
    );
    assert!(hello.do_xcom_push);
}

#[test]
fn comments_and_nothing_are_no_dag_and_no_problem() {
    for text in [
        "",
        "\n",
        "# later\n",
        "---\n",
        "---\n# a\n---\n...\n",
        "\u{feff}# mark\n",
        "null\n",
        "%YAML 1.2\n---\n",
    ] {
        let parsed = load(text);
        assert!(parsed.dags.is_empty() && parsed.errors.is_empty(), "{text:?}: {parsed:?}");
    }
}

#[test]
fn every_document_is_a_dag_with_its_line() {
    let text =
        "# two\ndag_id: a\ntasks: {t: {empty: {}}}\n---\n# second\n\ndag_id: b\ntasks: {t: {empty: }}\n";
    let parsed = load(text);
    let found: Vec<(&str, u32)> =
        parsed.dags.iter().map(|loaded| (loaded.dag.dag_id.as_str(), loaded.line)).collect();
    assert_eq!(found, [("a", 2), ("b", 7)]);
}

#[test]
fn a_broken_document_does_not_hide_the_others() {
    let text = "dag_id: a\ntasks: {t: {empty: {}}}\n---\n}{ [\n---\ndag_id: c\ntasks: {t: {empty: {}}}\n";
    let parsed = load(text);
    assert_eq!(parsed.dags.iter().map(|loaded| loaded.dag.dag_id.as_str()).collect::<Vec<_>>(), ["a", "c"]);
    assert_eq!(parsed.errors.len(), 1);
    assert_eq!(parsed.errors[0].line, 4);
}

#[test]
fn names_mean_the_nearest() {
    let dag = dag("
tasks:
  a: {empty: {}}
  b: {empty: {}}
  g:
    tasks:
      a: {empty: {}}
      near: {empty: {}, depends_on: a}
      outer: {empty: {}, depends_on: b}
      h:
        tasks:
          deep: {empty: {}, depends_on: near}
          full: {empty: {}, depends_on: [g.a, a]}
  number: {empty: {}, depends_on: [1]}
  1: {empty: {}}
");
    assert_eq!(upstream(&dag, "g.near"), ["g.a"]);
    assert_eq!(upstream(&dag, "g.outer"), ["b"]);
    assert_eq!(upstream(&dag, "g.h.deep"), ["g.near"]);
    assert_eq!(upstream(&dag, "g.h.full"), ["g.a"]);
    assert_eq!(upstream(&dag, "number"), ["1"]);
    let groups: Vec<&str> = dag.groups.iter().map(|group| group.group_id.as_str()).collect();
    assert_eq!(groups, ["g", "g.h"]);
    assert_eq!(task(&dag, "g.h.deep").group.as_ref().unwrap().as_str(), "g.h");
}

#[test]
fn a_group_waits_with_its_roots_and_is_waited_for_by_its_leaves() {
    let dag = dag("
tasks:
  first: {empty: {}}
  outer:
    depends_on: first
    tasks:
      root: {empty: {}}
      inner:
        depends_on: root
        tasks:
          one: {empty: {}}
          two: {empty: {}, depends_on: one}
          lone: {empty: {}}
      free: {empty: {}}
      last: {empty: {}, depends_on: inner}
  after: {empty: {}, depends_on: outer}
  beside: {depends_on: outer, tasks: {x: {empty: {}}, y: {empty: {}, depends_on: x}}}
");
    assert_eq!(upstream(&dag, "outer.root"), ["first"]);
    assert_eq!(upstream(&dag, "outer.free"), ["first"]);
    assert_eq!(upstream(&dag, "outer.inner.one"), ["outer.root"]);
    assert_eq!(upstream(&dag, "outer.inner.two"), ["outer.inner.one"]);
    assert_eq!(upstream(&dag, "outer.inner.lone"), ["outer.root"]);
    assert_eq!(upstream(&dag, "outer.last"), ["outer.inner.lone", "outer.inner.two"]);
    assert_eq!(upstream(&dag, "after"), ["outer.free", "outer.last"]);
    assert_eq!(upstream(&dag, "beside.x"), ["outer.free", "outer.last"]);
    assert_eq!(upstream(&dag, "beside.y"), ["beside.x"]);
}

#[test]
fn settings_lie_over_each_other() {
    let dag = dag("
default_args:
  retries: 2
  retry_exponential_backoff: true
  execution_timeout: 10m
  env: {A: dag, B: dag}
  owner: team
tasks:
  plain: {bash: x}
  own: {bash: x, retries: 0, execution_timeout: null, retry_exponential_backoff: 1.5, env: {B: task, C: 1.10}}
  g:
    default_args: {retries: 5, env: {B: group}}
    tasks:
      inside: {bash: x}
      more: {bash: x, env: {A: on}}
");
    let plain = task(&dag, "plain");
    assert_eq!((plain.retry.retries, plain.retry.backoff, plain.owner.as_deref()), (2, 2.0, Some("team")));
    assert_eq!(plain.execution_timeout.unwrap().to_string(), "10m");
    let own = task(&dag, "own");
    assert_eq!((own.retry.retries, own.retry.backoff, own.execution_timeout), (0, 1.5, None));
    assert_eq!(serde_json::to_value(&own.env).unwrap(), json!({"A": "dag", "B": "task", "C": "1.10"}));
    let inside = task(&dag, "g.inside");
    assert_eq!((inside.retry.retries, inside.retry.backoff), (5, 2.0));
    assert_eq!(serde_json::to_value(&inside.env).unwrap(), json!({"A": "dag", "B": "group"}));
    assert_eq!(task(&dag, "g.more").env["A"], "on");
}

#[test]
fn a_mapped_task_waits_for_what_it_maps_over() {
    let dag = dag("
tasks:
  extract: {bash: x}
  list: {bash: x, expand: {n: [1, two, {three: 3}], empty: []}}
  pulled: {bash: x, expand: {n: \"{{ ti.xcom_pull('extract') }}\"}}
  keyed: {bash: x, depends_on: list, expand: {n: \"{{ ti.xcom_pull(task_ids='extract', key='files') }}\"}}
");
    assert_eq!(
        task(&dag, "list").expand["n"],
        Expand::List(vec![json!(1), json!("two"), json!({"three": 3})])
    );
    assert_eq!(upstream(&dag, "pulled"), ["extract"]);
    assert_eq!(upstream(&dag, "keyed"), ["extract", "list"]);
    let Expand::XCom { task_id, key } = &task(&dag, "keyed").expand["n"] else { panic!("no XCom") };
    assert_eq!((task_id.as_str(), key.as_str()), ("extract", "files"));
}

#[test]
fn operators_in_all_their_forms() {
    let dag = dag("
tasks:
  a: {python: print(1)}
  b: {python: {file: scripts/report.py}}
  c: {sql: {conn_id: warehouse, file: load.sql}}
  d: {sql: {conn_id: warehouse, sql: select 1}}
  e: {http: https://example.org/x}
  f: {http: {conn_id: api, url: /x, method: post, headers: {B: 1, A: x}, body: {n: 1, a: [true]}}}
  g: {empty: }
");
    let operator = |id: &str| serde_json::to_value(&task(&dag, id).operator).unwrap();
    assert_eq!(operator("a"), json!({"type": "python", "source": "print(1)"}));
    assert_eq!(operator("b"), json!({"type": "python", "source": "print(1)\n", "file": "scripts/report.py"}));
    assert_eq!(
        operator("c"),
        json!({"type": "sql", "conn_id": "warehouse", "sql": "insert into delays select 1;", "file": "load.sql"})
    );
    assert_eq!(operator("d"), json!({"type": "sql", "conn_id": "warehouse", "sql": "select 1"}));
    assert_eq!(operator("e"), json!({"type": "http", "method": "GET", "url": "https://example.org/x"}));
    assert_eq!(
        operator("f"),
        json!({"type": "http", "conn_id": "api", "method": "POST", "url": "/x", "headers": {"A": "x", "B": "1"}, "body": {"n": 1, "a": [true]}})
    );
    assert_eq!(task(&dag, "g").operator, Operator::Empty);
}

#[test]
fn files_referred_to_are_named_even_when_they_are_missing() {
    let parsed = load(
        "tasks:\n  a: {python: {file: scripts/report.py}}\n  b: {sql: {conn_id: w, file: gone.sql}}\n  c: {sql: {conn_id: w, file: gone.sql}}\n",
    );
    assert_eq!(parsed.files, ["scripts/report.py", "gone.sql"]);
    assert_eq!(parsed.errors.len(), 2);
}

#[test]
fn dates_are_read_in_the_zone_of_the_dag() {
    let dag = dag("
timezone: America/New_York
start_date: 2026-01-01
end_date: 2026-11-01T01:30
tasks: {t: {empty: {}}}
");
    assert_eq!(dag.start_date.unwrap().to_rfc3339(), "2026-01-01T05:00:00+00:00");
    // Read twice by the clocks of New York: the first of the two is meant.
    assert_eq!(dag.end_date.unwrap().to_rfc3339(), "2026-11-01T05:30:00+00:00");
}

#[test]
fn schedules_in_all_their_forms() {
    for (written, normal) in [
        ("null", json!(null)),
        ("None", json!(null)),
        ("\"null\"", json!(null)),
        ("\"@once\"", json!("@once")),
        ("{every: 15m}", json!({"every": "15m"})),
        ("{every: 15m, data_interval: true}", json!({"every": "15m", "data_interval": true})),
        ("\"30 2 * * *\"", json!({"cron": "30 2 * * *", "timezone": "Europe/Berlin"})),
        ("\"15 30 2 * * *\"", json!({"cron": "15 30 2 * * *", "timezone": "Europe/Berlin"})),
        ("{cron: 30 2 * * *, timezone: Asia/Tokyo}", json!({"cron": "30 2 * * *", "timezone": "Asia/Tokyo"})),
    ] {
        let dag =
            dag(&format!("timezone: Europe/Berlin\nschedule: {written}\ntasks: {{t: {{empty: {{}}}}}}"));
        assert_eq!(serde_json::to_value(&dag.schedule).unwrap(), normal, "{written}");
    }
    for (written, normal) in [
        ("true", json!(true)),
        ("false", json!(false)),
        ("last", json!("last")),
        ("{window: 6h}", json!({"window": "6h"})),
    ] {
        let dag = dag(&format!("catchup: {written}\ntasks: {{t: {{empty: {{}}}}}}"));
        assert_eq!(serde_json::to_value(dag.catchup).unwrap(), normal, "{written}");
    }
}

#[test]
fn params_are_schemas_or_defaults() {
    let dag = dag("
params:
  day: {type: string, format: date, default: 2013-01-01, description: The day, title: Day}
  count: 3
  nothing: {type: [string, 'null'], default: null}
  needed: {type: integer}
tasks: {t: {empty: {}}}
");
    let params = serde_json::to_value(&dag.params).unwrap();
    assert_eq!(
        params,
        json!({
            "day": {"default": "2013-01-01", "description": "The day", "schema": {"type": "string", "format": "date", "title": "Day"}},
            "count": {"default": 3, "schema": {}},
            "nothing": {"default": null, "schema": {"type": ["string", "null"]}},
            "needed": {"schema": {"type": "integer"}},
        })
    );
    let back: Dag = serde_json::from_value(serde_json::to_value(&dag).unwrap()).unwrap();
    assert_eq!(back, dag);
}

#[test]
fn anchors_aliases_and_merges_repeat_things() {
    let dag = dag("
x-common: &common {retries: 3, pool: small}
tasks:
  a: {bash: x, <<: *common}
  b: {<<: *common, bash: y, retries: 1}
");
    assert_eq!((task(&dag, "a").retry.retries, task(&dag, "b").retry.retries), (3, 1));
    assert_eq!(task(&dag, "b").pool.as_str(), "small");
}

#[test]
fn line_ends_of_windows_mean_the_same() {
    assert_eq!(dag(&FLIGHTS.replace('\n', "\r\n")).content_hash(), dag(FLIGHTS).content_hash());
}

#[test]
fn edits_without_meaning_keep_the_hash() {
    let hash = |text: &str| dag(text).content_hash();
    let plain = hash(
        "dag_id: a\ntags: [x]\ntasks:\n  t: {bash: echo hi, retries: 2, env: {A: '1', B: '2'}}\n  u: {bash: x, depends_on: [t]}\n",
    );
    let edited = "
# a comment
tags:   # another
  - x
dag_id: \"a\"

tasks:
  t:
    env:
      B: 2
      A: 1
    retries: 2
    retry_delay: 300s
    bash: echo hi
  u:
    depends_on: t
    bash: x
";
    assert_eq!(hash(edited), plain);
    for (from, to) in [
        ("echo hi", "echo ho"),
        ("retries: 2", "retries: 3"),
        ("B: 2", "B: 3"),
        ("depends_on: t", "trigger_rule: always"),
        ("- x", "- y"),
    ] {
        assert_ne!(hash(&edited.replace(from, to)), plain, "{from} -> {to}");
    }
}
