//! What Airflow's own partition mappers were recorded to make of keys (`golden/partitions/record.py`), against ours.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use domain::{partition::Policy, serialized::partition_mapper};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Entry {
    mapper: Value,
    rows: Vec<(String, Option<Vec<String>>, Option<String>)>,
    refused: Vec<String>,
    expected: Option<Vec<(String, Option<BTreeSet<String>>)>>,
}

fn recorded() -> Vec<Entry> {
    serde_json::from_str(include_str!("golden/partitions/airflow.json")).unwrap()
}

#[test]
fn keys_become_what_airflow_makes_of_them() {
    let (mut rows, mut different) = (0, Vec::new());
    for entry in recorded() {
        let mapper = partition_mapper(&entry.mapper).unwrap();
        let kept = serde_json::to_string(&mapper).unwrap();
        assert_eq!(serde_json::from_str::<domain::partition::Mapper>(&kept).unwrap(), mapper);
        for (key, theirs, date) in &entry.rows {
            let sorted = |mut keys: Vec<String>| {
                keys.sort_unstable();
                keys
            };
            let ours =
                (mapper.keys(key).ok().map(sorted), mapper.date(key).ok().map(|date| date.map(moment)));
            let date = date.as_ref().map(|date| (date != "none").then(|| moment(date.parse().unwrap())));
            if ours != (theirs.clone(), date.clone()) {
                different.push(format!("{} {key:?}: {ours:?}, in Airflow {theirs:?} {date:?}", entry.mapper));
            }
            rows += 1;
        }
        let taken = entry.refused.iter().filter(|key| mapper.keys(key).is_ok());
        different.extend(taken.map(|key| format!("{} takes {key:?}", entry.mapper)));
    }
    assert!(
        different.is_empty(),
        "{} of {rows}:\n{}",
        different.len(),
        different[..different.len().min(40)].join("\n")
    );
    assert!(rows > 2_000, "{rows}");
}

#[test]
fn a_rollup_expects_what_airflow_expects() {
    let (mut rows, mut different) = (0, Vec::new());
    for entry in recorded() {
        let mapper = partition_mapper(&entry.mapper).unwrap();
        for (key, theirs) in entry.expected.iter().flatten() {
            let ours = mapper.expected(key).ok().flatten().map(|(keys, _)| keys);
            if ours != *theirs {
                different.push(format!("{} {key:?}: {ours:?}, in Airflow {theirs:?}", entry.mapper));
            }
            rows += 1;
        }
    }
    assert!(
        different.is_empty(),
        "{} of {rows}:\n{}",
        different.len(),
        different[..different.len().min(20)].join("\n")
    );
    assert!(rows > 500, "{rows}");
}

fn moment(date: DateTime<Utc>) -> String {
    date.to_rfc3339()
}

#[test]
fn a_policy_says_how_many_parts_it_takes() {
    let at_least = |count: i64| Policy::AtLeast(count.try_into().unwrap());
    assert_eq!((Policy::All.needs(0), Policy::All.needs(3), Policy::All.is_beyond(3)), (0, 3, false));
    assert_eq!((at_least(2).needs(3), at_least(2).is_beyond(1), at_least(2).is_beyond(2)), (2, true, false));
    assert_eq!((at_least(-1).needs(3), at_least(-5).needs(3), at_least(-5).is_beyond(0)), (2, 0, false));
}

#[test]
fn what_is_not_understood_is_refused_in_words() {
    let said = |json: Value| partition_mapper(&json).unwrap_err().to_string();
    let of = |kind: &str, with: Value| serde_json::json!({"__type": kind, "__var": with});
    let start = |output: &str| {
        of(
            "airflow.partition_mappers.temporal.StartOfDayMapper",
            serde_json::json!({"input_format": "%Y", "output_format": output, "timezone": "UTC"}),
        )
    };
    assert!(said(of("plugins.mine.Mapper", serde_json::json!({}))).contains("plugins.mine.Mapper"));
    assert!(said(start("%Y %Y")).contains("`%Y` stands twice"));
    assert!(said(start("%Q")).contains("`%Q`"));
    assert!(said(start(&"x".repeat(300))).contains("at most 200"));
    let day = partition_mapper(&start("%Y-%m-%d")).unwrap();
    for (format, key) in [("%Y%j", "2023366"), ("%G-W%V-%u", "2021-W53-1")] {
        let hours = of(
            "airflow.partition_mappers.temporal.StartOfHourMapper",
            serde_json::json!({"input_format": format, "output_format": "%Y", "timezone": "UTC"}),
        );
        // Python takes the day after the last one.
        assert!(partition_mapper(&hours).unwrap().keys(key).is_err(), "there is no such day");
    }
    assert_eq!(
        day.keys("later").unwrap_err().to_string(),
        r#"the partition key "later" is not written as "%Y""#
    );
}
