//! The worker as a whole.

use std::time::Duration;

use domain::outcome::TryResult::{Failed, FailedForGood, Returned, Skipped, Success};
use serde_json::json;

use crate::fixture::LIMIT;
use crate::site::{Site, at, attempt};

async fn shut_down(site: &Site, worker: tokio::task::JoinHandle<()>) {
    site.shutdown.advance();
    tokio::time::timeout(LIMIT, worker).await.expect("it does not stop").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn tries_are_claimed_run_and_reported() {
    let site = Site::new(
        "  good: {bash: 'echo hello {{ ds }}; echo 42'}\n  bad: {bash: 'echo oops >&2; exit 3'}\n  skip: {bash: exit 99}\n  broken: {bash: '{{ nope }}'}\n",
    )
    .await;
    let worker = site.start();
    site.push(0..4).await;
    let outcomes = site.outcomes(4).await;
    let ends: Vec<_> = outcomes.iter().map(|outcome| (outcome.result, outcome.exit_code)).collect();
    assert_eq!(ends, [(Success, Some(0)), (Failed, Some(3)), (Skipped, Some(99)), (FailedForGood, None)]);
    assert_eq!(outcomes[0].xcoms["return_value"], json!(42));
    assert!(
        outcomes.iter().all(|outcome| outcome.ended_at >= outcome.started_at && outcome.started_at > at())
    );
    assert_eq!(site.state(0).await, "running");
    let log = site.log("good").await;
    assert_eq!(log[1..3], ["hello 2026-01-02", "42"]);
    assert!(
        log[0].starts_with("testhost starts try 1: bash") && log[3].starts_with("success after"),
        "{log:?}"
    );
    shut_down(&site, worker).await;
    let rendered = site.store.rendered(attempt(0)).await.unwrap().unwrap();
    assert_eq!(rendered["bash_command"], "echo hello 2026-01-02; echo 42");
    assert_eq!(site.store.rendered(attempt(1)).await.unwrap(), None);
    assert_eq!(site.db.text("select state from job").await.as_deref(), Some("stopped"));
    let left: Vec<_> = std::fs::read_dir(&site.settings.scratch).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn output_is_live_and_a_stop_bell_stops() {
    let site = Site::new("  t: {bash: 'echo first; sleep 300'}\n").await;
    let worker = site.start();
    site.push([0]).await;
    let seen = site.live(0, "first").await;
    assert!(seen.contains(" O first\n"), "{seen}");
    site.ring_stop(0).await;
    let outcomes = site.outcomes(1).await;
    assert_eq!((outcomes[0].result, outcomes[0].reason.as_deref()), (Failed, Some("stopped on request")));
    assert!(site.log("t").await.iter().any(|line| line.starts_with("stopped after")));
    shut_down(&site, worker).await;
}

/// Waits until the worker has noticed that it is to stop: before, it may well take another task.
async fn is_draining(site: &Site) {
    let noticed = async {
        while site.store.jobs().await.unwrap().iter().all(|job| job.state != store::job::State::Draining) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, noticed).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_lets_tasks_end_and_takes_nothing_new() {
    let mut site = Site::new(
        "  t: {bash: 'echo ready; until [ -e \"$GO\" ]; do sleep 0.02; done'}\n  u: {bash: 'true'}\n",
    )
    .await;
    let go = site.home().join("go");
    site.settings.environment.push(("GO".into(), go.clone().into()));
    let worker = site.start();
    site.push([0]).await;
    site.live(0, "ready").await;
    site.shutdown.advance();
    is_draining(&site).await;
    site.push([1]).await;
    std::fs::write(go, "").unwrap();
    tokio::time::timeout(LIMIT, worker).await.unwrap().unwrap();
    let outcomes = site.outcomes(1).await;
    assert_eq!((outcomes.len(), outcomes[0].result), (1, Success));
    assert_eq!(site.state(1).await, "queued");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_outlasts_the_drain_is_given_back() {
    let mut site = Site::new("  t: {bash: 'echo ready; sleep 300'}\n").await;
    site.settings.drain_timeout = Duration::from_millis(100);
    let worker = site.start();
    site.push([0]).await;
    site.live(0, "ready").await;
    shut_down(&site, worker).await;
    assert_eq!(site.outcomes(1).await[0].result, Returned);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_request_stops_at_once() {
    let site = Site::new("  t: {bash: 'echo ready; sleep 300'}\n").await;
    let worker = site.start();
    site.push([0]).await;
    site.live(0, "ready").await;
    site.shutdown.advance();
    shut_down(&site, worker).await;
    assert_eq!(site.outcomes(1).await[0].result, Returned);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_lease_stops_everything_and_the_worker_begins_anew() {
    let site = Site::new("  t: {bash: 'echo ready; sleep 300'}\n  u: {bash: 'true'}\n").await;
    let worker = site.start();
    site.push([0]).await;
    site.live(0, "ready").await;
    site.db.execute("update job set state = 'lost'").await;
    site.live(0, "lost its lease").await;
    site.push([1]).await;
    let outcomes = site.outcomes(1).await;
    assert_eq!((outcomes.len(), outcomes[0].attempt), (1, attempt(1)));
    assert_eq!(site.db.text("select count(*) from job where state = 'running'").await.as_deref(), Some("1"));
    shut_down(&site, worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_records_took_away_is_stopped() {
    let site = Site::new("  t: {bash: 'echo ready; sleep 300'}\n").await;
    let worker = site.start();
    site.push([0]).await;
    site.live(0, "ready").await;
    site.db.execute("update task_instance set state = 'failed', ended_at = now()").await;
    assert_eq!(site.outcomes(1).await[0].reason.as_deref(), Some("stopped on request"));
    shut_down(&site, worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn artifacts_are_kept() {
    let site = Site::new(
        "  t: {bash: 'mkdir $TRADEWIND_ARTIFACTS/plots; echo hi > $TRADEWIND_ARTIFACTS/plots/a.txt'}\n",
    )
    .await;
    let worker = site.start();
    site.push([0]).await;
    site.outcomes(1).await;
    let kept = site.logs.list_artifacts(&site.log_key("t")).await.unwrap();
    assert_eq!(
        kept.iter().map(|artifact| (artifact.name.as_str(), artifact.size)).collect::<Vec<_>>(),
        [("plots/a.txt", 3)]
    );
    assert!(site.log("t").await.iter().any(|line| line == "kept plots/a.txt (3 bytes)"));
    shut_down(&site, worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_whose_answer_was_lost_is_given_back() {
    let site = Site::new("  t: {bash: 'true'}\n  u: {bash: 'true'}\n").await;
    let worker = site.start();
    // It has registered when it has run something.
    site.push([1]).await;
    site.outcomes(1).await;
    site.db
        .execute("update task_instance set state = 'running', worker = (select id from job) where index = 0")
        .await;
    let outcomes = site.outcomes(2).await;
    assert_eq!((outcomes[0].attempt, outcomes[0].result), (attempt(0), Returned));
    shut_down(&site, worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_survives_the_absence_of_the_database() {
    let mut site = Site::new("  t: {bash: 'echo ready; until [ -e \"$GO\" ]; do sleep 0.02; done'}\n").await;
    let go = site.home().join("go");
    site.settings.environment.push(("GO".into(), go.clone().into()));
    let worker = site.start();
    site.push([0]).await;
    site.live(0, "ready").await;
    site.db.close_to_all().await;
    std::fs::write(go, "").unwrap();
    site.live(0, "success after").await;
    site.db.open_again().await;
    assert_eq!(site.outcomes(1).await[0].result, Success);
    shut_down(&site, worker).await;
}

/// Kilobytes of memory that this process holds, or held at most.
fn memory(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|found| found.strip_prefix(line)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_output_is_kept_whole_in_little_memory() {
    let site = Site::new("  t: {bash: 'yes \"a line of some length, like those that programs write\" | head -n 1000000; echo end'}\n").await;
    let worker = site.start();
    let before = memory("VmRSS:");
    site.push([0]).await;
    let outcomes = site.outcomes(1).await;
    assert_eq!((outcomes[0].result, &outcomes[0].xcoms["return_value"]), (Success, &json!("end")));
    let grown = memory("VmHWM:").saturating_sub(before);
    assert!(grown < 60_000, "memory grew by {grown} kB");
    let key = site.log_key("t");
    let limit = std::time::Instant::now() + LIMIT;
    // The outcome does not wait long for a log of 80 MB.
    while site.logs.size(&key).await.is_err() && std::time::Instant::now() < limit {
        tokio::task::yield_now().await;
    }
    assert!(site.logs.size(&key).await.unwrap() > 80_000_000);
    shut_down(&site, worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_wait_for_a_storage_that_is_away() {
    let site = Site::new("  t: {bash: echo precious}\n").await;
    let logs = site.home().join("logs");
    // A file in the place of the folder: nothing can be stored.
    std::fs::remove_dir_all(&logs).unwrap();
    std::fs::write(&logs, "").unwrap();
    let worker = site.start();
    site.push([0]).await;
    assert_eq!(site.outcomes(1).await[0].result, Success);
    shut_down(&site, worker).await;
    std::fs::remove_file(&logs).unwrap();
    std::fs::create_dir(&logs).unwrap();
    let next = site.again();
    let worker = next.start();
    let key = next.log_key("t");
    let stored = async {
        while next.logs.size(&key).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, stored).await.expect("the next worker did not store it");
    assert!(next.log("t").await.contains(&"precious".to_owned()));
    shut_down(&next, worker).await;
}
