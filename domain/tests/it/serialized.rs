//! What Airflow's parser was recorded to make of DAG files (`golden/serialized/record.py`), read into our model.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeZone, Utc};
use domain::{
    alert::Notification,
    asset::AssetName,
    dag::{Dag, Expand, Operator, Task, WeightRule},
    deadline::{Interval, Reference},
    partition::{Key, Partitions},
    serialized::read,
    span::Span,
    timetable::{Bounds, Catchup, Timetable},
    trigger_rule::TriggerRule,
};
use serde_json::{Value, json};
use test_case::test_case;

fn recorded() -> Vec<Value> {
    serde_json::from_str(include_str!("golden/serialized/features.json")).unwrap()
}

fn serialized(dag_id: &str) -> Value {
    recorded().into_iter().find(|dag| dag["dag"]["dag_id"] == dag_id).unwrap()
}

fn dag(dag_id: &str) -> Dag {
    read(&serialized(dag_id), "team/features.py").unwrap()
}

fn task<'a>(dag: &'a Dag, id: &str) -> &'a Task {
    dag.task(id).unwrap()
}

fn upstream(dag: &Dag) -> BTreeMap<&str, Vec<&str>> {
    dag.tasks
        .iter()
        .map(|task| (task.task_id.as_str(), task.upstream.iter().map(|id| id.as_str()).collect()))
        .collect()
}

#[test]
fn every_recorded_dag_can_be_read_and_keeps_its_normal_form() {
    for written in recorded() {
        let dag = read(&written, "features.py").unwrap();
        let again: Dag = serde_json::from_value(serde_json::to_value(&dag).unwrap()).unwrap();
        assert_eq!(dag, again);
        assert_eq!(dag.python_file.as_deref(), Some("features.py"));
    }
}

#[test]
fn callbacks_are_asked_for_by_event() {
    let mut written = serialized("everything");
    let callback = vec![Notification::Callback];
    for (flags, of_dag, of_task) in [
        (json!([]), [vec![], vec![]], [vec![], vec![]]),
        (json!(["failure"]), [vec![], callback.clone()], [vec![], callback.clone()]),
        (json!(["success"]), [callback.clone(), vec![]], [vec![], vec![]]),
        (json!(["retry"]), [vec![], vec![]], [callback.clone(), vec![]]),
    ] {
        for event in ["success", "failure", "retry"] {
            let is_set = Value::from(flags.as_array().unwrap().contains(&json!(event)));
            written["dag"][format!("has_on_{event}_callback")] = is_set.clone();
            written["dag"]["tasks"][0]["__var"][format!("has_on_{event}_callback")] = is_set;
        }
        let dag = read(&written, "x.py").unwrap();
        assert_eq!([dag.alerts.on_success, dag.alerts.on_failure], of_dag, "{flags}");
        let alerts = dag.tasks[0].alerts.clone();
        assert_eq!([alerts.on_retry, alerts.on_failure], of_task, "{flags}");
        assert!(alerts.on_success.is_empty(), "its own process tells of that");
    }
}

#[test]
fn a_dag_has_what_was_written() {
    let dag = dag("everything");
    assert_eq!(
        (dag.description.as_deref(), dag.doc.as_deref()),
        (Some("One of everything"), Some("# Everything"))
    );
    assert_eq!(dag.start_date, Some(Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).unwrap()));
    assert_eq!(dag.end_date, Some(Utc.with_ymd_and_hms(2027, 1, 1, 0, 0, 0).unwrap()));
    assert_eq!((dag.catchup, dag.owner.as_str(), dag.is_paused_upon_creation), (Catchup::All, "ann", true));
    assert_eq!((dag.max_active_runs, dag.max_active_tasks, dag.max_consecutive_failed_dag_runs), (3, 7, 5));
    assert_eq!((dag.dagrun_timeout, dag.tags.join(",")), (Some(Span::from_secs(7200)), "a,b".to_owned()));
    assert_eq!(dag.params["day"].default, Some(json!("2026-01-01")));
    assert_eq!(dag.params["day"].schema, json!({"format": "date", "type": "string"}));
    assert_eq!(
        (&dag.params["plain"].default, &dag.params["none"].default),
        (&Some(json!(5)), &Some(Value::Null))
    );
    let groups: Vec<&str> = dag.groups.iter().map(|group| group.group_id.as_str()).collect();
    assert_eq!((groups, dag.groups[0].doc.as_deref()), (vec!["outer", "outer.inner"], Some("Both")));
}

