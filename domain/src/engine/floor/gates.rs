//! The gates: how much room each has, who took it, and who is parked there.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{
    candidate::{Candidate, Gate, Sleep},
    crowd::{Crowd, Place},
};
use crate::{
    engine::record::PoolRecord,
    id::{DagId, PoolName, QueueName, TiKey},
};

/// Those parked at a gate that are alike for it: of the same queue, and taking the same room.
pub type Class = (QueueName, u32);

#[derive(Debug, Default)]
pub struct GateState {
    /// The room taken by instances in flight.
    pub used: u32,
    /// The room of instances that are deferred.
    pub deferred: u32,
    /// The room of instances that wait for a person.
    pub awaiting: u32,
    /// Who is in flight.
    pub holders: BTreeSet<TiKey>,
    /// Who waits here.
    pub parked: BTreeMap<Class, Crowd>,
    /// How many went through.
    pub passed: u64,
    /// Those parked here that take more than one slot, with the moment (microseconds since 1970) when they were first.
    pub big: BTreeSet<(i64, TiKey)>,
    /// For whom room is kept, and how much.
    pub reserved: Option<(TiKey, u32)>,
}

/// Why a gate is shut for an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shut {
    Paused,
    Full { used: u32, limit: u32 },
    NoPool,
    TooBig { slots: u32 },
    Reserved { by: TiKey, free: u32 },
}

#[derive(Debug, Default)]
pub struct Gates {
    pub states: HashMap<Gate, GateState>,
    pub limits: HashMap<Gate, u32>,
    pub paused: HashSet<DagId>,
    pub pools: BTreeMap<PoolName, PoolRecord>,
    /// Gates at which room may have been made since the last look.
    pub stirred: BTreeSet<Gate>,
}

impl Gates {
    /// Whether an instance that takes `weight` may pass a gate now.
    pub fn check(&self, ti: TiKey, gate: &Gate, weight: u32) -> Result<(), Shut> {
        match gate {
            Gate::Dag(dag_id) if self.paused.contains(dag_id) => Err(Shut::Paused),
            Gate::Dag(_) => Ok(()),
            Gate::Run(_) | Gate::TaskInRun(..) | Gate::Task(..) => {
                let Some(&limit) = self.limits.get(gate) else {
                    return Ok(());
                };
                let used = self.taken(gate);
                if used.saturating_add(weight) > limit { Err(Shut::Full { used, limit }) } else { Ok(()) }
            }
            Gate::Pool(pool) => self.check_pool(ti, gate, pool, weight),
        }
    }

    fn check_pool(&self, ti: TiKey, gate: &Gate, pool: &PoolName, weight: u32) -> Result<(), Shut> {
        let pool = self.pools.get(pool).ok_or(Shut::NoPool)?;
        let Some(slots) = pool.slots else {
            return Ok(());
        };
        if weight > slots {
            return Err(Shut::TooBig { slots });
        }
        let used = self.taken(gate);
        let free = slots.saturating_sub(used);
        if free < weight {
            return Err(Shut::Full { used, limit: slots });
        }
        let reserved = self.states.get(gate).and_then(|state| state.reserved);
        match reserved.filter(|(holder, _)| *holder != ti) {
            Some((by, kept)) if free.saturating_sub(kept) < weight => Err(Shut::Reserved { by, free }),
            Some(_) | None => Ok(()),
        }
    }

    /// The first gate that is shut for a candidate.
    pub fn first_shut(&self, candidate: &Candidate) -> Option<usize> {
        candidate.gates.iter().position(|(gate, weight)| self.check(candidate.ti, gate, *weight).is_err())
    }

    /// How much of a gate's room is taken. Source for what counts: Airflow 3.3.2 `jobs/scheduler_job_runner.py:561-1090`.
    pub fn taken(&self, gate: &Gate) -> u32 {
        let Some(state) = self.states.get(gate) else {
            return 0;
        };
        match gate {
            Gate::Dag(_) | Gate::Run(_) => state.used,
            Gate::TaskInRun(..) | Gate::Task(..) => state.used + state.deferred + state.awaiting,
            Gate::Pool(pool) => {
                let counts = self.pools.get(pool).is_some_and(|pool| pool.include_deferred);
                state.used + if counts { state.deferred } else { 0 }
            }
        }
    }

    /// The state of a gate, made when it is new.
    pub fn state(&mut self, gate: &Gate) -> &mut GateState {
        self.states.entry(gate.clone()).or_default()
    }

    /// Takes room at every gate.
    pub fn take(&mut self, candidate: &Candidate) {
        for (gate, weight) in candidate.gates_with_room() {
            let state = self.state(gate);
            state.used += weight;
            state.holders.insert(candidate.ti);
        }
    }

    /// Gives room back at every gate.
    pub fn give_back(&mut self, candidate: &Candidate) {
        for (gate, weight) in candidate.gates_with_room() {
            if let Some(state) = self.states.get_mut(gate) {
                state.used = state.used.saturating_sub(*weight);
                state.holders.remove(&candidate.ti);
            }
            self.stir(gate);
        }
    }

    /// Counts an instance that is asleep.
    pub fn lay_down(&mut self, candidate: &Candidate, sleep: Sleep) {
        for (gate, weight) in &candidate.gates {
            *self.state(gate).sleepers(sleep) += weight;
        }
    }

    /// No longer counts an instance that was asleep.
    pub fn wake_up(&mut self, candidate: &Candidate, sleep: Sleep) {
        for (gate, weight) in &candidate.gates {
            if let Some(state) = self.states.get_mut(gate) {
                let count = state.sleepers(sleep);
                *count = count.saturating_sub(*weight);
            }
            self.stir(gate);
        }
    }

    /// Has the crowd at a gate looked at, because there may be room.
    pub fn stir(&mut self, gate: &Gate) {
        if self.states.get(gate).is_some_and(|state| !state.parked.is_empty()) {
            self.stirred.insert(gate.clone());
        }
    }

    /// Has the crowds at all pools looked at.
    pub fn stir_pools(&mut self) {
        let pools = self
            .states
            .iter()
            .filter(|(gate, state)| matches!(gate, Gate::Pool(_)) && !state.parked.is_empty());
        self.stirred.extend(pools.map(|(gate, _)| gate.clone()));
    }

    /// Forgets a gate.
    pub fn forget(&mut self, gate: &Gate) {
        self.limits.remove(gate);
        self.states.remove(gate);
        self.stirred.remove(gate);
    }
}

impl GateState {
    /// One that was parked goes.
    pub fn leave(&mut self, class: &Class, place: &Place) {
        if let Some(crowd) = self.parked.get_mut(class) {
            crowd.remove(place);
            if crowd.is_empty() {
                self.parked.remove(class);
            }
        }
    }

    const fn sleepers(&mut self, sleep: Sleep) -> &mut u32 {
        match sleep {
            Sleep::Deferred => &mut self.deferred,
            Sleep::AwaitingInput => &mut self.awaiting,
        }
    }
}
