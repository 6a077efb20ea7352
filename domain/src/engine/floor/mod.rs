//! The floor: where ready task instances wait for room, and who is let through next.
//!
//! Every instance passes a row of gates: its DAG (shut while paused), its run, its task, its pool. Each gate has room
//! for so much at a time. Behind the gates is the queue, which has as much room as the live workers have slots, and, where tasks are
//! short, a little more so that they never wait for us.
//!
//! Who goes first is decided at the last moment, in two steps: accounts (DAGs or teams) share the room fairly ([`crowd`]), and within an account the
//! pool's [`Policy`] decides. A task that is too big for the room that is left does not hold up smaller ones, until it was
//! passed over too often: then room is kept for it ([`reserve`]).
//!
//! Nothing is scanned twice: an instance that meets a shut gate is parked at that gate and one of its kind comes back to the line when room
//! is made there, as a scout: when it leaves the line, whatever the reason, the next one follows. So a turn costs what it lets
//! through, not what waits.

mod candidate;
mod crowd;
mod gates;
mod line;
mod policy;
mod reserve;
#[cfg(test)]
mod tests;
mod why;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use chrono::{DateTime, Utc};

pub use self::{
    candidate::{Account, Candidate, Gate, Sleep},
    policy::{Policy, UnknownPolicy},
    why::Hindrance,
};
use self::{
    crowd::{Place, Seat},
    gates::Gates,
    line::Line,
};
use super::{
    durations::Durations,
    record::{AdmissionRecord, PoolRecord, WorkerRecord},
};
use crate::id::{DagId, PoolName, QueueName, RunKey, TaskId, TiKey};

/// Where a waiting instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spot {
    /// In the line of its queue.
    Line,
    /// At the head of the line of its queue: room is kept for it.
    Head,
    /// At one of its gates.
    Parked(usize),
}

#[derive(Debug)]
struct Waiting {
    candidate: Arc<Candidate>,
    place: Place,
    spot: Spot,
    /// When it first met a pool with too little room, in microseconds since 1970, and how many had passed there by then.
    blocked: Option<(i64, u64)>,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Floor {
    /// How long tasks take.
    pub durations: Durations,
    waiting: HashMap<TiKey, Waiting>,
    holding: HashMap<TiKey, Arc<Candidate>>,
    asleep: HashMap<TiKey, (Candidate, Sleep)>,
    gates: Gates,
    lines: BTreeMap<QueueName, Line>,
    admission: AdmissionRecord,
    // The time of the last turn, in microseconds since 1970.
    now: i64,
}

impl Floor {
    /// Lets an instance wait for its turn.
    pub fn wait(&mut self, mut candidate: Candidate) {
        self.remove(candidate.ti);
        self.estimate(&mut candidate);
        self.seat(Arc::new(candidate), None);
    }

    /// Takes an instance away, wherever it is: waiting, holding room, or asleep.
    pub fn remove(&mut self, ti: TiKey) {
        if let Some(waiting) = self.unseat(ti) {
            self.give_up(&waiting);
            // It may have been the one that room elsewhere was left to.
            waiting.candidate.gates.iter().for_each(|(gate, _)| self.gates.stir(gate));
        }
        if let Some(candidate) = self.holding.remove(&ti) {
            self.line(&candidate.queue).leave(&candidate);
            self.gates.give_back(&candidate);
        }
        if let Some((candidate, sleep)) = self.asleep.remove(&ti) {
            self.gates.wake_up(&candidate, sleep);
        }
    }

    /// Counts an instance that is already queued or running, after a restart.
    pub fn hold(&mut self, mut candidate: Candidate) {
        self.remove(candidate.ti);
        self.estimate(&mut candidate);
        self.take(Arc::new(candidate));
    }

    /// Counts an instance that waits without a worker. What it held is given back first.
    pub fn sleep(&mut self, candidate: Candidate, sleep: Sleep) {
        self.remove(candidate.ti);
        self.gates.lay_down(&candidate, sleep);
        self.asleep.insert(candidate.ti, (candidate, sleep));
    }

    /// Gives an instance another priority, also while it waits. False when it is not here.
    pub fn reprioritize(&mut self, ti: TiKey, priority: i32) -> bool {
        if let Some(candidate) = self.holding.get_mut(&ti) {
            Arc::make_mut(candidate).priority = priority;
            return true;
        }
        let Some(Waiting { mut candidate, blocked, .. }) = self.take_aside(ti) else {
            return false;
        };
        Arc::make_mut(&mut candidate).priority = priority;
        self.seat(candidate, blocked);
        true
    }

    /// Sets the room of a run or task gate.
    pub fn limit(&mut self, gate: Gate, room: u32) {
        if self.gates.limits.insert(gate.clone(), room).is_some_and(|old| old < room) {
            self.gates.stir(&gate);
        }
    }

    /// Forgets the gates of a run that has ended.
    pub fn forget_run(&mut self, run: RunKey, tasks: impl Iterator<Item = TaskId>) {
        self.gates.forget(&Gate::Run(run));
        tasks.for_each(|task| self.gates.forget(&Gate::TaskInRun(run, task)));
    }

