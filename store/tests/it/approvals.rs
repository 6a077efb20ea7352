//! Questions to people: written with the instance that asks, closed once, and found by whoever looks for them.

use domain::{
    approval::{Ending, Question, Reply, Terms},
    dag::Param,
    engine::{
        decision::Decisions,
        record::{ClosingRecord, QuestionRecord, TiRecord},
    },
    id::TryKey,
    state::TaskState,
    wait::{Awaited, Wait},
};
use serde_json::json;
use store::{
    Error, LeaderProof,
    view::{
        api_list::{Ask, Test},
        approvals::Which,
    },
};

use crate::{
    database::Database,
    fixture::{at, changed, queued_run, try_of},
};

fn terms(users: &[&str]) -> Terms {
    let param = |schema| Param { default: Some(1.into()), description: Some("How many".to_owned()), schema };
    Terms {
        options: ["Approve", "Reject"].map(str::to_owned).to_vec(),
        defaults: vec!["Reject".to_owned()],
        multiple: false,
        // In this order, which a form keeps.
        params: ["zeta", "a"].map(|name| (name.to_owned(), param(json!({"type": "integer"})))).into(),
        assigned_users: users.iter().map(|&user| user.to_owned()).collect(),
    }
}

fn asked(attempt: TryKey, users: &[&str], subject: &str) -> QuestionRecord {
    QuestionRecord {
        attempt,
        number: 0,
        question: Question { subject: subject.to_owned(), body: Some("All of it\0".to_owned()) },
        terms: Box::new(terms(users)),
        asked_at: at(5),
        deadline: Some(at(65)),
    }
}

fn answered(attempt: TryKey, by: Option<&str>) -> ClosingRecord {
    let reply = Reply {
        chosen_options: vec!["Approve".to_owned()],
        params_input: json!({"zeta": 2, "a": 1}).as_object().cloned().unwrap(),
        remark: Some("fine\0".to_owned()),
    };
    ClosingRecord { attempt, at: at(9), ending: Ending::Answered { by: by.map(str::to_owned), reply } }
}

/// A run in which `a` asks everybody and `b` asks Bob.
async fn asking() -> (Database, LeaderProof, Vec<TiRecord>) {
    let db = Database::new().await;
    let proof = db.lead().await;
    let (_, tis) = queued_run(&db, &proof).await;
    let wait = |users: &[&str]| Wait {
        until: Awaited::Answer(Box::new(terms(users))),
        since: at(5),
        deadline: Some(at(65)),
        pokes: 0,
    };
    let asleep = |ti: &TiRecord, users: &[&str]| {
        changed(ti, |ti| {
            ti.state = TaskState::AwaitingInput;
            ti.wait = Some(Box::new(wait(users)));
        })
    };
    let tis_changed = vec![asleep(&tis[0], &[]), asleep(&tis[1], &["bob"])];
    let now: Vec<TiRecord> = tis_changed.iter().map(|change| change.new.clone()).collect();
    let questions_asked =
        vec![asked(try_of(&tis[0]), &[], "Load 50% of it?"), asked(try_of(&tis[1]), &["bob"], "Well?")];
    commit(&db, &proof, Decisions { tis_changed, questions_asked, ..Decisions::default() }).await.unwrap();
    (db, proof, now)
}

async fn commit(db: &Database, proof: &LeaderProof, decisions: Decisions) -> Result<(), Error> {
    db.store.commit(proof, &decisions, &[]).await
}

async fn found(db: &Database, which: Which, column: &'static str, test: Test) -> Vec<String> {
    let ask = Ask { limit: 10, order_by: vec!["subject".to_owned()], ..Ask::default() }.with(column, test);
    let (rows, total) = db.store.approvals(which, &ask).await.unwrap();
    assert_eq!(total, i64::try_from(rows.len()).unwrap());
    rows.into_iter().map(|row| row.question.question().subject).collect()
}

#[tokio::test]
async fn what_was_asked_is_there_again_with_its_terms() {
    let (db, proof, tis) = asking().await;
    let (rows, _) = db.store.approvals(Which::Open, &Ask { limit: 10, ..Ask::default() }).await.unwrap();
    let first = rows.iter().find(|row| row.ti.task_id == "a").unwrap();
    assert_eq!((first.ti.state.as_str(), first.question.asked_by_try), ("awaiting_input", 1));
    assert_eq!((first.question.terms(), first.question.deadline), (&terms(&[]), Some(at(65))));
    let names: Vec<&String> = first.question.terms().params.keys().collect();
    assert_eq!(names, ["zeta", "a"], "the order of the form");
    assert_eq!(first.question.question().body.as_deref(), Some("All of it\u{fffd}"));
    assert!(first.question.is_open() && first.question.reply().is_none());
    let waits = db.store.load(&proof).await.unwrap().runs.remove(0).tis;
    assert_eq!(waits.iter().map(|ti| &ti.wait).collect::<Vec<_>>(), [&tis[0].wait, &tis[1].wait]);
}

