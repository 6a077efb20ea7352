//! What the engine starts from.

use std::sync::Arc;

use domain::{
    engine::{decision::Decisions, record::XComRecord},
    id::RunKey,
    state::{RunState, TaskState},
};
use serde_json::json;

use crate::{
    database::Database,
    fixture::{at, dag, dag_id, file, run, run_id, save_dag, task, task_id, ti},
};

#[tokio::test]
async fn an_empty_database_is_a_good_start() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let snapshot = db.store.load(&proof).await.unwrap();
    assert_eq!((snapshot.dags.len(), snapshot.runs.len(), snapshot.workers.len()), (0, 0, 0));
    assert_eq!(snapshot.next_run, RunKey(1));
    assert_eq!(snapshot.pools.len(), 1);
    assert_eq!((snapshot.pools[0].name.as_str(), snapshot.pools[0].slots), ("default_pool", Some(128)));
}

#[tokio::test]
async fn what_was_committed_is_what_is_loaded() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let dag = save_dag(&db, &proof, "flights").await;
    let mut queued = run(2, &dag, 10);
    (queued.state, queued.started_at, queued.logical_date, queued.data_interval) =
        (RunState::Queued, None, None, None);
    queued.triggered_by = Some("ann".to_owned());
    let mut ended = run(3, &dag, 20);
    (ended.state, ended.ended_at) = (RunState::Success, Some(at(25)));
    let mut odd = ti(1, 1, "b", TaskState::UpForRetry);
    (odd.lost, odd.next_try_at, odd.ended_at) = (2, Some(at(9)), Some(at(8)));
    let runs = vec![run(1, &dag, 0), queued, ended];
    let tis = vec![ti(1, 0, "a", TaskState::Queued), odd, ti(2, 0, "a", TaskState::None)];
    let decisions =
        Decisions { runs_created: runs.clone(), tis_created: tis.clone(), ..Decisions::default() };
    db.store.commit(&proof, &decisions, &[]).await.unwrap();

    let snapshot = db.store.load(&proof).await.unwrap();
    assert_eq!(snapshot.runs.iter().map(|run| run.run.clone()).collect::<Vec<_>>(), runs[..2]);
    assert_eq!(snapshot.runs[0].tis, tis[..2]);
    assert_eq!(snapshot.runs[1].tis, tis[2..]);
    assert!(Arc::ptr_eq(&snapshot.runs[0].dag, &snapshot.runs[1].dag));
    assert!(Arc::ptr_eq(&snapshot.runs[0].dag, &snapshot.dags[0].dag));
    assert_eq!(snapshot.next_run, RunKey(4));
    let one = db.store.run(&dag_id("flights"), &runs[2].run_id).await.unwrap().unwrap();
    assert_eq!(one.run, runs[2]);
    assert!(db.store.run(&dag_id("flights"), &run_id("unknown")).await.unwrap().is_none());
}

#[tokio::test]
async fn lengths_are_loaded_for_everything_that_is_mapped() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let mut mapped = task("each");
    mapped["expand"] = json!({"x": {"x_com": {"task_id": "list", "key": "return_value"}}});
    mapped["upstream"] = json!(["list"]);
    let mut done = task("done");
    done["expand"] = json!({"y": {"x_com": {"task_id": "other", "key": "k"}}});
    let dag = dag("flights", vec![task("list"), task("other"), mapped, done]);
    let record = db.store.save(&proof, &[file("f.yaml", vec![dag])]).await.unwrap().changed.remove(0);
    let mut expanded = ti(1, 2, "done", TaskState::None);
    expanded.map_index = 0;
    let tis = vec![ti(1, 0, "list", TaskState::Success), ti(1, 1, "each", TaskState::None), expanded];
    let xcom = |task: &str, map_index: i32, key: &str, value| XComRecord {
        ti: tis[0].key,
        task_id: task_id(task),
        map_index,
        key: key.to_owned(),
        value,
    };
    let decisions = Decisions {
        runs_created: vec![run(1, &record, 0)],
        tis_created: tis.clone(),
        xcoms: vec![
            xcom("list", -1, "return_value", json!([1, [2, 3], null])),
            xcom("list", 0, "return_value", json!({"a": 1, "b": 2})),
            xcom("list", 1, "return_value", json!("text")),
            xcom("list", -1, "another", json!([1])),
            xcom("other", -1, "k", json!([1])),
        ],
        ..Decisions::default()
    };
    db.store.commit(&proof, &decisions, &[]).await.unwrap();
    let lengths = &db.store.load(&proof).await.unwrap().runs[0].lengths;
    let found: Vec<_> = lengths.iter().map(|one| (one.task_id.as_str(), one.map_index, one.length)).collect();
    let wanted = [("list", -1, Some(3)), ("list", 0, Some(2)), ("list", 1, None), ("other", -1, Some(1))];
    assert_eq!(found, wanted);
}

#[tokio::test]
async fn a_version_that_cannot_be_read_holds_up_nobody_else() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let (good, bad) = (save_dag(&db, &proof, "good").await, save_dag(&db, &proof, "bad").await);
    let runs = vec![run(1, &good, 0), run(2, &bad, 0)];
    db.store.commit(&proof, &Decisions { runs_created: runs, ..Decisions::default() }, &[]).await.unwrap();
    db.execute(&format!("UPDATE dag_version SET body = '{{}}' WHERE id = {}", bad.version.0)).await;
    let snapshot = db.store.load(&proof).await.unwrap();
    assert_eq!((snapshot.dags.len(), snapshot.runs.len(), snapshot.next_run), (1, 1, RunKey(3)));
    assert!(db.store.run(&dag_id("bad"), &run_id("scheduled__2")).await.is_err());
    assert!(db.store.version(bad.version).await.is_err());
}
