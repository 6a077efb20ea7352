//! What plugins say of a DAG, as the bridge tells it beside the DAG.

use chrono::{DateTime, Utc};
use domain::{
    dag::WeightRule,
    partition::Partitions,
    serialized::read,
    timetable::{Bounds, Catchup, Timetable},
};
use serde_json::{Value, json};
use test_case::test_case;

const CLASS: &str = "airflow.example_dags.plugins.workday.AfterWorkdayTimetable";

fn dag(timetable: &str, rule: &str, said: Value) -> Value {
    let mut dag = json!({
        "__version": 3,
        "dag": {
            "dag_id": "shop", "timezone": "UTC", "catchup": true,
            "timetable": {"__type": timetable, "__var": {}},
            "tasks": [{"__type": "operator", "__var": {
                "task_id": "sell", "task_type": "EmptyOperator", "_is_empty": true, "_task_module": "x",
                "priority_weight": 7, "weight_rule": rule, "downstream_task_ids": [],
            }}],
        },
    });
    if !said.is_null() {
        dag["tradewind"] = said;
    }
    dag
}

fn said(is_partitioned: bool) -> Value {
    json!({"summary": "workdays", "description": "After each workday", "is_partitioned": is_partitioned,
           "listing": {"asked_at": 1_000_000, "runs": [[2_000_000, 3_000_000, 4_000_000]], "has_more": false, "fault": null}})
}

#[test]
fn a_timetable_of_a_plugin_has_the_runs_that_it_named() {
    let dag = read(&dag(CLASS, "absolute", json!({"timetable": said(false)})), "shop.py").unwrap();
    let moment = |seconds| DateTime::<Utc>::from_timestamp(seconds, 0).unwrap();
    let next = dag.schedule.next_run(None, &Bounds::default(), Catchup::All, moment(9)).unwrap();
    assert_eq!((next.logical_date, next.tick(), next.run_after), (moment(2), moment(3), moment(4)));
    assert_eq!(dag.schedule.summary(), "workdays");
    assert_eq!(dag.schedule.description(), format!("After each workday, as {CLASS} says"));
}

#[test]
fn assets_may_ask_for_runs_beside_it() {
    let mut written = dag(CLASS, "absolute", json!({"timetable": said(false)}));
    let condition =
        json!({"__type": "asset", "name": "stock", "uri": "x://stock", "group": "asset", "extra": {}});
    let own = written["dag"]["timetable"].take();
    written["dag"]["timetable"] = json!({
        "__type": "airflow.timetables.assets.AssetOrTimeSchedule",
        "__var": {"asset_condition": condition, "timetable": own},
    });
    let dag = read(&written, "shop.py").unwrap();
    assert!(matches!(dag.schedule, Timetable::Listed(_)) && dag.asset_condition.is_some());
}

#[test_case(json!(null), "is not known"; "nobody asked it")]
#[test_case(json!({"fault": "KeyError: 'x'"}), "cannot be asked: KeyError: 'x'"; "it failed")]
#[test_case(json!({"timetable": {"summary": 1}}), "cannot be understood"; "nonsense")]
#[test_case(json!({"timetable": said(true)}), "partitions"; "of partitions")]
fn a_timetable_that_cannot_be_carried_out_is_refused(said: Value, words: &str) {
    let refused = read(&dag(CLASS, "absolute", said), "shop.py").unwrap_err().to_string();
    assert!(refused.contains(words) && refused.contains(CLASS), "{refused}");
}

#[test]
fn a_timetable_may_leave_partitions_to_whoever_starts_a_run_or_a_task() {
    let mut told = said(false);
    told["is_partitioned_at_runtime"] = json!(true);
    let dag = read(&dag(CLASS, "absolute", json!({"timetable": told})), "shop.py").unwrap();
    assert!(matches!(dag.schedule, Timetable::Listed(_)));
    assert_eq!(dag.partitions, Some(Partitions::AtRuntime));
}

#[test]
fn a_weight_rule_of_a_plugin_says_the_whole_weight() {
    let ours = "airflow.timetables.simple.NullTimetable";
    let weighed = |said: Value| read(&dag(ours, "shop.Rush", said), "shop.py");
    let dag = weighed(json!({"weights": {"sell": 4}})).unwrap();
    assert_eq!((dag.tasks[0].priority_weight, dag.tasks[0].weight_rule), (4, WeightRule::Absolute));
    for (said, words) in [
        (json!({"weights": {"sell": {"fault": "TypeError: no"}}}), "cannot say its weight: TypeError: no"),
        (json!({"fault": "it took longer than 5 seconds"}), "cannot say its weight: it took longer"),
        (json!({"weights": {"sell": 5_000_000_000_i64}}), "32 bits"),
        (json!({"weights": {"other": 1}}), "is not known"),
        (json!(null), "is not known"),
    ] {
        let refused = weighed(said).unwrap_err().to_string();
        assert!(refused.contains("DAG `shop`, task `sell`") && refused.contains(words), "{refused}");
    }
}
