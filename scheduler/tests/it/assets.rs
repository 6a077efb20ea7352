//! Assets across the death of a leader.

use domain::id::{DagId, RunId};
use store::view::api_list::{Ask, Test};

use crate::house::House;

const PLAY: &str = "
dag_id: play
tasks: {make: {bash: 'true', outlets: [orders]}, more: {bash: 'true', outlets: [items]}}
---
dag_id: report
schedule: {assets: {all: [orders, items]}}
tasks: {t: {bash: 'true'}}
";

#[tokio::test]
async fn what_is_queued_outlives_the_leader_and_is_consumed_once() {
    let house = House::build().await;
    house.file("play.yaml", PLAY);
    let first = house.scheduler();
    house.until("the DAGs are known", async || house.store.paused_flags().await.unwrap().len() == 2).await;
    house.trigger("play", "r").await;
    let tries = house.claim().await;
    let mut tries = tries.into_iter();
    let make = tries.next().unwrap();
    house.report(&[make], domain::outcome::TryResult::Success).await;
    let report = DagId::new("report").unwrap();
    let queued = async || house.store.queued_assets(Some("report"), None, None).await.unwrap().len();
    house.until("an asset is queued", async || queued().await == 1).await;
    first.kill();

    let second = house.scheduler();
    let more: Vec<_> = match tries.next() {
        Some(more) => vec![more],
        None => house.claim().await,
    };
    house.report(&more, domain::outcome::TryResult::Success).await;
    let events = async || house.store.asset_events(&Ask { limit: 10, ..Ask::default() }).await.unwrap().rows;
    let consumed = async || {
        let rows = events().await;
        let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
        house.store.consumers(&ids).await.unwrap()
    };
    house.until("a run has consumed both", async || consumed().await.len() == 2).await;
    let runs = consumed().await;
    assert_eq!(runs[0].run_id, runs[1].run_id, "both by one run");
    let run_id = RunId::new(&runs[0].run_id).unwrap();
    assert_eq!(house.store.consumed_events(&report, &run_id).await.unwrap().len(), 2);
    assert_eq!(queued().await, 0);
    let by_play = Ask { limit: 10, ..Ask::default() }.with("source_dag_id", Test::is("play"));
    assert_eq!(house.store.asset_events(&by_play).await.unwrap().total, 2);
    second.stop().await;
}