#[test]
fn groups_contain_what_does_not_begin_with_their_names() {
    let mut written = serialized("everything");
    let children = &mut written["dag"]["task_group"]["children"];
    let outer = children["outer"].take();
    children.as_object_mut().unwrap().remove("outer");
    // `plain` has `prefix_group_id=False`: neither `last` nor `outer` bears its name.
    let inside = json!({"last": ["operator", "last"], "outer": outer});
    children["plain"] =
        json!(["taskgroup", {"_group_id": "plain", "prefix_group_id": false, "children": inside}]);
    let dag = read(&written, "features.py").unwrap();
    let tasks = |group: &str| dag.in_group(group).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(tasks("plain"), ["last", "outer.inner.deep", "outer.beside"]);
    assert_eq!(tasks("outer.inner"), ["outer.inner.deep"]);
    assert_eq!(tasks("oute"), Vec::<String>::new());
    let around = dag.with_those_around("outer.inner").collect::<Vec<_>>();
    assert_eq!(around, ["outer.inner", "outer", "plain"]);
    let parents: Vec<bool> = dag.groups.iter().map(|group| group.parent.is_some()).collect();
    assert_eq!(parents, [false, true, false], "a parent is written down only where no id tells it");

    let plain = &mut written["dag"]["task_group"]["children"]["plain"][1];
    map(plain, "x", json!([1, 2]));
    map(&mut plain["children"]["outer"][1], "y", json!([3]));
    let dag = read(&written, "features.py").unwrap();
    let deep = task(&dag, "outer.inner.deep");
    let mapped = dag.mapped_groups(deep);
    let ids: Vec<&str> = mapped.iter().map(|&group| dag.groups[group].group_id.as_str()).collect();
    assert_eq!(ids, ["plain", "outer"], "the outermost first, however long its name");
}

/// Maps a group over a list.
fn map(group: &mut Value, name: &str, list: Value) {
    let over = json!({"__type": "dict", "__var": {name: list}});
    group["expand_input"] = json!({"type": "dict-of-lists", "value": over});
}

#[test]
fn tasks_have_what_was_written() {
    let dag = dag("everything");
    let shell = task(&dag, "shell");
    let Operator::Airflow(about) = &shell.operator else { panic!("{:?}", shell.operator) };
    assert_eq!((about.class.as_str(), about.chooses), ("BashOperator", false));
    assert_eq!(shell.operator.class_name(), "BashOperator");
    assert_eq!((shell.retry.retries, shell.retry.delay, shell.retry.backoff), (2, Span::from_secs(30), 2.0));
    assert_eq!(
        (shell.retry.max_delay, shell.execution_timeout),
        (Some(Span::from_secs(600)), Some(Span::from_secs(300)))
    );
    assert_eq!((shell.pool.as_str(), shell.pool_slots, shell.queue.as_str()), ("heavy", 2, "big"));
    assert_eq!(
        (shell.priority_weight, shell.weight_rule, shell.do_xcom_push),
        (10, WeightRule::Upstream, false)
    );
    assert_eq!((shell.max_active_tis_per_dag, shell.max_active_tis_per_dagrun), (Some(4), Some(2)));
    assert!(shell.depends_on_past && shell.wait_for_downstream);
    assert!(task(&dag, "choose").operator.chooses());
    assert_eq!(task(&dag, "first").operator, Operator::Empty);
    assert_eq!(task(&dag, "last").trigger_rule, TriggerRule::NoneFailedMinOneSuccess);
    assert_eq!(task(&dag, "outer.inner.deep").group.as_ref().unwrap().as_str(), "outer.inner");
    let order = upstream(&dag);
    assert_eq!((&order["shell"], &order["last"]), (&vec!["choose"], &vec!["sensor", "shell"]));
    assert_eq!((&order["first"], &order["outer.beside"]), (&vec![], &vec!["last"]));
}

#[test]
fn setups_teardowns_and_required_params() {
    let dag = dag("cleanly");
    assert!(dag.fail_fast && dag.params["many"].default.is_none());
    assert!(task(&dag, "make").setup);
    let remove = task(&dag, "remove");
    assert!(remove.teardown.unwrap().on_failure_fail_dagrun);
    assert_eq!(remove.trigger_rule, TriggerRule::AllDoneSetupSuccess);
    assert_eq!(upstream(&dag)["remove"], ["make", "use"]);
    let Operator::Airflow(about) = &task(&dag, "use").operator else { panic!() };
    assert_eq!((about.class.as_str(), about.name.as_deref()), ("_PythonDecoratedOperator", Some("@task")));
}

fn xcom(task_id: &str) -> Expand {
    Expand::XCom { task_id: task_id.parse().unwrap(), key: "return_value".to_owned() }
}

