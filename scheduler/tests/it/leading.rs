use std::time::{Duration, Instant};

use domain::{
    engine::obstacle::{Answer, Obstacle},
    outcome::TryResult,
    state::{RunState, TaskState},
};
use queue::{Bell, Note};
use uuid::Uuid;

use crate::house::{House, PATIENCE};

const FAN: &str = "
max_active_tasks: 100
tasks:
  list: {bash: 'true'}
  each: {bash: 'true', expand: {n: \"{{ ti.xcom_pull('list') }}\"}}
  end: {empty: {}, depends_on: each}
";

pub async fn know(house: &House, dag_id: &str) {
    house
        .until("the DAG is known", async || {
            house.store.paused_flags().await.unwrap().iter().any(|flag| flag.dag_id.as_str() == dag_id)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapped_task_has_as_many_instances_as_the_list_has_elements() {
    let house = House::build().await;
    house.file("fan.yaml", FAN);
    let scheduler = house.scheduler();
    know(&house, "fan").await;
    house.trigger("fan", "r").await;
    assert_eq!(house.work_until_ended("fan", "r").await, RunState::Success);
    let indexes: Vec<(String, i32)> =
        house.states("fan", "r").await.into_iter().map(|(task, index, _)| (task, index)).collect();
    let expected = [("each", 0), ("each", 1), ("each", 2), ("end", -1), ("list", -1)];
    assert_eq!(indexes, expected.map(|(task, index)| (task.to_owned(), index)));
    scheduler.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leader_says_what_is_in_the_way() {
    let house = House::build().await;
    house.file("fan.yaml", FAN);
    let scheduler = house.scheduler();
    know(&house, "fan").await;
    house.trigger("fan", "r").await;
    let tries = house.claim().await;
    let question = r#"{"dag_id": "fan", "run_id": "r", "task_id": "each", "map_index": -1}"#;
    let answer = house.queue.ask(question, PATIENCE).await.unwrap().unwrap();
    let answer: Option<Answer> = serde_json::from_str(&answer).unwrap();
    let answer = answer.unwrap();
    let kinds =
        |obstacle: &Obstacle| matches!(obstacle, Obstacle::Upstream { .. } | Obstacle::MappedOver { .. });
    assert!(answer.obstacles.len() == 2 && answer.obstacles.iter().all(kinds), "{answer:?}");
    // What it cannot answer does not disturb it.
    house.queue.ring(Bell::Question(Note { id: "x".into(), text: "{}".into() })).await.unwrap();
    let unknown = question.replace("each", "none");
    assert_eq!(house.queue.ask(&unknown, PATIENCE).await.unwrap().as_deref(), Some("null"));
    house.report(&tries, TryResult::Success).await;
    assert_eq!(house.work_until_ended("fan", "r").await, RunState::Success);
    scheduler.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_takes_over_from_a_killed_leader_and_loses_nothing() {
    let house = House::build().await;
    house.file("fan.yaml", FAN);
    let first = house.scheduler();
    know(&house, "fan").await;
    house.trigger("fan", "r").await;
    let tries = house.claim().await;
    let second = house.scheduler();
    first.kill();
    let died = Instant::now();
    house.report(&tries, TryResult::Success).await;
    assert_eq!(house.work_until_ended("fan", "r").await, RunState::Success);
    assert!(died.elapsed() < Duration::from_secs(15), "took {:?}", died.elapsed());
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_steps_down_hands_over_without_waiting_for_the_end_of_its_lease() {
    const NEVER: Duration = Duration::from_secs(600);
    let house = House::build().await;
    house.file("fan.yaml", FAN);
    // Nothing but the bell wakes a standby, and nothing but the release frees the lease.
    let patient = |settings: &mut scheduler::Settings| (settings.lease, settings.standby) = (NEVER, NEVER);
    let first = house.scheduler_with(patient);
    know(&house, "fan").await;
    let second = house.scheduler_with(patient);
    first.stop().await;
    house.trigger("fan", "r").await;
    assert_eq!(house.work_until_ended("fan", "r").await, RunState::Success);
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_queue_forgets_is_pushed_again() {
    let house = House::build().await;
    house.file("fan.yaml", FAN);
    let scheduler = house.scheduler();
    know(&house, "fan").await;
    house.trigger("fan", "r").await;
    house
        .until("the try is queued", async || {
            house.run_state("fan", "r").await.is_some()
                && house.states("fan", "r").await.contains(&("list".into(), -1, TaskState::Queued))
        })
        .await;
    house.queue.wipe().await.unwrap();
    assert_eq!(house.work_until_ended("fan", "r").await, RunState::Success);
    scheduler.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tries_of_a_lost_worker_run_again_without_using_up_a_retry() {
    let house = House::build().await;
    house.file("one.yaml", "tasks: {a: {bash: 'true'}}\n");
    let scheduler = house.scheduler_with(|settings| settings.worker_lease = Duration::from_secs(2));
    know(&house, "one").await;
    house.trigger("one", "r").await;
    let lost = house.claim().await;
    // The worker never renews its lease; another one comes.
    let alive = Uuid::now_v7();
    let renewing = {
        let store = house.store.clone();
        house.employ(alive, 8).await;
        tokio::spawn(async move {
            loop {
                store.renew_job(alive).await.unwrap();
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        })
    };
    let house = House { worker: alive, ..house };
    let again = house.claim().await;
    assert_eq!((again.len(), again[0].ti, again[0].try_number), (1, lost[0].ti, 2));
    house.report(&lost, TryResult::Failed).await;
    house.report(&again, TryResult::Success).await;
    assert_eq!(house.work_until_ended("one", "r").await, RunState::Success);
    renewing.abort();
    scheduler.stop().await;
}
