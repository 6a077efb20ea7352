//! Lists of task instances.

use domain::{
    engine::{decision::Decisions, record::TiRecord},
    id::{RunKey, TiKey},
    state::TaskState,
};
use store::{
    LeaderProof,
    view::{Page, task::Filter},
};
use uuid::Uuid;

use super::{ended_run, filter, texts};
use crate::{
    database::Database,
    fixture::{at, changed, dag_id, queued_run, run_id, save_dag, task_id, try_of, worker},
};

struct Scene {
    db: Database,
    proof: LeaderProof,
    worker: Uuid,
    tis: Vec<TiRecord>,
}

/// A run of `flights` whose task `a` is running in process 99, and a failed run of `weather` with a mapped task.
async fn scene() -> Scene {
    let db = Database::new().await;
    let proof = db.lead().await;
    let (_, tis) = queued_run(&db, &proof).await;
    let weather = save_dag(&db, &proof, "weather").await;
    let mapped = [("m", 0, TaskState::Success), ("m", 1, TaskState::Failed)];
    ended_run(&db, &proof, &weather, 2, &mapped).await;
    let worker = worker(&db).await;
    db.store.claim(worker, &[try_of(&tis[0])]).await.unwrap();
    db.store.set_pids(worker, &[(try_of(&tis[0]), 99)]).await.unwrap();
    Scene { db, proof, worker, tis }
}

async fn keys(db: &Database, filter: &Filter, page: Page) -> (Vec<(i64, u32)>, i64) {
    let list = db.store.instances(filter, page).await.unwrap();
    (list.rows.iter().map(|ti| (ti.key.run.0, ti.key.index)).collect(), list.total)
}

#[tokio::test]
async fn they_are_paged_by_number_and_by_cursor() {
    let db = scene().await.db;
    let all = Filter::default();
    assert_eq!(keys(&db, &all, Page::first(10)).await, (vec![(2, 0), (2, 1), (1, 0), (1, 1)], 4));
    assert_eq!(keys(&db, &all, Page::new(1, 1)).await, (vec![(2, 1)], 4));
    let after = filter(|f: &mut Filter| f.after = Some(TiKey { run: RunKey(2), index: 0 }));
    assert_eq!(keys(&db, &after, Page::first(2)).await, (vec![(2, 1), (1, 0)], 4));
}

#[tokio::test]
async fn they_are_filtered() {
    let db = scene().await.db;
    for (filter, found) in [
        (filter(|f: &mut Filter| f.dag_id = Some(dag_id("weather"))), vec![(2, 0), (2, 1)]),
        (filter(|f: &mut Filter| f.run = Some(RunKey(1))), vec![(1, 0), (1, 1)]),
        (filter(|f: &mut Filter| f.task_id = Some(task_id("b"))), vec![(1, 1)]),
        (filter(|f: &mut Filter| f.search = Some("M".to_owned())), vec![(2, 0), (2, 1)]),
        (filter(|f: &mut Filter| f.states = vec![TaskState::Running]), vec![(1, 0)]),
        (filter(|f: &mut Filter| f.map_index = Some(1)), vec![(2, 1)]),
        (filter(|f: &mut Filter| f.pools = texts(&["other"])), vec![]),
        (filter(|f: &mut Filter| f.queues = texts(&["other"])), vec![]),
        (filter(|f: &mut Filter| f.operator = Some("Other".to_owned())), vec![]),
        (filter(|f: &mut Filter| f.try_number = Some(2)), vec![]),
        (filter(|f: &mut Filter| f.started_from = Some(at(0))), vec![(1, 0)]),
        (filter(|f: &mut Filter| f.started_to = Some(at(0))), vec![]),
        (filter(|f: &mut Filter| f.ended_from = Some(at(0))), vec![]),
        (filter(|f: &mut Filter| f.ended_to = Some(at(0))), vec![]),
    ] {
        assert_eq!(keys(&db, &filter, Page::first(10)).await.0, found, "{filter:?}");
    }
}

#[tokio::test]
async fn one_is_shown_with_its_worker_and_keeps_what_is_not_the_engines() {
    let Scene { db, proof, worker, tis } = scene().await;
    let a = async |map_index| {
        let (dag, run, task) = (dag_id("flights"), run_id("scheduled__1"), task_id("a"));
        db.store.instance(&dag, &run, &task, map_index).await.unwrap()
    };
    let one = a(-1).await.unwrap();
    assert_eq!(
        (one.state, one.worker, one.hostname.as_deref()),
        (TaskState::Running, Some(worker), Some("here"))
    );
    assert_eq!((one.pid, one.priority, one.operator.as_str()), (Some(99), 7, "BashOperator"));
    assert_eq!(a(0).await, None);

    db.store.note_tis(one.key.run.0, &[0], Some("look at this"), "ann").await.unwrap();
    let told = "SELECT owner || ' ' || task_id || ' ' || (extra->>'note') FROM event_log WHERE event = 'patch_task_instance'";
    assert_eq!(db.text(told).await.as_deref(), Some("ann a look at this"));
    let failed = changed(&tis[0], |ti| ti.state = TaskState::Failed);
    let failed = Decisions { tis_changed: vec![failed], ..Decisions::default() };
    db.store.commit(&proof, &failed, &[]).await.unwrap();
    let one = a(-1).await.unwrap();
    assert_eq!(
        (one.state, one.note.as_deref(), one.pid),
        (TaskState::Failed, Some("look at this"), Some(99))
    );
    let counts = db.store.task_state_counts(RunKey(2), &task_id("m")).await.unwrap();
    assert_eq!(counts, [(TaskState::Failed, 1), (TaskState::Success, 1)]);
}
