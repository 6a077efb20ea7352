//! Old history goes, everything else stays.

use domain::{engine::decision::Decisions, state::RunState};

use crate::{
    database::Database,
    fixture::{at, dag, file, run, save_dag, task, worker},
};

#[tokio::test]
async fn history_before_a_moment_is_deleted_but_the_newest_run() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let flights = save_dag(&db, &proof, "flights").await;
    let lonely = save_dag(&db, &proof, "lonely").await;
    let ended = |key, dag, minutes| {
        let mut run = run(key, dag, minutes);
        (run.state, run.ended_at) = (RunState::Success, Some(at(minutes + 5)));
        run
    };
    let runs =
        vec![ended(1, &flights, 0), ended(2, &flights, 100), ended(3, &lonely, 0), run(4, &flights, 200)];
    db.store.commit(&proof, &Decisions { runs_created: runs, ..Decisions::default() }, &[]).await.unwrap();
    db.store.save(&proof, &[file("lonely.yaml", vec![dag("lonely", vec![task("new")])])]).await.unwrap();
    db.execute("UPDATE dag_version SET created_at = '2020-01-01'").await;
    worker(&db).await;
    db.execute("UPDATE job SET state = 'stopped', renewed_at = '2020-01-01'").await;
    db.execute(
        "INSERT INTO event_log (at, event, owner) VALUES ('2020-01-01', 'old', 'x'), (now(), 'new', 'x')",
    )
    .await;

    let counted = db.store.count_old(at(50)).await.unwrap();
    assert_eq!((counted.runs, counted.events, counted.jobs), (1, 1, 1));
    let cleaned = db.store.clean(at(50)).await.unwrap();
    assert_eq!((cleaned.runs, cleaned.events, cleaned.jobs, cleaned.versions), (1, 1, 1, 0));
    assert_eq!(db.texts("SELECT key FROM dag_run ORDER BY key").await, ["2", "3", "4"]);
    assert_eq!(db.texts("SELECT event FROM event_log").await, ["new"]);
    db.execute("DELETE FROM dag_run WHERE key = 3").await;
    assert_eq!(db.store.clean(at(50)).await.unwrap().versions, 1);
}

#[tokio::test]
async fn a_reset_leaves_empty_tables() {
    let db = Database::new().await;
    let proof = db.lead().await;
    save_dag(&db, &proof, "flights").await;
    db.store.reset().await.unwrap();
    assert_eq!(db.text("SELECT count(*) FROM dag").await.unwrap(), "0");
    let empty = Database::empty().await;
    empty.store.reset().await.unwrap();
    empty.store.check_schema().await.unwrap();
}
