//! Alerts: written with the end they tell of, claimed by one at a time, and kept as the record of what was sent.

use std::time::Duration;

use domain::{
    alert::{AlertEvent, AlertRecord, Facts, Notification, Withdrawn},
    deadline::Missed,
    engine::{
        decision::{Decisions, Expected},
        record::{DagRecord, RunRecord, TiRecord},
    },
    id::RunKey,
    state::{RunState, TaskState},
};
use store::{
    Error,
    alert::{ClaimedAlert, Message, Settled},
    view::{
        Page,
        alerts::{AlertState, Filter},
    },
};

use crate::{
    database::Database,
    fixture::{at, queued_run, run, save_dag, ti},
};

const MINUTE: Duration = Duration::from_secs(60);

fn slack(conn_id: &str) -> Notification {
    Notification::Slack { url: None, conn_id: Some(conn_id.to_owned()), text: None }
}

fn of_try(run: &RunRecord, ti: &TiRecord, conn_id: &str, place: u32) -> AlertRecord {
    AlertRecord {
        run: run.key,
        index: Some(ti.key.index),
        number: ti.try_number,
        place,
        notification: slack(conn_id),
        facts: Facts::of_try(AlertEvent::Failure, "ann", run, ti, at(5)),
        not_before: None,
    }
}

fn of_run(run: &RunRecord) -> AlertRecord {
    AlertRecord {
        run: run.key,
        index: None,
        number: run.clear_number,
        place: 0,
        notification: slack("chat"),
        facts: Facts::of_run(AlertEvent::Failure, "ann", run, Some("because"), at(5)),
        not_before: None,
    }
}

/// A run with alerts for these connections, in this order.
async fn told(conn_ids: &[&str]) -> (Database, store::LeaderProof, DagRecord) {
    let db = Database::new().await;
    let proof = db.lead().await;
    let (dag, tis) = queued_run(&db, &proof).await;
    let run = run(1, &dag, 0);
    let alerts = (0..).zip(conn_ids).map(|(place, conn_id)| of_try(&run, &tis[0], conn_id, place)).collect();
    db.store.commit(&proof, &Decisions { alerts, ..Decisions::default() }, &[]).await.unwrap();
    (db, proof, dag)
}

async fn claim(db: &Database, busy: &[&str]) -> Vec<ClaimedAlert> {
    let busy: Vec<String> = busy.iter().map(|place| (*place).to_owned()).collect();
    db.store.claim_alerts(&busy, 10, MINUTE).await.unwrap()
}

fn targets(claimed: &[ClaimedAlert]) -> Vec<&str> {
    let mut targets: Vec<&str> = claimed.iter().map(|alert| alert.target.as_str()).collect();
    targets.sort_unstable();
    targets
}

#[tokio::test]
async fn what_was_committed_is_claimed_once_with_everything_it_says() {
    let (db, _, dag) = told(&["chat", "mail"]).await;
    let (one, two) = tokio::join!(claim(&db, &[]), claim(&db, &[]));
    let claimed = [one, two].concat();
    assert_eq!(targets(&claimed), ["chat", "mail"]);
    assert!(claim(&db, &[]).await.is_empty());
    let chat = claimed.iter().find(|alert| alert.target == "chat").unwrap();
    let facts =
        Facts::of_try(AlertEvent::Failure, "ann", &run(1, &dag, 0), &ti(1, 0, "a", TaskState::Queued), at(5));
    assert_eq!(chat.message, Message::Known(Box::new(slack("chat")), Box::new(facts)));
    assert_eq!(chat.attempts, 1);
}

#[tokio::test]
async fn a_decision_that_is_not_committed_tells_nobody() {
    let (db, proof, dag) = told(&[]).await;
    let mut wrong = run(1, &dag, 0);
    (wrong.state, wrong.ended_at) = (RunState::Failed, Some(at(5)));
    let alerts = vec![of_run(&wrong)];
    let changed = domain::engine::decision::Expected { new: wrong, old: RunState::Queued };
    let decisions = Decisions { runs_changed: vec![changed], alerts, ..Decisions::default() };
    let refused = db.store.commit(&proof, &decisions, &[]).await;
    assert!(matches!(refused, Err(Error::Conflict(_))), "{refused:?}");
    assert_eq!(db.text("SELECT count(*) FROM alert").await.unwrap(), "0");
}

#[tokio::test]
async fn what_was_told_is_not_told_again_but_of_another_number_it_is() {
    let (db, proof, dag) = told(&[]).await;
    let mut run = run(1, &dag, 0);
    for (clear_number, count) in [(0, "1"), (0, "1"), (1, "2")] {
        run.clear_number = clear_number;
        let decisions = Decisions { alerts: vec![of_run(&run)], ..Decisions::default() };
        db.store.commit(&proof, &decisions, &[]).await.unwrap();
        assert_eq!(db.text("SELECT count(*) FROM alert").await.unwrap(), count);
    }
}

