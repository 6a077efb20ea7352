use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Catchup, DataInterval, NextRun};
use crate::id::RunId;

/// A run that starts later than this was missed: what the timetable would say now may be something else.
const MISSED: TimeDelta = TimeDelta::minutes(1);

/// So long after it was asked, a timetable is believed about runs that were missed.
const BELIEVED: TimeDelta = TimeDelta::minutes(5);

/// It is asked again when it names fewer runs than this that are still to come.
const LOW: usize = Listing::MOST / 4;

/// It is asked again after so long, because what it goes by may have changed: a calendar, a table somewhere.
const ASKED_EVERY: TimeDelta = TimeDelta::hours(1);

/// It is asked again after so long when it named no run at all that is still to come.
const ASKED_AGAIN: TimeDelta = TimeDelta::minutes(5);

/// A timetable whose rules are a program of somebody else's: a class that a plugin of Airflow's brings. It is asked
/// beforehand for its next runs, one after the other, and these are what it does here.
///
/// What it is belongs to the DAG's contents; what it answered does not, so another answer is no new version of the DAG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    program: Program,
    listing: Listing,
}

/// Whose rules these are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// The path of its class.
    pub class: String,
    /// What it was made with, as it tells it itself.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub arguments: Value,
    /// What it calls itself in short (Airflow's `summary`).
    pub summary: String,
    /// What it calls itself (Airflow's `description`); may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// It has names of its own for runs (Airflow's `generate_run_id`), so that it is asked for those of runs by hand, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub names_runs: bool,
    /// It names no dates by itself, so there are none to run again (Airflow's `periodic` is false).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_aperiodic: bool,
}

/// What a program answered when it was asked for its next runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Form", from = "Form")]
pub struct Listing {
    asked_at: DateTime<Utc>,
    /// Each starts, and ends, later than the one before.
    runs: Vec<NextRun>,
    /// What they are called, each in its place, when the program has names of its own; else empty.
    names: Vec<RunId>,
    /// It was not asked for all that it may know.
    has_more: bool,
    fault: Option<String>,
}

/// Moments are microseconds since 1970, the finest that the records keep: a listing is written with every answer.
#[derive(Serialize, Deserialize)]
struct Form {
    asked_at: i64,
    /// The start and the end of the data interval, and the moment from which on the run may start.
    #[serde(default)]
    runs: Vec<[i64; 3]>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    names: Vec<String>,
    #[serde(default)]
    has_more: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
}

impl Listing {
    /// Most runs that are asked for at once.
    pub const MOST: usize = 200;

    /// When the program was asked.
    #[must_use]
    pub const fn asked_at(&self) -> DateTime<Utc> {
        self.asked_at
    }

    /// The runs, oldest first.
    #[must_use]
    pub fn runs(&self) -> &[NextRun] {
        &self.runs
    }

    /// What a run is called, when the program has names of its own.
    #[must_use]
    pub fn name_of(&self, run: &NextRun) -> Option<&RunId> {
        let place = self.runs.binary_search_by_key(&run.data_interval.end, |run| run.data_interval.end);
        self.names.get(place.ok()?)
    }

    /// The names of the runs that lie behind `cursor`, with these.
    pub fn named(&self, cursor: Option<&DataInterval>) -> impl Iterator<Item = (&RunId, &NextRun)> {
        let past = self.runs.len() - self.after(cursor).len();
        self.names.iter().zip(&self.runs).skip(past)
    }

    /// The same without any names, because other runs have one of them already.
    #[must_use]
    pub fn without_names(self, taken: &RunId) -> Self {
        let fault = format!(
            "it calls a run `{taken}`, as another one is called already; its runs are named after their times"
        );
        Self { names: Vec::new(), fault: Some(self.fault.unwrap_or(fault)), ..self }
    }

    /// Why it names no more runs, when that is not for want of runs.
    #[must_use]
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// The runs behind `cursor`, the data interval of the last run that was created.
    fn after(&self, cursor: Option<&DataInterval>) -> &[NextRun] {
        let Some(cursor) = cursor else { return &self.runs };
        let is_past =
            |run: &NextRun| run.data_interval.start <= cursor.start || run.data_interval.end <= cursor.end;
        &self.runs[self.runs.partition_point(is_past)..]
    }
}

impl From<Listing> for Form {
    fn from(listing: Listing) -> Self {
        let micros = |run: &NextRun| {
            [run.data_interval.start, run.data_interval.end, run.run_after].map(|at| at.timestamp_micros())
        };
        Self {
            asked_at: listing.asked_at.timestamp_micros(),
            runs: listing.runs.iter().map(micros).collect(),
            names: listing.names.iter().map(ToString::to_string).collect(),
            has_more: listing.has_more,
            fault: listing.fault,
        }
    }
}