#[test]
fn mappings_in_all_forms() {
    let dag = dag("mapped");
    let of = |id: &str, name: &str| task(&dag, id).expand[name].clone();
    assert_eq!(of("over_xcom", "x"), xcom("numbers"));
    assert_eq!(of("over_list", "x"), Expand::List(vec![json!(10), json!(20)]));
    assert_eq!(task(&dag, "product").expand.keys().collect::<Vec<_>>(), ["x"]);
    assert_eq!(task(&dag, "cross").expand.keys().collect::<Vec<_>>(), ["x", "y"]);
    assert_eq!(of("mapped_map", "x"), xcom("numbers"), "as many as what it is made of");
    let zipped = Expand::Zip { of: vec![xcom("numbers"), xcom("letters__1")], fillvalue: Some(Value::Null) };
    assert_eq!(of("zipped", "x"), zipped);
    assert_eq!(of("joined", "x"), Expand::Concat(vec![xcom("numbers"), xcom("letters__2")]));
    let each = Expand::List(vec![json!({"bash_command": "true"}), json!({"bash_command": "false"})]);
    assert_eq!(task(&dag, "kwargs").expand_kwargs, Some(each));
    let classic = task(&dag, "classic");
    assert_eq!(
        (classic.retry.retries, classic.pool.as_str()),
        (3, "heavy"),
        "what all instances share counts"
    );
    assert_eq!((classic.trigger_rule, classic.retry.delay), (TriggerRule::AllDone, Span::from_secs(300)));
    assert_eq!(task(&dag, "over_xcom").map_index_template.as_deref(), Some("{{ x }}"));
    assert_eq!(task(&dag, "over_xcom").max_active_tis_per_dagrun, Some(2));
    assert_eq!(dag.groups[0].expand["x"], xcom("numbers"));
    assert_eq!(upstream(&dag)["both.inside"], ["numbers"]);
}

