//! The engine in a simulated world: random DAGs, outcomes, wishes, crashes, lost and repeated messages.
//!
//! `SIMULATION_SEEDS=N` sets how many worlds are tried, `SIMULATION_SEED=S` tries one again.

use chrono_tz::Tz;
use domain::{
    dag::{Dag, Expand, Operator, Task, WeightRule},
    id::{DagId, PoolName, QueueName, RunId, TaskId},
    intent::{Clear, Intent, MarkTasks, Message, SelectedTask, Selection, Trigger, Wish},
    retry::Retry,
    span::Span,
    state::{RunState, TaskState},
    timetable::{Catchup, Timetable},
    trigger_rule::TriggerRule,
};
use indexmap::IndexMap;
use serde_json::Value;

use crate::{chance::Chance, world::World};

const POOLS: [(&str, u32); 2] = [("default_pool", 5), ("small", 2)];

#[test]
fn whatever_goes_wrong_every_run_ends_and_every_effect_happens_once() {
    let seeds = std::env::var("SIMULATION_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(600);
    let only: Option<u64> = std::env::var("SIMULATION_SEED").ok().and_then(|n| n.parse().ok());
    for seed in only.map_or(0..seeds, |seed| seed..seed + 1) {
        let result = std::panic::catch_unwind(|| live(seed, true));
        if let Err(panic) = result {
            eprintln!("failed with SIMULATION_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn in_a_world_without_faults_no_try_is_given_up() {
    for seed in 0..200 {
        let world = live(seed, false);
        assert!(world.records.tis.values().all(|ti| ti.lost == 0), "seed {seed}");
    }
}

fn live(seed: u64, faults: bool) -> World {
    let mut chance = Chance::new(seed ^ 0xda6);
    let dags = (0..1 + chance.below(3)).map(|number| random_dag(number, &mut chance)).collect();
    let mut world = World::new(seed, dags, &POOLS);
    for _ in 0..150 {
        step(&mut world, faults);
    }
    world.records.dags.iter_mut().for_each(|dag| dag.is_paused = false);
    world.restart();
    world.come_to_rest();
    check_ended(&world);
    world
}

fn step(world: &mut World, faults: bool) {
    match world.chance.below(16) {
        0 => trigger(world),
        1 if faults => world.lose_worker(),
        2 if faults => world.flush(),
        3 if faults => world.restart(),
        4 => world.sweep(),
        5 => {
            let seconds = world.chance.below(600);
            world.pass(seconds);
        }
        6 if faults => wish(world),
        7 if faults => pause(world),
        8 | 9 => world.finish(faults),
        10 | 11 => world.claim(faults),
        12 => {
            world.turn(false);
            world.check_rebuilt();
        }
        _ => world.turn(faults),
    }
}

fn trigger(world: &mut World) {
    let number = world.chance.below(1000);
    let place = world.chance.below(world.records.dags.len() as u64) as usize;
    let trigger = Trigger {
        dag_id: world.records.dags[place].dag.dag_id.clone(),
        run_id: RunId::new(&format!("manual__{number}")).unwrap(),
        logical_date: None,
        data_interval: None,
        run_after: world.now,
        conf: serde_json::Map::new(),
        note: None,
    };
    ask(world, Wish::Trigger(trigger));
}

fn ask(world: &mut World, wish: Wish) {
    world.inbox.push_back(Message::Intent(Intent { by: "somebody".into(), wish }));
}

fn wish(world: &mut World) {
    let count = world.records.runs.len() as u64;
    let place = world.chance.below(count) as usize;
    let Some(run) = world.records.runs.values().nth(place).cloned() else {
        return;
    };
    let tis: Vec<_> = world.tis(run.key).map(|ti| (ti.task_id.clone(), ti.map_index)).collect();
    let Some((task_id, map_index)) = tis.get(world.chance.below(tis.len() as u64) as usize).cloned() else {
        return;
    };
    let selection = Selection {
        dag_id: run.dag_id.clone(),
        run_id: run.run_id.clone(),
        tasks: vec![SelectedTask { task_id, map_index: world.chance.one_in(2).then_some(map_index) }],
        upstream: world.chance.one_in(4),
        downstream: world.chance.one_in(2),
    };
    let only_failed = world.chance.one_in(3);
    let wish = match world.chance.below(8) {
        0 => Wish::MarkRun { dag_id: run.dag_id, run_id: run.run_id, state: RunState::Failed },
        1 => Wish::MarkRun { dag_id: run.dag_id, run_id: run.run_id, state: RunState::Queued },
        2 => Wish::MarkRun { dag_id: run.dag_id, run_id: run.run_id, state: RunState::Success },
        3 => Wish::MarkTasks(MarkTasks { selection, state: TaskState::Success }),
        4 => Wish::MarkTasks(MarkTasks { selection, state: TaskState::Failed }),
        5 => Wish::AdoptVersion { dag_id: run.dag_id, run_id: run.run_id },
        _ => Wish::Clear(Clear { selection, only_failed }),
    };
    ask(world, wish);
}

fn pause(world: &mut World) {
    let place = world.chance.below(world.records.dags.len() as u64) as usize;
    let dag = &mut world.records.dags[place];
    dag.is_paused = !dag.is_paused;
    let record = dag.clone();
    world.engine.handle(domain::engine::event::Event::Dag(Box::new(record)), world.now);
}

fn check_ended(world: &World) {
    for run in world.records.runs.values() {
        assert!(run.ended_at.is_some(), "{run:?}");
        for ti in world.tis(run.key) {
            assert!(ti.state.is_finished(), "{ti:?} in {run:?}");
        }
    }
}

fn random_dag(number: u64, chance: &mut Chance) -> Dag {
    let count = 1 + chance.below(9);
    let tasks: Vec<Task> = (0..count).map(|n| random_task(n, chance)).collect();
    Dag {
        dag_id: DagId::new(&format!("dag{number}")).unwrap(),
        description: None,
        doc: None,
        schedule: Timetable::Null,
        timezone: Tz::UTC,
        start_date: None,
        end_date: None,
        catchup: Catchup::None,
        max_active_runs: 1 + chance.below(3) as u32,
        max_active_tasks: 1 + chance.below(6) as u32,
        dagrun_timeout: chance.one_in(5).then(|| Span::from_secs(900)),
        tags: Vec::new(),
        owner: "o".into(),
        params: IndexMap::new(),
        is_paused_upon_creation: false,
        tasks,
        groups: Vec::new(),
    }
}

fn random_task(number: u64, chance: &mut Chance) -> Task {
    let mut upstream: Vec<u64> = (0..number).filter(|_| chance.one_in(3)).collect();
    let expand = random_expand(number, &mut upstream, chance);
    let rule = match chance.below(8) {
        0 => TriggerRule::AllDone,
        1 => TriggerRule::OneFailed,
        2 => TriggerRule::NoneFailed,
        3 => TriggerRule::ALL[chance.below(TriggerRule::ALL.len() as u64) as usize],
        _ => TriggerRule::AllSuccess,
    };
    let pool = if chance.one_in(3) { PoolName::new("small").unwrap() } else { PoolName::default_pool() };
    let retries = chance.below(3) as u32;
    Task {
        task_id: name(number),
        group: None,
        operator: if chance.one_in(5) { Operator::Empty } else { Operator::Bash { command: "true".into() } },
        upstream: upstream.into_iter().map(name).collect(),
        trigger_rule: rule,
        retry: Retry { retries, delay: Span::from_secs(30), backoff: 2.0, max_delay: None },
        execution_timeout: None,
        pool,
        pool_slots: 1 + chance.below(2) as u32,
        queue: QueueName::default_queue(),
        priority_weight: chance.below(5) as i32,
        weight_rule: WeightRule::Downstream,
        max_active_tis_per_dag: chance.one_in(6).then_some(1),
        max_active_tis_per_dagrun: chance.one_in(4).then_some(2),
        do_xcom_push: true,
        expand,
        env: IndexMap::new(),
        cwd: None,
        owner: None,
        doc: None,
    }
}

fn random_expand(number: u64, upstream: &mut Vec<u64>, chance: &mut Chance) -> IndexMap<String, Expand> {
    match chance.below(6) {
        0 => {
            let list = (0..chance.below(4)).map(Value::from).collect();
            [("x".to_owned(), Expand::List(list))].into()
        }
        1 | 2 if number > 0 => {
            let source = chance.below(number);
            if !upstream.contains(&source) {
                upstream.push(source);
            }
            [("x".to_owned(), Expand::XCom { task_id: name(source), key: "return_value".into() })].into()
        }
        _ => IndexMap::new(),
    }
}

fn name(number: u64) -> TaskId {
    TaskId::new(&format!("t{number}")).unwrap()
}
