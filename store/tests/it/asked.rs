//! What running tasks ask of the records, and what they keep there.

use domain::{
    asset::{AliasName, Asset, AssetName, EventId},
    dagfile,
    engine::{
        decision::Decisions,
        record::{AssetEventRecord, EventSource, RunRecord, TiRecord, XComRecord},
    },
    id::{RunKey, TryKey},
    intent::{TaskTrigger, Trigger},
    state::{RunState, TaskState},
};
use serde_json::{Map, Value, json};
use store::{
    Error, LeaderProof,
    asked::{AssetKeeper, EventFilter, EventsOf, Left, MOST_KEYS, RunFilter, StateOf, TiFilter, XComAt},
    view::api_list::Ask,
};

use crate::{
    database::Database,
    fixture::{at, dag_id, file, queued_run, run, run_id, save_dag, task_id, ti, try_of, worker},
};

/// Two ended runs of one DAG, of minutes 0 and 10: the first has failed.
async fn two_runs(db: &Database, proof: &LeaderProof) -> Vec<TiRecord> {
    let dag = save_dag(db, proof, "flights").await;
    let ended =
        |key, minutes, state| RunRecord { state, ended_at: Some(at(minutes + 5)), ..run(key, &dag, minutes) };
    let runs_created = vec![ended(1, 0, RunState::Failed), ended(2, 10, RunState::Success)];
    let over = |key, index, task: &str, state, map_index| TiRecord {
        started_at: Some(at(1)),
        ended_at: Some(at(2)),
        map_index,
        ..ti(key, index, task, state)
    };
    let tis = vec![
        over(1, 0, "a", TaskState::Failed, -1),
        ti(1, 1, "b", TaskState::None),
        over(2, 0, "a", TaskState::Success, -1),
        over(2, 1, "b", TaskState::Success, 0),
        over(2, 2, "b", TaskState::Skipped, 1),
    ];
    let decisions = Decisions { runs_created, tis_created: tis.clone(), ..Decisions::default() };
    db.store.commit(proof, &decisions, &[]).await.unwrap();
    tis
}

#[tokio::test]
async fn other_runs_are_found_and_counted() {
    let db = Database::new().await;
    two_runs(&db, &db.lead().await).await;
    let found = db.store.asked_run("flights", "scheduled__2").await.unwrap().unwrap();
    assert_eq!(
        (found.state, found.logical_date, found.note.as_deref()),
        (RunState::Success, Some(at(10)), Some("a note"))
    );
    assert_eq!(db.store.asked_run("flights", "none").await.unwrap(), None);

    let before = async |minutes, state| {
        let found = db.store.run_before("flights", at(minutes), state).await.unwrap();
        found.map(|run| run.run_id)
    };
    assert_eq!(before(20, None).await.as_deref(), Some("scheduled__2"));
    assert_eq!(before(10, None).await.as_deref(), Some("scheduled__1"), "not itself");
    assert_eq!(before(20, Some("failed")).await.as_deref(), Some("scheduled__1"));
    assert_eq!(before(0, None).await, None);

    let count = async |change: &dyn Fn(&mut RunFilter)| {
        let mut filter = RunFilter { dag_id: "flights".to_owned(), ..RunFilter::default() };
        change(&mut filter);
        db.store.count_runs(&filter).await.unwrap()
    };
    assert_eq!(count(&|_| ()).await, 2);
    assert_eq!(count(&|filter| filter.logical_dates = vec![at(10), at(11)]).await, 1);
    assert_eq!(count(&|filter| filter.states = vec!["success".to_owned(), "failed".to_owned()]).await, 2);
    assert_eq!(count(&|filter| filter.run_ids = vec!["scheduled__1".to_owned()]).await, 1);
    assert_eq!(count(&|filter| filter.dag_id = "other".to_owned()).await, 0);

    let has = async |run_id: &str, date| db.store.has_run("flights", run_id, date).await.unwrap();
    assert_eq!(has("scheduled__1", Some(at(10))).await, (true, true));
    assert_eq!(has("mine", Some(at(11))).await, (false, false));
    assert_eq!(has("mine", None).await, (false, false));
    let dag = db.store.asked_dag("flights").await.unwrap().unwrap();
    assert_eq!((dag.file.as_str(), dag.is_paused, dag.tags.len()), ("flights.yaml", false, 2));
    assert_eq!(db.store.asked_dag("other").await.unwrap(), None);
}

