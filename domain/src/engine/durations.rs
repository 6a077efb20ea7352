//! How long tasks take, learned from their history.
//!
//! For each task the last few successful tries are remembered, and their median is what is reckoned with: a single try that hung or
//! ended at once does not move it. A task without a success is unknown, and said to be; where a number is needed
//! it counts as the median of all known tasks, or as one minute while nothing is known at all.

use std::collections::{BTreeSet, HashMap, VecDeque};

use chrono::{DateTime, Utc};

use super::graph::Graph;
use crate::id::{DagId, TaskId};

/// How many successful tries of a task are remembered.
pub const KEPT: usize = 9;

/// What a task is taken to last while nothing is known of any task, in milliseconds.
pub const GUESS: u64 = 60_000;

/// Buckets below 16 ms are exact; above, each doubling has four.
const BUCKETS: usize = 16 + 4 * 28;

/// The history of one task, for the records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DurationRecord {
    /// The DAG.
    pub dag_id: DagId,
    /// The task.
    pub task_id: TaskId,
    /// How long its last successful tries took, in milliseconds, oldest first; at most [`KEPT`].
    pub recent: Vec<u32>,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Durations {
    dags: HashMap<DagId, HashMap<TaskId, Recent>>,
    changed: BTreeSet<(DagId, TaskId)>,
    // How many tasks have their median in which bucket, so that the median of all costs no look at all.
    counts: [u32; BUCKETS],
    known: u32,
    typical: u64,
}

#[derive(Debug, Default)]
struct Recent {
    tries: VecDeque<u32>,
    median: u32,
}

impl Default for Durations {
    fn default() -> Self {
        Self {
            dags: HashMap::new(),
            changed: BTreeSet::new(),
            counts: [0; BUCKETS],
            known: 0,
            typical: GUESS,
        }
    }
}

impl Durations {
    /// Takes in what the records know.
    pub fn restore(&mut self, records: &[DurationRecord]) {
        for record in records {
            let from = record.recent.len().saturating_sub(KEPT);
            for &millis in &record.recent[from..] {
                self.add(&record.dag_id, &record.task_id, millis);
            }
        }
    }

    /// Learns from a try that succeeded. A clock that went backwards counts as no time at all.
    pub fn learn(&mut self, dag_id: &DagId, task_id: &TaskId, started: DateTime<Utc>, ended: DateTime<Utc>) {
        let millis = (ended - started).num_milliseconds().clamp(0, u32::MAX.into());
        self.add(dag_id, task_id, u32::try_from(millis).unwrap_or(u32::MAX));
        self.changed.insert((dag_id.clone(), task_id.clone()));
    }

    /// Forgets a DAG that was deleted.
    pub fn forget(&mut self, dag_id: &DagId) {
        for recent in self.dags.remove(dag_id).into_iter().flat_map(HashMap::into_values) {
            self.uncount(recent.median);
        }
        self.changed.retain(|(other, _)| other != dag_id);
        self.settle();
    }

    /// How long a task takes, in milliseconds: the median of its last successful tries. `None` when it has had none.
    #[must_use]
    pub fn expected(&self, dag_id: &DagId, task_id: &TaskId) -> Option<u64> {
        self.dags.get(dag_id)?.get(task_id).map(|recent| recent.median.into())
    }

    /// What a task of which nothing is known is taken to last, in milliseconds: the median of all known tasks (to within a fifth),
    /// or [`GUESS`].
    #[must_use]
    pub const fn typical(&self) -> u64 {
        self.typical
    }

    /// At most `limit` tasks that changed since they were last asked for; the others are for the next time.
    pub fn take_changed(&mut self, limit: usize) -> Vec<DurationRecord> {
        let mut records = Vec::new();
        while records.len() < limit {
            let Some((dag_id, task_id)) = self.changed.pop_first() else {
                break;
            };
            if let Some(recent) = self.dags.get(&dag_id).and_then(|tasks| tasks.get(&task_id)) {
                let recent = recent.tries.iter().copied().collect();
                records.push(DurationRecord { dag_id, task_id, recent });
            }
        }
        records
    }

    /// For each task of a graph, how long the longest chain from it to the end takes, itself included, in milliseconds.
    #[must_use]
    pub fn paths(&self, graph: &Graph) -> Vec<u64> {
        let mut paths: Vec<u64> = (0..graph.len()).map(|number| self.reckon(graph, number)).collect();
        let mut missing: Vec<usize> =
            (0..graph.len()).map(|number| graph.node(number).downstream.len()).collect();
        let mut open: Vec<usize> = (0..graph.len()).filter(|&number| missing[number] == 0).collect();
        while let Some(number) = open.pop() {
            for &before in &graph.node(number).upstream {
                let own = self.reckon(graph, before);
                paths[before] = paths[before].max(own.saturating_add(paths[number]));
                missing[before] -= 1;
                if missing[before] == 0 {
                    open.push(before);
                }
            }
        }
        paths
    }

    fn reckon(&self, graph: &Graph, number: usize) -> u64 {
        if graph.node(number).is_instant {
            return 0;
        }
        let known = self.expected(&graph.dag.dag_id, &graph.task(number).task_id);
        known.unwrap_or(self.typical)
    }

