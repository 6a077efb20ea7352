//! Timetables and weight rules that plugins bring, asked while a file is read.

use std::collections::BTreeMap;

use python::Limits;
use serde_json::{Value, json};

use crate::ground::Ground;
use crate::parsing::{read, read_on};

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


class Late(PriorityWeightStrategy):
    def get_weight(self, ti):
        return 10 + (ti.try_number or 0) + len(ti.task.task_id)


class Hours_(AirflowPlugin):
    name = "hours"
    timetables = [Hours]
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