#[tokio::test]
async fn their_task_instances_are_found_and_counted() {
    let db = Database::new().await;
    two_runs(&db, &db.lead().await).await;
    let mut filter = TiFilter { dag_id: "flights".to_owned(), ..TiFilter::default() };
    let of = |text: &str| vec![text.to_owned()];
    assert_eq!(db.store.count_tis(&filter).await.unwrap(), 5);
    filter.states = of("none");
    assert_eq!(db.store.count_tis(&filter).await.unwrap(), 1);
    filter = TiFilter { task_ids: of("b"), map_index: Some(1), states: Vec::new(), ..filter };
    assert_eq!(db.store.count_tis(&filter).await.unwrap(), 1);
    filter = TiFilter { map_index: None, logical_dates: vec![at(10)], ..filter };
    let states = db.store.ti_states(&filter).await.unwrap();
    let states: Vec<_> = states.iter().map(|ti| (ti.map_index, ti.state.as_str())).collect();
    assert_eq!(states, [(0, "success"), (1, "skipped")]);

    let crumbs = db.store.breadcrumbs("flights", "scheduled__1").await.unwrap();
    assert_eq!((crumbs.len(), crumbs[0].state.as_str(), crumbs[0].duration), (1, "failed", Some(60.0)));
    let before = async |before, state| {
        let found = db.store.ti_before("flights", "a", -1, before, state).await.unwrap();
        found.map(|ti| ti.run_id)
    };
    assert_eq!(before(None, None).await.as_deref(), Some("scheduled__2"));
    assert_eq!(before(Some(at(10)), None).await.as_deref(), Some("scheduled__1"));
    assert_eq!(before(None, Some("failed")).await.as_deref(), Some("scheduled__1"));
    assert_eq!(before(Some(at(0)), None).await, None);
}

#[tokio::test]
async fn a_try_leaves_xcoms_only_while_it_runs() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let (_, tis) = queued_run(&db, &proof).await;
    let attempt = try_of(&tis[0]);
    let xcom = async || db.store.xcom(RunKey(1), &task_id("a"), -1, "k").await.unwrap();
    assert!(!db.store.leave_xcom(attempt, "k", &json!(1)).await.unwrap(), "it is only queued");
    let worker = worker(&db).await;
    assert_eq!(db.store.claim(worker, &[attempt]).await.unwrap().len(), 1);
    assert!(db.store.leave_xcom(attempt, "k", &json!(1)).await.unwrap());
    assert!(db.store.leave_xcom(attempt, "k", &json!([2])).await.unwrap());
    assert_eq!(xcom().await, Some(json!([2])));
    let later = TryKey { try_number: 2, ..attempt };
    assert!(!db.store.leave_xcom(later, "k", &json!(3)).await.unwrap(), "another try");
    db.store.take_back_xcom(later, "k").await.unwrap();
    assert_eq!(xcom().await, Some(json!([2])));
    db.store.take_back_xcom(attempt, "k").await.unwrap();
    assert_eq!(xcom().await, None);
    assert!(matches!(db.store.leave_xcom(attempt, "", &json!(1)).await, Err(Error::Invalid(_))));
}

