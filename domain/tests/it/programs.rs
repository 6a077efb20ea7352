//! Timetables of plugins in the simulated world: what their programs say, when they are asked, and what must come of it.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    backfill::Order,
    dag::Dag,
    engine::{decision::Decisions, event::Event, record::RunRecord},
    id::DagId,
    state::RunType,
    timetable::{Catchup, DataInterval, Listing, NextRun, Timetable},
};
use serde_json::json;

use crate::{chance::Chance, world::World};

/// Most runs that an answer names.
const MOST: usize = 4;
/// Without catch-up a program names no run that was due longer ago than this.
const GIVEN_UP: TimeDelta = TimeDelta::minutes(20);

/// What a program has answered, on its way to the records.
pub struct Answer {
    dag_id: DagId,
    listing: Listing,
}

/// A timetable whose program has not been asked yet.
pub fn random_program(chance: &mut Chance) -> Timetable {
    let steps: Vec<u64> = (0..1 + chance.below(4)).map(|_| 5 + chance.below(50)).collect();
    let written = json!({"class": "plugin.Steps", "arguments": steps, "summary": "steps"});
    serde_json::from_value(written).unwrap()
}

/// All that a program has ever to say: runs about its steps one after the other, of which every third may start at once and the
/// others a little later.
fn all_runs(dag: &Dag) -> Vec<NextRun> {
    let (Some(listed), Some(mut at), Some(end)) = (dag.schedule.listed(), dag.start_date, dag.end_date)
    else {
        return Vec::new();
    };
    let steps: Vec<i64> = serde_json::from_value(listed.program().arguments.clone()).unwrap();
    let mut runs = Vec::new();
    for (number, step) in (0..).zip(steps.iter().cycle()) {
        let data_interval = DataInterval { start: at, end: at + TimeDelta::minutes(*step) };
        let run_after = data_interval.end + TimeDelta::minutes(number % 3 * 4);
        at = data_interval.end;
        if at > end {
            break;
        }
        runs.push(NextRun { logical_date: data_interval.start, data_interval, run_after });
    }
    runs
}

/// What the program of a DAG says now of the runs behind `cursor`.
fn said(dag: &Dag, cursor: Option<DataInterval>, now: DateTime<Utc>) -> Vec<NextRun> {
    let is_named = |run: &NextRun| {
        cursor.is_none_or(|cursor| run.data_interval.start > cursor.start)
            && (dag.catchup == Catchup::All || now - run.run_after <= GIVEN_UP)
    };
    all_runs(dag).into_iter().filter(is_named).collect()
}

/// Programs with steps in an even number have names of their own.
fn name(dag: &Dag, run: &NextRun) -> Option<String> {
    let steps = dag.schedule.listed()?.program().arguments.as_array()?.len();
    (steps % 2 == 0).then(|| format!("step_{}", run.logical_date.timestamp()))
}

fn listing(dag: &Dag, runs: &[NextRun], now: DateTime<Utc>) -> Listing {
    let micros = |run: &NextRun| {
        [run.data_interval.start, run.data_interval.end, run.run_after].map(|at| at.timestamp_micros())
    };
    let named: Vec<[i64; 3]> = runs.iter().take(MOST).map(micros).collect();
    let names: Vec<String> = runs.iter().take(MOST).filter_map(|run| name(dag, run)).collect();
    let has_more = runs.len() > MOST;
    let written =
        json!({"asked_at": now.timestamp_micros(), "runs": named, "names": names, "has_more": has_more});
    serde_json::from_value(written).unwrap()
}

