//! Keeping room for a task that takes several slots and was passed over too often.
//!
//! It is the pool alone that keeps it waiting, or nothing is kept: as soon as its DAG is paused, a limit is reached or
//! its queue has no worker, the room is anybody's again. At most one instance at a time has room kept in a pool, the longest
//! waiting first.

use super::{Floor, Spot, Waiting, candidate::Gate};
use crate::id::{PoolName, TiKey};

/// At most this many that wait for the same pool are looked at in a turn.
const LOOK: usize = 64;

impl Floor {
    /// Begins to keep room for those that were passed over too often, and stops where it is in vain.
    pub(super) fn reserve(&mut self) {
        self.drop_vain_reservations();
        let pools: Vec<PoolName> = self.gates.pools.keys().cloned().collect();
        for pool in pools {
            let gate = Gate::Pool(pool);
            let Some(state) = self.gates.states.get(&gate) else {
                continue;
            };
            if state.reserved.is_some() || state.big.is_empty() {
                continue;
            }
            let chosen = state
                .big
                .iter()
                .take(LOOK)
                .map(|(_, ti)| *ti)
                .find(|&ti| self.is_overdue(ti, state.passed) && self.waits_only_for(ti, &gate));
            let kept = chosen.and_then(|ti| Some((ti, self.weight(ti, &gate)?)));
            if kept.is_some() {
                self.gates.state(&gate).reserved = kept;
                // There may be enough already, promised to one in line that now has to stand back.
                self.gates.stir(&gate);
            }
        }
    }

    /// Stops keeping room for whoever could not use it.
    pub(super) fn drop_vain_reservations(&mut self) {
        let reserved = |pool: &PoolName| {
            let gate = Gate::Pool(pool.clone());
            let (ti, _) = self.gates.states.get(&gate)?.reserved?;
            (!self.waits_only_for(ti, &gate)).then_some((gate, ti))
        };
        let vain: Vec<(Gate, TiKey)> = self.gates.pools.keys().filter_map(reserved).collect();
        for (gate, ti) in vain {
            self.gates.state(&gate).reserved = None;
            self.gates.stir(&gate);
            if self.waiting.get(&ti).is_some_and(|waiting| waiting.spot == Spot::Head)
                && let Some(waiting) = self.unseat(ti)
            {
                self.line_up(waiting);
            }
        }
    }

    /// Whoever room was kept for goes before everybody as soon as there is enough.
    pub(super) fn wake_reserved(&mut self, gate: &Gate) {
        let Some((ti, weight)) = self.gates.states.get(gate).and_then(|state| state.reserved) else {
            return;
        };
        let parked = self.waiting.get(&ti).is_some_and(|waiting| matches!(waiting.spot, Spot::Parked(_)));
        if parked
            && self.gates.check(ti, gate, weight).is_ok()
            && let Some(mut waiting) = self.unseat(ti)
        {
            waiting.spot = Spot::Head;
            self.line(&waiting.candidate.queue).heads.insert(ti);
            self.waiting.insert(ti, waiting);
        }
    }

    /// Room that was kept for one that leaves is anybody's.
    pub(super) fn give_up(&mut self, waiting: &Waiting) {
        if waiting.blocked.is_none() {
            return;
        }
        for (gate, _) in &waiting.candidate.gates {
            let state = self.gates.states.get_mut(gate);
            if let Some(state) =
                state.filter(|state| state.reserved.is_some_and(|(ti, _)| ti == waiting.candidate.ti))
            {
                state.reserved = None;
                self.gates.stir(gate);
            }
        }
    }

    fn is_overdue(&self, ti: TiKey, passed: u64) -> bool {
        let blocked = self.waiting.get(&ti).and_then(|waiting| waiting.blocked);
        blocked.is_some_and(|(since, before)| {
            passed - before >= self.admission.passed_over.into()
                || self.now - since >= i64::from(self.admission.held_up) * 1_000_000
        })
    }

    // It waits, it fits into the pool, and there is nothing else that keeps it from starting.
    fn waits_only_for(&self, ti: TiKey, pool: &Gate) -> bool {
        let Some(Waiting { candidate, spot, .. }) = self.waiting.get(&ti) else {
            return false;
        };
        let at_pool = match *spot {
            Spot::Line => false,
            Spot::Head => true,
            Spot::Parked(at) => candidate.gates[at].0 == *pool,
        };
        let open = |(gate, weight): &(Gate, u32)| {
            if gate == pool { self.fits(gate, *weight) } else { self.gates.check(ti, gate, *weight).is_ok() }
        };
        let live = self.lines.get(&candidate.queue).is_some_and(super::Line::is_live);
        at_pool && live && candidate.gates.iter().all(open)
    }

    fn fits(&self, gate: &Gate, weight: u32) -> bool {
        let Gate::Pool(pool) = gate else {
            return false;
        };
        self.gates.pools.get(pool).is_some_and(|pool| pool.slots.is_none_or(|slots| weight <= slots))
    }

    fn weight(&self, ti: TiKey, gate: &Gate) -> Option<u32> {
        let waiting = self.waiting.get(&ti)?;
        waiting.candidate.gates.iter().find(|(other, _)| other == gate).map(|(_, weight)| *weight)
    }
}
