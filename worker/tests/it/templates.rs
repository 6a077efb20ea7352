//! Templates, against what Airflow and Jinja make of the same text.

use serde_json::json;
use test_case::test_case;

use crate::fixture::{Bench, bash};

const RUN: &str = "scheduled__2026-01-02T00:00:00+00:00";

fn bench(text: &str) -> Bench {
    let text = json!({"bash": text}).to_string();
    let rest = format!(
        "tags: [x]\nparams: {{day: '2013-01-01', flag: true, list: [1, two], nothing: {{type: 'null', default: null}}}}\ntasks:\n  task: {text}\n"
    );
    Bench::dag(&rest)
        .with_env("TRADEWIND_VAR_NAME", "value")
        .with_env("AIRFLOW_VAR_SETTINGS", r#"{"a": {"b": [1, 2]}}"#)
        .with_env("AIRFLOW_CONN_DB", r#"{"conn_type": "postgres", "host": "h", "login": "joe", "password": "pw", "port": 5433, "schema": "d", "extra": {"region": "eu"}}"#)
        .with_conf("flag", json!(false))
        .with_conf("more", json!("yes"))
}

#[test_case("{{ ds }} {{ ds_nodash }}", "2026-01-02 20260102")]
#[test_case(
    "{{ ts }} {{ ts_nodash }} {{ ts_nodash_with_tz }}",
    "2026-01-02T00:00:00+00:00 20260102T000000 20260102T000000+0000"
)]
#[test_case("{{ logical_date }}", "2026-01-02T00:00:00+00:00")]
#[test_case(
    "{{ data_interval_start | ds }} {{ data_interval_end | ts_nodash }}",
    "2026-01-02 20260103T000000"
)]
#[test_case("{{ logical_date.strftime('%Y/%m/%d %H:%M:%S.%f') }}", "2026/01/02 00:00:00.000000")]
#[test_case("{{ logical_date.isoformat() }}", "2026-01-02T00:00:00+00:00")]
#[test_case("{{ logical_date.year }}-{{ logical_date.month }}-{{ logical_date.day }}", "2026-1-2")]
#[test_case(
    "{{ logical_date.add(days=1).to_date_string() }} {{ logical_date.subtract(months=1, hours=2).isoformat() }}",
    "2026-01-03 2025-12-01T22:00:00+00:00"
)]
#[test_case("{{ logical_date.in_timezone('America/New_York') }}", "2026-01-01T19:00:00-05:00")]
#[test_case(
    "{{ logical_date.start_of('month') | ds }} {{ logical_date.end_of('month') | ds }}",
    "2026-01-01 2026-01-31"
)]
#[test_case("{{ logical_date.replace(day=15, hour=6).isoformat() }}", "2026-01-15T06:00:00+00:00")]
#[test_case("{{ logical_date.format('dddd, D MMMM YYYY') }}", "Friday, 2 January 2026")]
#[test_case(
    "{{ logical_date.weekday() }} {{ logical_date.timestamp() }} {{ logical_date.date() }}",
    "4 1767312000.0 2026-01-02"
)]
#[test_case("{{ logical_date < data_interval_end }} {{ logical_date == data_interval_start }}", "True True")]
#[test_case(
    "{{ logical_date.add(macros.timedelta(days=2)) | ds }} {{ macros.timedelta(hours=30) }}",
    "2026-01-04 1 day, 6:00:00"
)]
#[test_case(
    "{{ macros.ds_add(ds, -3) }} {{ macros.ds_format(ds, '%Y-%m-%d', '%d.%m.%y') }}",
    "2025-12-30 02.01.26"
)]
#[test_case(
    "{{ macros.datetime(2026, 5, 4, 3).isoformat() }} {{ macros.datetime.strptime('04/05/26', '%d/%m/%y') | ds }}",
    "2026-05-04T03:00:00+00:00 2026-05-04"
)]
#[test_case(
    "{{ macros.json.dumps({'a': [1, none]}) }} {{ macros.json.loads('[1]')[0] }}",
    "{\"a\":[1,null]} 1"
)]
#[test_case("{{ macros.uuid.uuid4() | length }} {{ macros.random() < 1 }}", "36 True")]
#[test_case("{{ macros.datetime_diff_for_humans('2026-01-10T09:00:00+00:00') }}", "3 hours ago")]
#[test_case("{{ run_id }}", RUN)]
#[test_case("{{ dag_run.run_id }} {{ dag_run.run_type }} {{ dag_run.logical_date | ds }}", &format!("{RUN} scheduled 2026-01-02"))]
#[test_case(
    "{{ dag_run.conf }} {{ dag_run.conf['more'] }} {{ dag_run.conf.get('none', 'd') }}",
    "{'flag': False, 'more': 'yes'} yes d"
)]
#[test_case(
    "{{ dag.dag_id }} {{ dag }} {{ task.task_id }} {{ ti.task_id }} {{ dag.tags[0] }}",
    "flights <DAG: flights> task task x"
)]
#[test_case("{{ ti.try_number }} {{ task_instance.map_index }} {{ ti.max_tries }}", "2 -1 3")]
#[test_case(
    "{{ params.day }} {{ params['flag'] }} {{ params.list }} {{ params.nothing }}",
    "2013-01-01 False [1, 'two'] None"
)]
#[test_case(
    "{{ var.value.name }} {{ var.value.get('missing', 'default') }} {{ var.value.get('name') }}",
    "value default value"
)]
#[test_case(
    "{{ var.json.settings.a.b[1] }} {{ var.json.get('missing', {'x': 1}) }} {{ var.json.settings }}",
    "2 {'x': 1} {'a': {'b': [1, 2]}}"
)]
#[test_case(
    "{{ conn.db.host }}:{{ conn.db.port }}/{{ conn.db.schema }} {{ conn.db.extra_dejson.region }} {{ conn.db.description }}",
    "h:5433/d eu None"
)]
#[test_case("{{ conn.get('db').login }} {{ conn.get('missing', 'none') }}", "joe none")]
#[test_case("{{ prev_data_interval_start_success }} {{ prev_start_date_success is none }}", "None True")]
#[test_case("{% for x in [1, 2] %}{{ x }},{% endfor %}{% set y = 3 %}{{ y + 1 }}", "1,2,4")]
#[test_case(
    "{{ 'a,b'.split(',') }} {{ 'Ab'.lower() }} {{ ' x '.strip() }} {{ 'a-b'.replace('-', '_') }}",
    "['a', 'b'] ab x a_b"
)]
#[test_case(
    "{{ ','.join(params.list) }} {{ params.list | join('+') }} {{ '%s-%02d' | format('a', 3) }} {{ '{}/{}'.format(1, 'b') }}",
    "1,two 1+two a-03 1/b"
)]
#[test_case(
    "{{ {'a': 1}.items() | list }} {% for k, v in {'b': 2}.items() %}{{ k }}={{ v }}{% endfor %}",
    "[['a', 1]] b=2"
)]
#[test_case("{{ none }} {{ true }} {{ 1.0 }} {{ 'x' if false }}|", "None True 1.0 |")]
#[test_case("{{ missing | default('d') }} {{ missing is defined }}", "d False")]
#[test_case("{{ params.list | tojson }} {{ '<&>' }}", "[1, \"two\"] <&>")]
#[test_case("{# a comment #}{{ 1 }}", "1")]
#[test_case("${#array[@]} {a}", "${#array[@]} {a}" ; "no template at all")]
#[test_case("one line\n", "one line" ; "newline at the end without a template")]
#[test_case("{{ 1 }}\n", "1" ; "newline at the end with one")]
#[tokio::test]
async fn texts_become(text: &str, wanted: &str) {
    // Secrets are hidden in what is shown, so the password has its own test.
    assert_eq!(bench(text).rendered().await.map(|fields| fields["bash_command"].clone()), Ok(json!(wanted)));
}