impl World {
    /// Timetables whose answers are used up or old are asked, and what was answered before reaches the records and then the engine.
    /// With faults either comes later, or the scheduler dies between the two.
    pub fn ask_timetables(&mut self, faults: bool) {
        if self.records.dags.iter().all(|dag| dag.dag.schedule.listed().is_none()) {
            return;
        }
        if !faults || self.makers.one_in(2) {
            for answer in std::mem::take(&mut self.answers) {
                if !self.learn_runs(answer, faults) {
                    return self.restart();
                }
            }
        }
        if !faults || self.makers.one_in(2) {
            let asked = self.records.dags.iter().filter_map(|dag| {
                let (cursor, listed) = (dag.cursor, dag.dag.schedule.listed()?);
                let is_outworn = listed.is_outworn(cursor.as_ref(), dag.dag.catchup, dag.is_paused, self.now);
                let listing = || listing(&dag.dag, &said(&dag.dag, cursor, self.now), self.now);
                is_outworn.then(|| Answer { dag_id: dag.dag.dag_id.clone(), listing: listing() })
            });
            self.answers = asked.collect();
        }
    }

    // False when the scheduler dies over it.
    fn learn_runs(&mut self, answer: Answer, faults: bool) -> bool {
        let record = self.records.dags.iter_mut().find(|dag| dag.dag.dag_id == answer.dag_id).unwrap();
        let dag = Arc::make_mut(&mut record.dag);
        dag.schedule = dag.schedule.clone().with_listing(answer.listing);
        if faults && self.makers.one_in(15) {
            return false;
        }
        self.engine.handle(Event::Dag(Box::new(record.clone())), self.now);
        true
    }

    /// A run that was created by such a timetable is one that its program names, and was not missed long before the program was asked.
    pub fn check_programs(&self, decisions: &Decisions) {
        for run in decisions.runs_created.iter().filter(|run| run.run_type == RunType::Scheduled) {
            let dag = self.dag(run);
            let Some(listed) = dag.schedule.listed() else { continue };
            let is_it = |named: &NextRun| {
                Some(named.data_interval) == run.data_interval && named.run_after == run.run_after
            };
            let named = all_runs(&dag).into_iter().find(is_it);
            let own = named.map(|named| name(&dag, &named));
            assert!(own.is_some(), "no program named {run:?}");
            assert!(own.flatten().is_none_or(|own| own == run.run_id.as_str()), "{run:?} has another name");
            assert!(run.run_after <= self.now, "{run:?} came too early");
            let (late, age) = (self.now - run.run_after, self.now - listed.listing().asked_at());
            let is_known = late <= TimeDelta::minutes(1) || age <= TimeDelta::minutes(5);
            assert!(dag.catchup == Catchup::All || is_known, "{run:?} was missed, and nobody asked");
        }
    }

    /// The runs that a program names for a backfill.
    pub fn named_between(dag: &Dag, order: &Order) -> Option<Vec<NextRun>> {
        let is_in_range = |run: &NextRun| run.logical_date >= order.from && run.logical_date <= order.to;
        dag.schedule.listed()?;
        Some(all_runs(dag).into_iter().filter(is_in_range).collect())
    }

    /// A program has runs to name that are not there yet.
    pub fn has_runs_to_come(&self) -> bool {
        self.records.dags.iter().any(|dag| !said(&dag.dag, dag.cursor, self.now).is_empty())
    }

    /// With catch-up every run that a program names is there, in that order.
    pub fn check_named(&self) {
        for dag in self.records.dags.iter().filter(|dag| dag.dag.catchup == Catchup::All) {
            let named: Vec<DataInterval> = all_runs(&dag.dag).iter().map(|run| run.data_interval).collect();
            let by_itself = |run: &&RunRecord| {
                let kinds = [RunType::Scheduled, RunType::Backfill];
                run.dag_id == dag.dag.dag_id && kinds.contains(&run.run_type)
            };
            let runs = self.records.runs.values().filter(by_itself);
            // A run that a person started may have run again in a backfill.
            let is_named = |interval: &DataInterval| named.contains(interval);
            let mut found: Vec<DataInterval> =
                runs.filter_map(|run| run.data_interval).filter(is_named).collect();
            found.sort_by_key(|interval| interval.start);
            assert!(dag.dag.schedule.listed().is_none() || found == named, "{found:#?} not {named:#?}");
        }
    }
}
