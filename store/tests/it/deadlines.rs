//! What deadlines count from, as far as only the records know it.

use chrono::TimeDelta;
use domain::{
    deadline::{Basis, Found, Needs},
    engine::{
        decision::{Decisions, Expected},
        record::{DeadlineQuestion, RunRecord},
    },
    id::RunKey,
    state::RunState,
};

use crate::{
    database::Database,
    fixture::{at, run, save_dag},
};

fn question(durations: Option<u32>, variable: Option<&str>) -> DeadlineQuestion {
    let needs = Needs { durations, variable: variable.map(str::to_owned) };
    DeadlineQuestion { run: RunKey(9), dag_id: "flights".parse().unwrap(), place: 0, needs }
}

#[tokio::test]
async fn the_last_runs_that_succeeded_say_how_long_one_takes() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let (dag, other) = (save_dag(&db, &proof, "flights").await, save_dag(&db, &proof, "other").await);
    let ended = |key: i64, dag, state, millis: i64| {
        let run = run(key, dag, key);
        let started_at = Some(at(key));
        RunRecord {
            state,
            started_at,
            ended_at: started_at.map(|at| at + TimeDelta::milliseconds(millis)),
            ..run
        }
    };
    let runs = vec![
        ended(1, &dag, RunState::Success, 1_500),
        ended(2, &dag, RunState::Failed, 9_000),
        RunRecord { logical_date: None, data_interval: None, ..ended(3, &dag, RunState::Success, 250) },
        ended(4, &other, RunState::Success, 7_000),
        ended(5, &dag, RunState::Success, 4_000),
        // Marked as a success before it started.
        RunRecord { started_at: None, ..ended(6, &dag, RunState::Success, 8_000) },
        run(7, &dag, 7),
    ];
    db.store.commit(&proof, &Decisions { runs_created: runs, ..Decisions::default() }, &[]).await.unwrap();
    let durations = async |limit| {
        let found = db.store.found_for_deadline(&question(Some(limit), None)).await.unwrap();
        found.durations.iter().map(TimeDelta::num_milliseconds).collect::<Vec<_>>()
    };
    assert_eq!(durations(10).await, [4_000, 250, 1_500], "the newest first");
    assert_eq!(durations(2).await, [4_000, 250]);
}

#[tokio::test]
async fn a_variable_says_the_interval_or_is_not_there() {
    let db = Database::new().await;
    db.store.set_variable("late_after", "600", None).await.unwrap();
    let found = db.store.found_for_deadline(&question(None, Some("late_after"))).await.unwrap();
    assert_eq!(found, Found { durations: Vec::new(), variable: Some("600".to_owned()) });
    assert_eq!(db.store.found_for_deadline(&question(None, Some("gone"))).await.unwrap(), Found::default());
    // One that cannot be read, because its key is another one, keeps nobody from going on.
    db.execute("UPDATE variable SET value = 'broken'").await;
    let found = db.store.found_for_deadline(&question(None, Some("late_after"))).await.unwrap();
    assert_eq!(found, Found::default());
}

#[tokio::test]
async fn what_was_found_out_is_there_again() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let dag = save_dag(&db, &proof, "flights").await;
    let created = Decisions { runs_created: vec![run(1, &dag, 0)], ..Decisions::default() };
    db.store.commit(&proof, &created, &[]).await.unwrap();
    let load = async || db.store.load(&proof).await.unwrap().runs[0].run.clone();
    assert!(load().await.bases.is_empty());

    let mut known = run(1, &dag, 0);
    known.bases = vec![
        Basis { place: 0, usual_end: Some(at(9)), seconds: Some(-5), ..Basis::default() },
        Basis { place: 3, why_none: Some("too few".to_owned()), is_met: true, ..Basis::default() },
    ];
    let change = Expected { new: known.clone(), old: RunState::Running };
    let turn = Decisions { runs_changed: vec![change], ..Decisions::default() };
    db.store.commit(&proof, &turn, &[]).await.unwrap();
    assert_eq!(load().await.bases, known.bases);
    let shown = db.store.run_line(&known.dag_id, &known.run_id).await.unwrap().unwrap();
    assert_eq!(shown.bases, known.bases);
}