#[tokio::test]
async fn a_busy_place_does_not_keep_others_waiting() {
    let (db, ..) = told(&["dead", "dead", "alive"]).await;
    assert_eq!(targets(&claim(&db, &["dead"]).await), ["alive"]);
    assert_eq!(targets(&claim(&db, &[]).await), ["dead", "dead"]);
}

#[tokio::test]
async fn a_claim_that_nobody_settles_runs_out_and_then_counts_for_nothing() {
    let (db, ..) = told(&["chat"]).await;
    let first = claim(&db, &[]).await.remove(0);
    db.execute("UPDATE alert SET next_at = now() - interval '1 second'").await;
    let second = claim(&db, &[]).await.remove(0);
    assert_eq!((second.id, second.attempts), (first.id, 2));
    assert!(!db.store.settle_alert(first.id, first.claim, &Settled::Sent).await.unwrap());
    assert!(db.store.settle_alert(second.id, second.claim, &Settled::Sent).await.unwrap());
    assert!(!db.store.settle_alert(second.id, second.claim, &Settled::Sent).await.unwrap());
}

#[tokio::test]
async fn an_alert_waits_between_attempts_and_may_be_sent_again_when_it_was_given_up() {
    let (db, ..) = told(&["chat"]).await;
    let alert = claim(&db, &[]).await.remove(0);
    let again = Settled::Again { after: MINUTE, error: "busy\0".to_owned() };
    assert!(db.store.settle_alert(alert.id, alert.claim, &again).await.unwrap());
    assert!(claim(&db, &[]).await.is_empty());
    assert!(!db.store.resend_alert(alert.id, "ada", at(9)).await.unwrap());
    db.execute("UPDATE alert SET next_at = now()").await;
    let alert = claim(&db, &[]).await.remove(0);
    let failed = Settled::Failed { error: "gone".to_owned() };
    assert!(db.store.settle_alert(alert.id, alert.claim, &failed).await.unwrap());
    assert!(claim(&db, &[]).await.is_empty());

    assert!(db.store.resend_alert(alert.id, "ada", at(9)).await.unwrap());
    let line =
        db.text("SELECT event || ' ' || owner || ' ' || dag_id || ' ' || task_id FROM event_log").await;
    assert_eq!(line.as_deref(), Some("resend_alert ada flights a"));
    assert_eq!(claim(&db, &[]).await[0].attempts, 1);
    assert!(!db.store.resend_alert(999, "ada", at(9)).await.unwrap());
}

#[tokio::test]
async fn what_callbacks_wrote_is_kept_by_whoever_holds_the_claim() {
    let (db, ..) = told(&["its DAG file"]).await;
    let alert = claim(&db, &[]).await.remove(0);
    assert!(!db.store.log_alert(alert.id, alert.claim + 1, "late").await.unwrap());
    assert!(
        db.store.log_alert(alert.id, alert.claim, &format!("{}the end\0", "x".repeat(20_000))).await.unwrap()
    );
    let found = db.store.alerts(&Filter::default(), Page::first(1)).await.unwrap();
    let log = found.rows[0].log.clone().unwrap();
    assert!(log.chars().count() <= 16_000 && log.contains("the end") && !log.contains('\0'));
}

