//! The floor: where ready task instances wait for room, and who is let through next.
//!
//! Every instance passes a row of gates: its DAG (shut while paused), its run, its task, its pool. Each gate has room
//! for so much at a time. Behind the gates is the queue, which has as much room as the live workers have slots, and
//! a little more so that they never wait for us. Priority decides who goes first, then age.
//!
//! Nothing is scanned twice: an instance that meets a shut gate is parked at that gate and comes back to the line only when
//! room is made there. So a turn costs what it lets through, not what waits.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
};

use chrono::{DateTime, Utc};

use super::record::{PoolRecord, WorkerRecord};
use crate::id::{DagId, PoolName, QueueName, RunKey, TaskId, TiKey};

/// At least this many more tries than the workers have slots are released to a queue, so that a worker that frees a slot finds
/// the next try waiting.
const LOOKAHEAD: u32 = 32;

/// How many parked instances are looked at when room is made, so that a crowd of big ones cannot make a turn slow.
const LOOK: usize = 64;

/// A place in line: higher priority first, then the older run, then the order of creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    priority: Reverse<i32>,
    since: DateTime<Utc>,
    ti: TiKey,
}

/// Something that has room for so much at a time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Gate {
    /// A DAG: shut while it is paused.
    Dag(DagId),
    /// A run: `max_active_tasks`.
    Run(RunKey),
    /// A task within a run: `max_active_tis_per_dagrun`.
    TaskInRun(RunKey, TaskId),
    /// A task over all runs: `max_active_tis_per_dag`.
    Task(DagId, TaskId),
    /// A pool.
    Pool(PoolName),
}

/// A task instance that wants to start.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Which.
    pub ti: TiKey,
    /// Its effective priority.
    pub priority: i32,
    /// The date of its run: the older run goes first.
    pub since: DateTime<Utc>,
    /// The queue it goes to.
    pub queue: QueueName,
    /// The gates it passes and the room it takes at each, in order.
    pub gates: Vec<(Gate, u32)>,
}

/// Where a waiting instance is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Spot {
    InLine,
    Parked(Gate),
}

#[derive(Debug, Default)]
struct GateState {
    used: u32,
    parked: BTreeSet<Place>,
}

#[derive(Debug, Default)]
struct Line {
    in_flight: u32,
    places: BTreeSet<Place>,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Floor {
    waiting: HashMap<TiKey, (Candidate, Spot)>,
    holding: HashMap<TiKey, Candidate>,
    gates: HashMap<Gate, GateState>,
    lines: BTreeMap<QueueName, Line>,
    limits: HashMap<Gate, u32>,
    paused: HashSet<DagId>,
    pools: HashMap<PoolName, Option<u32>>,
    slots: HashMap<QueueName, u32>,
}

impl Floor {
    /// Lets an instance wait for its turn.
    pub fn wait(&mut self, candidate: Candidate) {
        let place = candidate.place();
        self.lines.entry(candidate.queue.clone()).or_default().places.insert(place);
        self.waiting.insert(candidate.ti, (candidate, Spot::InLine));
    }

    /// Takes an instance away, wherever it is: waiting or holding room.
    pub fn remove(&mut self, ti: TiKey) {
        if let Some((candidate, spot)) = self.waiting.remove(&ti) {
            self.lift(&candidate, &spot);
        }
        if let Some(candidate) = self.holding.remove(&ti) {
            self.vacate(&candidate);
        }
    }

    /// Counts an instance that is already queued or running, after a restart.
    pub fn hold(&mut self, candidate: Candidate) {
        for (gate, weight) in &candidate.gates {
            self.gates.entry(gate.clone()).or_default().used += weight;
        }
        self.lines.entry(candidate.queue.clone()).or_default().in_flight += 1;
        self.holding.insert(candidate.ti, candidate);
    }

    /// Sets the room of a run or task gate.
    pub fn limit(&mut self, gate: Gate, room: u32) {
        if self.limits.insert(gate.clone(), room).is_some_and(|old| old < room) {
            self.unpark_all(&gate);
        }
    }

    /// Forgets the gates of a run that has ended.
    pub fn forget_run(&mut self, run: RunKey, tasks: impl Iterator<Item = TaskId>) {
        let gates = std::iter::once(Gate::Run(run)).chain(tasks.map(|task| Gate::TaskInRun(run, task)));
        for gate in gates {
            self.limits.remove(&gate);
            self.gates.remove(&gate);
        }
    }

    /// Shuts or opens a DAG.
    pub fn pause(&mut self, dag_id: &DagId, paused: bool) {
        if paused {
            self.paused.insert(dag_id.clone());
        } else if self.paused.remove(dag_id) {
            self.unpark_all(&Gate::Dag(dag_id.clone()));
        }
    }

    /// Replaces the pools.
    pub fn set_pools(&mut self, pools: &[PoolRecord]) {
        self.pools = pools.iter().map(|pool| (pool.name.clone(), pool.slots)).collect();
        let parked: Vec<Gate> =
            self.gates.keys().filter(|gate| matches!(gate, Gate::Pool(_))).cloned().collect();
        for gate in parked {
            self.unpark_all(&gate);
        }
    }

