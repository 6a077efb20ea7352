//! Admission by its laws: random worlds around the floor, the order that each policy gives, and how long it makes runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    engine::{
        Engine, Snapshot,
        durations::DurationRecord,
        event::Event,
        floor::{Candidate, Floor, Gate, Hindrance, Policy},
        record::{
            AdmissionRecord, AssetStanding, AssetsRecord, DagRecord, PoolRecord, VersionId, WorkerRecord,
        },
    },
    id::{DagId, PoolName, QueueName, RunKey, TaskId, TiKey},
    intent::{Intent, Trigger, Wish},
};
use serde_json::json;
use uuid::Uuid;

use crate::chance::Chance;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
}

fn queue(number: u64) -> QueueName {
    QueueName::new(&format!("queue{number}")).unwrap()
}

fn pool(number: u64) -> PoolName {
    PoolName::new(&format!("pool{number}")).unwrap()
}

/// The floor and, beside it, what a reader of the documentation would expect of it.
struct Yard {
    chance: Chance,
    floor: Floor,
    admission: AdmissionRecord,
    now: i64,
    next: u32,
    waiting: BTreeMap<TiKey, Candidate>,
    holding: BTreeMap<TiKey, Candidate>,
    limits: BTreeMap<Gate, u32>,
    paused: BTreeSet<DagId>,
    pools: Vec<PoolRecord>,
    slots: BTreeMap<QueueName, u32>,
}