    fn add(&mut self, dag_id: &DagId, task_id: &TaskId, millis: u32) {
        if !self.dags.contains_key(dag_id) {
            self.dags.insert(dag_id.clone(), HashMap::new());
        }
        let Some(tasks) = self.dags.get_mut(dag_id) else {
            return;
        };
        let recent = match tasks.get_mut(task_id) {
            Some(recent) => recent,
            None => tasks.entry(task_id.clone()).or_default(),
        };
        let was = (!recent.tries.is_empty()).then_some(recent.median);
        if recent.tries.len() == KEPT {
            recent.tries.pop_front();
        }
        recent.tries.push_back(millis);
        recent.median = median(&recent.tries);
        let median = recent.median;
        if was.map(bucket) != Some(bucket(median)) {
            was.into_iter().for_each(|old| self.uncount(old));
            self.counts[bucket(median)] += 1;
            self.known += 1;
            self.settle();
        }
    }

    const fn uncount(&mut self, median: u32) {
        let place = bucket(median);
        self.counts[place] = self.counts[place].saturating_sub(1);
        self.known = self.known.saturating_sub(1);
    }

    fn settle(&mut self) {
        let mut left = self.known.div_ceil(2);
        for (place, &count) in self.counts.iter().enumerate() {
            if count > 0 && count >= left {
                self.typical = middle(place);
                return;
            }
            left -= count.min(left);
        }
        self.typical = GUESS;
    }
}

// Of an even number, the lower one of the middle two.
fn median(tries: &VecDeque<u32>) -> u32 {
    let mut sorted: Vec<u32> = tries.iter().copied().collect();
    sorted.sort_unstable();
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(0)
}

const fn bucket(millis: u32) -> usize {
    if millis < 16 {
        return millis as usize;
    }
    let power = millis.ilog2();
    let quarter = (millis >> (power - 2)) & 3;
    16 + (power as usize - 4) * 4 + quarter as usize
}

const fn middle(bucket: usize) -> u64 {
    if bucket < 16 {
        return bucket as u64;
    }
    let power = (bucket - 16) / 4 + 4;
    let quarter = (bucket as u64 - 16) % 4;
    // From (4 + quarter) / 4 of the power of two up to the next quarter: its middle.
    ((9 + 2 * quarter) << power) / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(millis: &[i64]) -> (Durations, DagId, TaskId) {
        let (dag_id, task_id) = (DagId::new("d").unwrap(), TaskId::new("t").unwrap());
        let mut durations = Durations::default();
        for &n in millis {
            let start = DateTime::UNIX_EPOCH;
            durations.learn(&dag_id, &task_id, start, start + chrono::TimeDelta::milliseconds(n));
        }
        (durations, dag_id, task_id)
    }

    #[test]
    fn the_median_of_the_last_tries_is_not_moved_by_a_few_that_hung() {
        let (durations, dag, task) = learned(&[100, 101, 3_600_000, 99, 0, 102, 7_200_000, 98, 100]);
        assert_eq!(durations.expected(&dag, &task), Some(100));
    }

    #[test]
    fn what_became_slower_is_believed_after_half_the_memory() {
        let (durations, dag, task) =
            learned(&[100, 100, 100, 100, 100, 100, 100, 100, 100, 900, 900, 900, 900]);
        assert_eq!(durations.expected(&dag, &task), Some(100));
        let (durations, ..) = learned(&[100, 100, 100, 100, 100, 900, 900, 900, 900, 900]);
        assert_eq!(durations.expected(&dag, &task), Some(900));
    }

    #[test]
    fn what_is_unknown_is_said_to_be_and_counts_as_the_median_of_the_known() {
        let (mut durations, dag, _) = learned(&[]);
        let unknown = TaskId::new("unknown").unwrap();
        assert_eq!((durations.expected(&dag, &unknown), durations.typical()), (None, GUESS));
        for (name, millis) in [("a", 1000), ("b", 2000), ("c", 4000), ("d", 500), ("e", 900_000)] {
            let end = DateTime::UNIX_EPOCH + chrono::TimeDelta::milliseconds(millis);
            durations.learn(&dag, &TaskId::new(name).unwrap(), DateTime::UNIX_EPOCH, end);
        }
        assert_eq!(durations.expected(&dag, &unknown), None);
        assert!((1700..=2400).contains(&durations.typical()), "{}", durations.typical());
        durations.forget(&dag);
        assert_eq!(durations.typical(), GUESS);
    }

    #[test]
    fn what_changed_is_handed_out_once_in_portions_and_restores_the_same() {
        let (mut durations, dag, task) = learned(&[5, 7, 9]);
        durations.learn(&dag, &TaskId::new("u").unwrap(), DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH);
        let first = durations.take_changed(1);
        assert_eq!(
            first,
            [DurationRecord { dag_id: dag.clone(), task_id: task.clone(), recent: vec![5, 7, 9] }]
        );
        assert_eq!((durations.take_changed(9).len(), durations.take_changed(9).len()), (1, 0));
        let mut again = Durations::default();
        again.restore(&first);
        assert_eq!((again.expected(&dag, &task), again.take_changed(9)), (Some(7), Vec::new()));
    }

    #[test]
    fn every_duration_is_close_to_the_middle_of_its_bucket() {
        for power in 0..32 {
            for offset in [0_u32, 1, 12345] {
                let millis = (1_u32 << power).saturating_add(offset);
                let (found, millis) = (middle(bucket(millis)) as f64, f64::from(millis));
                assert!((found - millis).abs() <= millis * 0.2, "{millis} {found}");
            }
        }
    }
}