    /// Replaces the live workers.
    pub fn set_workers(&mut self, workers: &[WorkerRecord]) {
        self.slots.clear();
        for worker in workers {
            for queue in &worker.queues {
                *self.slots.entry(queue.clone()).or_default() += worker.slots;
            }
        }
    }

    /// Lets everything through for which there is room now, best first within each queue.
    pub fn admit(&mut self) -> Vec<Candidate> {
        let queues: Vec<QueueName> = self.lines.keys().cloned().collect();
        let mut admitted = Vec::new();
        for queue in queues {
            while let Some(candidate) = self.first_of(&queue) {
                match candidate.gates.iter().position(|(gate, weight)| self.room(gate) < u64::from(*weight)) {
                    Some(shut) => self.park(candidate, shut),
                    None => {
                        self.hold(candidate.clone());
                        admitted.push(candidate);
                    }
                }
            }
        }
        admitted
    }

    #[cfg(test)]
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.holding.is_empty()
    }

    /// How much of a gate's room is taken.
    #[must_use]
    pub fn used(&self, gate: &Gate) -> u32 {
        self.gates.get(gate).map_or(0, |state| state.used)
    }

    fn first_of(&mut self, queue: &QueueName) -> Option<Candidate> {
        let slots = self.slots.get(queue).copied().filter(|&slots| slots > 0)?;
        let line = self.lines.get_mut(queue)?;
        if line.in_flight >= slots + slots.max(LOOKAHEAD) {
            return None;
        }
        let place = line.places.pop_first()?;
        self.waiting.remove(&place.ti).map(|(candidate, _)| candidate)
    }

    fn room(&self, gate: &Gate) -> u64 {
        let used = u64::from(self.used(gate));
        let limit = match gate {
            Gate::Dag(dag_id) if self.paused.contains(dag_id) => 0,
            Gate::Dag(_) => u64::MAX,
            Gate::Run(_) | Gate::TaskInRun(..) | Gate::Task(..) => {
                self.limits.get(gate).map_or(u64::MAX, |&n| n.into())
            }
            Gate::Pool(pool) => self.pools.get(pool).map_or(0, |slots| slots.map_or(u64::MAX, u64::from)),
        };
        limit.saturating_sub(used)
    }

    // Whoever is parked leaves the room that it would have taken to the crowds at its gates, also to smaller ones at the very
    // gate that shut. This ends, because room only shrinks until the next `remove`, so nobody is parked twice.
    fn park(&mut self, candidate: Candidate, shut: usize) {
        let gate = candidate.gates[shut].0.clone();
        let gates: Vec<Gate> = candidate.gates.iter().map(|(gate, _)| gate.clone()).collect();
        self.gates.entry(gate.clone()).or_default().parked.insert(candidate.place());
        self.waiting.insert(candidate.ti, (candidate, Spot::Parked(gate)));
        for gate in gates {
            self.unpark_one(&gate);
        }
    }

    fn unpark_one(&mut self, gate: &Gate) {
        let room = self.room(gate);
        let Some(state) = self.gates.get(gate) else { return };
        let fits =
            |place: &&Place| self.weight(place.ti, gate).is_some_and(|weight| u64::from(weight) <= room);
        if let Some(place) = state.parked.iter().take(LOOK).find(fits).copied() {
            self.unpark(gate, place);
        }
    }

    fn unpark_all(&mut self, gate: &Gate) {
        let places: Vec<Place> =
            self.gates.get(gate).map(|state| state.parked.iter().copied().collect()).unwrap_or_default();
        for place in places {
            self.unpark(gate, place);
        }
    }

    fn unpark(&mut self, gate: &Gate, place: Place) {
        if let Some(state) = self.gates.get_mut(gate) {
            state.parked.remove(&place);
        }
        if let Some((candidate, spot)) = self.waiting.get_mut(&place.ti) {
            *spot = Spot::InLine;
            self.lines.entry(candidate.queue.clone()).or_default().places.insert(place);
        }
    }

    fn weight(&self, ti: TiKey, gate: &Gate) -> Option<u32> {
        let (candidate, _) = self.waiting.get(&ti)?;
        candidate.gates.iter().find(|(other, _)| other == gate).map(|(_, weight)| *weight)
    }

    fn lift(&mut self, candidate: &Candidate, spot: &Spot) {
        let place = candidate.place();
        match spot {
            Spot::InLine => {
                if let Some(line) = self.lines.get_mut(&candidate.queue) {
                    line.places.remove(&place);
                }
                // It may have been the one that room elsewhere was left to.
                for (gate, _) in &candidate.gates {
                    self.unpark_one(gate);
                }
            }
            Spot::Parked(gate) => {
                if let Some(state) = self.gates.get_mut(gate) {
                    state.parked.remove(&place);
                }
            }
        }
    }