#[tokio::test]
async fn xcoms_of_other_instances_are_written_while_the_asking_try_runs() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let (_, tis) = queued_run(&db, &proof).await;
    let by = try_of(&tis[0]);
    let b = XComAt { dag_id: "flights", run_id: "scheduled__1", task_id: "b", map_index: -1, key: "k" };
    let leave = async |by, at, value: i64| db.store.leave_xcom_at(by, at, &json!(value)).await.unwrap();
    let kept = async || db.store.xcom(RunKey(1), &task_id("b"), -1, "k").await.unwrap();
    assert_eq!(leave(Some(by), b, 1).await, Left::TooLate, "it is only queued");
    assert_eq!(db.store.claim(worker(&db).await, &[by]).await.unwrap().len(), 1);
    assert_eq!(leave(Some(by), b, 2).await, Left::Written);
    assert_eq!(leave(Some(by), b, 3).await, Left::Written);
    let later = Some(TryKey { try_number: 2, ..by });
    assert_eq!(leave(later, b, 4).await, Left::TooLate, "another try");
    assert_eq!(leave(Some(by), XComAt { run_id: "none", ..b }, 4).await, Left::NoRun);
    assert_eq!(leave(Some(by), XComAt { dag_id: "none", ..b }, 4).await, Left::NoRun);
    assert_eq!(leave(Some(by), XComAt { task_id: "none", ..b }, 4).await, Left::NoInstance);
    assert_eq!(leave(Some(by), XComAt { map_index: 0, ..b }, 4).await, Left::NoInstance);
    assert_eq!(kept().await, Some(json!(3)));

    db.store.take_back_xcom_at(later, b).await.unwrap();
    for other in [XComAt { key: "other", ..b }, XComAt { map_index: 0, ..b }, XComAt { task_id: "a", ..b }] {
        db.store.take_back_xcom_at(Some(by), other).await.unwrap();
    }
    assert_eq!(kept().await, Some(json!(3)));
    db.store.take_back_xcom_at(Some(by), b).await.unwrap();
    assert_eq!(kept().await, None);

    // Nobody asks whether a trigger counts: its task runs no more and not yet.
    assert_eq!(leave(None, b, 5).await, Left::Written);
    db.store.take_back_xcom_at(None, b).await.unwrap();
    assert_eq!(kept().await, None);
    let fill = "INSERT INTO xcom (run_key, task_id, key, value) SELECT 1, 'b', 'k' || n, '1' FROM generate_series(1, 1000) n";
    db.execute(fill).await;
    assert!(
        matches!(db.store.leave_xcom_at(None, b, &json!(1)).await, Err(Error::Invalid(_))),
        "there are too many"
    );
    assert_eq!(leave(None, XComAt { key: "k7", ..b }, 7).await, Left::Written, "it is one of them");
}

#[tokio::test]
async fn xcoms_of_earlier_runs_are_found_newest_first() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let tis = two_runs(&db, &proof).await;
    let left = |place: usize, value: Value| XComRecord {
        ti: tis[place].key,
        task_id: tis[place].task_id.clone(),
        map_index: tis[place].map_index,
        key: "k".to_owned(),
        value,
    };
    let xcoms = vec![left(0, json!("old")), left(3, json!("b0")), left(4, json!("b1"))];
    db.store.commit(&proof, &Decisions { xcoms, ..Decisions::default() }, &[]).await.unwrap();
    let newest = async |run, task| db.store.newest_xcom(RunKey(run), task, -1, "k").await.unwrap();
    assert_eq!(newest(2, "a").await, Some(json!("old")), "of an earlier run");
    let xcoms = vec![left(2, json!("new"))];
    db.store.commit(&proof, &Decisions { xcoms, ..Decisions::default() }, &[]).await.unwrap();
    assert_eq!((newest(2, "a").await, newest(1, "a").await), (Some(json!("new")), Some(json!("old"))));
    let all = db.store.xcoms_up_to(RunKey(2), "a", "k").await.unwrap();
    assert_eq!(all, [(-1, json!("new")), (-1, json!("old"))]);
    let all = db.store.xcoms_up_to(RunKey(2), "b", "k").await.unwrap();
    assert_eq!(all, [(0, json!("b0")), (1, json!("b1"))]);
}

#[tokio::test]
async fn tries_of_an_instance_share_what_it_keeps() {
    let db = Database::new().await;
    let tis = two_runs(&db, &db.lead().await).await;
    let of = |place: usize| StateOf {
        run: tis[place].key.run,
        task_id: tis[place].task_id.as_str(),
        map_index: tis[place].map_index,
    };
    let keep =
        async |place, key: &str, value: Value| db.store.keep_task_state(of(place), key, &value, None).await;
    let kept = async |place, key| db.store.task_state(of(place), key).await.unwrap();
    keep(3, "k", json!({"z": 1, "a": 2})).await.unwrap();
    keep(3, "k", json!([1])).await.unwrap();
    keep(4, "k", json!(4)).await.unwrap();
    keep(3, "other", json!(null)).await.unwrap();
    assert_eq!(
        (kept(3, "k").await, kept(4, "k").await, kept(0, "k").await),
        (Some(json!([1])), Some(json!(4)), None)
    );
    db.store.forget_task_state(of(3), Some("k")).await.unwrap();
    assert_eq!((kept(3, "k").await, kept(3, "other").await), (None, Some(Value::Null)));
    db.store.forget_task_state(of(3), None).await.unwrap();
    assert_eq!((kept(3, "other").await, kept(4, "k").await), (None, Some(json!(4))));
    assert!(matches!(keep(3, "", json!(1)).await, Err(Error::Invalid(_))));
    assert!(matches!(keep(3, "k", json!("x".repeat(1 << 20))).await, Err(Error::Invalid(_))));

    let fill = format!(
        "INSERT INTO task_state (run_key, task_id, map_index, key, value)
         SELECT 2, 'b', 1, 'n' || n, '0' FROM generate_series(2, {MOST_KEYS}) n"
    );
    db.execute(&fill).await;
    let full = keep(4, "new", json!(1)).await.unwrap_err().to_string();
    assert!(full.contains("1000 keys are kept already"), "{full}");
    keep(4, "k", json!("one that is there")).await.unwrap();
    db.execute("DELETE FROM dag_run WHERE key = 2").await;
    assert_eq!(kept(4, "k").await, None, "it goes with its run");
}

