//! Deferrals: left once, taken by one live worker at a time, resumed once, and handed to the worker that goes on.

use domain::{
    approval::{Ending, Question, Reply, Terms},
    deferral::{Deferral, Fired, LeftTo, Resumption, Word},
    engine::{
        decision::Decisions,
        record::{ClosingRecord, DeferralRecord, QuestionRecord, ResumptionRecord, TiRecord},
    },
    id::QueueName,
    intent::Message,
    state::TaskState,
    wait::{Awaited, Wait},
};
use serde_json::{Map, Value, json};
use store::{Error, LeaderProof, deferral::HeldTrigger};
use uuid::Uuid;

use crate::{
    database::Database,
    fixture::{at, changed, queued_run, try_of, worker},
};

fn map(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

fn left(ti: &TiRecord, number: u32) -> DeferralRecord {
    let deferral = Deferral {
        to: LeftTo::Trigger {
            classpath: "m.Trigger".to_owned(),
            kwargs: map(&json!({"zeta": 1, "a": [true]})),
        },
        timeout: None,
        next_method: "execute_complete".to_owned(),
        next_kwargs: map(&json!({"job": "j\u{0}1"})),
    };
    DeferralRecord { attempt: try_of(ti), number, deferral, at: at(5), deadline: Some(at(65)) }
}

fn wait(number: u32) -> Option<Box<Wait>> {
    let until = Awaited::Trigger { classpath: "m.Trigger".to_owned() };
    Some(Box::new(Wait { until, since: at(3), deadline: Some(at(65)), pokes: number }))
}

/// A run in which `a` and `b` wait for triggers.
async fn deferring() -> (Database, LeaderProof, Vec<TiRecord>) {
    let db = Database::new().await;
    let proof = db.lead().await;
    let (_, tis) = queued_run(&db, &proof).await;
    let asleep = |ti: &TiRecord| changed(ti, |ti| (ti.state, ti.wait) = (TaskState::Deferred, wait(1)));
    let tis_changed: Vec<_> = tis.iter().map(asleep).collect();
    let now: Vec<TiRecord> = tis_changed.iter().map(|change| change.new.clone()).collect();
    let deferrals = tis.iter().map(|ti| left(ti, 1)).collect();
    commit(&db, &proof, Decisions { tis_changed, deferrals, ..Decisions::default() }).await.unwrap();
    (db, proof, now)
}

async fn commit(db: &Database, proof: &LeaderProof, decisions: Decisions) -> Result<(), Error> {
    db.store.commit(proof, &decisions, &[]).await
}

async fn take(db: &Database, worker: Uuid, most: usize) -> Vec<HeldTrigger> {
    db.store.take_triggers(worker, &[QueueName::default_queue()], most).await.unwrap()
}

fn fired(trigger: &HeldTrigger, worker: Uuid) -> Fired {
    let word = Word::Event(json!("now"));
    Fired { attempt: trigger.attempt, number: trigger.number, worker, at: at(9), word }
}

fn resumed(ti: &TiRecord, resumption: Resumption) -> Decisions {
    let resumptions = vec![ResumptionRecord { ti: ti.key, resumption }];
    let tis_changed = vec![changed(ti, |ti| ti.state = TaskState::Queued)];
    Decisions { tis_changed, resumptions, ..Decisions::default() }
}

#[tokio::test]
async fn a_trigger_is_held_by_one_live_worker_that_listens_to_its_queue() {
    let (db, _, tis) = deferring().await;
    let (one, other) = (worker(&db).await, worker(&db).await);
    let gpu = [QueueName::new("gpu").unwrap()];
    assert!(db.store.take_triggers(one, &gpu, 9).await.unwrap().is_empty());
    let first = take(&db, one, 1).await;
    assert_eq!(first.len(), 1, "no more than there is room for");
    let of_a = &first[0];
    assert_eq!((of_a.attempt, of_a.number, of_a.task_id.as_str()), (try_of(&tis[0]), 1, "a"));
    assert_eq!((of_a.classpath.as_str(), of_a.deadline, of_a.priority), ("m.Trigger", Some(at(65)), 7));
    assert_eq!(of_a.kwargs.keys().collect::<Vec<_>>(), ["zeta", "a"]);
    let second = take(&db, other, 9).await;
    assert_eq!(second.iter().map(|held| held.attempt).collect::<Vec<_>>(), [try_of(&tis[1])]);
    assert!(take(&db, one, 9).await.is_empty());
    assert_eq!(db.store.triggers_of(one).await.unwrap(), [of_a.id]);

    // What one gives back is there for others; what it does not hold it cannot give back.
    db.store.give_back_triggers(one, &[of_a.id, second[0].id]).await.unwrap();
    assert_eq!(take(&db, one, 9).await, first);
    db.execute(&format!("UPDATE job SET renewed_at = now() - interval '1 minute' WHERE id = '{one}'")).await;
    assert!(take(&db, one, 9).await.is_empty(), "its lease is over");
    assert_eq!(take(&db, other, 9).await, first);
}

#[tokio::test]
async fn only_who_holds_a_trigger_says_what_became_of_it() {
    let (db, _, _) = deferring().await;
    let (one, other) = (worker(&db).await, worker(&db).await);
    let held = take(&db, one, 1).await.remove(0);
    assert_eq!(db.store.post_fired(&[fired(&held, other)]).await.unwrap(), 0);
    let earlier = HeldTrigger { number: 0, ..held.clone() };
    assert_eq!(db.store.post_fired(&[fired(&earlier, one)]).await.unwrap(), 0);
    assert_eq!(db.store.post_fired(&[fired(&held, one)]).await.unwrap(), 1);
    let read = db.store.read(9).await.unwrap();
    assert_eq!(read.len(), 1);
    assert_eq!(read[0].1, Message::Fired(fired(&held, one)));
    assert!(matches!(db.store.post_fired(&vec![fired(&held, one); 1_001]).await, Err(Error::Invalid(_))));
}

#[tokio::test]
async fn whoever_goes_on_finds_the_event_and_a_deferral_is_resumed_once() {
    let (db, proof, tis) = deferring().await;
    let who = worker(&db).await;
    assert_eq!(take(&db, who, 9).await.len(), 2);
    commit(&db, &proof, resumed(&tis[0], Resumption::Event(json!({"x": null})))).await.unwrap();
    let lines = vec!["Traceback".to_owned()];
    commit(&db, &proof, resumed(&tis[1], Resumption::Failed(Some(lines)))).await.unwrap();
    assert!(db.store.triggers_of(who).await.unwrap().is_empty() && take(&db, who, 9).await.is_empty());
    let again = ResumptionRecord { ti: tis[0].key, resumption: Resumption::TimedOut };
    let again = Decisions { resumptions: vec![again], ..Decisions::default() };
    assert!(matches!(commit(&db, &proof, again).await, Err(Error::Conflict(_))));

    let claimed = db.store.claim(who, &[try_of(&tis[0]), try_of(&tis[1])]).await.unwrap();
    let of = |index| claimed.iter().find(|one| one.attempt.ti.index == index).unwrap();
    assert_eq!((of(0).pokes, of(0).since), (1, Some(at(3))));
    let next = of(0).resumption.clone().unwrap();
    assert_eq!(next.method, "execute_complete");
    assert_eq!(Value::Object(next.kwargs), json!({"job": "j\u{fffd}1", "event": {"x": null}}));
    let next = of(1).resumption.clone().unwrap();
    assert_eq!(next.method, "__fail__");
    assert_eq!(Value::Object(next.kwargs), json!({"error": "Trigger failure", "traceback": ["Traceback"]}));
}

#[tokio::test]
async fn a_task_that_defers_again_has_another_trigger_and_what_is_over_is_gone() {
    let (db, proof, tis) = deferring().await;
    let who = worker(&db).await;
    let first = take(&db, who, 1).await.remove(0);
    commit(&db, &proof, resumed(&tis[0], Resumption::Event(Value::Null))).await.unwrap();
    let again = Decisions { deferrals: vec![left(&tis[0], 2)], ..Decisions::default() };
    commit(&db, &proof, again).await.unwrap();
    let mut second = take(&db, who, 9).await;
    second.retain(|held| held.attempt == first.attempt);
    assert!(second[0].id != first.id && second[0].number == 2);

    // All at once, as in a turn that takes in much: left, gone on with, and over.
    let deferrals = vec![left(&tis[1], 5)];
    let resumptions = vec![ResumptionRecord { ti: tis[1].key, resumption: Resumption::TimedOut }];
    let deferrals_closed = vec![tis[0].key, tis[1].key];
    let all = Decisions { deferrals, resumptions, deferrals_closed, ..Decisions::default() };
    commit(&db, &proof, all).await.unwrap();
    assert_eq!(db.text("SELECT count(*)::text FROM deferral").await.as_deref(), Some("0"));
    let once_more = Decisions { deferrals_closed: vec![tis[0].key], ..Decisions::default() };
    assert!(matches!(commit(&db, &proof, once_more).await, Err(Error::Conflict(_))));
}

#[tokio::test]
async fn a_run_takes_its_deferrals_with_it() {
    let (db, _, _) = deferring().await;
    db.execute("DELETE FROM dag_run").await;
    assert_eq!(db.text("SELECT count(*)::text FROM deferral").await.as_deref(), Some("0"));
}

#[tokio::test]
async fn what_is_left_to_people_no_worker_takes() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let (_, tis) = queued_run(&db, &proof).await;
    let terms = Box::new(Terms {
        options: vec!["OK".to_owned()],
        defaults: Vec::new(),
        multiple: false,
        params: [].into(),
        assigned_users: Vec::new(),
    });
    let question = Question { subject: "Well?".to_owned(), body: None };
    let until = Awaited::Input(terms.clone());
    let wait = Wait { until, since: at(3), deadline: None, pokes: 1 };
    let change =
        changed(&tis[0], |ti| (ti.state, ti.wait) = (TaskState::AwaitingInput, Some(Box::new(wait))));
    let (asleep, mut deferral) = (change.new.clone(), left(&tis[0], 1));
    deferral.deferral.to = LeftTo::People { question: question.clone(), terms: terms.clone() };
    let asked = |number| QuestionRecord {
        attempt: try_of(&tis[0]),
        number,
        question: question.clone(),
        terms: terms.clone(),
        asked_at: at(5),
        deadline: None,
    };
    let decisions = Decisions {
        tis_changed: vec![change],
        deferrals: vec![deferral],
        questions_asked: vec![asked(1)],
        ..Decisions::default()
    };
    commit(&db, &proof, decisions).await.unwrap();
    let id = worker(&db).await;
    assert!(take(&db, id, 10).await.is_empty(), "it is no trigger");
    let again = Decisions { questions_asked: vec![asked(2)], ..Decisions::default() };
    assert!(commit(&db, &proof, again.clone()).await.is_err(), "the first one is open");

    let reply = Reply { chosen_options: vec!["OK".to_owned()], ..Reply::default() };
    let event = reply.event(Some("ada"), at(9));
    let ending = Ending::Answered { by: Some("ada".to_owned()), reply };
    let resumption = Resumption::Event(event.clone());
    let decisions = Decisions {
        questions_closed: vec![ClosingRecord { attempt: try_of(&tis[0]), at: at(9), ending }],
        ..resumed(&asleep, resumption)
    };
    commit(&db, &proof, decisions).await.unwrap();
    let claimed = db.store.claim(id, &[try_of(&tis[0])]).await.unwrap().remove(0);
    let resumed = claimed.resumption.unwrap();
    assert_eq!((resumed.method.as_str(), &resumed.kwargs["event"]), ("execute_complete", &event));

    // Another question of the same try takes the place of the first one.
    commit(&db, &proof, again).await.unwrap();
    let key = tis[0].key;
    let found = db.store.question(key.run.0, 0, 1).await.unwrap().unwrap();
    assert_eq!((found.number, found.is_open(), found.reply()), (2, true, None));
}