    fn vacate(&mut self, candidate: &Candidate) {
        if let Some(line) = self.lines.get_mut(&candidate.queue) {
            line.in_flight = line.in_flight.saturating_sub(1);
        }
        for (gate, weight) in &candidate.gates {
            if let Some(state) = self.gates.get_mut(gate) {
                state.used = state.used.saturating_sub(*weight);
            }
            for _ in 0..*weight {
                self.unpark_one(gate);
            }
        }
    }
}

impl Candidate {
    fn place(&self) -> Place {
        Place { priority: Reverse(self.priority), since: self.since, ti: self.ti }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(index: u32, priority: i32, run: i64, pool: &str, slots: u32) -> Candidate {
        let run = RunKey(run);
        Candidate {
            ti: TiKey { run, index },
            priority,
            since: DateTime::UNIX_EPOCH,
            queue: QueueName::default_queue(),
            gates: vec![
                (Gate::Dag(DagId::new("dag").unwrap()), 1),
                (Gate::Run(run), 1),
                (Gate::Pool(PoolName::new(pool).unwrap()), slots),
            ],
        }
    }

    fn floor(pools: &[(&str, u32)]) -> Floor {
        let mut floor = Floor::default();
        let pool = |&(name, slots): &(&str, u32)| PoolRecord {
            name: PoolName::new(name).unwrap(),
            slots: Some(slots),
        };
        floor.set_pools(&pools.iter().map(pool).collect::<Vec<_>>());
        floor.set_workers(&[WorkerRecord {
            id: uuid::Uuid::nil(),
            queues: vec![QueueName::default_queue()],
            slots: 1000,
        }]);
        floor
    }

    fn drain(floor: &mut Floor) -> Vec<u32> {
        floor.admit().into_iter().map(|candidate| candidate.ti.index).collect()
    }

    #[test]
    fn priority_first_then_order_of_creation() {
        let mut floor = floor(&[("p", 100)]);
        for (index, priority) in [(0, 1), (1, 5), (2, 5), (3, -1)] {
            floor.wait(candidate(index, priority, 1, "p", 1));
        }
        assert_eq!(drain(&mut floor), [1, 2, 0, 3]);
    }

    #[test]
    fn a_pool_is_never_oversubscribed_and_a_big_task_does_not_block_small_ones() {
        let mut floor = floor(&[("p", 3)]);
        floor.wait(candidate(0, 1, 1, "p", 2));
        floor.wait(candidate(1, 1, 1, "p", 2));
        floor.wait(candidate(2, 1, 1, "p", 1));
        assert_eq!(drain(&mut floor), [0, 2]);
        floor.remove(TiKey { run: RunKey(1), index: 2 });
        assert_eq!(drain(&mut floor), Vec::<u32>::new());
        floor.remove(TiKey { run: RunKey(1), index: 0 });
        assert_eq!(drain(&mut floor), [1]);
    }

    #[test]
    fn room_at_a_run_goes_to_whoever_can_use_it() {
        let mut floor = floor(&[("full", 0), ("p", 9)]);
        floor.limit(Gate::Run(RunKey(1)), 1);
        floor.wait(candidate(0, 9, 1, "p", 1));
        floor.wait(candidate(1, 8, 1, "full", 1));
        floor.wait(candidate(2, 7, 1, "p", 1));
        assert_eq!(drain(&mut floor), [0]);
        floor.remove(TiKey { run: RunKey(1), index: 0 });
        assert_eq!(drain(&mut floor), [2]);
    }

    #[test]
    fn a_paused_dag_waits_and_goes_on() {
        let mut floor = floor(&[("p", 9)]);
        let dag = DagId::new("dag").unwrap();
        floor.pause(&dag, true);
        floor.wait(candidate(0, 1, 1, "p", 1));
        assert_eq!(drain(&mut floor), Vec::<u32>::new());
        floor.pause(&dag, false);
        assert_eq!(drain(&mut floor), [0]);
    }

    #[test]
    fn no_worker_no_release_and_only_a_little_more_than_the_slots() {
        let mut floor = floor(&[("p", 10_000)]);
        floor.set_workers(&[]);
        for index in 0..500 {
            floor.wait(candidate(index, 1, 1, "p", 1));
        }
        assert_eq!(drain(&mut floor), Vec::<u32>::new());
        floor.set_workers(&[WorkerRecord {
            id: uuid::Uuid::nil(),
            queues: vec![QueueName::default_queue()],
            slots: 8,
        }]);
        assert_eq!(drain(&mut floor).len(), 8 + LOOKAHEAD as usize);
    }

    #[test]
    fn what_is_removed_while_parked_never_comes_back() {
        let mut floor = floor(&[("p", 1)]);
        floor.wait(candidate(0, 1, 1, "p", 1));
        floor.wait(candidate(1, 1, 1, "p", 1));
        assert_eq!(drain(&mut floor), [0]);
        floor.remove(TiKey { run: RunKey(1), index: 1 });
        floor.remove(TiKey { run: RunKey(1), index: 0 });
        assert_eq!(drain(&mut floor), Vec::<u32>::new());
        assert!(floor.is_idle());
    }
}
