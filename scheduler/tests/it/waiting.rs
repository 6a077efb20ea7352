//! Waits and triggered runs with a real database and leaders that die.

use std::time::Duration;

use domain::{
    id::{DagId, RunId},
    intent::Message,
    outcome::TryResult,
    state::{RunState, TaskState},
    wait::{AfterTrigger, TriggerRequest},
};
use queue::Bell;

use crate::{house::House, leading::know};

const WAITS: &str = "
tasks:
  w: {wait_for: {for: 3s}}
  end: {empty: {}, depends_on: w}
";

async fn sleeps(house: &House, dag_id: &str, run_id: &str, task: &str, state: TaskState) {
    house
        .until("it waits", async || {
            house.run_state(dag_id, run_id).await.is_some()
                && house.states(dag_id, run_id).await.contains(&(task.into(), -1, state))
        })
        .await;
}

async fn ended(house: &House, dag_id: &str, run_id: &str) -> RunState {
    house
        .until("the run has ended", async || {
            house.run_state(dag_id, run_id).await.is_some_and(RunState::is_finished)
        })
        .await;
    house.run_state(dag_id, run_id).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_outlives_the_leader() {
    let house = House::build().await;
    house.file("waits.yaml", WAITS);
    let first = house.scheduler();
    know(&house, "waits").await;
    house.trigger("waits", "r").await;
    sleeps(&house, "waits", "r", "w", TaskState::Deferred).await;
    let second = house.scheduler();
    first.kill();
    assert_eq!(ended(&house, "waits", "r").await, RunState::Success);
    second.stop().await;
}

const PARENT: &str = "tasks: {t: {trigger_dag: {dag_id: child, wait_for_completion: true}}}";
const CHILD: &str = "tasks: {c: {bash: 'true'}}";

fn request(run_id: Option<&str>, wait: bool) -> TriggerRequest {
    let then = AfterTrigger {
        wait_for_completion: wait,
        allowed_states: vec![TaskState::Success],
        failed_states: vec![TaskState::Failed],
        ..AfterTrigger::default()
    };
    let run_id = run_id.map(|id| RunId::new(id).unwrap());
    let dag_id = DagId::new("child").unwrap();
    TriggerRequest { dag_id, run_id, logical_date: None, conf: serde_json::Map::new(), then }
}

// Claims the one try that is ready, and asks for a run in its name.
async fn start(house: &House, request: TriggerRequest) {
    let tries = house.claim().await;
    assert_eq!(tries.len(), 1);
    let Message::Outcome(mut outcome) = house.outcome(tries[0], TryResult::Deferred) else { unreachable!() };
    outcome.trigger = Some(Box::new(request));
    // Twice: what a worker says counts once.
    let message = Message::Outcome(outcome);
    house.store.post(&[message.clone(), message]).await.unwrap();
    house.queue.ring(Bell::Engine).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_waits_for_the_run_that_it_started_across_leaders() {
    let house = House::build().await;
    house.file("parent.yaml", PARENT);
    house.file("child.yaml", CHILD);
    let first = house.scheduler();
    know(&house, "parent").await;
    know(&house, "child").await;
    house.trigger("parent", "r").await;
    start(&house, request(Some("made"), true)).await;
    sleeps(&house, "parent", "r", "t", TaskState::Deferred).await;
    let second = house.scheduler();
    first.kill();
    assert_eq!(house.work_until_ended("child", "made").await, RunState::Success);
    assert_eq!(ended(&house, "parent", "r").await, RunState::Success);
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_that_name_that_ended_long_ago_is_known() {
    let house = House::build().await;
    house.file("parent.yaml", PARENT);
    house.file("child.yaml", CHILD);
    let scheduler = house.scheduler();
    know(&house, "parent").await;
    know(&house, "child").await;
    house.trigger("child", "made").await;
    assert_eq!(house.work_until_ended("child", "made").await, RunState::Success);
    house.trigger("parent", "r").await;
    start(&house, request(Some("made"), true)).await;
    assert_eq!(ended(&house, "parent", "r").await, RunState::Failed);
    let run =
        house.store.run(&DagId::new("parent").unwrap(), &RunId::new("r").unwrap()).await.unwrap().unwrap();
    assert_eq!(run.tis[0].reason.as_deref(), Some("run `made` of DAG `child` exists already"));
    scheduler.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dag_that_is_in_the_records_can_be_triggered_before_its_loader_tells_of_it() {
    let house = House::build().await;
    let scheduler = house.scheduler_with(|settings| settings.lease = Duration::from_secs(5));
    house.file("late.yaml", CHILD);
    // The wish is posted the moment that the records know the DAG, whatever the leader has heard.
    know(&house, "late").await;
    house.trigger("late", "r").await;
    assert_eq!(house.work_until_ended("late", "r").await, RunState::Success);
    scheduler.stop().await;
}

const LOOP: &str = "
tasks:
  l: {bash: x, repeat: {until: '{{ result }}', max_rounds: 5, delay: 2s}}
  end: {bash: y, depends_on: l}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_takes_over_between_two_rounds_goes_on_with_the_next() {
    let house = House::build().await;
    house.file("loop.yaml", LOOP);
    let first = house.scheduler();
    know(&house, "loop").await;
    house.trigger("loop", "r").await;
    let round = house.claim().await;
    // Twice: what a worker says counts once.
    house.report(&[round[0], round[0]], TryResult::Again).await;
    sleeps(&house, "loop", "r", "l", TaskState::UpForReschedule).await;
    let second = house.scheduler();
    first.kill();
    let next = house.claim().await;
    assert_eq!((next.len(), next[0].ti, next[0].try_number), (1, round[0].ti, 2));
    let tries = house.store.tries(round[0].ti).await.unwrap();
    assert_eq!(tries.iter().map(|ended| ended.round).collect::<Vec<_>>(), [Some(1)]);
    house.report(&next, TryResult::Success).await;
    assert_eq!(house.work_until_ended("loop", "r").await, RunState::Success);
    second.stop().await;
}
