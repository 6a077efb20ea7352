//! What can be written on the command line, read into types that cannot be wrong.

use std::str::FromStr;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use domain::backfill::BackfillId;
use serde_json::{Map, Value};
use store::job::Kind;

/// A moment, as Airflow's commands take it: RFC 3339, or without a zone (UTC), or a date (its midnight in UTC).
pub fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    let text = text.trim();
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.to_utc());
    }
    let naive = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];
    if let Some(at) = naive.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok()) {
        return Ok(at.and_utc());
    }
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().and_then(|date| date.and_hms_opt(0, 0, 0));
    date.map(|at| at.and_utc()).ok_or_else(|| {
        "write a moment as in 2026-03-27, 2026-03-27T02:30:00 (UTC) or 2026-03-27T02:30:00+01:00".to_owned()
    })
}

/// A JSON object written on the command line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JsonObject(pub Map<String, Value>);

impl FromStr for JsonObject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match serde_json::from_str(text) {
            Ok(Value::Object(map)) => Ok(Self(map)),
            Ok(_) => Err("write a JSON object, as in '{\"day\": \"2026-03-27\"}'".to_owned()),
            Err(error) => Err(format!(
                "this is not JSON: {error}; write an object, as in '{{\"day\": \"2026-03-27\"}}'"
            )),
        }
    }
}

/// The slots of a pool: -1 is without limit.
pub fn slots(text: &str) -> Result<Option<u32>, String> {
    match text.parse::<i32>() {
        Ok(-1) => Ok(None),
        Ok(number) if number >= 0 => Ok(u32::try_from(number).ok()),
        Ok(_) | Err(_) => Err("write a number of slots from 0 to 2147483647, or -1 for no limit".to_owned()),
    }
}

/// The number of a backfill.
pub fn backfill_id(text: &str) -> Result<BackfillId, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.map(BackfillId).ok_or_else(|| "write a number, as `backfill list` shows it".to_owned())
}

/// The kind of a process, in our words or Airflow's.
pub fn job_kind(text: &str) -> Result<Kind, String> {
    match text {
        "SchedulerJob" | "scheduler" | "DagProcessorJob" | "TriggererJob" => Ok(Kind::Scheduler),
        "LocalTaskJob" | "worker" => Ok(Kind::Worker),
        "webserver" | "api-server" => Ok(Kind::Webserver),
        _ => Err("write scheduler (or SchedulerJob), worker or webserver".to_owned()),
    }
}

/// A pattern that is searched for in task ids.
pub fn pattern(text: &str) -> Result<regex::Regex, String> {
    regex::RegexBuilder::new(text).size_limit(1 << 20).build().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_airflow_reads_them() {
        for (text, wanted) in [
            ("2026-03-27", "2026-03-27T00:00:00Z"),
            ("2026-03-27T02:30", "2026-03-27T02:30:00Z"),
            ("2026-03-27 02:30:01.5", "2026-03-27T02:30:01.500Z"),
            ("2026-03-27T02:30:00+01:00", "2026-03-27T01:30:00Z"),
            ("2026-03-27T02:30:00Z", "2026-03-27T02:30:00Z"),
        ] {
            assert_eq!(moment(text).unwrap(), wanted.parse::<DateTime<Utc>>().unwrap(), "{text}");
        }
        for text in ["", "tomorrow", "2026-02-30", "27.3.2026"] {
            assert!(moment(text).is_err(), "{text}");
        }
    }

    #[test]
    fn slots_are_a_number_or_no_limit() {
        assert_eq!((slots("-1"), slots("0"), slots("7")), (Ok(None), Ok(Some(0)), Ok(Some(7))));
        assert!(slots("-2").is_err() && slots("many").is_err() && slots("9999999999").is_err());
    }
}
