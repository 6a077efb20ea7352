use domain::{
    engine::record::VersionId,
    id::DagId,
    state::{RunState, TaskState},
};

use crate::house::House;

const CHAIN: &str = "tasks:\n  a: {bash: 'true'}\n  b: {bash: 'true', depends_on: a}\n";

async fn is_known(house: &House, dag_id: &str) -> bool {
    let flags = house.store.paused_flags().await.unwrap();
    flags.iter().any(|flag| flag.dag_id.as_str() == dag_id)
}

async fn tasks(house: &House, dag_id: &str) -> Vec<String> {
    let versions = house.store.versions_of(&DagId::new(dag_id).unwrap(), 1, 0).await.unwrap();
    let (dag, _) = house.store.version(VersionId(versions[0].id)).await.unwrap().unwrap();
    dag.tasks.iter().map(|task| task.task_id.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_becomes_a_dag_that_runs() {
    let house = House::build().await;
    let scheduler = house.scheduler();
    house.file("chain.yaml", CHAIN);
    house.until("the DAG is known", async || is_known(&house, "chain").await).await;
    house.trigger("chain", "one").await;
    assert_eq!(house.work_until_ended("chain", "one").await, RunState::Success);
    let states = house.states("chain", "one").await;
    assert_eq!(states, [("a".into(), -1, TaskState::Success), ("b".into(), -1, TaskState::Success)]);
    scheduler.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_is_reported_and_hides_nothing() {
    let house = House::build().await;
    house.file("good.yaml", CHAIN);
    house.file("bad.yaml", "tasks:\n  a: {bash: 'true', retrys: 3}\n");
    let scheduler = house.scheduler();
    house.until("the DAG is known", async || is_known(&house, "good").await).await;
    let errors = house.store.import_errors(None, 10, 0).await.unwrap();
    assert_eq!(errors.len(), 1);
    assert_eq!((errors[0].file.as_str(), errors[0].line), ("bad.yaml", Some(2)));
    assert!(errors[0].hint.as_deref().is_some_and(|hint| hint.contains("retries")), "{:?}", errors[0]);

    house.file("bad.yaml", "tasks:\n  a: {bash: 'true', retries: 3}\n");
    house
        .until("it is mended", async || house.store.import_errors(None, 10, 0).await.unwrap().is_empty())
        .await;
    assert!(is_known(&house, "bad").await);
    scheduler.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_keeps_the_version_it_began_with() {
    let house = House::build().await;
    house.file("chain.yaml", CHAIN);
    let scheduler = house.scheduler();
    house.until("the DAG is known", async || is_known(&house, "chain").await).await;
    house.trigger("chain", "old").await;
    let first = house.claim().await;
    house.file("chain.yaml", "tasks:\n  other: {bash: 'true'}\n");
    house.until("the new version is known", async || tasks(&house, "chain").await == ["other"]).await;
    house.trigger("chain", "new").await;
    house.report(&first, domain::outcome::TryResult::Success).await;
    assert_eq!(house.work_until_ended("chain", "old").await, RunState::Success);
    assert_eq!(house.states("chain", "old").await.len(), 2);
    assert_eq!(house.work_until_ended("chain", "new").await, RunState::Success);
    assert_eq!(house.states("chain", "new").await, [("other".into(), -1, TaskState::Success)]);
    scheduler.stop().await;
}
