//! What Airflow's scheduler was recorded to decide (`golden/rules/record.py`), against ours.
//!
//! A state is one letter, a verdict too; several states are those of several tasks, in their order.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};
use domain::{
    dag::{Dag, Task, Teardown},
    engine::{graph::Graph, record::TiRecord},
    id::TaskId,
    intent::Message,
    retry::{MAX_DELAY, Retry},
    span::Span,
    state::{RunState, TaskState},
    trigger_rule::{Tally, TriggerRule, Verdict, is_without_counterpart, judge, judge_all},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;

use crate::world::World;

/// By the states of some tasks.
type ByStates<T> = BTreeMap<String, T>;
/// Tasks in their order: what each is, and what it waits for.
type Shape = indexmap::IndexMap<String, Vec<String>>;

fn recorded<T: DeserializeOwned>(json: &str) -> T {
    serde_json::from_str(json).unwrap()
}

fn state(letter: char) -> TaskState {
    match letter.to_ascii_lowercase() {
        'n' => TaskState::None,
        'q' => TaskState::Queued,
        'r' => TaskState::Running,
        's' => TaskState::Success,
        'f' => TaskState::Failed,
        'k' => TaskState::Skipped,
        'u' => TaskState::UpstreamFailed,
        'x' => TaskState::Removed,
        other => panic!("no state is `{other}`"),
    }
}

fn letter(verdict: Verdict) -> char {
    match verdict {
        Verdict::Run => 'r',
        Verdict::Wait => 'w',
        Verdict::Skip => 'k',
        Verdict::UpstreamFailed => 'u',
    }
}

/// Setups are in capitals.
fn tally(states: &str) -> Tally {
    let mut tally = Tally::default();
    for letter in states.chars() {
        tally.expect(1, letter.is_uppercase());
        tally.add(state(letter), letter.is_uppercase());
    }
    tally
}

#[derive(Deserialize)]
struct TriggerRules {
    rules: Vec<TriggerRule>,
    direct: ByStates<String>,
    one_mapped: ByStates<String>,
    mapped_self: ByStates<String>,
    setups: ByStates<char>,
    setup_constraint: ByStates<String>,
    teardown_scope: ByStates<char>,
}

fn trigger_rules() -> TriggerRules {
    recorded(include_str!("golden/rules/trigger_rules.json"))
}

fn verdicts(rules: &[TriggerRule], of: impl Fn(TriggerRule) -> Verdict) -> String {
    rules.iter().map(|&rule| letter(of(rule))).collect()
}

#[test]
fn every_rule_of_airflow_is_ours() {
    let mut rules = trigger_rules().rules;
    assert_eq!(rules.len(), 13);
    rules.sort_by_key(|rule| TriggerRule::ALL.iter().position(|ours| ours == rule));
    assert_eq!(rules, TriggerRule::ALL);
}

#[test]
fn a_rule_makes_of_its_upstreams_what_airflow_makes_of_them() {
    let table = trigger_rules();
    assert_eq!((table.direct.len(), table.one_mapped.len()), (330, 209));
    for (states, theirs) in table.direct.iter().chain(&table.one_mapped) {
        assert_eq!(verdicts(&table.rules, |rule| judge(rule, &tally(states))), *theirs, "{states}");
    }
}

#[test]
fn the_rule_of_a_teardown_looks_at_its_setups_as_airflow_does() {
    let table = trigger_rules();
    assert_eq!(table.setups.len(), 1819);
    for (states, theirs) in &table.setups {
        let ours = letter(judge(TriggerRule::AllDoneSetupSuccess, &tally(states)));
        assert_eq!(ours, *theirs, "{states}");
    }
}

#[test]
fn an_instance_whose_counterparts_were_removed_is_removed_as_in_airflow() {
    let table = trigger_rules();
    let mut on_purpose = 0;
    for (states, theirs) in &table.mapped_self {
        let up = tally(states);
        let ours: String = (0..4)
            .map(|index| {
                let verdict = judge(TriggerRule::AllSuccess, &up);
                let lost = is_without_counterpart(TriggerRule::AllSuccess, &up, index);
                if verdict == Verdict::Run && lost { 'x' } else { letter(verdict) }
            })
            .collect();
        if states.contains('r') && theirs.contains('x') {
            // Airflow removes instances while upstreams are still running that may yet be their counterparts.
            assert_eq!(ours, "wwww", "{states}");
            on_purpose += 1;
        } else {
            assert_eq!(ours, *theirs, "{states}");
        }
    }
    assert_eq!((table.mapped_self.len(), on_purpose), (210, 4));
}

#[test]
fn a_task_is_bound_to_the_setups_it_is_within_the_scope_of_as_in_airflow() {
    let table = trigger_rules();
    assert_eq!(table.setup_constraint.len(), 36);
    for (states, theirs) in &table.setup_constraint {
        let (setup, work) = states.split_at(1);
        let ours =
            verdicts(&table.rules, |rule| judge_all(rule, &tally(work), &tally(&setup.to_uppercase()), 0));
        if setup == "x" {
            // A setup that no longer exists is waited for there for ever; here by nobody.
            let without = verdicts(&table.rules, |rule| judge(rule, &tally(work)));
            assert_eq!(ours, without, "{states}");
        } else {
            assert_eq!(ours, *theirs, "{states}");
        }
    }
}

#[test]
fn a_teardown_waits_for_everything_in_its_scope_as_in_airflow() {
    let table = trigger_rules();
    assert_eq!(table.teardown_scope.len(), 216);
    for (states, theirs) in &table.teardown_scope {
        let [first, middle, last] = <[char; 3]>::try_from(states.chars().collect::<Vec<_>>()).unwrap();
        let up = tally(&format!("{}{last}", first.to_uppercase()));
        let left = u32::from(!state(middle).is_finished());
        let ours = judge_all(TriggerRule::AllDoneSetupSuccess, &up, &Tally::default(), left);
        assert_eq!(letter(ours), *theirs, "{states}");
    }
}

#[derive(Deserialize)]
struct RunStates {
    shapes: BTreeMap<String, Shape>,
    runs: BTreeMap<String, ByStates<char>>,
}

#[test]
fn the_state_of_a_run_follows_from_its_tasks_as_in_airflow() {
    let table: RunStates = recorded(include_str!("golden/rules/run_states.json"));
    let mut rows = 0;
    for (name, shape) in &table.shapes {
        let mut world = started(dag_of(shape));
        for (states, theirs) in &table.runs[name] {
            for (ti, letter) in world.records.tis.values_mut().zip(states.chars()) {
                ti.state = state(letter);
            }
            world.records.runs.values_mut().for_each(|run| run.state = RunState::Running);
            world.restart();
            settle(&mut world);
            assert_eq!(run_letter(&world), *theirs, "{name}: {shape:?} {states}");
            rows += 1;
        }
    }
    assert_eq!((table.shapes.len(), rows), (17, 1765));
}

#[derive(Deserialize)]
struct Plays {
    shapes: Vec<Shape>,
    /// The shape, how each task ends if it runs, which ends first, the states at the end, and the state of the run.
    plays: Vec<(usize, String, String, String, char)>,
}

#[test]
fn whole_runs_end_as_they_do_in_airflow() {
    let table: Plays = recorded(include_str!("golden/rules/plays.json"));
    assert_eq!(table.plays.len(), 450);
    for (shape, ends, order, states, run) in table.plays {
        let shape = &table.shapes[shape];
        assert_eq!(play(shape, &ends, &order), (states, run), "{shape:?} {ends} {order}");
    }
}

fn play(shape: &Shape, ends: &str, order: &str) -> (String, char) {
    let mut world = started(dag_of(shape));
    for _ in 0..shape.len() {
        let queued = world.records.tis.values().filter(|ti| ti.state == TaskState::Queued);
        let Some(ti) = queued.min_by_key(|ti| order.find(ti.task_id.as_str())) else { break };
        let end = ends.as_bytes()[ti.key.index as usize] as char;
        world.inbox.push_back(report(ti, state(end), world.now));
        settle(&mut world);
    }
    let states = world.records.tis.values().map(|ti| task_letter(ti.state)).collect();
    (states, run_letter(&world))
}

#[derive(Deserialize)]
struct Sequences {
    /// The retries of both tasks, and what happened.
    sequences: Vec<(u32, Vec<Step>)>,
}

/// What happened, then the states of the tasks, their tries, their greatest tries, and the state of the run.
#[derive(Deserialize, Debug)]
struct Step(String, String, [u32; 2], [u32; 2], char);

#[test]
fn retries_and_clears_count_as_in_airflow() {
    let table: Sequences = recorded(include_str!("golden/rules/sequences.json"));
    assert_eq!(table.sequences.len(), 120);
    let shape: Shape = [("a".into(), vec![]), ("b".into(), vec!["a".into()])].into();
    let mut on_purpose = 0;
    for (retries, steps) in &table.sequences {
        let mut dag = dag_of(&shape);
        let retry = Retry { retries: *retries, delay: Span::from_secs(0), ..Retry::default() };
        dag.tasks.iter_mut().for_each(|task| task.retry = retry.clone());
        let mut world = started(dag);
        let mut before = "qn";
        for (place, Step(what, states, tries, greatest, run)) in steps.iter().enumerate() {
            happen(&mut world, what);
            let case = format!("{retries} {:?}", &steps[..=place]);
            if before == "qq" && states.ends_with(['u', 'k']) {
                // Airflow decides by its rule even about a task in flight whose upstream was cleared, and leaves its process
                // running; here what was begun is finished.
                assert_eq!(told(&world), (format!("{}q", &states[..1]), *tries, *greatest, 'r'), "{case}");
                on_purpose += 1;
                break;
            }
            assert_eq!(told(&world), (states.clone(), *tries, *greatest, *run), "{case}");
            before = states;
        }
    }
    assert_eq!(on_purpose, 9);
}

fn happen(world: &mut World, what: &str) {
    let message = match what.strip_prefix('c') {
        Some(names) => clear(names),
        None => {
            let queued = |ti: &&TiRecord| ti.state == TaskState::Queued;
            let ti = world.records.tis.values().find(queued).unwrap();
            report(ti, state(what.chars().next().unwrap()), world.now)
        }
    };
    world.inbox.push_back(message);
    settle(world);
}

fn clear(names: &str) -> Message {
    let tasks: Vec<_> = names.chars().map(|name| json!({"task_id": name})).collect();
    let wish = json!({"wish": "clear", "selection": {"dag_id": "d", "run_id": "r", "tasks": tasks}});
    serde_json::from_value(json!({"kind": "intent", "by": "somebody", "wish": wish})).unwrap()
}

fn told(world: &World) -> (String, [u32; 2], [u32; 2], char) {
    let tis: Vec<&TiRecord> = world.records.tis.values().collect();
    (
        tis.iter().map(|ti| task_letter(ti.state)).collect(),
        [tis[0].try_number, tis[1].try_number],
        [tis[0].max_tries, tis[1].max_tries],
        run_letter(world),
    )
}

fn report(ti: &TiRecord, end: TaskState, now: DateTime<Utc>) -> Message {
    serde_json::from_value(json!({
        "kind": "outcome",
        "attempt": {"ti": ti.key, "try_number": ti.try_number},
        "result": end,
        "started_at": now,
        "ended_at": now,
        "worker": uuid::Uuid::nil(),
    }))
    .unwrap()
}

fn task_letter(state: TaskState) -> char {
    "nqrsfkux".chars().find(|&letter| self::state(letter) == state).unwrap_or('?')
}

fn run_letter(world: &World) -> char {
    match world.records.runs.values().next().unwrap().state {
        RunState::Success => 's',
        RunState::Failed => 'f',
        RunState::Queued | RunState::Running => 'r',
    }
}

/// A world with one run of this DAG, in which everything that needs no worker has happened.
fn started(dag: Dag) -> World {
    let mut world = World::new(0, vec![dag], &[("default_pool", 100)]);
    let trigger = json!({
        "kind": "intent",
        "by": "somebody",
        "wish": {"wish": "trigger", "dag_id": "d", "run_id": "r", "run_after": world.now},
    });
    world.inbox.push_back(serde_json::from_value(trigger).unwrap());
    settle(&mut world);
    world
}

/// Turns until nothing more follows.
fn settle(world: &mut World) {
    while !world.inbox.is_empty() {
        world.turn(false);
    }
    // What is told in a turn may set an alarm for at once.
    world.turn(false);
}

fn dag_of(shape: &Shape) -> Dag {
    let mut dag = crate::dagfile::dag("dag_id: d\ntasks: {a: {bash: 'true'}}");
    let plain = dag.tasks.remove(0);
    dag.tasks = shape.iter().map(|(name, words)| task_of(&plain, name, words, shape)).collect();
    dag
}

fn task_of(plain: &Task, name: &str, words: &[String], shape: &Shape) -> Task {
    let mut task = Task { task_id: id(name), ..plain.clone() };
    for word in words {
        match word.as_str() {
            "setup" => task.setup = true,
            "teardown" | "teardown!" => {
                task.teardown = Some(Teardown { on_failure_fail_dagrun: word == "teardown!" });
                task.trigger_rule = TriggerRule::AllDoneSetupSuccess;
            }
            other if shape.contains_key(other) => task.upstream.push(id(other)),
            rule => task.trigger_rule = serde_json::from_value(json!(rule)).unwrap(),
        }
    }
    task
}

fn id(name: &str) -> TaskId {
    TaskId::new(name).unwrap()
}

#[derive(Deserialize)]
struct Priorities {
    dags: Vec<Vec<Weighed>>,
}

/// A task: own weight, rule, upstreams by number, effective weight.
#[derive(Deserialize, Debug)]
struct Weighed(i32, String, Vec<usize>, i32);

#[test]
fn effective_priorities_are_those_of_airflow() {
    let table: Priorities = recorded(include_str!("golden/rules/priorities.json"));
    assert_eq!(table.dags.len(), 24);
    for tasks in table.dags {
        let mut dag = crate::dagfile::dag("dag_id: d\ntasks: {a: {bash: 'true'}}");
        let plain = dag.tasks.remove(0);
        let made = tasks.iter().enumerate().map(|(number, Weighed(weight, rule, upstream, _))| Task {
            task_id: id(&format!("t{number}")),
            priority_weight: *weight,
            weight_rule: serde_json::from_value(json!(rule)).unwrap(),
            upstream: upstream.iter().map(|up| id(&format!("t{up}"))).collect(),
            ..plain.clone()
        });
        dag.tasks = made.collect();
        let graph = Graph::new(Arc::new(dag));
        let ours: Vec<i32> = (0..tasks.len()).map(|number| graph.node(number).priority).collect();
        let theirs: Vec<i32> = tasks.iter().map(|task| task.3).collect();
        assert_eq!(ours, theirs, "{tasks:?}");
    }
}

#[derive(Deserialize)]
struct Retries {
    waits: Vec<Wait>,
}

/// Delay, factor, longest delay, the try that failed, DAG, task, date, and Airflow's wait; times in seconds.
#[derive(Deserialize, Debug)]
struct Wait(f64, f64, Option<f64>, u32, String, String, String, f64);

/// Airflow and we draw the jitter from different hashes, and Airflow rounds to whole seconds upwards, so with a backoff both
/// waits are held to the span that the rule allows: from b to twice b, cut off at the longest delay.
#[test]
fn the_wait_before_a_retry_is_that_of_airflow_but_for_the_jitter() {
    let table: Retries = recorded(include_str!("golden/rules/retries.json"));
    let (mut equal, mut drawn, mut cut) = (0, 0, 0);
    for row in table.waits {
        let Wait(delay, factor, longest, number, dag, task, date, theirs) = &row;
        let cap = longest.map_or(day(), |longest| longest.min(day()));
        let ours = wait(&row, &format!("{dag}#{task}#{date}"));
        if *factor == 0.0 || *factor == 1.0 {
            // Airflow cuts off only what grows; here nothing is longer than the longest delay, and than a day.
            assert_eq!(ours, theirs.min(cap), "{row:?}");
            if *theirs > cap {
                cut += 1
            } else {
                equal += 1
            }
            continue;
        }
        let base = delay * factor.powi(i32::try_from(*number).unwrap() - 1);
        let (least, most) = (base.min(cap), (2.0 * base).min(cap));
        assert!((least - 0.001..=most + 0.001).contains(&ours), "{row:?}: {ours}");
        assert!((least.floor()..=most + 1.0).contains(theirs), "{row:?}");
        drawn += 1;
    }
    assert_eq!((equal, drawn, cut), (228, 576, 60));
}

fn day() -> f64 {
    seconds(i64::try_from(MAX_DELAY.as_millis()).unwrap())
}

fn wait(row: &Wait, seed: &str) -> f64 {
    let span = |seconds: f64| Span::from_millis((seconds * 1000.0).round() as u64);
    let retry = Retry { retries: 99, delay: span(row.0), backoff: row.1, max_delay: row.2.map(span) };
    seconds(retry.next_try_at(row.3, DateTime::UNIX_EPOCH, seed).timestamp_millis())
}

fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}