impl Yard {
    fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let policy = |chance: &mut Chance| Policy::ALL[chance.below(6) as usize];
        let admission = AdmissionRecord {
            policy: policy(&mut chance),
            fair_share: chance.one_in(2),
            patience: 60,
            passed_over: 3,
            held_up: 30,
            ..AdmissionRecord::default()
        };
        let pools = (0..3).map(|number| PoolRecord {
            policy: chance.one_in(2).then(|| policy(&mut chance)),
            ..PoolRecord::new(pool(number), (number > 0).then(|| 1 + chance.below(5) as u32))
        });
        let pools = pools.collect();
        let mut yard = Self {
            chance,
            floor: Floor::default(),
            admission,
            now: 0,
            next: 0,
            waiting: BTreeMap::new(),
            holding: BTreeMap::new(),
            limits: BTreeMap::new(),
            paused: BTreeSet::new(),
            pools,
            slots: BTreeMap::new(),
        };
        yard.floor.set_admission(&yard.admission);
        yard.floor.set_pools(&yard.pools);
        yard.employ([2, 3]);
        yard
    }

    fn employ(&mut self, slots: [u32; 2]) {
        let worker = |number: u64, slots| WorkerRecord {
            id: Uuid::from_u128(number.into()),
            queues: vec![queue(number)],
            slots,
        };
        self.floor.set_workers(&[worker(0, slots[0]), worker(1, slots[1])]);
        self.slots = [(queue(0), slots[0]), (queue(1), slots[1])].into();
    }

    fn arrive(&mut self, priority: i32, most: u64) -> TiKey {
        let chance = &mut self.chance;
        let run = chance.below(6);
        let dag_id = DagId::new(&format!("dag{}", run % 3)).unwrap();
        let task_id = TaskId::new(&format!("task{}", chance.below(3))).unwrap();
        let key = RunKey(run as i64);
        let mut gates = vec![(Gate::Dag(dag_id.clone()), 1), (Gate::Run(key), 1)];
        self.limits.insert(Gate::Run(key), 4);
        if chance.one_in(3) {
            let gate = Gate::Task(dag_id.clone(), task_id.clone());
            self.limits.insert(gate.clone(), 2);
            gates.push((gate, 1));
        }
        for (gate, _) in &gates {
            if let Some(&room) = self.limits.get(gate) {
                self.floor.limit(gate.clone(), room);
            }
        }
        gates.push((Gate::Pool(pool(chance.below(3))), 1 + chance.below(most) as u32));
        let candidate = Candidate {
            ti: TiKey { run: key, index: self.next },
            dag_id,
            task_id,
            map_index: -1,
            priority,
            since: at(chance.below(5) as i64),
            ready: at(self.now),
            expected: chance.one_in(2).then(|| 1000 * chance.below(900)),
            path: 1000 * chance.below(5000),
            queue: queue(chance.below(2)),
            gates,
        };
        self.next += 1;
        self.waiting.insert(candidate.ti, candidate.clone());
        self.floor.wait(candidate.clone());
        candidate.ti
    }

    fn step(&mut self) {
        match self.chance.below(10) {
            0..=3 => {
                let priority = self.chance.below(9) as i32;
                self.arrive(priority, 4);
            }
            4 | 5 => self.leave(false),
            6 if self.chance.one_in(3) => self.leave(true),
            7 if self.chance.one_in(4) => {
                let dag_id = DagId::new(&format!("dag{}", self.chance.below(3))).unwrap();
                let paused = self.paused.remove(&dag_id);
                self.floor.pause(&dag_id, !paused);
                self.paused.extend((!paused).then_some(dag_id));
            }
            8 if self.chance.one_in(4) => {
                let place = 1 + self.chance.below(2) as usize;
                self.pools[place].slots = Some(self.chance.below(6) as u32);
                self.floor.set_pools(&self.pools);
            }
            9 if self.chance.one_in(4) => {
                let slots = [self.chance.below(3) as u32, self.chance.below(9) as u32];
                self.employ(slots);
            }
            _ => self.reprioritize(),
        }
        self.now += self.chance.below(5) as i64;
        self.turn();
    }

    fn reprioritize(&mut self) {
        let place = self.chance.below(self.waiting.len().max(1) as u64) as usize;
        if let Some(candidate) = self.waiting.values_mut().nth(place) {
            candidate.priority = self.chance.below(9) as i32;
            assert!(self.floor.reprioritize(candidate.ti, candidate.priority));
        }
    }

    fn leave(&mut self, waiting: bool) {
        let crowd = if waiting { &mut self.waiting } else { &mut self.holding };
        let place = self.chance.below(crowd.len().max(1) as u64) as usize;
        let Some(ti) = crowd.keys().nth(place).copied() else {
            return;
        };
        crowd.remove(&ti);
        self.floor.remove(ti);
    }

    fn turn(&mut self) {
        for admitted in self.floor.admit(at(self.now)) {
            let candidate = self.waiting.remove(&admitted.ti).unwrap();
            self.holding.insert(candidate.ti, candidate.clone());
            for (gate, _) in &candidate.gates {
                let limit = self.limit(gate);
                assert!(self.used(gate) <= limit, "{gate:?} holds {} of {limit}", self.used(gate));
            }
            assert!(self.slots[&candidate.queue] > 0, "{candidate:?}");
        }
        if self.chance.one_in(4) {
            self.waiting.values().for_each(|candidate| self.check(candidate));
        }
    }

    fn limit(&self, gate: &Gate) -> u32 {
        match gate {
            Gate::Dag(dag_id) if self.paused.contains(dag_id) => 0,
            Gate::Pool(name) => {
                self.pools.iter().find(|pool| pool.name == *name).unwrap().slots.unwrap_or(u32::MAX)
            }
            Gate::Dag(_) | Gate::Run(_) | Gate::TaskInRun(..) | Gate::Task(..) => {
                self.limits.get(gate).copied().unwrap_or(u32::MAX)
            }
        }
    }

    fn used(&self, gate: &Gate) -> u32 {
        let of =
            |candidate: &Candidate| candidate.gates.iter().find(|(g, _)| g == gate).map_or(0, |(_, w)| *w);
        self.holding.values().map(of).sum()
    }

    fn is_shut(&self, gate: &Gate, weight: u32) -> bool {
        u64::from(self.used(gate)) + u64::from(weight) > u64::from(self.limit(gate))
    }

    // What keeps it waiting is what is said to, and there is something.
    fn check(&self, candidate: &Candidate) {
        let why = self.floor.why(candidate.ti).unwrap();
        let shut: Vec<&Gate> = candidate
            .gates
            .iter()
            .filter(|(gate, weight)| self.is_shut(gate, *weight))
            .map(|(gate, _)| gate)
            .collect();
        let said = |hindrance: &&Hindrance| {
            !matches!(
                hindrance,
                Hindrance::InLine { .. }
                    | Hindrance::PoolReserved { .. }
                    | Hindrance::NoWorker(_)
                    | Hindrance::QueueFull { .. }
            )
        };
        assert_eq!(why.iter().filter(said).count(), shut.len(), "{why:?} {shut:?}");
        let no_worker = why.iter().any(|hindrance| matches!(hindrance, Hindrance::NoWorker(_)));
        assert_eq!(no_worker, self.slots[&candidate.queue] == 0);
        let full = why.iter().any(|hindrance| matches!(hindrance, Hindrance::QueueFull { .. }));
        let reserved = why.iter().find_map(|hindrance| {
            if let Hindrance::PoolReserved { by, .. } = hindrance { Some(*by) } else { None }
        });
        if let Some(by) = reserved {
            self.check_reserved(&self.waiting[&by]);
        }
        let idle = shut.is_empty() && !no_worker && !full && reserved.is_none();
        assert!(!idle, "{candidate:?} could start: {why:?}");
        assert!(
            matches!(why.last(), Some(Hindrance::InLine { place, of, .. }) if *place >= 1 && place <= of)
        );
    }

    // Room is kept only for one that takes several slots, fits into its pool and waits for nothing else than it or its queue.
    fn check_reserved(&self, holder: &Candidate) {
        let (last, others) = holder.gates.split_last().unwrap();
        assert!(last.1 > 1 && last.1 <= self.limit(&last.0));
        assert!(others.iter().all(|(gate, weight)| !self.is_shut(gate, *weight)));
        assert!(self.slots[&holder.queue] > 0);
    }
}

