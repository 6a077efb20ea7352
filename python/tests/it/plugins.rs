//! Timetables and weight rules that plugins bring, asked while a file is read.

use std::collections::BTreeMap;

use python::Limits;
use serde_json::{Value, json};

use crate::ground::Ground;
use crate::parsing::{ask, read, read_on};

const PLUGIN: &str = r#"
from datetime import timedelta

from airflow.plugins_manager import AirflowPlugin
from airflow.task.priority_strategy import PriorityWeightStrategy
from airflow.timetables.base import DagRunInfo, DataInterval, Timetable


class Hours(Timetable):
    def __init__(self, most):
        self.most = most

    def serialize(self):
        return {"most": self.most}

    @classmethod
    def deserialize(cls, data):
        return cls(data["most"])

    def next_dagrun_info_v2(self, *, last_dagrun_info, restriction):
        # The next run begins where the last one could start: whoever asks has to know that, too.
        start = last_dagrun_info.run_after if last_dagrun_info else restriction.earliest
        if start.hour >= self.most:
            raise ValueError("closed")
        end = start + timedelta(minutes=30)
        return DagRunInfo(run_after=start + timedelta(hours=1), data_interval=DataInterval(start, end))


class Named(Hours):
    def infer_manual_data_interval(self, *, run_after):
        return DataInterval(run_after - timedelta(hours=2), run_after.in_timezone("Europe/Berlin") - timedelta(hours=1))

    def generate_run_id(self, *, run_type, run_after, data_interval, **extra):
        of = data_interval.start.hour if data_interval else "nothing"
        return f"{run_type.value}_{run_after:%H%M}_of_{of}"


class Slow(Hours):
    def infer_manual_data_interval(self, *, run_after):
        import time

        time.sleep(60)


class Late(PriorityWeightStrategy):
    def get_weight(self, ti):
        return 10 + (ti.try_number or 0) + len(ti.task.task_id)


class Hours_(AirflowPlugin):
    name = "hours"
    timetables = [Hours, Named, Slow]
    priority_weight_strategies = [Late]
"#;

const FILE: &str = r#"
import os

import pendulum
from airflow.sdk import DAG, task
from hours import Hours, Late

with DAG("shop", schedule=Hours(5), start_date=pendulum.datetime(1970, 1, 1), catchup=True, tags=sorted(os.environ)):

    @task(weight_rule=Late())
    def sell(number):
        return number

    @task
    def plain():
        return 1

    sell(1)
    plain()
"#;

const MINUTE: i64 = 60_000_000;

fn run(hour: i64) -> Value {
    json!([hour * 60 * MINUTE, (hour * 60 + 30) * MINUTE, (hour + 1) * 60 * MINUTE])
}

#[tokio::test]
async fn plugins_say_when_runs_are_due_and_what_tasks_weigh() {
    let Some(ground) = Ground::lay_with_plugin("hours.py", PLUGIN).await else { return };
    let first = read(&ground, "shop.py", FILE, Limits::default()).await.unwrap();
    assert!(first.errors.is_empty(), "{first:?}");
    let said = &first.dags[0]["tradewind"];
    assert_eq!(said["weights"], json!({"sell": 14}), "asked once, before the first try");
    let listing = &said["timetable"]["listing"];
    assert_eq!(listing["runs"], json!([run(0), run(1), run(2), run(3), run(4)]));
    assert_eq!((&listing["fault"], &listing["has_more"]), (&json!("ValueError: closed"), &json!(false)));

    let last = BTreeMap::from([("shop".to_owned(), [2, 3, 3].map(|hour| hour * 60 * MINUTE))]);
    let next = read_on(&ground, "shop.py", FILE, &last, Limits::default()).await.unwrap();
    assert_eq!(next.dags[0]["tradewind"]["timetable"]["listing"]["runs"], json!([run(3), run(4)]));
    let seen = next.dags[0]["dag"]["tags"].to_string();
    assert!(!seen.contains("LAST_RUNS"), "a file does not see what is told to the bridge: {seen}");

    let plain = FILE.replace("schedule=Hours(5)", "schedule=None").replace("(weight_rule=Late())", "");
    let plain = read(&ground, "plain.py", &plain, Limits::default()).await.unwrap();
    assert_eq!(plain.dags[0].get("tradewind"), None, "who needs no plugin pays nothing");
}

fn question(class: &str, about: &Value) -> Value {
    json!({"class": format!("hours.{class}"), "arguments": {"most": 5}, "about": about})
}

#[tokio::test]
async fn a_timetable_answers_about_runs_by_hand_and_dates_that_have_passed() {
    let Some(ground) = Ground::lay_with_plugin("hours.py", PLUGIN).await else { return };
    let hours = |count: i64| count * 60 * MINUTE;
    let manual = |date: Value, interval: Value| json!({"manual": {"logical_date": date, "data_interval": interval, "run_after": hours(9), "run_type": "manual"}});
    let said = ask(&ground, &question("Named", &manual(json!(hours(7)), Value::Null))).await;
    assert_eq!(said, json!({"data_interval": [hours(5), hours(6)], "run_id": "manual_0900_of_5"}));
    let said = ask(&ground, &question("Named", &manual(Value::Null, Value::Null))).await;
    assert_eq!(said, json!({"run_id": "manual_0900_of_nothing"}));
    let said = ask(&ground, &question("Hours", &manual(json!(hours(7)), json!([0, 1])))).await;
    assert_eq!(said, json!({"data_interval": [0, 1]}), "it is not asked for what is given");
    let said = ask(&ground, &question("Hours", &manual(json!(hours(7)), Value::Null))).await;
    assert!(said["fault"].as_str().unwrap().starts_with("NotImplementedError"), "{said}");
    let said = ask(&ground, &question("Slow", &manual(json!(hours(7)), Value::Null))).await;
    assert_eq!(said["fault"], "it took longer than 5 seconds");
    let said = ask(&ground, &question("Gone", &manual(Value::Null, Value::Null))).await;
    assert!(said["fault"].as_str().unwrap().contains("not registered"), "{said}");

    let between = |to: i64, most: i64| json!({"between": {"from": hours(0), "to": hours(to), "most": most}});
    let said = ask(&ground, &question("Hours", &between(2, 9))).await;
    assert_eq!(said, json!({"runs": [run(0), run(1), run(2)]}));
    let said = ask(&ground, &question("Hours", &between(2, 2))).await;
    assert_eq!(said, json!({"runs": [run(0), run(1)]}));
    let said = ask(&ground, &question("Hours", &between(9, 9))).await;
    assert_eq!(said["fault"], "ValueError: closed", "half a backfill would go unnoticed");
}

#[tokio::test]
async fn a_timetable_may_have_names_for_its_runs() {
    let Some(ground) = Ground::lay_with_plugin("hours.py", PLUGIN).await else { return };
    let file = FILE.replace("Hours", "Named");
    let read = read(&ground, "shop.py", &file, Limits::default()).await.unwrap();
    let told = &read.dags[0]["tradewind"]["timetable"];
    let names = json!([
        "scheduled_0100_of_0",
        "scheduled_0200_of_1",
        "scheduled_0300_of_2",
        "scheduled_0400_of_3",
        "scheduled_0500_of_4"
    ]);
    assert_eq!((&told["names_runs"], &told["listing"]["names"]), (&json!(true), &names), "{told:#}");
}
