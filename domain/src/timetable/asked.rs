//! What a [`Listed`] timetable is asked beside its next runs: about one run by hand, or about a stretch of time that has passed. Somebody who
//! can run its program answers; what is asked and answered travels as JSON. Moments are microseconds since 1970.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{DataInterval, Listed, NextRun, listed};
use crate::id::RunId;

/// A question to a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The path of its class.
    pub class: String,
    /// What it was made with.
    #[serde(default)]
    pub arguments: Value,
    /// What is asked.
    pub about: About,
}

/// What a program is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// A run that somebody starts.
    Manual {
        /// The date that it is given, if any: then its data interval is asked for (Airflow's `infer_manual_data_interval`).
        logical_date: Option<i64>,
        /// Its data interval, if it is known already.
        data_interval: Option<[i64; 2]>,
        /// From when on it may start; its name may be made of that.
        run_after: i64,
        /// How it came about: Airflow's `run_type`.
        run_type: String,
    },
    /// The runs between two dates, as if none had ever been created (Airflow's `iter_dagrun_infos_between`).
    Between {
        /// The first logical date that counts.
        from: i64,
        /// The last one.
        to: i64,
        /// More are not wanted.
        most: usize,
    },
}

/// What a program answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Why there is no answer.
    #[serde(default)]
    pub fault: Option<String>,
    /// The data interval of the run by hand.
    #[serde(default)]
    data_interval: Option<[i64; 2]>,
    /// What the run by hand is called.
    #[serde(default)]
    run_id: Option<String>,
    /// The start and the end of the data interval of each run, and the moment from which on it may start.
    #[serde(default)]
    runs: Vec<[i64; 3]>,
}

/// Why there is no answer that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Nobody was there who could run the program.
    #[error("the timetable {0} cannot be asked just now: no scheduler answered in time")]
    Nobody(String),
    /// The program failed, or said what makes no sense.
    #[error("the timetable {class} cannot say it: {reason}")]
    Failed {
        /// The path of its class.
        class: String,
        /// What went wrong.
        reason: String,
    },
}

/// What a program says of a run by hand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ByHand {
    /// Its data interval; none without a logical date.
    pub data_interval: Option<DataInterval>,
    /// Its name, when the program has names of its own.
    pub run_id: Option<RunId>,
}

impl Question {
    /// Asks about a run that somebody starts with a date, or without one.
    #[must_use]
    pub fn by_hand(
        of: &Listed,
        logical_date: Option<DateTime<Utc>>,
        data_interval: Option<DataInterval>,
        run_after: DateTime<Utc>,
        run_type: &str,
    ) -> Self {
        let interval =
            data_interval.map(|interval| [interval.start, interval.end].map(|at| at.timestamp_micros()));
        Self::of(
            of,
            About::Manual {
                logical_date: logical_date.map(|date| date.timestamp_micros()),
                data_interval: interval,
                run_after: run_after.timestamp_micros(),
                run_type: run_type.to_owned(),
            },
        )
    }

    /// Asks for the runs between two dates, both included.
    #[must_use]
    pub fn between(of: &Listed, from: DateTime<Utc>, to: DateTime<Utc>, most: usize) -> Self {
        let (from, to) = (from.timestamp_micros(), to.timestamp_micros());
        Self::of(of, About::Between { from, to, most })
    }

    fn of(of: &Listed, about: About) -> Self {
        let program = of.program();
        Self { class: program.class.clone(), arguments: program.arguments.clone(), about }
    }

    /// What an answer says of a run by hand.
    ///
    /// # Errors
    /// Why nothing can be done with it.
    pub fn read_by_hand(&self, answer: Option<Answer>) -> Result<ByHand, Fault> {
        let answer = self.checked(answer)?;
        let interval = answer.data_interval.map(|[start, end]| listed::run(&[start, end, end], None));
        let interval = interval.transpose().map_err(|reason| self.failed(reason))?;
        let run_id = answer.run_id.map(|name| RunId::new(&name)).transpose();
        let run_id =
            run_id.map_err(|error| self.failed(format!("what it calls the run is no name: {error}")))?;
        Ok(ByHand { data_interval: interval.map(|run| run.data_interval), run_id })
    }

    /// The runs that an answer names.
    ///
    /// # Errors
    /// Why nothing can be done with it.
    pub fn read_between(&self, answer: Option<Answer>) -> Result<Vec<NextRun>, Fault> {
        let answer = self.checked(answer)?;
        let mut runs: Vec<NextRun> = Vec::with_capacity(answer.runs.len());
        for micros in &answer.runs {
            runs.push(listed::run(micros, runs.last()).map_err(|reason| self.failed(reason))?);
        }
        Ok(runs)
    }

    fn checked(&self, answer: Option<Answer>) -> Result<Answer, Fault> {
        let answer = answer.ok_or_else(|| Fault::Nobody(self.class.clone()))?;
        match answer.fault {
            Some(reason) => Err(self.failed(reason)),
            None => Ok(answer),
        }
    }

    fn failed(&self, reason: String) -> Fault {
        Fault::Failed { class: self.class.clone(), reason }
    }
}

impl Answer {
    /// That there is none.
    #[must_use]
    pub fn failed(reason: impl Into<String>) -> Self {
        Self { fault: Some(reason.into()), ..Self::default() }
    }
}
