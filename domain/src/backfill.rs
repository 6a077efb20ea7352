//! Backfills: running a DAG for dates that have passed. What may be asked for, which dates that means, and what becomes of a
//! run that a date has already.
//!
//! Source: Airflow 3.3.2 `models/backfill.py`.

use std::{collections::HashSet, fmt, str::FromStr};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    dag::Dag,
    id::{DagId, RunId, short_digest},
    params,
    partition::{Key, Partition, Partitions},
    state::RunState,
    timetable::{Bounds, DataInterval, NextRun, Timetable},
};

/// Most dates of one backfill.
pub const MOST_DATES: usize = 10_000;

/// Most runs of one backfill at the same time.
pub const MOST_ACTIVE: u32 = 1_000;

/// How many runs of a backfill are active at the same time unless it says otherwise (Airflow's default).
pub const USUAL_ACTIVE: u32 = 10;

/// The number of a backfill. The records give it to whoever asks for one, never twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BackfillId(pub i64);

impl fmt::Display for BackfillId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a backfill does about a date that has a run already (Airflow's `reprocess_behavior`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reprocess {
    /// Leaves it alone.
    #[default]
    None,
    /// Has it run again if it failed.
    Failed,
    /// Has it run again if it has ended.
    Completed,
}

/// What becomes of a run that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// It runs again, in the name of the backfill.
    RunAgain,
    /// Nothing; its date is done with.
    Leave(Deed),
}

/// What became of a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Deed {
    /// It got a run.
    Created,
    /// Its run was cleared and runs again.
    Reprocessed,
    /// Its run was active, and left alone.
    InFlight,
    /// Its run had ended, and was left alone.
    AlreadyExists,
}

impl Reprocess {
    /// Every behaviour, in the order of the documentation.
    pub const ALL: [Self; 3] = [Self::None, Self::Failed, Self::Completed];

    /// Its name in the records, the API and the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Failed => "failed",
            Self::Completed => "completed",
        }
    }

    /// What becomes of a run in this state.
    #[must_use]
    pub const fn judge(self, state: RunState) -> Judgement {
        match (state, self) {
            (RunState::Queued | RunState::Running, _) => Judgement::Leave(Deed::InFlight),
            (RunState::Failed, Self::Failed | Self::Completed) | (RunState::Success, Self::Completed) => {
                Judgement::RunAgain
            }
            (RunState::Failed, Self::None) | (RunState::Success, Self::None | Self::Failed) => {
                Judgement::Leave(Deed::AlreadyExists)
            }
        }
    }
}

impl fmt::Display for Reprocess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Reprocess {
    type Err = UnknownReprocess;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|known| known.as_str() == text);
        known.ok_or_else(|| UnknownReprocess(text.chars().take(40).collect()))
    }
}

/// A text that names no [`Reprocess`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no reprocess behavior: use none, failed or completed")]
pub struct UnknownReprocess(pub String);

impl Deed {
    /// Every deed.
    pub const ALL: [Self; 4] = [Self::Created, Self::Reprocessed, Self::InFlight, Self::AlreadyExists];

    /// Its name in the records; that of a run that was left alone is Airflow's `exception_reason`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Reprocessed => "reprocessed",
            Self::InFlight => "in flight",
            Self::AlreadyExists => "already exists",
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// Of which DAG.
    pub dag_id: DagId,
    /// The first logical date that counts.
    pub from: DateTime<Utc>,
    /// The last one that counts.
    pub to: DateTime<Utc>,
    /// The latest date goes first.
    #[serde(default)]
    pub run_backwards: bool,
    /// How many of its runs may be active at the same time. They do not count against the DAG's own `max_active_runs`.
    pub max_active_runs: u32,
    /// What it does about runs that exist.
    #[serde(default)]
    pub reprocess: Reprocess,
    /// What its runs are given. `None` leaves a run that runs again what it had.
    #[serde(default)]
    pub conf: Option<Map<String, Value>>,
    /// Runs that run again do so on the newest version of the DAG.
    #[serde(default = "yes")]
    pub run_on_latest_version: bool,
}