impl From<Form> for Listing {
    /// A program that does not get on would have the same run created for ever: what follows is left out and told.
    fn from(form: Form) -> Self {
        let asked_at = DateTime::from_timestamp_micros(form.asked_at).unwrap_or_default();
        let (has_more, fault) = (form.has_more, form.fault);
        let mut listing = Self { asked_at, runs: Vec::new(), names: Vec::new(), has_more, fault };
        let mut known = HashSet::new();
        for (place, micros) in form.runs.iter().enumerate().take(Self::MOST) {
            let name = (!form.names.is_empty()).then(|| form.names.get(place).map_or("", String::as_str));
            let planned = run(micros, listing.runs.last()).and_then(|run| {
                let name = name.map(|name| own_name(name, &mut known)).transpose()?;
                Ok((run, name))
            });
            match planned {
                Ok((run, name)) => {
                    listing.runs.push(run);
                    listing.names.extend(name);
                }
                Err(fault) => return Self { has_more: false, fault: Some(fault), ..listing },
            }
        }
        listing
    }
}

fn own_name(name: &str, known: &mut HashSet<RunId>) -> Result<RunId, String> {
    let shown = || name.chars().take(80).collect::<String>();
    let name = RunId::new(name)
        .map_err(|error| format!("it calls a run `{}`, which cannot be a name: {error}", shown()))?;
    if !known.insert(name.clone()) {
        return Err(format!("it calls two runs `{}`", shown()));
    }
    Ok(name)
}

/// A run behind the one before, of its moments in microseconds.
pub(super) fn run(micros: &[i64; 3], before: Option<&NextRun>) -> Result<NextRun, String> {
    let [start, end, run_after] = micros.map(DateTime::from_timestamp_micros);
    let (Some(start), Some(end), Some(run_after)) = (start, end, run_after) else {
        return Err("it names a moment that no calendar has".to_owned());
    };
    if start > end {
        return Err(format!("it names a data interval that ends at {end}, before it starts at {start}"));
    }
    if let Some(before) = before
        && (start <= before.data_interval.start || end <= before.data_interval.end)
    {
        let (from, to) = (before.data_interval.start, before.data_interval.end);
        return Err(format!(
            "after the run from {from} to {to} it names one from {start} to {end}, which does not lie behind it"
        ));
    }
    Ok(NextRun { logical_date: start, data_interval: DataInterval { start, end }, run_after })
}

impl Listed {
    /// A program and what it answered.
    #[must_use]
    pub const fn new(program: Program, listing: Listing) -> Self {
        Self { program, listing }
    }

    /// Whose rules these are.
    #[must_use]
    pub const fn program(&self) -> &Program {
        &self.program
    }

    /// What it answered when it was asked last.
    #[must_use]
    pub const fn listing(&self) -> &Listing {
        &self.listing
    }

    /// The same with another answer.
    #[must_use]
    pub fn with_listing(self, listing: Listing) -> Self {
        Self { listing, ..self }
    }

    /// Whether it is to be asked again, for the runs behind `cursor`. A paused DAG is created no runs for, so what it
    /// missed is asked for when it goes on.
    #[must_use]
    pub fn is_outworn(
        &self,
        cursor: Option<&DataInterval>,
        catchup: Catchup,
        is_paused: bool,
        now: DateTime<Utc>,
    ) -> bool {
        let left = self.listing.after(cursor);
        let age = now - self.listing.asked_at;
        let is_doubted = left.first().is_some_and(|next| !self.is_believed(next, catchup, now));
        let patience = if left.is_empty() { ASKED_AGAIN } else { ASKED_EVERY };
        is_doubted && !is_paused || left.len() < LOW && self.listing.has_more || age >= patience
    }

    pub(super) fn next_run(
        &self,
        cursor: Option<&DataInterval>,
        catchup: Catchup,
        now: DateTime<Utc>,
    ) -> Option<NextRun> {
        let next = self.listing.after(cursor).first()?;
        self.is_believed(next, catchup, now).then_some(*next)
    }

    /// Whether missed runs are made up for without catch-up is for the program to say, when they were missed.
    fn is_believed(&self, next: &NextRun, catchup: Catchup, now: DateTime<Utc>) -> bool {
        let is_missed = now - next.run_after > MISSED;
        catchup == Catchup::All || !is_missed || now - self.listing.asked_at <= BELIEVED
    }
}
