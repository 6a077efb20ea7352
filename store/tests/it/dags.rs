//! DAG files become DAGs and versions.

use chrono::{DateTime, TimeDelta};
use domain::{
    engine::decision::Decisions,
    state::TaskState,
    timetable::{DataInterval, Timetable},
};
use serde_json::json;
use store::{Error, arrival::Arrival, dag::LoadedFile, import_error::NewImportError};

use crate::{
    database::Database,
    fixture::{at, dag, dag_id, file, queued_run, run, save_dag, task, ti},
};

#[tokio::test]
async fn only_what_changed_is_reported_and_versioned() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let first = dag("flights", vec![task("a")]);
    let saved = db.store.save(&proof, &[file("f.yaml", vec![first.clone()])]).await.unwrap();
    assert_eq!((saved.changed.len(), &*saved.changed[0].dag), (1, &first));
    let version = saved.changed[0].version;
    assert!(db.store.save(&proof, &[file("f.yaml", vec![first.clone()])]).await.unwrap().changed.is_empty());

    let mut edited = file("f.yaml", vec![first.clone()]);
    edited.dags[0].source = "# the same with a comment".to_owned();
    assert!(db.store.save(&proof, &[edited]).await.unwrap().changed.is_empty());
    assert_eq!(db.store.source(version).await.unwrap().unwrap(), "# the same with a comment");

    let second = dag("flights", vec![task("a"), task("b")]);
    let saved = db.store.save(&proof, &[file("f.yaml", vec![second.clone()])]).await.unwrap();
    assert_ne!(saved.changed[0].version, version);
    let versions = db.store.versions_of(&dag_id("flights"), 10, 0).await.unwrap();
    assert_eq!(versions.iter().map(|version| version.number).collect::<Vec<_>>(), vec![2, 1]);
    assert_eq!(*db.store.version(version).await.unwrap().unwrap().0, first);
    let loaded = db.store.load(&proof).await.unwrap().dags;
    assert_eq!((loaded.len(), &*loaded[0].dag), (1, &second));
    let row = "SELECT concat_ws('|', schedule, owner, array_to_string(tags, ','), is_paused) FROM dag";
    assert_eq!(db.text(row).await.unwrap(), "30 2 * * *|ann|b,a|f");
}

#[tokio::test]
async fn the_order_of_keys_survives() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let mut mapped = task("a");
    mapped["expand"] = json!({"zone": {"list": [1]}, "a": {"list": [2]}, "mm": {"list": [3]}});
    let saved = db.store.save(&proof, &[file("f.yaml", vec![dag("flights", vec![mapped])])]).await.unwrap();
    let (read, _) = db.store.version(saved.changed[0].version).await.unwrap().unwrap();
    assert_eq!(read.tasks[0].expand.keys().collect::<Vec<_>>(), ["zone", "a", "mm"]);
    assert_eq!(read.content_hash(), saved.changed[0].dag.content_hash());
}

#[tokio::test]
async fn a_dag_goes_away_with_its_file_and_comes_back() {
    let db = Database::new().await;
    let proof = db.lead().await;
    save_dag(&db, &proof, "flights").await;
    let broken =
        NewImportError { line: Some(3), message: "not YAML".to_owned(), ..NewImportError::default() };
    let unreadable = LoadedFile { file: "flights.yaml".to_owned(), dags: vec![], errors: vec![broken] };
    assert!(db.store.save(&proof, &[unreadable]).await.unwrap().changed.is_empty());
    assert_eq!(db.store.known_files().await.unwrap(), vec!["flights.yaml"]);
    let errors = db.store.import_errors(None, 10, 0).await.unwrap();
    assert_eq!((errors[0].line, errors[0].message.as_str(), errors[0].total), (Some(3), "not YAML", 1));
    assert!(db.store.import_errors(Some("other"), 10, 0).await.unwrap().is_empty());

    let gone = db.store.save(&proof, &[file("flights.yaml", vec![])]).await.unwrap();
    assert!(gone.changed[0].is_stale);
    assert!(db.store.import_errors(None, 10, 0).await.unwrap().is_empty());
    assert!(db.store.known_files().await.unwrap().is_empty());
    let back = save_dag(&db, &proof, "flights").await;
    assert_eq!((back.is_stale, back.version), (false, gone.changed[0].version));
}

#[tokio::test]
async fn a_dag_belongs_to_one_file() {
    let db = Database::new().await;
    let proof = db.lead().await;
    save_dag(&db, &proof, "flights").await;
    let saved =
        db.store.save(&proof, &[file("copy.yaml", vec![dag("flights", vec![task("x")])])]).await.unwrap();
    assert!(saved.changed.is_empty());
    assert_eq!(
        (saved.refused[0].file.as_str(), saved.refused[0].owner.as_str()),
        ("copy.yaml", "flights.yaml")
    );
    let errors = db.store.import_errors(None, 10, 0).await.unwrap();
    assert_eq!(errors[0].file, "copy.yaml");
    assert!(errors[0].message.contains("`flights` is already defined in flights.yaml"), "{errors:?}");
    let moved = [file("flights.yaml", vec![]), file("copy.yaml", vec![dag("flights", vec![task("x")])])];
    let saved = db.store.save(&proof, &moved).await.unwrap();
    assert_eq!((saved.changed.len(), saved.refused.len()), (1, 0));
    assert!(db.store.import_errors(None, 10, 0).await.unwrap().is_empty());
}

