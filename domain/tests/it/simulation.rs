//! The engine in a simulated world: random DAGs, outcomes, wishes, crashes, lost and repeated messages. [`crate::soak`] runs many.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use domain::{
    alert::{AlertEvent, Alerts, Notification},
    dag::{Dag, Expand, Group, Operator, Task, Teardown, WeightRule},
    deadline::{Callback, Deadline, Interval, Reference},
    id::{DagId, PoolName, QueueName, RunId, TaskId, TeamName},
    intent::{Clear, Intent, MarkTasks, Message, SelectedTask, Selection, Trigger, Wish},
    repeat::{OnExhausted, Repeat},
    retry::Retry,
    span::Span,
    state::{RunState, TaskState},
    timetable::{Catchup, Overlap, Timetable},
    trigger_rule::TriggerRule,
    wait::{AfterTrigger, Clock, OtherDag, Poke, TriggerDag, Until, WaitFor},
};
use indexmap::IndexMap;
use serde_json::Value;

use crate::{
    approving::random_approval, chance::Chance, consuming::make_assets, deferring::airflow, dividing::divide,
    leaving::asked_by_task, programs::random_program, story::Story, world::World,
};

const POOLS: [(&str, u32); 2] = [("default_pool", 5), ("small", 2)];

/// A world lives through a story and comes to rest.
pub fn live(story: &Story, faults: bool) -> World {
    let mut world = World::new(story.seed, dags(story), &POOLS);
    let is_divided = world.records.dags.iter().any(|dag| dag.dag.mappers().is_some());
    for &number in &story.steps {
        world.chance = story.chance(number);
        world.makers = story.chance(!number);
        if faults && world.makers.one_in(if is_divided { 5 } else { 30 }) {
            let wish = world.update_asset();
            ask(&mut world, wish);
        }
        step(&mut world, faults);
    }
    world.chance = Chance::new(story.seed);
    world.records.dags.iter_mut().for_each(|dag| dag.is_paused = false);
    world.restart();
    world.let_go();
    world.come_to_rest();
    check_ended(&world);
    world.check_dates_are_unique();
    world.check_consumed();
    world.check_sources();
    world.check_named();
    world
}

/// The tasks of each DAG of a story.
pub fn task_ids(story: &Story) -> Vec<Vec<String>> {
    let ids = |dag: &Dag| dag.tasks.iter().map(|task| task.task_id.to_string()).collect();
    dags(story).iter().map(ids).collect()
}

fn dags(story: &Story) -> Vec<Dag> {
    let mut chance = Chance::new(story.seed ^ 0xda6);
    let mut dags: Vec<Dag> = (0..1 + chance.below(3)).map(|number| random_dag(number, &mut chance)).collect();
    make_assets(&mut dags, story.seed);
    divide(&mut dags, story.seed);
    story.trim(&mut dags);
    dags
}

fn step(world: &mut World, faults: bool) {
    match world.chance.below(19) {
        18 => world.fire(faults),
        17 => world.reply(faults),
        16 => world.backfill(),
        0 => trigger(world),
        1 if faults => world.lose_worker(),
        2 if faults && world.chance.one_in(4) => world.complain(),
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
        logical_date: logical_date(world, place),
        data_interval: None,
        run_after: world.now,
        conf: serde_json::Map::new(),
        note: None,
        partition_key: world.key_for(place),
        materializes: false,
    };
    let asker = world.running.keys().next().copied().filter(|_| world.chance.one_in(3));
    ask(
        world,
        match asker {
            Some(asker) => asked_by_task(asker, trigger),
            None => Wish::Trigger(trigger),
        },
    );
}

