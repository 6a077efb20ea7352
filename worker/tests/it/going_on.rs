//! Tries that are taken up again under their number.

use domain::outcome::TryResult;

use crate::fixture::LIMIT;
use crate::site::Site;

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_a_try_goes_on_where_it_was_left() {
    let site = Site::new("  t: {wait_for: {file: there}}\n").await;
    let worker = site.start();
    site.push([0]).await;
    let outcomes = site.outcomes(1).await;
    assert_eq!((outcomes[0].result, outcomes[0].pokes), (TryResult::Rescheduled, Some(0)));

    std::fs::write(site.settings.dags_folder.join("there"), "").unwrap();
    let wait = r#"{"until": "poke", "since": "2026-01-02T00:00:00Z", "pokes": 1}"#;
    let again =
        format!("update task_instance set state = 'queued', wait = '{wait}' where index = 0 returning state");
    assert_eq!(site.db.text(&again).await.as_deref(), Some("queued"));
    site.push([0]).await;
    assert_eq!(site.outcomes(2).await.last().unwrap().result, TryResult::Success);
    site.shutdown.advance();
    tokio::time::timeout(LIMIT, worker).await.unwrap().unwrap();
    let log = site.log("t").await.join("\n");
    let places: Vec<_> =
        ["look 1 for", "not there yet", "look 2 for", "success"].map(|text| log.find(text)).into();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?} in {log}");
    assert_eq!(log.matches("look 1 for").count(), 1, "{log}");
}