#[tokio::test]
async fn pausing_is_remembered_over_new_versions_and_written_down() {
    let db = Database::new().await;
    let proof = db.lead().await;
    save_dag(&db, &proof, "flights").await;
    assert!(db.store.set_paused(&dag_id("flights"), true, "ann").await.unwrap());
    assert!(!db.store.set_paused(&dag_id("unknown"), true, "ann").await.unwrap());
    let flags = db.store.paused_flags().await.unwrap();
    assert_eq!((flags.len(), &flags[0].dag_id, flags[0].is_paused), (1, &dag_id("flights"), true));
    let saved = db.store.save(&proof, &[file("flights.yaml", vec![dag("flights", vec![])])]).await.unwrap();
    assert!(saved.changed[0].is_paused);
    let event = "SELECT concat_ws('|', event, owner, dag_id, extra) FROM event_log";
    assert_eq!(db.texts(event).await, vec!["patch_dag|ann|flights|{\"is_paused\":true}"]);
}

#[tokio::test]
async fn deleting_takes_the_history_but_never_an_active_run() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let (record, _) = queued_run(&db, &proof).await;
    let error = db.store.delete_dag(&dag_id("flights"), "ann").await.unwrap_err();
    assert!(matches!(&error, Error::Conflict(text) if text.contains("1 active runs")), "{error}");
    assert!(!db.store.load(&proof).await.unwrap().dags[0].is_stale);

    db.execute("UPDATE dag_run SET state = 'failed', ended_at = now()").await;
    assert!(db.store.delete_dag(&dag_id("flights"), "ann").await.unwrap());
    assert!(!db.store.delete_dag(&dag_id("flights"), "ann").await.unwrap());
    let left = "SELECT (SELECT count(*) FROM dag) + (SELECT count(*) FROM dag_run) + (SELECT count(*) FROM task_instance)
                + (SELECT count(*) FROM dag_version)";
    assert_eq!(db.text(left).await.unwrap(), "0");
    let snapshot = db.store.load(&proof).await.unwrap();
    assert_eq!(snapshot.next_run.0, 2, "a run key is never given twice");

    let again = save_dag(&db, &proof, "flights").await;
    assert_ne!(again.version, record.version);
    let mut late = run(2, &again, 0);
    late.run_after = at(1);
    let created = Decisions {
        runs_created: vec![late],
        tis_created: vec![ti(2, 0, "a", TaskState::None)],
        ..Decisions::default()
    };
    db.store.commit(&proof, &created, &[]).await.unwrap();
}

#[tokio::test]
async fn a_dag_that_ran_elsewhere_goes_on_where_it_stopped() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let cursor = DataInterval { start: at(0), end: at(3_600) };
    let arrival = |name: &str, cursor| Arrival { dag_id: dag_id(name), is_paused: true, cursor };
    assert!(db.store.keep_arrival(&arrival("a", None)).await.unwrap());
    assert!(db.store.keep_arrival(&arrival("a", Some(cursor))).await.unwrap());
    assert!(db.store.keep_arrival(&arrival("b", None)).await.unwrap());
    assert_eq!(db.store.arrivals().await.unwrap(), [arrival("a", Some(cursor)), arrival("b", None)]);

    let saved = db.store.save(&proof, &[file("a.yaml", vec![dag("a", vec![])])]).await.unwrap();
    assert_eq!((saved.changed[0].is_paused, saved.changed[0].cursor), (true, Some(cursor)));
    assert_eq!(db.store.arrivals().await.unwrap(), [arrival("b", None)], "it is taken over once");
    assert!(!db.store.keep_arrival(&arrival("a", None)).await.unwrap(), "it stands as it stands");
    let dag = &db.store.load(&proof).await.unwrap().dags[0];
    assert_eq!((dag.is_paused, dag.cursor), (true, Some(cursor)), "a new leader knows it, too");
}

#[tokio::test]
async fn another_answer_of_a_timetable_is_told_but_is_no_new_version() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let with = |asked_at: i64| {
        let mut plain = dag("shop", vec![task("a")]);
        let runs = json!([[asked_at, asked_at + 10, asked_at + 20]]);
        let listing = json!({"asked_at": asked_at, "runs": runs, "has_more": false});
        let schedule = json!({"class": "shop.OpeningHours", "summary": "opening hours"});
        let schedule: Timetable = serde_json::from_value(schedule).unwrap();
        plain.schedule = schedule.with_listing(serde_json::from_value(listing).unwrap());
        plain
    };
    let (first, second) = (with(1_000), with(2_000));
    let saved = db.store.save(&proof, &[file("shop.py", vec![first.clone()])]).await.unwrap();
    let version = saved.changed[0].version;
    assert_eq!(*db.store.version(version).await.unwrap().unwrap().0, first);

    let saved = db.store.save(&proof, &[file("shop.py", vec![second.clone()])]).await.unwrap();
    assert_eq!((saved.changed[0].version, &*saved.changed[0].dag), (version, &second));
    assert_eq!(*db.store.version(version).await.unwrap().unwrap().0, second);
    assert_eq!(*db.store.load(&proof).await.unwrap().dags[0].dag, second);
    assert_eq!(db.text("SELECT count(*)::text FROM dag_version").await.unwrap(), "1");

    let none = db.store.progress_of(&["shop.py", "other.py"]).await.unwrap();
    assert_eq!((none.len(), none[0].last, none[0].is_paused), (1, None, false));
    db.execute(
        "UPDATE dag SET cursor_start = 'epoch', cursor_end = '1970-01-02 00:00:00Z', is_paused = true",
    )
    .await;
    let progress = db.store.progress_of(&["shop.py"]).await.unwrap();
    let last = progress[0].last.unwrap();
    assert_eq!(
        (last.logical_date, last.run_after - last.logical_date),
        (DateTime::UNIX_EPOCH, TimeDelta::days(1))
    );
    assert!(progress[0].is_paused && db.store.progress_of(&["other.py"]).await.unwrap().is_empty());
}