#[test]
fn in_any_world_no_gate_is_exceeded_nothing_idles_and_why_is_true() {
    let seeds = std::env::var("SIMULATION_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(800);
    for seed in 0..seeds {
        let result = std::panic::catch_unwind(|| {
            let mut yard = Yard::new(seed);
            (0..60).for_each(|_| yard.step());
        });
        if let Err(panic) = result {
            eprintln!("failed with seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

// Whatever waits, one that is more urgent by every policy arrives for each that ends, and takes less room.
#[test]
fn in_any_world_nobody_starves() {
    let mut longest = 0;
    for seed in 0..300 {
        let mut yard = Yard::new(seed);
        yard.employ([2, 2]);
        for pool in &mut yard.pools[1..] {
            pool.slots = Some(4);
        }
        yard.floor.set_pools(&yard.pools.clone());
        let mut waiting: BTreeSet<TiKey> = (0..12).map(|_| yard.arrive(-5, 4)).collect();
        let mut steps = 0;
        while !waiting.is_empty() {
            yard.now += 5;
            yard.arrive(1000, 1);
            yard.turn();
            waiting.retain(|ti| yard.waiting.contains_key(ti));
            // One that ends for one that comes, the oldest of them first.
            if let Some(ti) = yard.holding.keys().min_by_key(|ti| ti.index).copied() {
                yard.holding.remove(&ti);
                yard.floor.remove(ti);
            }
            steps += 1;
            assert!(
                steps < 100,
                "seed {seed}: {waiting:?} {:?}",
                waiting.first().and_then(|ti| yard.floor.why(*ti))
            );
        }
        longest = longest.max(steps);
    }
    println!("the last of 12 started after at most {longest} others had come and gone");
}

const FINANCIAL: &str = "
dag_id: financial
tasks:
  order_processing: {bash: 'true'}
  clearing: {bash: 'true', depends_on: order_processing}
  risk_control: {bash: 'true', depends_on: clearing}
  accounting: {bash: 'true', depends_on: risk_control}
  notification: {bash: 'true', depends_on: order_processing}
";

const MINUTES: [(&str, u32); 5] =
    [("order_processing", 1), ("clearing", 2), ("risk_control", 1), ("accounting", 2), ("notification", 4)];

/// The order in which the five services of the example start, one at a time.
fn order(policy: Policy) -> Vec<String> {
    let dag = Arc::new(crate::dagfile::dag(FINANCIAL));
    let durations = MINUTES.map(|(task, minutes)| DurationRecord {
        dag_id: dag.dag_id.clone(),
        task_id: TaskId::new(task).unwrap(),
        recent: vec![minutes * 60_000; 3],
    });
    let record = DagRecord {
        version: VersionId(1),
        dag: dag.clone(),
        is_paused: false,
        is_stale: false,
        cursor: None,
        disabled: BTreeSet::new(),
        failed_runs: 0,
        taken: BTreeSet::new(),
        assets: AssetStanding::default(),
    };
    let snapshot = Snapshot {
        dags: vec![record],
        pools: vec![PoolRecord::new(PoolName::default_pool(), Some(1))],
        admission: AdmissionRecord { policy, ..AdmissionRecord::default() },
        workers: vec![WorkerRecord { id: Uuid::nil(), queues: vec![QueueName::default_queue()], slots: 9 }],
        durations: durations.into(),
        assets: AssetsRecord { next_event: 1, ..AssetsRecord::default() },
        next_run: 1,
        ..Snapshot::default()
    };
    let mut now = at(0);
    let mut engine = Engine::restore(snapshot, now);
    let trigger: Trigger =
        serde_json::from_value(json!({"dag_id": "financial", "run_id": "manual__1", "run_after": now}))
            .unwrap();
    engine
        .handle(Event::Intent(Box::new(Intent { by: "somebody".into(), wish: Wish::Trigger(trigger) })), now);
    let mut started: Vec<String> = Vec::new();
    loop {
        let decisions = engine.poll(now);
        if let Some(done) = started.last() {
            // What was learned of the last one goes to the records.
            let [learned] = decisions.durations.as_slice() else { panic!("{:?}", decisions.durations) };
            assert_eq!((learned.task_id.as_str(), learned.recent.len()), (done.as_str(), 4));
        }
        let Some(ready) = decisions.ready.first() else {
            return started;
        };
        assert_eq!(decisions.ready.len(), 1);
        let place = ready.attempt.ti.index as usize;
        started.push(dag.tasks[place].task_id.to_string());
        let begun = now;
        now += TimeDelta::minutes(
            MINUTES.iter().find(|(task, _)| started.last().unwrap() == task).unwrap().1.into(),
        );
        let outcome = json!({
            "attempt": ready.attempt, "result": "success", "started_at": begun, "ended_at": now, "worker": Uuid::nil(),
        });
        engine.handle(Event::Outcome(Box::new(serde_json::from_value(outcome).unwrap())), now);
    }
}

#[test]
fn the_guide_shows_the_order_that_each_policy_gives() {
    let guide = include_str!("../../../docs/guide/admission.md");
    let rows: BTreeMap<&str, Vec<&str>> = guide
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .filter(|(_, rest)| rest.contains(" → "))
        .map(|(policy, rest)| (policy, rest.trim_end_matches(" |").split(" → ").collect()))
        .collect();
    assert_eq!(rows.len(), Policy::ALL.len(), "{rows:?}");
    for policy in Policy::ALL {
        assert_eq!(order(policy), rows[policy.name()], "{policy}");
    }
}
