//! The audit log.

use domain::engine::record::AuditRecord;
use serde_json::json;
use store::view::{Page, event_log::Filter};

use super::{filter, texts};
use crate::{
    database::Database,
    fixture::{at, dag_id, run_id},
};

fn line(minute: i64, by: &str, event: &'static str, dag: &str) -> AuditRecord {
    AuditRecord {
        at: at(minute),
        by: by.to_owned(),
        event,
        dag_id: Some(dag_id(dag)),
        run_id: Some(run_id("r")),
        task_id: None,
        extra: json!({"minute": minute}),
    }
}

async fn minutes(db: &Database, filter: &Filter, page: Page) -> (String, i64) {
    let list = db.store.event_lines(filter, page).await.unwrap();
    let minute = |line: &store::view::event_log::Line| line.extra.clone().unwrap()["minute"].to_string();
    (list.rows.iter().map(minute).collect(), list.total)
}

#[tokio::test]
async fn it_is_read_newest_first_and_filtered() {
    let db = Database::new().await;
    let lines =
        [line(1, "ann", "clear", "a"), line(2, "bob", "trigger", "a"), line(3, "ann", "trigger", "b")];
    db.store.audit(&lines).await.unwrap();
    let all = Filter::default();
    assert_eq!(minutes(&db, &all, Page::first(10)).await, ("321".to_owned(), 3));
    assert_eq!(minutes(&db, &all, Page::new(1, 1)).await, ("2".to_owned(), 3));
    let newest = db.store.event_lines(&all, Page::first(1)).await.unwrap().rows.remove(0);
    assert_eq!((newest.owner.as_str(), newest.dag_id.as_deref(), newest.at), ("ann", Some("b"), at(3)));
    for (filter, found) in [
        (filter(|f: &mut Filter| f.dag_id = Some("a".to_owned())), "21"),
        (filter(|f: &mut Filter| f.run_id = Some("x".to_owned())), ""),
        (filter(|f: &mut Filter| f.task_id = Some("x".to_owned())), ""),
        (filter(|f: &mut Filter| f.owner = Some("ann".to_owned())), "31"),
        (filter(|f: &mut Filter| f.events = texts(&["clear"])), "1"),
        (filter(|f: &mut Filter| f.excluded_events = texts(&["clear"])), "32"),
        (filter(|f: &mut Filter| (f.from, f.to) = (Some(at(2)), Some(at(3)))), "2"),
        (filter(|f: &mut Filter| f.before = Some(newest.id)), "21"),
    ] {
        assert_eq!(minutes(&db, &filter, Page::first(10)).await.0, found, "{filter:?}");
    }
}
