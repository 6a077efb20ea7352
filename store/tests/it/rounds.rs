//! Rounds of loops: counted with the instance, told to the worker that claims, and kept with each try.

use domain::{
    engine::{decision::Decisions, record::TryRecord},
    state::TaskState,
};

use crate::{
    database::Database,
    fixture::{at, changed, run, save_dag, ti, try_of, worker},
};

#[tokio::test]
async fn the_next_round_is_known_to_who_claims_it_and_to_an_engine_that_starts_anew() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let flights = save_dag(&db, &proof, "flights").await;
    let first = ti(1, 0, "a", TaskState::Queued);
    let created = Decisions {
        runs_created: vec![run(1, &flights, 0)],
        tis_created: vec![first.clone()],
        ..Decisions::default()
    };
    db.store.commit(&proof, &created, &[]).await.unwrap();
    let who = worker(&db).await;
    assert_eq!(db.store.claim(who, &[try_of(&first)]).await.unwrap()[0].rounds, 0);

    let ended = TryRecord {
        attempt: try_of(&first),
        state: TaskState::UpForReschedule,
        round: Some(1),
        queued_at: first.queued_at,
        started_at: Some(at(5)),
        ended_at: at(6),
        worker: Some(who),
        exit_code: Some(0),
        reason: None,
    };
    let next = changed(&first, |ti| {
        (ti.state, ti.try_number, ti.max_tries, ti.rounds) = (TaskState::Queued, 2, 3, 1);
    });
    let second = next.new.clone();
    let turn = Decisions { tis_changed: vec![next], tries: vec![ended.clone()], ..Decisions::default() };
    db.store.commit(&proof, &turn, &[]).await.unwrap();
    assert_eq!(db.store.load(&proof).await.unwrap().runs[0].tis[0].rounds, 1);
    assert_eq!(db.store.tries(first.key).await.unwrap(), [ended]);
    assert!(db.store.claim(who, &[try_of(&first)]).await.unwrap().is_empty(), "that round is over");
    assert_eq!(db.store.claim(who, &[try_of(&second)]).await.unwrap()[0].rounds, 1);
}
