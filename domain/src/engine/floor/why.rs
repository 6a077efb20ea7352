//! Why an instance does not start: asked of the same gates and lines that decide.

use super::{
    Floor, Spot,
    candidate::{Candidate, Gate},
    gates::Shut,
    line::Line,
    policy::Policy,
};
use crate::id::{DagId, PoolName, QueueName, RunKey, TaskId, TiKey};

/// At most this many of those who hold room are named.
const NAMED: usize = 20;

/// Where more than this many wait together nobody's place is worked out, because that costs as much as goes before it.
const RANKED: usize = 5_000;

/// Something that keeps an instance from starting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hindrance {
    /// Its DAG is paused.
    DagPaused(DagId),
    /// As many of its run are in flight as may be (`max_active_tasks`).
    RunLimit {
        /// The run.
        run: RunKey,
        /// How many are in flight.
        used: u32,
        /// How many may be.
        limit: u32,
        /// Who they are, as far as they are named.
        holders: Vec<TiKey>,
    },
    /// As many instances of its task are in flight, deferred or awaiting input as may be.
    TaskLimit {
        /// The DAG, when the limit is over all runs (`max_active_tis_per_dag`); none for `max_active_tis_per_dagrun`.
        dag_id: Option<DagId>,
        /// The task.
        task_id: TaskId,
        /// How many count.
        used: u32,
        /// How many may.
        limit: u32,
        /// Who is in flight, as far as they are named.
        holders: Vec<TiKey>,
    },
    /// There is no such pool.
    NoPool(PoolName),
    /// It takes more slots than its pool has at all: it can never start.
    TooBigForPool {
        /// The pool.
        pool: PoolName,
        /// How many slots it has.
        slots: u32,
        /// How many the instance takes.
        wanted: u32,
    },
    /// Its pool has too few open slots.
    PoolFull {
        /// The pool.
        pool: PoolName,
        /// How many slots are taken.
        used: u32,
        /// How many it has.
        slots: u32,
        /// How many the instance takes.
        wanted: u32,
        /// Who holds them, as far as they are named; deferred instances are not.
        holders: Vec<TiKey>,
    },
    /// The open slots of its pool are kept for a bigger instance that was passed over too often.
    PoolReserved {
        /// The pool.
        pool: PoolName,
        /// How many slots are open.
        free: u32,
        /// For whom they are kept.
        by: TiKey,
    },
    /// No live worker listens to its queue.
    NoWorker(QueueName),
    /// Its queue has been given as much as its workers can take.
    QueueFull {
        /// The queue.
        queue: QueueName,
        /// How many tries are queued or running.
        in_flight: u32,
        /// How many may be.
        capacity: u32,
    },
    /// Others go first. The place holds if nobody comes, leaves or changes.
    InLine {
        /// Where it waits: at a gate, or, if none, in the line of its queue.
        at: Option<Gate>,
        /// Its place, from 1.
        place: usize,
        /// How many wait there for the same queue.
        of: usize,
    },
}

impl Floor {
    /// What keeps a waiting instance from starting, in the order in which it is checked, its place in line last. `None` when it does
    /// not wait here. With nothing but a first place in line it starts in the next turn.
    ///
    /// Costs as much as goes before the instance where it waits; the place is left out where very many wait.
    #[must_use]
    pub fn why(&self, ti: TiKey) -> Option<Vec<Hindrance>> {
        let mut found = self.shut_for(&self.waiting.get(&ti)?.candidate);
        found.extend(self.in_line(ti));
        Some(found)
    }

    /// What would keep an instance from starting if it came now, in the order in which it is checked; whoever waits already and would go
    /// first is left out.
    #[must_use]
    pub fn shut_for(&self, candidate: &Candidate) -> Vec<Hindrance> {
        let mut found = Vec::new();
        for (gate, weight) in &candidate.gates {
            if let Err(shut) = self.gates.check(candidate.ti, gate, *weight) {
                found.push(self.hindrance(gate, *weight, shut));
            }
        }
        let queue = candidate.queue.clone();
        match self.lines.get(&queue).filter(|line| line.is_live()) {
            None => found.push(Hindrance::NoWorker(queue)),
            Some(line) if !line.has_room() => {
                let (in_flight, capacity) = (line.in_flight, line.capacity());
                found.push(Hindrance::QueueFull { queue, in_flight, capacity });
            }
            Some(_) => {}
        }
        found
    }

    /// The order in which an instance that waits here takes its turn, and whether DAGs share the room fairly before it counts.
    #[must_use]
    pub fn order_of(&self, ti: TiKey) -> Option<(Policy, bool)> {
        Some((self.waiting.get(&ti)?.place.policy, self.admission.fair_share))
    }

    /// Whether a live worker listens to a queue.
    #[must_use]
    pub fn has_worker(&self, queue: &QueueName) -> bool {
        self.lines.get(queue).is_some_and(Line::is_live)
    }

    fn hindrance(&self, gate: &Gate, wanted: u32, shut: Shut) -> Hindrance {
        let holders = self.gates.states.get(gate).into_iter().flat_map(|state| &state.holders);
        let holders: Vec<TiKey> = holders.take(NAMED).copied().collect();
        let (used, limit) = match shut {
            Shut::Full { used, limit } => (used, limit),
            Shut::TooBig { slots } => (0, slots),
            Shut::Paused | Shut::NoPool | Shut::Reserved { .. } => (0, 0),
        };
        match gate {
            Gate::Dag(dag_id) => Hindrance::DagPaused(dag_id.clone()),
            Gate::Run(run) => Hindrance::RunLimit { run: *run, used, limit, holders },
            Gate::TaskInRun(_, task_id) => {
                Hindrance::TaskLimit { dag_id: None, task_id: task_id.clone(), used, limit, holders }
            }
            Gate::Task(dag_id, task_id) => {
                let (dag_id, task_id) = (Some(dag_id.clone()), task_id.clone());
                Hindrance::TaskLimit { dag_id, task_id, used, limit, holders }
            }
            Gate::Pool(pool) => {
                let pool = pool.clone();
                match shut {
                    Shut::TooBig { slots } => Hindrance::TooBigForPool { pool, slots, wanted },
                    Shut::Reserved { by, free } => Hindrance::PoolReserved { pool, free, by },
                    Shut::Full { .. } => Hindrance::PoolFull { pool, used, slots: limit, wanted, holders },
                    Shut::NoPool | Shut::Paused => Hindrance::NoPool(pool),
                }
            }
        }
    }

    fn in_line(&self, ti: TiKey) -> Option<Hindrance> {
        let waiting = self.waiting.get(&ti)?;
        let line = self.lines.get(&waiting.candidate.queue);
        let (at, crowd, before) = match waiting.spot {
            Spot::Line => (None, &line?.crowd, line?.heads.len()),
            Spot::Head => {
                let of = line?.heads.len() + line?.crowd.len();
                let place = line?.heads.iter().position(|&other| other == ti)? + 1;
                return Some(Hindrance::InLine { at: None, place, of });
            }
            Spot::Parked(at) => {
                let (gate, weight) = &waiting.candidate.gates[at];
                let class = (waiting.candidate.queue.clone(), *weight);
                (Some(gate.clone()), self.gates.states.get(gate)?.parked.get(&class)?, 0)
            }
        };
        if crowd.len() > RANKED {
            return None;
        }
        let place = before + crowd.position(ti, self.late())?;
        Some(Hindrance::InLine { at, place, of: before + crowd.len() })
    }
}