#[test_case(
    "{{ dz }}",
    "template error in `bash`, line 1, column 4: `dz` is not defined; did you mean `ds`?"
)]
#[test_case(
    "echo 1\necho {{ parms.x }}",
    "template error in `bash`, line 2, column 9: `parms` is not defined; did you mean `params`?"
)]
#[test_case(
    "{{ dag_run.runid }}",
    "template error in `bash`, line 1, column 4: `dag_run.runid` is not defined; did you mean `run_id`?"
)]
#[test_case("{{ params.nope }}", "template error in `bash`, line 1, column 4: `params.nope` is not defined")]
#[test_case(
    "{{ 1 + }}",
    "template error in `bash`, line 1, column 8: syntax error: unexpected end of variable block"
)]
#[test_case(
    "{{ ds | nofilter }}",
    "template error in `bash`, line 1, column 9: unknown filter: filter nofilter is unknown"
)]
#[test_case(
    "{{ ti.xcom_pull('tsk') }}",
    "template error in `bash`, line 1, column 6: this DAG has no task `tsk`; did you mean `task`?"
)]
#[test_case(
    "{{ conn.nope.host }}",
    "template error in `bash`, line 1, column 4: there is no connection `nope`; add it with `tradewind connections add nope --conn-uri URI`"
)]
#[test_case(
    "{{ var.value.nope }}",
    "template error in `bash`, line 1, column 7: there is no variable `nope`; set it with `tradewind variables set nope VALUE`, or give a default: var.value.get('nope', '...')"
)]
#[test_case(
    "{{ logical_date - macros.timedelta(days=1) }}",
    "template error in `bash`, line 1, column 4: tried to use - operator on unsupported types plain object and plain object; dates are moved by .add(days=1) and .subtract(days=1)"
)]
#[test_case(
    "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}",
    "template error in `bash`, line 1, column 1: it takes too many steps; is there an endless loop?"
)]
#[test_case("${#a[@]} {{ ds }}", "`{#` begins a comment in templates")]
#[test_case("{{ macros.datetime.strptime('x', '%Y') }}", "time data \"x\" does not match format \"%Y\"")]
#[test_case("{{ logical_date.strftime('%Q') }}", "\"%Q\" is not a format for strftime")]
#[test_case("{{ logical_date.add(years=999999) }}", "the date is out of range")]
#[tokio::test]
async fn faults_are_explained(text: &str, wanted: &str) {
    let error = bench(text).rendered().await.unwrap_err();
    assert!(error.contains(wanted), "{error}");
}