#[test_case("never", &[]; "never")]
#[test_case("once", &["2026-01-01T00:00:00Z"]; "once")]
#[test_case("daily", &["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]; "daily")]
#[test_case("zoned", &["2026-01-01T11:00:00Z", "2026-01-02T11:00:00Z"]; "zoned")]
#[test_case("several", &["2026-01-01T06:00:00Z", "2026-01-01T18:30:00Z"]; "several")]
#[test_case("interval", &["2026-01-02T23:00:00Z", "2026-01-03T23:00:00Z"]; "interval")]
#[test_case("delta_interval", &["2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z"]; "delta interval")]
#[test_case("with_interval", &["2026-01-05T00:00:00Z", "2026-01-12T00:00:00Z"]; "with interval")]
#[test_case("listed", &["2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"]; "listed")]
fn schedules_fire_when_they_should(name: &str, expected: &[&str]) {
    let dag = dag(&format!("schedule_{name}"));
    let start = dag.start_date.unwrap();
    let runs = dag.schedule.runs(start, &Bounds { start: Some(start), end: None });
    let found: Vec<DateTime<Utc>> = runs.take(expected.len().max(1)).map(|run| run.run_after).collect();
    let expected: Vec<DateTime<Utc>> = expected.iter().map(|text| text.parse().unwrap()).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_run_can_be_about_a_time_before_its_tick() {
    let dag = dag("schedule_with_interval");
    let start = dag.start_date.unwrap();
    let first = dag.schedule.runs(start, &Bounds { start: Some(start), end: None }).next().unwrap();
    assert_eq!(first.data_interval.end - first.data_interval.start, chrono::TimeDelta::days(7));
    assert_eq!(dag_schedule("schedule_continuous"), Timetable::Continuous);
}

#[test]
fn assets_are_made_and_waited_for() {
    let made = dag("makes");
    let outlets = serde_json::to_value(&task(&made, "make").outlets).unwrap();
    assert_eq!(
        outlets,
        json!([{"name": "orders", "uri": "s3://shop/orders", "group": "shop", "extra": {"team": "sales"}}, {"alias": "some"}])
    );
    assert_eq!(task(&made, "make").inlets[0].asset().unwrap().name.as_str(), "raw");

    let waits = dag("waits_for_assets");
    assert_eq!(waits.schedule, Timetable::Null);
    let condition = waits.asset_condition.unwrap();
    assert_eq!(
        condition.assets().iter().map(|asset| asset.name.as_str()).collect::<Vec<_>>(),
        ["orders", "a"]
    );
    let holds =
        |names: &[&str], alias: bool| condition.holds(&|name| names.contains(&name.as_str()), &|_| alias);
    assert!(holds(&["orders", "a"], false) && holds(&["orders"], true));
    assert!(!holds(&["a"], true) && !holds(&["orders"], false));

    let either = dag("assets_or_time");
    assert!(matches!(either.schedule, Timetable::Cron(_)) && either.asset_condition.is_some());
}

/// A DAG with the timetable that a DAG of Airflow's example of partitions has.
fn divided(dag_id: &str) -> Dag {
    let recorded: Value = serde_json::from_str(include_str!("golden/partitions/timetables.json")).unwrap();
    let mut whole = serialized("everything");
    whole["dag"]["timetable"] = recorded[dag_id].clone();
    read(&whole, "parts.py").unwrap()
}

#[test]
fn all_partitions_of_airflows_example_are_known_and_kept() {
    let recorded: Value = serde_json::from_str(include_str!("golden/partitions/timetables.json")).unwrap();
    let names: Vec<&String> = recorded.as_object().unwrap().keys().collect();
    assert_eq!(names.len(), 21);
    for name in names {
        let dag = divided(name);
        assert!(dag.partitions.is_some(), "{name}");
        let kept = serde_json::to_string(&dag).unwrap();
        assert_eq!(serde_json::from_str::<Dag>(&kept).unwrap(), dag, "{name}");
    }
}

#[test]
fn partitions_are_those_of_the_file() {
    let at = |dag: &Dag, tick: &str| dag.partition_at(tick.parse().unwrap()).unwrap();
    let hourly = divided("ingest_team_a_player_stats");
    let tick = at(&hourly, "2026-01-01T07:00:00Z");
    assert_eq!(tick.key.as_str(), "2026-01-01T07:00:00");
    assert_eq!(hourly.partition_of(tick.key.clone()).unwrap(), tick);
    assert_eq!(divided("ingest_region_stats").partitions, Some(Partitions::AtRuntime));

    let never = divided("player_odds_quality_check_wont_ever_to_trigger");
    let mappers = never.mappers().unwrap();
    let keys = |asset: &str, key: &str| {
        mappers.keys(&AssetName::new(asset).unwrap(), &Key::new(key).unwrap()).map(|keys| keys.len())
    };
    assert_eq!(keys("team_b_player_stats", "2026-01-01T07:00:00"), Ok(1), "a reference by name counts");
    assert!(keys("combined_player_stats", "2026-01-01T07").is_err());

    let week = divided("daily_inference");
    let asset = AssetName::new("weekly_model_artifact").unwrap();
    let days = week.mappers().unwrap().keys(&asset, &Key::new("2026-01-05T00:00:00").unwrap()).unwrap();
    let days: Vec<&str> = days.iter().map(Key::as_str).collect();
    assert_eq!((days.len(), days[0], days[6]), (7, "2026-01-05", "2026-01-11"));
}

#[test_case(|said| said["run_offset"] = json!(5000), "at most 1000 ticks"; "offset")]
#[test_case(|said| said["key_format"] = json!("%Q"), "`%Q` in the format"; "format")]
fn ticks_that_cannot_be_partitions_are_refused(change: fn(&mut Value), expected: &str) {
    let recorded: Value = serde_json::from_str(include_str!("golden/partitions/timetables.json")).unwrap();
    let mut whole = serialized("everything");
    whole["dag"]["timetable"] = recorded["ingest_team_a_player_stats"].clone();
    change(&mut whole["dag"]["timetable"]["__var"]);
    let refused = read(&whole, "parts.py").unwrap_err().to_string();
    assert!(refused.contains("the partitions of its schedule") && refused.contains(expected), "{refused}");
}

fn dag_schedule(dag_id: &str) -> Timetable {
    dag(dag_id).schedule
}

#[test_case(|dag| dag["__version"] = json!(2), "version 2"; "another version")]
#[test_case(|dag| dag["dag"]["timezone"] = json!("Mars/Olympus"), "no time zone"; "zone")]
#[test_case(|dag| dag["dag"]["timetable"]["__type"] = json!("my.Timetable"), "my.Timetable is not known"; "timetable")]
#[test_case(|dag| dag["dag"]["tasks"][1]["__var"]["weight_rule"] = json!("my.Rule"), "my.Rule"; "weight rule")]
#[test_case(|dag| dag["dag"]["tasks"][1]["__var"]["trigger_rule"] = json!("whenever"), "trigger rule"; "rule")]
#[test_case(|dag| dag["dag"]["tasks"][1]["__var"]["pool_slots"] = json!(-1), "pool_slots"; "slots")]
#[test_case(|dag| dag["dag"]["tasks"][1]["__var"]["retry_delay"] = json!("soon"), "fixed number of seconds"; "delay")]
#[test_case(|dag| dag["dag"]["tasks"][1]["__var"]["downstream_task_ids"] = json!(["gone"]), "`gone`"; "unknown task")]
#[test_case(|dag| dag["dag"]["tasks"][1]["__var"]["downstream_task_ids"] = json!(["first"]), "waits for itself"; "cycle")]
#[test_case(|dag| dag["dag"]["tasks"][1]["__var"]["task_id"] = json!("first"), "same task_id"; "twice")]
#[test_case(|dag| dag["dag"]["tasks"][1]["__var"]["task_id"] = json!("a b"), "is not allowed"; "bad id")]
fn what_cannot_be_carried_out_is_refused_by_name(change: fn(&mut Value), expected: &str) {
    let mut written = serialized("everything");
    change(&mut written);
    let refused = read(&written, "features.py").unwrap_err().to_string();
    assert!(refused.contains(expected), "{refused}");
}

#[test]
fn deadlines_have_what_was_written() {
    let dag = dag("late");
    let after = |millis: u64| Interval::After(Span::from_millis(millis));
    let average = |max_runs, min_runs| Reference::AverageRuntime { max_runs, min_runs };
    let expected = [
        (Reference::Queued, after(1_800_500), "late.tell", true),
        (Reference::LogicalDate, after(3_600_000), "late.call", false),
        (
            Reference::At(Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).unwrap()),
            Interval::Variable { variable: "late_after".into() },
            "late.call",
            false,
        ),
        (average(5, 2), Interval::Before { before: Span::from_secs(60) }, "late.call", false),
        (average(10, 10), after(0), "late.tell", true),
    ];
    assert_eq!(dag.deadlines.len(), expected.len());
    for (found, (from, within, path, is_async)) in dag.deadlines.iter().zip(expected) {
        let callback = found.callback.as_ref().unwrap();
        assert_eq!((found.from, &found.within), (from, &within));
        assert_eq!((callback.path.as_str(), callback.is_async), (path, is_async));
    }
    assert_eq!(dag.deadlines[0].name.as_deref(), Some("half an hour"));
    assert_eq!(dag.deadlines[0].callback.as_ref().unwrap().kwargs["text"], json!("x"));
    let since = &dag.deadlines[1].callback.as_ref().unwrap().kwargs["since"];
    assert_eq!(since["__classname__"], json!("datetime.datetime"), "Airflow reads it back itself");
    assert_eq!(self::dag("late_once").deadlines, dag.deadlines[..1]);
}

