//! What goes wrong in the simulated world without anybody meaning it.

use chrono::TimeDelta;
use domain::{engine::event::Event, id::TryKey, state::TaskState};
use uuid::Uuid;

use crate::world::World;

impl World {
    /// The leader's sweep finds tries that nobody claims.
    pub fn complain(&mut self) {
        let queued = self.records.tis.values().filter(|ti| ti.state == TaskState::Queued);
        let old = queued.filter(|ti| ti.queued_at.is_some_and(|at| self.now - at >= TimeDelta::seconds(600)));
        let tries: Vec<TryKey> =
            old.take(2).map(|ti| TryKey { ti: ti.key, try_number: ti.try_number }).collect();
        self.engine.handle(Event::Unclaimed(tries), self.now);
    }

    /// A worker dies; what it ran goes on for a while and reports too late.
    pub fn lose_worker(&mut self) {
        let place = self.chance.below(self.workers.len() as u64) as usize;
        let worker =
            std::mem::replace(&mut self.workers[place], Uuid::from_u128(u128::from(self.chance.next())));
        let tries: Vec<TryKey> = self
            .records
            .tis
            .values()
            .filter(|ti| ti.worker == Some(worker) && ti.state == TaskState::Running)
            .map(|ti| TryKey { ti: ti.key, try_number: ti.try_number })
            .collect();
        if self.chance.one_in(2) {
            self.running.retain(|_, owner| *owner != worker);
        }
        self.lost.push((worker, tries));
        let workers = self.live_workers();
        self.engine.handle(Event::Workers(workers), self.now);
    }
}