const MAKER: &str = "
dag_id: maker
assets: {orders: {uri: 's3://shop/orders', extra: {owner: ann}}}
tasks: {load: {empty: {}, outlets: [orders, {alias: files}]}}
";

fn event(id: i64, name: &str, aliases: &[&str]) -> AssetEventRecord {
    AssetEventRecord {
        id: EventId(id),
        asset: Asset::bare(AssetName::new(name).unwrap()).unwrap(),
        aliases: aliases.iter().map(|alias| AliasName::new(alias).unwrap()).collect(),
        extra: Map::from_iter([("rows".to_owned(), json!(id))]),
        partition_key: None,
        at: at(id),
        source: Some(EventSource {
            dag_id: dag_id("maker"),
            run_id: run_id("r"),
            task_id: task_id("load"),
            map_index: -1,
        }),
        by: None,
        request: None,
    }
}

#[tokio::test]
async fn assets_and_what_happened_to_them() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let parsed = dagfile::parse(MAKER.as_bytes(), "maker.yaml", &|_| Err(String::new()));
    db.store.save(&proof, &[file("maker.yaml", vec![parsed.dags[0].dag.clone()])]).await.unwrap();
    let asset_events =
        vec![event(1, "orders", &[]), event(2, "part", &["files"]), event(3, "orders", &["files"])];
    db.store.commit(&proof, &Decisions { asset_events, ..Decisions::default() }, &[]).await.unwrap();

    let orders = db.store.asset_named("orders").await.unwrap().unwrap();
    assert_eq!((orders.uri.as_str(), &orders.extra["owner"]), ("s3://shop/orders", &json!("ann")));
    assert_eq!(db.store.asset_at("s3://shop/orders").await.unwrap(), Some(orders));
    assert_eq!(db.store.asset_named("none").await.unwrap(), None);
    let under = db.store.assets_under("files").await.unwrap();
    assert_eq!(under.iter().map(|asset| asset.name.as_str()).collect::<Vec<_>>(), ["orders", "part"]);
    assert_eq!(db.store.inactive_assets(&["orders", "gone", "part"]).await.unwrap(), ["gone"]);

    let orders = EventsOf::Asset { name: Some("orders".to_owned()), uri: None };
    let any = EventFilter { of: orders, after: None, before: None, ascending: true, limit: None };
    let found = async |filter: EventFilter| {
        let events = db.store.events_of(&filter).await.unwrap();
        events.iter().map(|event| event.id).collect::<Vec<_>>()
    };
    assert_eq!(found(any.clone()).await, [1, 3]);
    assert_eq!(found(EventFilter { ascending: false, limit: Some(1), ..any.clone() }).await, [3]);
    assert_eq!(found(EventFilter { after: Some(at(2)), ..any.clone() }).await, [3]);
    assert_eq!(found(EventFilter { before: Some(at(1)), ..any.clone() }).await, [1]);
    assert_eq!(found(EventFilter { of: EventsOf::Alias("files".to_owned()), ..any.clone() }).await, [2, 3]);
    let first = &db.store.events_of(&any).await.unwrap()[0];
    assert_eq!(
        (&first.extra()["rows"], first.source_run_id.as_deref(), first.runs().len()),
        (&json!(1), Some("r"), 0)
    );

    let by = AssetKeeper { dag_id: "maker", run_id: "r", task_id: "load", map_index: -1 };
    db.store.keep_asset_state("orders", "k", &json!({"upto": 3}), Some(by)).await.unwrap();
    assert_eq!(db.store.asset_state("orders", "k").await.unwrap(), Some(json!({"upto": 3})));
    assert_eq!(db.store.asset_state("part", "k").await.unwrap(), None);
    db.store.keep_asset_state("orders", "k", &json!(4), None).await.unwrap();
    assert_eq!(db.store.asset_state("orders", "k").await.unwrap(), Some(json!(4)), "a trigger keeps it");
    db.store.forget_asset_state("orders", None).await.unwrap();
    assert_eq!(db.store.asset_state("orders", "k").await.unwrap(), None);
}