    /// Shuts or opens a DAG.
    pub fn pause(&mut self, dag_id: &DagId, paused: bool) {
        if paused {
            self.gates.paused.insert(dag_id.clone());
        } else if self.gates.paused.remove(dag_id) {
            self.gates.stir(&Gate::Dag(dag_id.clone()));
        }
    }

    /// Replaces the pools.
    pub fn set_pools(&mut self, pools: &[PoolRecord]) {
        let policies = |pools: &BTreeMap<PoolName, PoolRecord>| -> Vec<(PoolName, Policy)> {
            pools.values().filter_map(|pool| Some((pool.name.clone(), pool.policy?))).collect()
        };
        let before = policies(&self.gates.pools);
        self.gates.pools = pools.iter().map(|pool| (pool.name.clone(), pool.clone())).collect();
        self.gates.stir_pools();
        if before != policies(&self.gates.pools) {
            self.reseat();
        }
    }

    /// Replaces the rules of the installation.
    pub fn set_admission(&mut self, admission: &AdmissionRecord) {
        if self.admission != *admission {
            self.admission = admission.clone();
            self.reseat();
        }
    }

    /// Replaces the live workers.
    pub fn set_workers(&mut self, workers: &[WorkerRecord]) {
        self.lines.values_mut().for_each(|line| line.slots = 0);
        for worker in workers {
            for queue in &worker.queues {
                let line = self.line(queue);
                line.slots = line.slots.saturating_add(worker.slots);
            }
        }
    }

    /// Whether some pool, or all, let the longest remaining path go first, so that somebody should work it out.
    #[must_use]
    pub fn wants_paths(&self) -> bool {
        let asks = |policy: Policy| policy == Policy::CriticalPath;
        asks(self.admission.policy) || self.gates.pools.values().filter_map(|pool| pool.policy).any(asks)
    }

    /// Lets everything through for which there is room now, in the order in which it is to start within each queue.
    pub fn admit(&mut self, now: DateTime<Utc>) -> Vec<Arc<Candidate>> {
        self.now = now.timestamp_micros();
        self.reserve();
        let queues: Vec<QueueName> = self.lines.keys().cloned().collect();
        let mut admitted = Vec::new();
        loop {
            while let Some(gate) = self.gates.stirred.pop_first() {
                self.wake(&gate);
            }
            for queue in &queues {
                self.admit_line(queue, &mut admitted);
            }
            self.drop_vain_reservations();
            if self.gates.stirred.is_empty() {
                return admitted;
            }
        }
    }

    /// How much of a gate's room is taken.
    #[must_use]
    pub fn used(&self, gate: &Gate) -> u32 {
        self.gates.taken(gate)
    }

    fn admit_line(&mut self, queue: &QueueName, admitted: &mut Vec<Arc<Candidate>>) {
        while let Some(ti) = self.next_of(queue) {
            let Some(waiting) = self.waiting.get(&ti) else {
                return;
            };
            let shut = self.gates.first_shut(&waiting.candidate);
            if shut.is_none() {
                self.charge(ti);
            }
            let Some(waiting) = self.unseat(ti) else { return };
            self.give_up(&waiting);
            let candidate = waiting.candidate.clone();
            match shut {
                Some(at) => {
                    self.park(waiting, at);
                    self.follow(&candidate);
                }
                None => {
                    self.take(waiting.candidate);
                    self.follow(&candidate);
                    admitted.push(candidate);
                }
            }
        }
    }

    // One has left the line: wherever others of its kind are parked, the next of them takes its place.
    fn follow(&mut self, gone: &Candidate) {
        for (gate, weight) in &gone.gates {
            if self.gates.states.get(gate).is_some_and(|state| !state.parked.is_empty()) {
                self.wake_class(gate, &(gone.queue.clone(), *weight));
            }
        }
    }

    fn next_of(&self, queue: &QueueName) -> Option<TiKey> {
        let line = self.lines.get(queue).filter(|line| line.has_room())?;
        line.next(self.late())
    }

    // Whoever became ready before has waited longer than anybody's patience.
    fn late(&self) -> i64 {
        self.now - i64::from(self.admission.patience) * 1_000_000
    }

    fn take(&mut self, candidate: Arc<Candidate>) {
        self.gates.take(&candidate);
        self.line(&candidate.queue).enter(&candidate);
        self.holding.insert(candidate.ti, candidate);
    }

    fn charge(&mut self, ti: TiKey) {
        let Some(Waiting { candidate, place, .. }) = self.waiting.get(&ti) else {
            return;
        };
        if let Some(line) = self.lines.get_mut(&candidate.queue) {
            line.crowd.serve(place);
        }
        for (gate, weight) in candidate.gates_with_room() {
            if let Some(state) = self.gates.states.get_mut(gate) {
                state.passed += 1;
                if state.parked.is_empty() {
                    continue;
                }
                if let Some(crowd) = state.parked.get_mut(&(candidate.queue.clone(), *weight)) {
                    crowd.charge(&place.account, *weight);
                }
            }
        }
    }