// Some runs have a date, which none has yet.
fn logical_date(world: &mut World, place: usize) -> Option<DateTime<Utc>> {
    let date =
        world.records.dags[place].dag.start_date? + TimeDelta::minutes(7 + world.chance.below(600) as i64);
    let is_free = world.records.runs.values().all(|run| run.logical_date != Some(date));
    let asked = |message: &Message| match message {
        Message::Intent(Intent { wish: Wish::Trigger(run), .. }) => run.logical_date == Some(date),
        Message::Intent(Intent { wish: Wish::TriggerByTask(asked), .. }) => {
            asked.run.logical_date == Some(date)
        }
        Message::Intent(_) | Message::Outcome(_) | Message::Fired(_) => false,
    };
    (is_free && !world.inbox.iter().any(asked) && world.chance.one_in(2)).then_some(date)
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
    let (dag_id, run_id) = (run.dag_id.clone(), run.run_id.clone());
    let flag = world.chance.one_in(2);
    let wish = match world.chance.below(14) {
        8 | 9 => Wish::Hold { selection, held: flag },
        10 => Wish::Prioritize { selection, priority: world.chance.below(9) as i32 },
        11 if run.partition.is_some() && flag => Wish::ForgetPartition { dag_id, run_id },
        11 => Wish::PauseRun { dag_id, run_id, paused: flag },
        12 => Wish::SwitchTask { dag_id, task_id: selection.tasks[0].task_id.clone(), enabled: flag },
        13 => Wish::MarkTasks(MarkTasks { selection, state: TaskState::Skipped }),
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
    let start: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
    let schedule = match chance.below(12) {
        0..4 => Timetable::parse("*/30 * * * *", Tz::UTC).unwrap(),
        4 => Timetable::Continuous,
        5 => random_program(chance),
        _ => Timetable::Null,
    };
    let max_active_runs = if schedule == Timetable::Continuous { 1 } else { 1 + chance.below(3) as u32 };
    // DAG files in Python know no other.
    let is_plain = schedule.listed().is_some() || chance.one_in(2);
    let overlap = if is_plain { Overlap::Allow } else { Overlap::ALL[chance.below(4) as usize] };
    let fail_fast = chance.one_in(8);
    let (names, groups) = random_groups(count as usize, chance);
    let mut tasks: Vec<Task> = (0..names.len()).map(|n| random_task(n, number, &names, chance)).collect();
    feed_groups(&mut tasks, &groups);
    set_up(&mut tasks, chance);
    Dag {
        dag_id: DagId::new(&format!("dag{number}")).unwrap(),
        description: None,
        doc: None,
        schedule,
        asset_condition: None,
        partitions: None,
        timezone: Tz::UTC,
        start_date: Some(start),
        end_date: Some(start + TimeDelta::hours(3)),
        catchup: if chance.one_in(2) { Catchup::All } else { Catchup::None },
        overlap,
        max_active_runs,
        max_active_tasks: 1 + chance.below(6) as u32,
        fail_fast,
        max_consecutive_failed_dag_runs: if chance.one_in(6) { 2 } else { 0 },
        dagrun_timeout: chance.one_in(5).then(|| Span::from_secs(900)),
        share: 1 + chance.below(3) as u32,
        team: chance.one_in(4).then(|| TeamName::new("crew").unwrap()),
        tags: Vec::new(),
        owner: "o".into(),
        params: IndexMap::new(),
        is_paused_upon_creation: false,
        max_map_length: 6,
        deadlines: random_deadlines(chance),
        alerts: random_alerts(&[AlertEvent::Success, AlertEvent::Failure, AlertEvent::Deadline], chance),
        tasks,
        groups,
        python_file: None,
    }
}

fn random_task(number: usize, dag: u64, names: &[TaskId], chance: &mut Chance) -> Task {
    let mut upstream: Vec<usize> = (0..number).filter(|_| chance.one_in(3)).collect();
    // A task in a mapped group is not mapped over another one there.
    let outside = |id: &TaskId| !id.as_str().starts_with('g');
    let sources =
        if outside(&names[number]) { number } else { names.iter().take_while(|id| outside(id)).count() };
    let expand = random_expand(&names[..sources], chance);
    let sources: Vec<&TaskId> = expand.values().flat_map(Expand::xcoms).map(|(id, _)| id).collect();
    upstream.extend((0..number).filter(|&other| sources.contains(&&names[other])));
    upstream.sort_unstable();
    upstream.dedup();
    let rule = match chance.below(8) {
        0 => TriggerRule::AllDone,
        1 => TriggerRule::OneFailed,
        2 => TriggerRule::NoneFailed,
        3 => TriggerRule::ALL[chance.below(TriggerRule::ALL.len() as u64) as usize],
        _ => TriggerRule::AllSuccess,
    };
    let pool = if chance.one_in(3) { PoolName::new("small").unwrap() } else { PoolName::default_pool() };
    let retries = chance.below(3) as u32;
    let operator = match random_wait(dag, names, !expand.is_empty(), chance) {
        Some(wait) => wait,
        None => random_operator(!expand.is_empty(), chance),
    };
    let repeat = random_repeat(&operator, chance);
    Task {
        task_id: names[number].clone(),
        group: names[number].as_str().rsplit_once('.').map(|(group, _)| TaskId::new(group).unwrap()),
        alerts: if matches!(operator, Operator::Empty | Operator::LatestOnly) {
            Alerts::default()
        } else {
            random_alerts(&AlertEvent::ALL[..4], chance)
        },
        operator,
        upstream: upstream.into_iter().map(|number| names[number].clone()).collect(),
        trigger_rule: rule,
        setup: false,
        teardown: None,
        depends_on_past: chance.one_in(8),
        wait_for_downstream: chance.one_in(12),
        wait_for_past_depends_before_skipping: false,
        retry: Retry { retries, delay: Span::from_secs(30), backoff: 2.0, max_delay: None },
        repeat,
        execution_timeout: None,
        pool,
        pool_slots: 1 + chance.below(2) as u32,
        queue: QueueName::default_queue(),
        priority_weight: chance.below(5) as i32,
        weight_rule: WeightRule::Downstream,
        max_active_tis_per_dag: chance.one_in(6).then_some(1),
        max_active_tis_per_dagrun: chance.one_in(4).then_some(2),
        do_xcom_push: true,
        outlets: Vec::new(),
        inlets: Vec::new(),
        expand,
        expand_kwargs: None,
        map_index_template: None,
        env: IndexMap::new(),
        cwd: None,
        owner: None,
        doc: None,
    }
}

fn random_deadlines(chance: &mut Chance) -> Vec<Deadline> {
    let number = chance.below(5).saturating_sub(2);
    let one = |chance: &mut Chance| Deadline {
        name: None,
        within: random_interval(chance),
        from: random_reference(chance),
        callback: chance.one_in(3).then(|| {
            let path = "late.tell".to_owned();
            Box::new(Callback { path, kwargs: serde_json::Map::new(), is_async: chance.one_in(2) })
        }),
    };
    (0..number).map(|_| one(chance)).collect()
}

fn random_interval(chance: &mut Chance) -> Interval {
    let span = Span::from_secs(1 + chance.below(4) * 300);
    match chance.below(8) {
        0 => Interval::Before { before: span },
        1 | 2 => Interval::Variable { variable: format!("v{}", chance.below(4)) },
        _ => Interval::After(span),
    }
}

fn random_reference(chance: &mut Chance) -> Reference {
    match chance.below(5) {
        0 => Reference::Queued,
        1 => Reference::LogicalDate,
        2 => Reference::Start,
        3 => Reference::AverageRuntime { max_runs: 3, min_runs: 1 + chance.below(2) as u32 },
        _ => Reference::At(
            "2026-01-01T00:00:00Z".parse::<DateTime<Utc>>().unwrap()
                + TimeDelta::minutes(chance.below(100) as i64),
        ),
    }
}

// Some of the events, some of them twice.
fn random_alerts(events: &[AlertEvent], chance: &mut Chance) -> Alerts {
    let mut alerts = Alerts::default();
    for event in events {
        let list = match event {
            AlertEvent::Success => &mut alerts.on_success,
            AlertEvent::Failure => &mut alerts.on_failure,
            AlertEvent::Retry => &mut alerts.on_retry,
            AlertEvent::Skipped => &mut alerts.on_skipped,
            AlertEvent::Deadline => &mut alerts.on_deadline,
        };
        let number = chance.below(6).saturating_sub(3);
        let slack = || Notification::Slack { url: None, conn_id: Some("c".into()), text: None };
        let one = |chance: &mut Chance| if chance.one_in(3) { Notification::Callback } else { slack() };
        list.extend((0..number).map(|_| one(chance)));
    }
    alerts
}

fn random_operator(is_mapped: bool, chance: &mut Chance) -> Operator {
    let program = || Box::new(Operator::Bash { command: "true".into() });
    match chance.below(if is_mapped { 4 } else { 10 }) {
        0 => Operator::Empty,
        4 | 5 => Operator::Branch { program: program() },
        6 => Operator::ShortCircuit { program: program(), ignore_downstream_trigger_rules: chance.one_in(2) },
        7 if chance.one_in(2) => Operator::LatestOnly,
        3 | 8 => airflow(),
        _ => Operator::Bash { command: "true".into() },
    }
}

fn random_repeat(operator: &Operator, chance: &mut Chance) -> Option<Repeat> {
    let repeats = matches!(operator, Operator::Bash { .. }) && chance.one_in(5);
    repeats.then(|| Repeat {
        until: "result".into(),
        max_rounds: 1 + chance.below(4) as u32,
        delay: chance.one_in(2).then(|| Span::from_secs(chance.below(3) * 40)),
        on_exhausted: OnExhausted::ALL[chance.below(2) as usize],
    })
}

// A wait, or the start of a run of a DAG with a lower number: so every cascade ends.
fn random_wait(dag: u64, names: &[TaskId], is_mapped: bool, chance: &mut Chance) -> Option<Operator> {
    if !chance.one_in(6) {
        return None;
    }
    let until = match chance.below(8) {
        6 | 7 => return Some(random_approval(names, is_mapped, chance)),
        0 if dag > 0 => return Some(random_trigger(dag, chance)),
        0 | 1 => Until::For(Span::from_secs(chance.below(4) * 200)),
        2 => Until::Time(Clock::Daily(chrono::NaiveTime::from_hms_opt(0, 45, 0).unwrap())),
        3 => Until::File("there".into()),
        _ => Until::Dag(OtherDag {
            dag_id: DagId::new(&format!("dag{}", chance.below(3))).unwrap(),
            task_id: chance.one_in(2).then(|| TaskId::new(&format!("t{}", chance.below(4))).unwrap()),
            states: vec![TaskState::Success],
            failed_states: if chance.one_in(3) { vec![TaskState::Failed] } else { Vec::new() },
            offset: Span::from_secs(chance.below(2) * 1800),
            logical_date: None,
        }),
    };
    let poke = Poke { interval: Span::from_secs(30), exponential_backoff: chance.one_in(2), max_wait: None };
    let timeout = Span::from_secs(1200 + chance.below(4) * 1800);
    Some(Operator::WaitFor(Box::new(WaitFor { until, timeout, soft_fail: chance.one_in(3), poke })))
}

fn random_trigger(dag: u64, chance: &mut Chance) -> Operator {
    let wait_for_completion = chance.one_in(2);
    let then = AfterTrigger {
        wait_for_completion,
        output: (wait_for_completion && chance.one_in(2)).then(|| TaskId::new("t0").unwrap()),
        allowed_states: vec![TaskState::Success],
        failed_states: vec![TaskState::Failed],
        skip_when_already_exists: chance.one_in(3),
        reset_dag_run: chance.one_in(3),
    };
    let dag_id = format!("dag{}", chance.below(dag));
    let conf = serde_json::Map::new();
    Operator::TriggerDag(Box::new(TriggerDag { dag_id, conf, run_id: None, logical_date: None, then }))
}

// Makes some tasks setups, and some of those that wait for them teardowns.
fn set_up(tasks: &mut [Task], chance: &mut Chance) {
    for number in 0..tasks.len() {
        let waits_for_setup = tasks[number]
            .upstream
            .iter()
            .any(|id| tasks.iter().any(|task| task.task_id == *id && task.setup));
        if waits_for_setup && chance.one_in(3) {
            tasks[number].teardown = Some(Teardown { on_failure_fail_dagrun: chance.one_in(3) });
            tasks[number].trigger_rule = TriggerRule::AllDoneSetupSuccess;
        } else {
            tasks[number].setup = chance.one_in(4);
        }
    }
}

// Some of the tasks one behind the other are in a mapped group, and some of those in another one inside it.
fn random_groups(count: usize, chance: &mut Chance) -> (Vec<TaskId>, Vec<Group>) {
    let number = |chance: &mut Chance, below: usize| chance.below(below as u64) as usize;
    let (start, inner) = (number(chance, count), number(chance, count));
    let end = start + if chance.one_in(3) { 1 + number(chance, count - start) } else { 0 };
    let is_inside = |n: &usize| (start..end).contains(n);
    let name = |n: usize| {
        let group = if !is_inside(&n) {
            ""
        } else if n >= inner {
            "g.h."
        } else {
            "g."
        };
        TaskId::new(&format!("{group}t{n}")).unwrap()
    };
    let names: Vec<TaskId> = (0..count).map(name).collect();
    let mut groups = Vec::new();
    for id in ["g", "g.h"] {
        if names.iter().any(|name| name.as_str().starts_with(&format!("{id}."))) {
            let expand: IndexMap<_, _> = [("e".to_owned(), random_source(&names[..start], chance))].into();
            let group_id = TaskId::new(id).unwrap();
            groups.push(Group { group_id, parent: None, expand, expand_kwargs: None, doc: None });
        }
    }
    (names, groups)
}

// The first tasks of a group wait for what it is mapped over.
fn feed_groups(tasks: &mut [Task], groups: &[Group]) {
    for group in groups {
        let inside = |id: &TaskId| id.as_str().starts_with(&format!("{}.", group.group_id));
        let sources = group.expand.values().flat_map(Expand::xcoms).map(|(id, _)| id.clone());
        let sources: Vec<TaskId> = sources.collect();
        for task in tasks.iter_mut().filter(|task| inside(&task.task_id)) {
            if !task.upstream.iter().any(inside) {
                task.upstream.extend(sources.clone());
                task.upstream.sort();
                task.upstream.dedup();
            }
        }
    }
}

fn random_expand(sources: &[TaskId], chance: &mut Chance) -> IndexMap<String, Expand> {
    match chance.below(8) {
        0 => {
            let list = (0..chance.below(4)).map(Value::from).collect();
            [("x".to_owned(), Expand::List(list))].into()
        }
        1..4 => [("x".to_owned(), random_source(sources, chance))].into(),
        _ => IndexMap::new(),
    }
}

fn random_source(sources: &[TaskId], chance: &mut Chance) -> Expand {
    let list = |chance: &mut Chance| Expand::List((0..1 + chance.below(3)).map(Value::from).collect());
    let xcom = |chance: &mut Chance| match sources {
        [] => list(chance),
        [..] => {
            let task_id = sources[chance.below(sources.len() as u64) as usize].clone();
            Expand::XCom { task_id, key: "return_value".into() }
        }
    };
    match chance.below(8) {
        0 | 1 => list(chance),
        2 => Expand::Concat(vec![xcom(chance), list(chance)]),
        3 => {
            let fillvalue = chance.one_in(2).then_some(Value::Null);
            Expand::Zip { of: vec![xcom(chance), xcom(chance)], fillvalue }
        }
        _ => xcom(chance),
    }
}