/// A run that a backfill is to have.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Date {
    /// The time that it is about; that of a partition is the moment that the partition begins with.
    pub data_interval: DataInterval,
    /// The moment after which it is called, and which it would have had to wait for.
    pub run_after: DateTime<Utc>,
    /// The partition that it is about. Then it has no logical date.
    pub key: Option<Key>,
}

impl Date {
    /// The run of a timetable.
    #[must_use]
    pub const fn of(data_interval: DataInterval, run_after: DateTime<Utc>) -> Self {
        Self { data_interval, run_after, key: None }
    }

    /// What tells it from the others: its logical date, or the date of its partition.
    #[must_use]
    pub const fn moment(&self) -> DateTime<Utc> {
        self.data_interval.start
    }

    /// The logical date and all that belongs to it.
    #[must_use]
    pub fn next(&self) -> Option<NextRun> {
        let Self { data_interval, run_after, key } = self;
        let next =
            NextRun { logical_date: self.moment(), data_interval: *data_interval, run_after: *run_after };
        key.is_none().then_some(next)
    }

    /// The partition that it is about.
    #[must_use]
    pub fn partition(&self) -> Option<Partition> {
        Some(Partition { key: self.key.clone()?, date: Some(self.moment()) })
    }

    /// What its run is called in the backfill `id`: after its tick, as runs by schedule are. A partition may be run by many backfills, so
    /// the end of that name follows from which it is (in Airflow it is random).
    ///
    /// # Errors
    /// Never for a moment that a timetable names: only a year of many digits makes a name too long.
    pub fn run_id(&self, id: BackfillId) -> Result<RunId, crate::id::Error> {
        let tick = self.run_after.to_rfc3339_opts(SecondsFormat::AutoSi, false);
        let Some(key) = &self.key else { return RunId::new(&format!("backfill__{tick}")) };
        let tail = short_digest(&format!("{id}\0{tick}\0{key}"));
        RunId::new(&format!("backfill__{tick}__{}__{tail}", key.in_run_id()))
    }
}

impl Order {
    /// Of planned dates those that get a run, when these are the runs that some of them have already, by their places.
    #[must_use]
    pub fn wanted(&self, dates: Vec<Date>, existing: impl IntoIterator<Item = (u32, RunState)>) -> Vec<Date> {
        let is_left = |state: RunState| matches!(self.reprocess.judge(state), Judgement::Leave(_));
        let left: HashSet<u32> =
            existing.into_iter().filter(|(_, state)| is_left(*state)).map(|(place, _)| place).collect();
        let others = (0..).zip(dates).filter(|(place, _)| !left.contains(place));
        others.map(|(_, date)| date).collect()
    }
}

const fn yes() -> bool {
    true
}

/// Why a backfill cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The schedule has no dates of its own.
    #[error("{0} has a non-periodic schedule that does not support backfills")]
    NonPeriodic(DagId),
    /// Its dates are known to a program that was not asked.
    #[error("the timetable {0} was not asked for the dates of the backfill: ask for it again")]
    Unasked(String),
    /// The dates are the wrong way round.
    #[error("from_date ({from}) must not be after to_date ({to}).", from = iso(*.from), to = iso(*.to))]
    Range {
        /// The first one.
        from: DateTime<Utc>,
        /// The last one.
        to: DateTime<Utc>,
    },
    /// Nothing of it has passed.
    #[error("Backfill cannot be executed for future dates.")]
    Future,
    /// Later runs would wait for earlier ones that come after them.
    #[error("Backfill cannot be run in reverse when the Dag has tasks where depends_on_past=True.")]
    Backwards,
    /// Runs would wait for earlier ones that nobody has run again.
    #[error(
        "Dag has tasks for which depends_on_past=True. You must set reprocess behavior to reprocess completed or \
         reprocess failed."
    )]
    DependsOnPast,
    /// No parallelism, or too much.
    #[error("max_active_runs must be between 1 and {MOST_ACTIVE}, not {0}")]
    Parallelism(u32),
    /// The params do not fit.
    #[error("{0}")]
    Conf(String),
    /// Too many dates.
    #[error(
        "there are more than {MOST_DATES} runs in the range: a backfill has at most so many; split it into several, one after \
         the other"
    )]
    TooMany,
    /// No dates at all.
    #[error("No runs to create for Dag {dag_id} in the range [{from}, {to}]", from = iso(*.from), to = iso(*.to))]
    Nothing {
        /// The DAG.
        dag_id: DagId,
        /// The first date that would count.
        from: DateTime<Utc>,
        /// The last one.
        to: DateTime<Utc>,
    },
}

