//! What an instance waits for: kept with its record, told to the worker that looks, and found among the runs.

use domain::{
    engine::{
        decision::Decisions,
        record::{RunQuestion, TiRecord},
    },
    state::TaskState,
    wait::{Awaited, OtherRun, Wait, Which},
};
use store::LeaderProof;

use crate::{
    database::Database,
    fixture::{at, changed, dag_id, run, run_id, save_dag, task_id, ti, try_of, worker},
};

async fn commit(db: &Database, proof: &LeaderProof, decisions: Decisions) {
    db.store.commit(proof, &decisions, &[]).await.unwrap();
}

#[tokio::test]
async fn a_wait_is_there_again_and_the_next_look_knows_its_number() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let flights = save_dag(&db, &proof, "flights").await;
    let wait = Wait { until: Awaited::Poke, since: at(3), deadline: Some(at(60)), pokes: 3 };
    let queued = TiRecord { wait: Some(Box::new(wait.clone())), ..ti(1, 0, "a", TaskState::Queued) };
    let mut deep = run(1, &flights, 0);
    deep.depth = 2;
    let created =
        Decisions { runs_created: vec![deep], tis_created: vec![queued.clone()], ..Decisions::default() };
    commit(&db, &proof, created).await;
    let found = db.store.load(&proof).await.unwrap().runs.remove(0);
    assert_eq!((found.run.depth, found.tis[0].wait.as_deref()), (2, Some(&wait)));

    let who = worker(&db).await;
    let claimed = db.store.claim(who, &[try_of(&queued)]).await.unwrap();
    assert_eq!(claimed[0].pokes, 3);

    let other = OtherRun {
        dag_id: dag_id("flights"),
        which: Which::Date(at(0)),
        task_id: Some(task_id("b")),
        states: vec![TaskState::Success],
        failed_states: vec![TaskState::Failed],
    };
    let asleep = changed(&queued, |ti| {
        ti.state = TaskState::Deferred;
        ti.wait = Some(Box::new(Wait { until: Awaited::Run(other), ..wait }));
    });
    let wanted = asleep.new.wait.clone();
    commit(&db, &proof, Decisions { tis_changed: vec![asleep], ..Decisions::default() }).await;
    assert_eq!(db.store.load(&proof).await.unwrap().runs[0].tis[0].wait, wanted);
}

#[tokio::test]
async fn how_a_run_stands_is_found_by_its_name_and_by_its_date() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let flights = save_dag(&db, &proof, "flights").await;
    let record = run(1, &flights, 0);
    let tis_created = vec![ti(1, 0, "a", TaskState::Success)];
    let created = Decisions { runs_created: vec![record.clone()], tis_created, ..Decisions::default() };
    commit(&db, &proof, created).await;
    let asker = try_of(&ti(9, 0, "a", TaskState::Queued));
    let ask = |which, task: Option<&str>| RunQuestion {
        asker,
        dag_id: dag_id("flights"),
        which,
        task_id: task.map(task_id),
    };
    let by_name = ask(Which::Id(record.run_id.clone()), Some("a"));
    let found = db.store.run_standing(&by_name).await.unwrap().unwrap();
    assert_eq!((found.state, found.tasks), (record.state, Some(vec![TaskState::Success])));
    let by_date = ask(Which::Date(at(0)), Some("nope"));
    let found = db.store.run_standing(&by_date).await.unwrap().unwrap();
    assert_eq!((found.state, found.tasks), (record.state, None));
    let nobody = ask(Which::Id(run_id("nope")), None);
    assert_eq!(db.store.run_standing(&nobody).await.unwrap(), None);
}

#[tokio::test]
async fn one_dag_is_found_by_its_name() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let flights = save_dag(&db, &proof, "flights").await;
    let found = db.store.dag_record(&dag_id("flights")).await.unwrap().unwrap();
    assert_eq!((found.version, found.dag), (flights.version, flights.dag));
    assert!(db.store.dag_record(&dag_id("nope")).await.unwrap().is_none());
}