    fn line(&mut self, queue: &QueueName) -> &mut Line {
        self.lines.entry(queue.clone()).or_default()
    }

    fn estimate(&self, candidate: &mut Candidate) {
        if candidate.expected.is_none() {
            candidate.expected = self.durations.expected(&candidate.dag_id, &candidate.task_id);
        }
    }

    fn place(&self, candidate: &Candidate) -> Place {
        let pool = candidate.gates.iter().find_map(|(gate, _)| match gate {
            Gate::Pool(pool) => self.gates.pools.get(pool),
            Gate::Dag(_) | Gate::Run(_) | Gate::TaskInRun(..) | Gate::Task(..) => None,
        });
        let policy = pool.and_then(|pool| pool.policy).unwrap_or(self.admission.policy);
        let expected = candidate.expected.unwrap_or(self.durations.typical());
        let account = self.admission.account(&candidate.dag_id);
        let share = self.admission.share(&account);
        let seat = Seat {
            key: policy.key(candidate, expected),
            ti: candidate.ti,
            priority: candidate.priority,
            ready: candidate.ready.timestamp_micros(),
        };
        Place { account, share, policy, seat }
    }

    fn seat(&mut self, candidate: Arc<Candidate>, blocked: Option<(i64, u64)>) {
        let place = self.place(&candidate);
        let waiting = Waiting { candidate, place, spot: Spot::Line, blocked };
        match self.gates.first_shut(&waiting.candidate) {
            Some(at) => self.park(waiting, at),
            None => self.line_up(waiting),
        }
    }

    fn line_up(&mut self, mut waiting: Waiting) {
        waiting.spot = Spot::Line;
        self.line(&waiting.candidate.queue).crowd.insert(&waiting.place);
        self.waiting.insert(waiting.candidate.ti, waiting);
    }

    fn park(&mut self, mut waiting: Waiting, at: usize) {
        let (gate, weight) = waiting.candidate.gates[at].clone();
        let now = self.now;
        let state = self.gates.state(&gate);
        let class = (waiting.candidate.queue.clone(), weight);
        state.parked.entry(class).or_default().insert(&waiting.place);
        if weight > 1 {
            let (since, _) = *waiting.blocked.get_or_insert((now, state.passed));
            state.big.insert((since, waiting.candidate.ti));
        }
        waiting.spot = Spot::Parked(at);
        self.waiting.insert(waiting.candidate.ti, waiting);
    }

    // Takes a waiting instance out of whatever it waits in.
    fn unseat(&mut self, ti: TiKey) -> Option<Waiting> {
        let waiting = self.waiting.remove(&ti)?;
        match waiting.spot {
            Spot::Line => self.line(&waiting.candidate.queue).crowd.remove(&waiting.place),
            Spot::Head => {
                self.line(&waiting.candidate.queue).heads.remove(&ti);
            }
            Spot::Parked(at) => {
                let (gate, weight) = &waiting.candidate.gates[at];
                if let Some(state) = self.gates.states.get_mut(gate) {
                    state.leave(&(waiting.candidate.queue.clone(), *weight), &waiting.place);
                    waiting.blocked.iter().for_each(|(since, _)| {
                        state.big.remove(&(*since, ti));
                    });
                }
            }
        }
        Some(waiting)
    }

    // The same, for one that comes back at once.
    fn take_aside(&mut self, ti: TiKey) -> Option<Waiting> {
        let waiting = self.unseat(ti)?;
        self.give_up(&waiting);
        waiting.candidate.gates.iter().for_each(|(gate, _)| self.gates.stir(gate));
        Some(waiting)
    }

    fn reseat(&mut self) {
        let mut everybody: Vec<TiKey> = self.waiting.keys().copied().collect();
        everybody.sort_unstable();
        let aside: Vec<Waiting> = everybody.into_iter().filter_map(|ti| self.take_aside(ti)).collect();
        for waiting in aside {
            self.seat(waiting.candidate, waiting.blocked);
        }
    }

    // Room was made at a gate: one of each kind that fits comes back to its line.
    fn wake(&mut self, gate: &Gate) {
        self.wake_reserved(gate);
        let Some(state) = self.gates.states.get(gate) else {
            return;
        };
        for class in state.parked.keys().cloned().collect::<Vec<_>>() {
            self.wake_class(gate, &class);
        }
    }

    fn wake_class(&mut self, gate: &Gate, class: &gates::Class) {
        let Some(crowd) = self.gates.states.get(gate).and_then(|state| state.parked.get(class)) else {
            return;
        };
        let Some(ti) = crowd.best(self.late()).map(|place| place.seat.ti) else {
            return;
        };
        if self.gates.check(ti, gate, class.1).is_ok()
            && let Some(waiting) = self.unseat(ti)
        {
            self.line_up(waiting);
        }
    }
}
