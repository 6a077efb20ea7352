//! Lists of runs.

use domain::{
    engine::decision::Decisions,
    id::RunKey,
    state::{RunState, RunType, TaskState},
};
use store::view::{Page, run::Filter};

use super::{ended_run, filter};
use crate::{
    database::Database,
    fixture::{at, dag_id, run, run_id, save_dag},
};

/// Three failed scheduled runs of `flights`, and a running one that `ann` triggered.
async fn four_runs() -> Database {
    let db = Database::new().await;
    let proof = db.lead().await;
    let dag = save_dag(&db, &proof, "flights").await;
    for key in 1..=3 {
        ended_run(&db, &proof, &dag, key, &[("a", -1, TaskState::Failed)]).await;
    }
    let mut manual = run(4, &dag, 40);
    (manual.run_type, manual.run_id, manual.logical_date) = (RunType::Manual, run_id("manual__4"), None);
    manual.triggered_by = Some("ann".to_owned());
    let created = Decisions { runs_created: vec![manual], ..Decisions::default() };
    db.store.commit(&proof, &created, &[]).await.unwrap();
    db
}

async fn keys(db: &Database, filter: &Filter, page: Page) -> (Vec<i64>, i64) {
    let list = db.store.run_lines(filter, page).await.unwrap();
    (list.rows.iter().map(|run| run.key.0).collect(), list.total)
}

#[tokio::test]
async fn they_are_paged_by_number_and_by_cursor() {
    let db = four_runs().await;
    let all = Filter::default();
    assert_eq!(keys(&db, &all, Page::first(10)).await, (vec![4, 3, 2, 1], 4));
    assert_eq!(keys(&db, &all, Page::new(2, 1)).await, (vec![3, 2], 4));
    assert_eq!(keys(&db, &all, Page::new(2, 9)).await, (vec![], 4));
    let after = Some((at(31), RunKey(3)));
    assert_eq!(keys(&db, &filter(|f: &mut Filter| f.after = after), Page::first(1)).await, (vec![2], 4));
    let oldest = filter(|f: &mut Filter| f.oldest_first = true);
    assert_eq!(keys(&db, &oldest, Page::first(10)).await.0, [1, 2, 3, 4]);
    assert_eq!(keys(&db, &Filter { after, ..oldest }, Page::first(10)).await.0, [4]);
}

#[tokio::test]
async fn they_are_filtered() {
    let db = four_runs().await;
    let active = vec![RunState::Running, RunState::Queued];
    for (filter, found) in [
        (filter(|f: &mut Filter| f.dag_id = Some(dag_id("other"))), vec![]),
        (filter(|f: &mut Filter| f.search = Some("MANUAL".to_owned())), vec![4]),
        (filter(|f: &mut Filter| f.states = active), vec![4]),
        (filter(|f: &mut Filter| f.types = vec![RunType::Scheduled]), vec![3, 2, 1]),
        (filter(|f: &mut Filter| f.triggered_by = Some("ann".to_owned())), vec![4]),
        (filter(|f: &mut Filter| f.run_after_from = Some(at(31))), vec![4, 3]),
        (filter(|f: &mut Filter| f.run_after_to = Some(at(21))), vec![2, 1]),
        (filter(|f: &mut Filter| f.logical_from = Some(at(30))), vec![3]),
        (filter(|f: &mut Filter| f.logical_to = Some(at(10))), vec![1]),
        (filter(|f: &mut Filter| f.started_from = Some(at(42))), vec![4]),
        (filter(|f: &mut Filter| f.started_to = Some(at(12))), vec![1]),
        (filter(|f: &mut Filter| f.ended_from = Some(at(39))), vec![3]),
        (filter(|f: &mut Filter| f.ended_to = Some(at(19))), vec![1]),
    ] {
        assert_eq!(keys(&db, &filter, Page::first(10)).await.0, found, "{filter:?}");
    }
}

#[tokio::test]
async fn one_is_shown_with_its_remark_and_its_counts() {
    let db = four_runs().await;
    let manual = async || db.store.run_line(&dag_id("flights"), &run_id("manual__4")).await.unwrap().unwrap();
    assert_eq!((manual().await.version_number, manual().await.note.as_deref()), (1, Some("a note")));
    assert!(db.store.note_run(&dag_id("flights"), &run_id("manual__4"), None, "ann").await.unwrap());
    assert!(!db.store.note_run(&dag_id("flights"), &run_id("unknown"), None, "ann").await.unwrap());
    let told = "SELECT string_agg(owner || ' ' || run_id, ',') FROM event_log WHERE event = 'patch_dag_run'";
    assert_eq!(db.text(told).await.as_deref(), Some("ann manual__4"));
    assert_eq!(manual().await.note, None);
    assert_eq!(db.store.run_line(&dag_id("flights"), &run_id("unknown")).await.unwrap(), None);
    assert_eq!(db.store.run_state_counts(RunKey(1)).await.unwrap(), [(TaskState::Failed, 1)]);
}