#[tokio::test]
async fn a_run_without_a_date_says_so() {
    let mut bench = bench("{{ ds }}");
    bench.logical_date = None;
    let error = bench.rendered().await.unwrap_err();
    assert!(error.contains("`ds` is not defined, because this run has no logical date"), "{error}");
}

#[tokio::test]
async fn faults_of_templates_are_for_good_and_missing_variables_are_not() {
    use domain::outcome::TryResult::{Failed, FailedForGood};
    for (text, result) in [
        ("{{ dz }}", FailedForGood),
        ("{{ 1 + }}", FailedForGood),
        ("{{ conn.nope.host }}", FailedForGood),
        ("{{ var.value.nope }}", Failed),
        ("{{ ti.xcom_pull('task')['x'] }}", Failed),
    ] {
        assert_eq!(Bench::task(&bash(text)).run().await.result, result, "{text}");
    }
}

#[tokio::test]
async fn a_required_param_must_be_given() {
    let rest = "params: {day: {type: string}}\ntasks:\n  task: {bash: 'echo {{ params.day }}'}\n";
    let error = Bench::dag(rest).rendered().await.unwrap_err();
    assert!(error.starts_with("param `day` "), "{error}");
    let wrong = Bench::dag(rest).with_conf("day", json!(3)).rendered().await.unwrap_err();
    assert!(wrong.starts_with("param `day` "), "{wrong}");
}