#[test_case(|due| due["reference"]["__class_path"] = json!("my.Late"), "a class of its own"; "a reference of a plugin")]
#[test_case(|due| due["reference"]["reference_type"] = json!("Tomorrow"), "counts from `Tomorrow`"; "an unknown reference")]
#[test_case(|due| due["reference"] = json!({"reference_type": "FixedDatetimeDeadline", "datetime": 1e300}), "no moment"; "no moment")]
#[test_case(|due| due["reference"] = json!({"reference_type": "AverageRuntimeDeadline", "max_runs": 5000}), "from 1 to 1000"; "too many runs")]
#[test_case(|due| due["interval"] = json!(null), "no length of time"; "no interval")]
#[test_case(|due| due["interval"]["__classname__"] = json!("my.Interval"), "my.Interval"; "an unknown interval")]
#[test_case(|due| due["callback"]["__classname__"] = json!("my.Callback"), "my.Callback"; "an unknown callback")]
#[test_case(|due| due["callback"]["__data__"]["path"] = json!("tell"), "no function of a module"; "no path")]
#[test_case(|due| due["callback"]["__data__"]["kwargs"]["text"] = json!("x".repeat(70_000)), "at most 65536"; "too much")]
fn deadlines_that_cannot_be_kept_are_refused_by_name(change: fn(&mut Value), expected: &str) {
    let mut written = serialized("late");
    change(&mut written["dag"]["deadline"][0]);
    let refused = read(&written, "features.py").unwrap_err().to_string();
    assert!(
        refused.contains("DAG `late`: its deadline `half an hour` ") && refused.contains(expected),
        "{refused}"
    );
}

#[test]
fn there_are_not_too_many_deadlines() {
    let mut written = serialized("late");
    let one = written["dag"]["deadline"][0].clone();
    written["dag"]["deadline"] = Value::Array(vec![one; 11]);
    assert!(read(&written, "features.py").unwrap_err().to_string().contains("11 deadlines"));
}