#[tokio::test]
async fn a_question_is_closed_once_or_nothing_is_written() {
    let (db, proof, tis) = asking().await;
    let attempt = try_of(&tis[0]);
    let close = |closing| Decisions { questions_closed: vec![closing], ..Decisions::default() };
    commit(&db, &proof, close(answered(attempt, Some("ada")))).await.unwrap();
    let row = db.store.question(1, 0, 1).await.unwrap().unwrap();
    assert_eq!((row.responded_by.as_deref(), row.responded_at()), (Some("ada"), Some(at(9))));
    let reply = row.reply().unwrap();
    assert_eq!(
        (reply.chosen_options.as_slice(), reply.remark.as_deref()),
        (&["Approve".to_owned()][..], Some("fine\u{fffd}"))
    );
    for again in [
        answered(attempt, Some("bob")),
        ClosingRecord { attempt, at: at(10), ending: Ending::Withdrawn },
        answered(TryKey { try_number: 2, ..attempt }, Some("bob")),
    ] {
        let refused = commit(&db, &proof, close(again)).await;
        assert!(matches!(refused, Err(Error::Conflict(_))), "{refused:?}");
    }
    let row = db.store.question(1, 0, 1).await.unwrap().unwrap();
    assert_eq!(row.responded_by.as_deref(), Some("ada"));
}

#[tokio::test]
async fn one_turn_may_ask_and_close_and_a_withdrawn_question_has_no_answer() {
    let (db, proof, tis) = asking().await;
    let attempt = TryKey { try_number: 2, ..try_of(&tis[0]) };
    let decisions = Decisions {
        questions_asked: vec![asked(attempt, &[], "Again?")],
        questions_closed: vec![ClosingRecord { attempt, at: at(6), ending: Ending::Withdrawn }],
        ..Decisions::default()
    };
    commit(&db, &proof, decisions).await.unwrap();
    let row = db.store.question(1, 0, 2).await.unwrap().unwrap();
    assert_eq!((row.closed_at, row.responded_at(), row.reply()), (Some(at(6)), None, None));
    assert!(db.store.question(1, 0, 3).await.unwrap().is_none());
}

#[tokio::test]
async fn they_are_found_by_what_they_are() {
    let (db, proof, tis) = asking().await;
    let closing = answered(try_of(&tis[1]), None);
    commit(&db, &proof, Decisions { questions_closed: vec![closing], ..Decisions::default() }).await.unwrap();
    let open = found(&db, Which::Open, "dag_id", Test::is("flights")).await;
    assert_eq!(open, ["Load 50% of it?"]);
    assert_eq!(found(&db, Which::All, "dag_id", Test::is("flights")).await.len(), 2);
    assert_eq!(found(&db, Which::All, "response_received", Test::Is(true)).await, ["Well?"]);
    assert_eq!(found(&db, Which::All, "subject", Test::Like("LOAD".to_owned())).await, ["Load 50% of it?"]);
    assert_eq!(found(&db, Which::All, "task_id", Test::is("b")).await, ["Well?"]);
    assert!(found(&db, Which::All, "responded_by_user_id", Test::is("ada")).await.is_empty());
    assert!(found(&db, Which::All, "dag_id", Test::is("weather")).await.is_empty());
}

#[tokio::test]
async fn those_whom_one_may_answer_are_counted() {
    let (db, proof, tis) = asking().await;
    let count = async |user: &str| db.store.shell_facts(user).await.unwrap().open_questions;
    assert_eq!((count("bob").await, count("ada").await), (2, 1));
    let closing = answered(try_of(&tis[0]), Some("ada"));
    commit(&db, &proof, Decisions { questions_closed: vec![closing], ..Decisions::default() }).await.unwrap();
    assert_eq!((count("bob").await, count("ada").await), (1, 0));
}

#[tokio::test]
async fn they_go_with_their_run() {
    let (db, ..) = asking().await;
    db.execute("DELETE FROM dag_run").await;
    assert_eq!(db.text("SELECT count(*) FROM approval").await.unwrap(), "0");
}