#[tokio::test]
async fn an_alert_of_another_version_does_not_block_its_neighbours() {
    let (db, ..) = told(&["chat", "mail"]).await;
    db.execute(r#"UPDATE alert SET notification = '{"pigeon": {}}' WHERE target = 'mail'"#).await;
    let claimed = claim(&db, &[]).await;
    let unreadable = |alert: &&ClaimedAlert| matches!(alert.message, Message::Unreadable(_));
    assert_eq!(claimed.len(), 2);
    assert_eq!(claimed.iter().find(unreadable).unwrap().target, "mail");
}

#[tokio::test]
async fn alerts_are_listed_newest_first_by_what_is_asked() {
    let (db, proof, _) = told(&["chat", "mail"]).await;
    save_dag(&db, &proof, "other").await;
    let alert = claim(&db, &["mail"]).await.remove(0);
    let failed = Settled::Failed { error: "gone".to_owned() };
    db.store.settle_alert(alert.id, alert.claim, &failed).await.unwrap();
    let list = async |filter: Filter| {
        let found = db.store.alerts(&filter, Page::first(10)).await.unwrap();
        let rows: Vec<(String, AlertState)> =
            found.rows.iter().map(|alert| (alert.target.clone(), alert.state)).collect();
        (rows, found.total)
    };
    let (chat, mail) = (("chat".to_owned(), AlertState::Failed), ("mail".to_owned(), AlertState::Waiting));
    assert_eq!(list(Filter::default()).await, (vec![mail.clone(), chat.clone()], 2));
    let of_dag = |dag_id: &str| Filter { dag_id: Some(dag_id.to_owned()), ..Filter::default() };
    assert_eq!(list(of_dag("flights")).await.1, 2);
    assert_eq!(list(of_dag("other")).await, (vec![], 0));
    let failed = Filter { state: Some(AlertState::Failed), ..Filter::default() };
    assert_eq!(list(failed).await, (vec![chat], 1));
    let of_run = Filter { run_id: Some("scheduled__2".to_owned()), ..Filter::default() };
    assert_eq!(list(of_run).await.1, 0);
    let found = db.store.alerts(&Filter::default(), Page::first(10)).await.unwrap();
    assert_eq!((found.rows[1].error.as_deref(), found.rows[1].attempts), (Some("gone"), 1));
    assert_eq!(found.rows[0].facts["task_id"], "a");
}

#[tokio::test]
async fn old_alerts_go_with_their_runs_or_after_them() {
    let (db, proof, dag) = told(&["chat"]).await;
    let ended = |key| {
        let mut run = run(key, &dag, key);
        (run.state, run.ended_at) = (RunState::Failed, Some(at(key + 5)));
        run
    };
    let runs = vec![ended(2), ended(3)];
    let alerts = runs.iter().map(of_run).collect();
    let decisions = Decisions { runs_created: runs, alerts, ..Decisions::default() };
    db.store.commit(&proof, &decisions, &[]).await.unwrap();
    db.execute("UPDATE alert SET state = 'sent', settled_at = '2020-01-01'").await;
    assert_eq!(db.store.count_old(at(50)).await.unwrap().alerts, 2);
    let cleaned = db.store.clean(at(50)).await.unwrap();
    assert_eq!((cleaned.runs, cleaned.alerts), (1, 1));
    // Run 1 is active, run 3 the newest of its DAG.
    assert_eq!(db.texts("SELECT run_key FROM alert").await, [RunKey(1).0.to_string()]);
}

#[tokio::test]
async fn the_deadlines_that_a_run_has_missed_are_there_again() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let dag = save_dag(&db, &proof, "flights").await;
    let missed = |place| Missed { place, name: Some("sla".to_owned()), deadline: at(9) };
    let mut late = run(1, &dag, 0);
    late.missed = vec![missed(0)];
    let created = Decisions { runs_created: vec![late.clone()], ..Decisions::default() };
    db.store.commit(&proof, &created, &[]).await.unwrap();
    assert_eq!(db.store.load(&proof).await.unwrap().runs[0].run.missed, [missed(0)]);

    late.missed.push(missed(1));
    let told = AlertRecord {
        run: late.key,
        index: None,
        number: late.clear_number,
        place: 10,
        notification: Notification::Slack { url: None, conn_id: Some("c".to_owned()), text: None },
        facts: Facts::of_run(AlertEvent::Deadline, "ann", &late, Some("because"), at(9)),
        not_before: None,
    };
    let change = Expected { new: late.clone(), old: RunState::Running };
    let turn = Decisions { runs_changed: vec![change], alerts: vec![told], ..Decisions::default() };
    db.store.commit(&proof, &turn, &[]).await.unwrap();
    assert_eq!(db.store.load(&proof).await.unwrap().runs[0].run.missed, late.missed);
    let alerts = db.store.alerts(&Filter::default(), Page::first(10)).await.unwrap().rows;
    assert_eq!(alerts[0].event, AlertEvent::Deadline);

    late.missed.clear();
    let change = Expected { new: late, old: RunState::Running };
    let turn = Decisions { runs_changed: vec![change], ..Decisions::default() };
    db.store.commit(&proof, &turn, &[]).await.unwrap();
    assert!(db.store.load(&proof).await.unwrap().runs[0].run.missed.is_empty(), "it began anew");
}

#[tokio::test]
async fn what_is_foreseen_is_due_at_its_moment_unless_it_is_withdrawn() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let dag = save_dag(&db, &proof, "flights").await;
    let failed = run(1, &dag, 0);
    let told = |place: u32, not_before| AlertRecord {
        run: failed.key,
        index: None,
        number: 0,
        place,
        notification: slack("chat"),
        facts: Facts::of_run(AlertEvent::Deadline, "ann", &failed, None, at(9)),
        not_before: Some(not_before),
    };
    let far = "2200-01-01T00:00:00Z".parse().unwrap();
    let alerts = vec![told(0, at(0)), told(10, far), told(20, far)];
    let turn = Decisions { runs_created: vec![failed.clone()], alerts, ..Decisions::default() };
    db.store.commit(&proof, &turn, &[]).await.unwrap();
    let claimed = db.store.claim_alerts(&[], 10, MINUTE).await.unwrap();
    assert_eq!(claimed.len(), 1, "the others are not due");

    let gone = |place| Withdrawn { run: failed.key, number: 0, place };
    let turn = Decisions { alerts_withdrawn: vec![gone(0), gone(10)], ..Decisions::default() };
    db.store.commit(&proof, &turn, &[]).await.unwrap();
    let left = db.texts("SELECT place FROM alert ORDER BY place").await;
    assert_eq!(left, ["0", "20"], "what is on its way stays");
}
