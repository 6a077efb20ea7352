//! What must be found out of the records before a deadline of a run is known, and what the run keeps of that.
//!
//! Source: Airflow 3.3.2 `serialization/definitions/deadline.py` (`AverageRuntimeDeadline`, `SerializedVariableInterval`).

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{Deadline, Interval, Reference};

/// Longest interval that a variable may say, in seconds: a hundred years.
const MOST_SECONDS: i64 = 100 * 366 * 86_400;

/// What must be found out of the records before a deadline of a run is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// How long the last runs of the DAG took that succeeded, at most so many.
    pub durations: Option<u32>,
    /// The value of this variable.
    pub variable: Option<String>,
}

/// What was found out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// How long the last runs took that succeeded.
    pub durations: Vec<TimeDelta>,
    /// The value of the variable, if there is one.
    pub variable: Option<String>,
}

/// What a run keeps of a deadline.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Basis {
    /// Its place among those of the DAG.
    pub place: u32,
    /// When the run would end if it took as long as the last ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usual_end: Option<DateTime<Utc>>,
    /// The interval that the variable said, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<i64>,
    /// Why the run has no such deadline, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why_none: Option<String>,
    /// The run has succeeded in time and has this deadline, one of Airflow's, behind itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_met: bool,
}

impl Basis {
    /// What is kept of the deadline at a place.
    #[must_use]
    pub fn at(bases: &[Self], place: u32) -> Option<&Self> {
        bases.iter().find(|basis| basis.place == place)
    }
}

impl Deadline {
    /// What must be found out before its moments are known, if anything.
    #[must_use]
    pub fn needs(&self) -> Option<Needs> {
        let durations = match self.from {
            Reference::AverageRuntime { max_runs, .. } => Some(max_runs),
            Reference::Queued | Reference::LogicalDate | Reference::Start | Reference::At(_) => None,
        };
        let variable = match &self.within {
            Interval::Variable { variable } => Some(variable.clone()),
            Interval::After(_) | Interval::Before { .. } => None,
        };
        (durations.is_some() || variable.is_some()).then_some(Needs { durations, variable })
    }

    /// What follows from what was found out, for a run that was queued at a moment.
    #[must_use]
    pub fn basis(&self, place: u32, found: &Found, queued_at: DateTime<Utc>) -> Basis {
        match self.measured(found, queued_at) {
            Ok((usual_end, seconds)) => Basis { place, usual_end, seconds, ..Basis::default() },
            Err(why) => Basis { place, why_none: Some(why), ..Basis::default() },
        }
    }

    fn measured(
        &self,
        found: &Found,
        queued_at: DateTime<Utc>,
    ) -> Result<(Option<DateTime<Utc>>, Option<i64>), String> {
        let usual_end = match self.from {
            Reference::AverageRuntime { min_runs, .. } => {
                Some(average(&found.durations, min_runs).map(|average| queued_at + average)?)
            }
            Reference::Queued | Reference::LogicalDate | Reference::Start | Reference::At(_) => None,
        };
        let seconds = match &self.within {
            Interval::Variable { variable } => Some(seconds(variable, found.variable.as_deref())?),
            Interval::After(_) | Interval::Before { .. } => None,
        };
        Ok((usual_end, seconds))
    }
}

fn average(durations: &[TimeDelta], min_runs: u32) -> Result<TimeDelta, String> {
    let number = u32::try_from(durations.len()).unwrap_or(u32::MAX);
    if number < min_runs.max(1) {
        return Err(format!(
            "{number} of the runs before it had succeeded, and an average needs {}",
            min_runs.max(1)
        ));
    }
    let micros = |duration: &TimeDelta| i128::from(duration.num_microseconds().unwrap_or(i64::MAX));
    let sum: i128 = durations.iter().map(micros).sum();
    let micros = i64::try_from(sum / i128::from(number)).unwrap_or(i64::MAX);
    // No run takes longer than a century, but a clock may have been wrong.
    Ok(TimeDelta::microseconds(micros.clamp(0, MOST_SECONDS * 1_000_000)))
}

/// A whole number as Python's `int` reads one.
fn seconds(variable: &str, value: Option<&str>) -> Result<i64, String> {
    let Some(value) = value else {
        return Err(format!("there was no variable `{variable}`, which says its interval"));
    };
    let text = value.trim();
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let groups: Vec<&str> = digits.split('_').collect();
    let is_whole =
        groups.iter().all(|group| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit()));
    let number = is_whole.then(|| text.replace('_', "").parse::<i64>().ok()).flatten();
    number.filter(|seconds| seconds.abs() <= MOST_SECONDS).ok_or_else(|| {
        // Its value may be a secret.
        format!("the variable `{variable}`, which says its interval, was no whole number of seconds")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_python_reads_them() {
        for (text, wanted) in
            [("600", Some(600)), (" -5\n", Some(-5)), ("+1_000", Some(1000)), ("0", Some(0))]
        {
            assert_eq!(seconds("v", Some(text)).ok(), wanted, "{text}");
        }
        for text in ["", "1.5", "_1", "1__0", "1_", "10m", "--5", "99999999999", "999999999999999999999"] {
            let why = seconds("v", Some(text)).unwrap_err();
            assert!(why.contains("no whole number"), "{text}");
        }
        assert!(seconds("v", None).unwrap_err().contains("no variable `v`"));
    }

    #[test]
    fn an_average_needs_enough_runs_and_is_no_longer_than_a_century() {
        let times = |seconds: &[i64]| seconds.iter().map(|s| TimeDelta::seconds(*s)).collect::<Vec<_>>();
        assert_eq!(average(&times(&[10, 20, 33]), 3), Ok(TimeDelta::seconds(21)));
        assert!(average(&times(&[10, 20]), 3).unwrap_err().starts_with("2 of the runs"));
        assert!(average(&[], 0).is_err());
        assert_eq!(average(&times(&[-10]), 1), Ok(TimeDelta::zero()));
        assert!(average(&[TimeDelta::MAX, TimeDelta::MAX], 1).is_ok());
    }
}