/// The dates of a backfill in the order in which they run: those of the DAG's timetable whose data interval, or whose partition, has passed.
/// `named` are those that the program of a [`Timetable::Listed`] names in that range; others need none.
///
/// # Errors
/// Says why it cannot be; [`Refusal::Nothing`] when there is not a single one.
pub fn plan(
    dag: &Dag,
    order: &Order,
    named: Option<&[NextRun]>,
    now: DateTime<Utc>,
) -> Result<Vec<Date>, Refusal> {
    check(dag, order, now)?;
    let mut dates: Vec<Date> = dates(dag, order, named, now)?.take(MOST_DATES + 1).collect();
    if dates.len() > MOST_DATES {
        return Err(Refusal::TooMany);
    }
    if dates.is_empty() {
        return Err(Refusal::Nothing { dag_id: dag.dag_id.clone(), from: order.from, to: order.to });
    }
    if order.run_backwards {
        dates.reverse();
    }
    Ok(dates)
}

fn dates<'a>(
    dag: &'a Dag,
    order: &Order,
    named: Option<&'a [NextRun]>,
    now: DateTime<Utc>,
) -> Result<Box<dyn Iterator<Item = Date> + 'a>, Refusal> {
    let (from, to) = (order.from, order.to);
    if let Some(listed) = dag.schedule.listed() {
        let named = named.ok_or_else(|| Refusal::Unasked(listed.program().class.clone()))?;
        let counts = move |run: &&NextRun| run.logical_date <= to && run.data_interval.end < now;
        let ascending = named.is_sorted_by(|one, next| one.logical_date < next.logical_date);
        let runs = named.iter().take_while(counts).filter(move |_| ascending);
        return Ok(Box::new(runs.map(|run| Date::of(run.data_interval, run.run_after))));
    }
    if let (Some(Partitions::Cron(ticks)), Timetable::Cron(cron)) = (&dag.partitions, &dag.schedule) {
        // What the clock reads at both ends is meant in the zone of the schedule.
        let [first, last] = [from, to].map(|end| dag.partition_moment(end.naive_utc()));
        let ticks_on = dag.schedule.runs(first, &Bounds::default()).map(|run| run.tick());
        let ticks_on = ticks_on.take_while(move |tick| *tick <= last && *tick < now);
        let about = |tick| {
            let Partition { key, .. } = ticks.at(cron, tick)?;
            Some(Date { key: Some(key), ..Date::of(DataInterval::exact(tick), tick) })
        };
        return Ok(Box::new(ticks_on.map_while(about)));
    }
    let range = Bounds { start: Some(from), end: Some(to) };
    let dates = dag.schedule.dates(dag.start_date, range).take_while(move |date| date.end < now);
    Ok(Box::new(dates.map(|date| Date::of(date, date.end))))
}

fn check(dag: &Dag, order: &Order, now: DateTime<Utc>) -> Result<(), Refusal> {
    if !dag.schedule.is_periodic() {
        return Err(Refusal::NonPeriodic(dag.dag_id.clone()));
    }
    if order.from > order.to {
        return Err(Refusal::Range { from: order.from, to: order.to });
    }
    if order.from >= now {
        return Err(Refusal::Future);
    }
    if dag.tasks.iter().any(crate::dag::Task::looks_back) {
        if order.run_backwards {
            return Err(Refusal::Backwards);
        }
        if order.reprocess == Reprocess::None {
            return Err(Refusal::DependsOnPast);
        }
    }
    if !(1..=MOST_ACTIVE).contains(&order.max_active_runs) {
        return Err(Refusal::Parallelism(order.max_active_runs));
    }
    let Some(conf) = &order.conf else { return Ok(()) };
    params::resolve(&dag.params, conf).map(drop).map_err(|faults| {
        Refusal::Conf(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    })
}

fn iso(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, false)
}
