//! How long each policy makes a run, against what no order can beat.

use std::collections::BTreeSet;

use chrono::DateTime;
use domain::{
    engine::{
        floor::{Candidate, Floor, Gate, Policy},
        record::{AdmissionRecord, PoolRecord, WorkerRecord},
    },
    id::{DagId, PoolName, QueueName, RunKey, TaskId, TiKey},
};
use uuid::Uuid;

use crate::chance::Chance;

/// A random graph of tasks: how long each takes, and what comes before it.
struct Work {
    millis: Vec<u64>,
    before: Vec<Vec<usize>>,
    paths: Vec<u64>,
}

impl Work {
    fn random(chance: &mut Chance) -> Self {
        let count = 20 + chance.below(60) as usize;
        let density = 3 + chance.below(12);
        let millis: Vec<u64> = (0..count).map(|_| 1000 << chance.below(8)).collect();
        let near = |number: usize| number.saturating_sub(15)..number;
        let before: Vec<Vec<usize>> =
            (0..count).map(|number| near(number).filter(|_| chance.one_in(density)).collect()).collect();
        let mut paths = millis.clone();
        for number in (0..count).rev() {
            for &other in &before[number] {
                paths[other] = paths[other].max(millis[other] + paths[number]);
            }
        }
        Self { millis, before, paths }
    }

    fn lower_bound(&self, slots: u32) -> f64 {
        let work = self.millis.iter().sum::<u64>() as f64 / f64::from(slots);
        work.max(*self.paths.iter().max().unwrap() as f64)
    }

    fn candidate(&self, number: usize, now: u64) -> Candidate {
        let dag_id = DagId::new("work").unwrap();
        Candidate {
            ti: TiKey { run: RunKey(1), index: number as u32 },
            task_id: TaskId::new(&format!("t{number}")).unwrap(),
            map_index: -1,
            priority: 1,
            since: DateTime::UNIX_EPOCH,
            ready: DateTime::from_timestamp_millis(now as i64).unwrap(),
            expected: Some(self.millis[number]),
            path: self.paths[number],
            queue: QueueName::default_queue(),
            gates: vec![(Gate::Dag(dag_id.clone()), 1), (Gate::Pool(PoolName::default_pool()), 1)],
            dag_id,
        }
    }

    /// How long it takes on so many slots when the floor decides what goes next.
    fn makespan(&self, policy: Policy, slots: u32) -> f64 {
        let mut floor = Floor::default();
        // Patience would let age decide now and then.
        floor.set_admission(&AdmissionRecord { policy, patience: u32::MAX, ..AdmissionRecord::default() });
        floor.set_pools(&[PoolRecord::new(PoolName::default_pool(), Some(slots))]);
        floor.set_workers(&[WorkerRecord {
            id: Uuid::nil(),
            queues: vec![QueueName::default_queue()],
            slots: 1000,
        }]);
        let mut missing: Vec<usize> = self.before.iter().map(Vec::len).collect();
        let mut running: BTreeSet<(u64, usize)> = BTreeSet::new();
        let mut now = 0;
        for number in (0..missing.len()).filter(|&number| self.before[number].is_empty()) {
            floor.wait(self.candidate(number, now));
        }
        loop {
            for admitted in floor.admit(DateTime::from_timestamp_millis(now as i64).unwrap()) {
                let number = admitted.ti.index as usize;
                running.insert((now + self.millis[number], number));
            }
            assert!(running.len() <= slots as usize);
            let Some(&(end, _)) = running.first() else {
                assert!(missing.iter().all(|&left| left == 0));
                return now as f64;
            };
            now = end;
            while let Some(&(_, done)) = running.first().filter(|(end, _)| *end == now) {
                running.pop_first();
                floor.remove(TiKey { run: RunKey(1), index: done as u32 });
                for next in (0..missing.len()).filter(|&next| self.before[next].contains(&done)) {
                    missing[next] -= 1;
                    if missing[next] == 0 {
                        floor.wait(self.candidate(next, now));
                    }
                }
            }
        }
    }
}

// Graham (1966): whatever the order, a list schedule takes at most 2 - 1/m times what any schedule must take.
#[test]
fn the_makespan_of_each_policy_against_the_lower_bound() {
    const WORLDS: u64 = 60;
    let slots = [2, 4, 8];
    println!("{:<14} mean makespan / max(critical path, work / slots), {WORLDS} random graphs", "policy");
    println!("{:<14} {:>8} {:>8} {:>8}", "", "2 slots", "4 slots", "8 slots");
    for policy in Policy::ALL {
        let mut sums = [0.0; 3];
        for seed in 0..WORLDS {
            let work = Work::random(&mut Chance::new(seed));
            for (sum, slots) in sums.iter_mut().zip(slots) {
                let ratio = work.makespan(policy, slots) / work.lower_bound(slots);
                assert!(ratio >= 1.0 - 1e-9, "{policy} with seed {seed}: {ratio}");
                assert!(ratio <= 2.0 - 1.0 / f64::from(slots) + 1e-9, "{policy} with seed {seed}: {ratio}");
                *sum += ratio;
            }
        }
        let [two, four, eight] = sums.map(|sum| sum / WORLDS as f64);
        println!("{:<14} {two:>8.4} {four:>8.4} {eight:>8.4}", policy.name());
    }
}