#[tokio::test]
async fn a_wish_of_a_task_is_written_down_once() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let (_, tis) = queued_run(&db, &proof).await;
    let run = Trigger {
        dag_id: dag_id("flights"),
        run_id: run_id("mine"),
        logical_date: None,
        data_interval: None,
        run_after: at(9),
        conf: Map::new(),
        note: None,
        partition_key: None,
        materializes: false,
    };
    let wish = |number| TaskTrigger::new(try_of(&tis[0]), 0, number, false, run.clone());
    let (first, _) = db.store.post_trigger("task", &wish(1)).await.unwrap();
    let (again, _) = db.store.post_trigger("task", &wish(1)).await.unwrap();
    assert_eq!((first, db.store.backlog().await.unwrap().0), (again, 1));
    db.store.post_trigger("task", &wish(2)).await.unwrap();
    assert_eq!(db.store.backlog().await.unwrap().0, 2, "another wish");
    let ids: Vec<_> = db.store.read(9).await.unwrap().into_iter().map(|(id, _)| id).collect();
    db.store.commit(&proof, &Decisions::default(), &ids).await.unwrap();
    let (taken, intent) = db.store.post_trigger("task", &wish(1)).await.unwrap();
    assert_eq!((taken.0, db.store.backlog().await.unwrap().0), (0, 0), "the engine has taken it in");
    assert_eq!(db.store.fate(taken, &intent).await.unwrap(), store::view::api_wish::Fate::Done);
}

#[tokio::test]
async fn variables_are_listed_by_how_their_keys_begin() {
    let db = Database::new().await;
    for key in ["b_2", "a", "b_1", "b%", "xb_"] {
        db.store.set_variable(key, "v", None).await.unwrap();
    }
    let keys =
        async |prefix: &str, limit, offset| db.store.variable_keys(prefix, limit, offset).await.unwrap();
    assert_eq!(keys("b_", 10, 0).await, (vec!["b_1".to_owned(), "b_2".to_owned()], 2));
    assert_eq!(keys("b", 1, 1).await.1, 3);
    assert_eq!(keys("", 2, 4).await, (vec!["xb_".to_owned()], 5));
}

const READERS: &str = "
dag_id: reader
tasks: {read: {bash: echo, inlets: {name: copy, uri: 's3://shop/orders'}}}
---
dag_id: waiter
schedule: {assets: {name: copy, uri: 's3://shop/orders'}}
tasks: {read: {bash: echo}}
";

#[tokio::test]
async fn of_assets_with_one_uri_the_one_that_is_made_is_active() {
    let db = Database::new().await;
    let proof = db.lead().await;
    for (name, text) in [("readers.yaml", READERS), ("maker.yaml", MAKER)] {
        let parsed = dagfile::parse(text.as_bytes(), name, &|_| Err(String::new()));
        let dags = parsed.dags.into_iter().map(|parsed| parsed.dag).collect();
        db.store.save(&proof, &[file(name, dags)]).await.unwrap();
    }
    assert_eq!(db.store.inactive_assets(&["orders", "copy"]).await.unwrap(), ["copy"]);
    assert_eq!(db.store.asset_named("copy").await.unwrap(), None);
    assert_eq!(db.store.asset_at("s3://shop/orders").await.unwrap().unwrap().name.as_str(), "orders");
    let warnings = async || db.store.dag_warnings(&Ask { limit: 9, ..Ask::default() }).await.unwrap().0;
    let warned: Vec<_> = warnings().await.into_iter().map(|warning| warning.dag_id).collect();
    assert_eq!(warned, ["reader", "waiter"]);
    let told = &warnings().await[0].message;
    assert!(told.contains("URI \"s3://shop/orders\" is already that of asset \"orders\""), "{told}");

    db.execute("UPDATE dag SET is_stale = true WHERE dag_id = 'maker'").await;
    assert_eq!(db.store.inactive_assets(&["orders", "copy"]).await.unwrap(), ["orders"]);
    assert_eq!(warnings().await.len(), 0, "nobody has the URI but it");
}
