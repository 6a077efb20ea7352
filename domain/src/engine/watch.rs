//! Who waits for which run: the end of a run, or of a task in it, is told to exactly those.
//!
//! A run that is waited for and active is found in memory, one that has ended long ago is asked for once, and one that does not exist yet
//! finds those who wait for it when it is created. Nothing is looked at again and again.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};

use super::{
    Engine,
    record::{RunAnswer, RunQuestion},
    run::Run,
};
use crate::{
    id::{DagId, RunKey, TaskId, TryKey},
    wait::{Awaited, Heard, OtherRun, RunStanding, Which},
};

type Mark = (DagId, Which);

/// Those who wait for runs.
#[derive(Debug, Default)]
pub struct Watch {
    waiting: HashMap<Mark, BTreeSet<TryKey>>,
    marks: HashMap<RunKey, Vec<Mark>>,
}

impl Watch {
    fn add(&mut self, mark: Mark, asker: TryKey) {
        if self.waiting.entry(mark.clone()).or_default().insert(asker) {
            self.marks.entry(asker.ti.run).or_default().push(mark);
        }
    }

    fn remove(&mut self, mark: &Mark, asker: TryKey) {
        if let Some(waiting) = self.waiting.get_mut(mark) {
            waiting.remove(&asker);
            if waiting.is_empty() {
                self.waiting.remove(mark);
            }
        }
    }

    fn of(&self, run: &Run) -> Vec<TryKey> {
        marks_of(run).iter().filter_map(|mark| self.waiting.get(mark)).flatten().copied().collect()
    }

    /// Forgets what waits in a run that has left the memory.
    pub fn forget(&mut self, run: RunKey) {
        for mark in self.marks.remove(&run).unwrap_or_default() {
            if let Some(waiting) = self.waiting.get_mut(&mark) {
                waiting.retain(|asker| asker.ti.run != run);
                if waiting.is_empty() {
                    self.waiting.remove(&mark);
                }
            }
        }
    }

    /// Whether somebody waits for a run.
    pub fn has(&self, run: &Run) -> bool {
        !self.waiting.is_empty() && marks_of(run).iter().any(|mark| self.waiting.contains_key(mark))
    }
}

fn marks_of(run: &Run) -> Vec<Mark> {
    let record = &run.record;
    let by_date = record.logical_date.map(|date| (record.dag_id.clone(), Which::Date(date)));
    let by_name = (record.dag_id.clone(), Which::Id(record.run_id.clone()));
    by_date.into_iter().chain([by_name]).collect()
}

impl Run {
    /// How it stands, for who waits for it or for a task in it.
    fn stands(&self, task_id: Option<&TaskId>) -> RunStanding {
        let node = task_id.and_then(|id| self.graph.find(id));
        let states = |node: usize| {
            self.nodes[node].instances.iter().map(|&i| self.tis[i as usize].record.state).collect()
        };
        RunStanding { state: self.record.state, tasks: node.map(states) }
    }
}

impl Engine {
    /// Those in a run that have begun to wait for other runs: they are told how these stand, or the records are asked.
    pub(super) fn attend(&mut self, key: RunKey, now: DateTime<Utc>) {
        let listeners = self.runs.get_mut(&key).map(|run| std::mem::take(&mut run.listeners));
        for index in listeners.unwrap_or_default() {
            let Some((asker, other)) = self.awaited(key, index) else { continue };
            self.watch.add((other.dag_id.clone(), other.which.clone()), asker);
            match self.active(&other) {
                Some(target) => {
                    if let Some(run) = self.runs.get_mut(&target) {
                        run.is_watched = true;
                    }
                    self.tell_listener(asker, &other, target, now);
                }
                None => self.look_up(asker, other),
            }
        }
    }

    fn look_up(&mut self, asker: TryKey, other: OtherRun) {
        let OtherRun { dag_id, which, task_id, .. } = other;
        self.out.lookups.push(RunQuestion { asker, dag_id, which, task_id });
    }

    /// Tells those who wait for a run how it stands.
    pub(super) fn spread_news(&mut self, key: RunKey, now: DateTime<Utc>) {
        let Some(run) = self.runs.get_mut(&key) else { return };
        run.has_news = false;
        for asker in self.runs.get(&key).map(|run| self.watch.of(run)).unwrap_or_default() {
            match self.awaited(asker.ti.run, asker.ti.index) {
                Some((current, other)) if current == asker => self.tell_listener(asker, &other, key, now),
                Some(_) | None => {}
            }
        }
    }

    /// Takes in what the records say of a run that is waited for. What is in memory is known better.
    pub(super) fn answer_other(&mut self, asker: TryKey, found: RunAnswer, now: DateTime<Utc>) {
        let Some((current, other)) = self.awaited(asker.ti.run, asker.ti.index) else { return };
        if current != asker || self.active(&other).is_some() {
            return;
        }
        let heard = match (found, &other.which) {
            (Some(standing), _) => other.judge(&standing),
            (None, Which::Id(_)) => Some(Heard::Failed(format!("{} was deleted", other.words()))),
            (None, Which::Date(_)) => None,
        };
        self.pass_on(asker, &other, heard, now);
    }

    /// Runs of a DAG that is deleted leave the memory: the records say to those who wait for them that they are gone.
    pub(super) fn mourn(&mut self, run: &Run) {
        for asker in self.watch.of(run) {
            if let Some((current, other)) = self.awaited(asker.ti.run, asker.ti.index)
                && current == asker
            {
                self.look_up(asker, other);
            }
        }
    }

    fn tell_listener(&mut self, asker: TryKey, other: &OtherRun, target: RunKey, now: DateTime<Utc>) {
        let standing = self.runs.get(&target).map(|run| run.stands(other.task_id.as_ref()));
        let heard = standing.and_then(|standing| other.judge(&standing));
        self.pass_on(asker, other, heard, now);
    }

    fn pass_on(&mut self, asker: TryKey, other: &OtherRun, heard: Option<Heard>, now: DateTime<Utc>) {
        if let Some(heard) = heard {
            self.watch.remove(&(other.dag_id.clone(), other.which.clone()), asker);
            self.with_run(asker.ti.run, now, |life| life.hear(asker, heard));
        }
    }

    // The try of an instance that waits for another run, and that run.
    fn awaited(&self, run: RunKey, index: u32) -> Option<(TryKey, OtherRun)> {
        let record = &self.runs.get(&run)?.tis.get(index as usize)?.record;
        let wait = record.wait.as_ref().filter(|_| record.state.is_asleep())?;
        match &wait.until {
            Awaited::Run(other) => {
                Some((TryKey { ti: record.key, try_number: record.try_number }, other.clone()))
            }
            Awaited::Time(_)
            | Awaited::Poke
            | Awaited::Answer(_)
            | Awaited::Input(_)
            | Awaited::Trigger { .. } => None,
        }
    }

    // The run in memory that is waited for.
    fn active(&self, other: &OtherRun) -> Option<RunKey> {
        match &other.which {
            Which::Id(run_id) => self.names.get(&(other.dag_id.clone(), run_id.clone())).copied(),
            Which::Date(date) => {
                let dated = &self.dags.get(&other.dag_id)?.dated;
                let of_date = (*date, RunKey(i64::MIN))..=(*date, RunKey(i64::MAX));
                dated.range(of_date).next_back().map(|(_, key)| *key)
            }
        }
    }
}
