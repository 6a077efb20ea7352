//! Assets: what files say of them, what happens to them, and what the engine starts from.

use domain::{
    asset::{AliasName, Asset, AssetName, EventId},
    dag::Dag,
    dagfile,
    engine::{
        decision::Decisions,
        record::{
            AssetCursor, AssetCursorRecord, AssetEventRecord, AssetStanding, Consumption, DagRecord,
            EventSource, QueuedAsset,
        },
    },
    id::RunKey,
    state::RunType,
};
use serde_json::{Map, json};
use store::{
    LeaderProof,
    view::api_list::{Ask, Test},
};
use uuid::Uuid;

use crate::{
    database::Database,
    fixture::{at, dag_id, file, run, run_id, task_id},
};

fn parsed(text: &str) -> Dag {
    let parsed = dagfile::parse(text.as_bytes(), "play.yaml", &|_| Err(String::new()));
    assert!(parsed.errors.is_empty(), "{:#?}", parsed.errors);
    parsed.dags[0].dag.clone()
}

async fn save(db: &Database, proof: &LeaderProof, name: &str, text: &str) -> DagRecord {
    let saved = db.store.save(proof, &[file(name, vec![parsed(text)])]).await.unwrap();
    saved.changed.into_iter().next().unwrap()
}

const MAKER: &str = "
dag_id: maker
assets: {orders: {uri: 's3://shop/orders', group: tables, extra: {owner: ann}}}
tasks:
  load: {empty: {}, outlets: [orders, {alias: files}], inlets: raw}
";
const REPORT: &str = "
dag_id: report
schedule: {assets: {any: [orders, {alias: files}]}}
tasks: {t: {empty: {}}}
";

fn asset(name: &str) -> Asset {
    Asset::bare(AssetName::new(name).unwrap()).unwrap()
}

fn event(id: i64, name: &str, aliases: &[&str]) -> AssetEventRecord {
    AssetEventRecord {
        id: EventId(id),
        asset: asset(name),
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

async fn named(db: &Database) -> Vec<(String, String, usize)> {
    let ask = Ask { limit: 50, ..Ask::default() }.with("active", Test::Is(true));
    let rows = db.store.assets(&Ask { order_by: vec!["name".to_owned()], ..ask }).await.unwrap().rows;
    let mut all = Vec::new();
    for row in rows {
        let places = db.store.asset_places(&[row.id]).await.unwrap();
        all.push((row.name().to_owned(), row.uri.clone(), places.len()));
    }
    all
}

#[tokio::test]
async fn a_file_that_describes_an_asset_has_the_last_word() {
    let db = Database::new().await;
    let proof = db.lead().await;
    save(&db, &proof, "report.yaml", REPORT).await;
    assert_eq!(named(&db).await, [("orders".to_owned(), "orders".to_owned(), 1)]);
    save(&db, &proof, "maker.yaml", MAKER).await;
    let expected =
        [("orders".to_owned(), "s3://shop/orders".to_owned(), 2), ("raw".to_owned(), "raw".to_owned(), 1)];
    assert_eq!(named(&db).await, expected);
    save(&db, &proof, "report.yaml", &REPORT.replace("any", "all")).await;
    assert_eq!(named(&db).await, expected, "who only names it changes nothing");
    let without = MAKER.replace(", inlets: raw", "");
    save(&db, &proof, "maker.yaml", &without).await;
    assert_eq!(named(&db).await, &expected[..1], "what nobody names any more is not active");
    let waiting = db.store.waiting_for_assets(&dag_id("report")).await.unwrap();
    assert_eq!(waiting.unmade, Vec::<String>::new());
    db.store.save(&proof, &[file("maker.yaml", Vec::new())]).await.unwrap();
    let waiting = db.store.waiting_for_assets(&dag_id("report")).await.unwrap();
    assert_eq!(waiting.unmade, ["files", "orders"], "a file that is gone makes nothing");
}

async fn started() -> (Database, LeaderProof, DagRecord) {
    let db = Database::new().await;
    let proof = db.lead().await;
    save(&db, &proof, "maker.yaml", MAKER).await;
    let report = save(&db, &proof, "report.yaml", REPORT).await;
    (db, proof, report)
}

fn standing(loaded: &store::Snapshot) -> AssetStanding {
    loaded.dags.iter().find(|dag| dag.dag.dag_id == dag_id("report")).unwrap().assets.clone()
}

#[tokio::test]
async fn what_happened_is_consumed_and_loaded_as_it_was_written() {
    let (db, proof, report) = started().await;
    let queued = |name: &str, minutes: Option<i64>| QueuedAsset {
        dag_id: dag_id("report"),
        asset: AssetName::new(name).unwrap(),
        at: minutes.map(at),
    };
    let cursor = |event, minutes: Option<i64>| AssetCursorRecord {
        dag_id: dag_id("report"),
        cursor: AssetCursor { event: EventId(event), at: minutes.map(at) },
    };
    let first = Decisions {
        asset_events: vec![event(1, "orders", &[]), event(2, "new", &["files"]), event(3, "other", &[])],
        assets_queued: vec![queued("orders", Some(1)), queued("new", Some(2))],
        asset_cursors: vec![cursor(0, None)],
        ..Decisions::default()
    };
    db.store.commit(&proof, &first, &[]).await.unwrap();
    let loaded = db.store.load(&proof).await.unwrap();
    let names = [("new", at(2)), ("orders", at(1))].map(|(name, at)| (AssetName::new(name).unwrap(), at));
    let expected = AssetStanding {
        cursor: Some(AssetCursor { event: EventId(0), at: None }),
        queued: names.into_iter().collect(),
        ..AssetStanding::default()
    };
    assert_eq!(standing(&loaded), expected);
    let record = db.store.dag_record(&dag_id("report")).await.unwrap().unwrap();
    assert_eq!(record.assets, expected);
    let member = (AliasName::new("files").unwrap(), AssetName::new("new").unwrap());
    assert_eq!((loaded.assets.members, loaded.assets.next_event), (vec![member], 4));

    let mut by_assets = run(9, &report, 5);
    (by_assets.run_type, by_assets.logical_date, by_assets.data_interval) =
        (RunType::AssetTriggered, None, None);
    let run_name = by_assets.run_id.clone();
    let second = Decisions {
        runs_created: vec![by_assets],
        assets_queued: vec![queued("orders", None), queued("new", None)],
        consumed: vec![Consumption {
            run: RunKey(9),
            after: EventId(0),
            upto: EventId(3),
            assets: vec![AssetName::new("orders").unwrap()],
            aliases: vec![AliasName::new("files").unwrap()],
        }],
        asset_cursors: vec![cursor(3, Some(6))],
        ..Decisions::default()
    };
    db.store.commit(&proof, &second, &[]).await.unwrap();
    let consumed = db.store.consumed_events(&dag_id("report"), &run_name).await.unwrap();
    assert_eq!(consumed.iter().map(|event| event.id).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(consumed[1].extra()["rows"], 2);
    let consumers = db.store.consumers(&[1, 2, 3]).await.unwrap();
    assert_eq!(
        consumers.iter().map(|run| (run.event_id, run.is_newest)).collect::<Vec<_>>(),
        [(1, false), (2, true)]
    );
    let loaded = db.store.load(&proof).await.unwrap();
    let cursor = AssetCursor { event: EventId(3), at: Some(at(6)) };
    assert_eq!(standing(&loaded), AssetStanding { cursor: Some(cursor), ..AssetStanding::default() });
    assert_eq!(db.store.queued_assets(None, None, None).await.unwrap(), []);
}

#[tokio::test]
async fn an_event_that_somebody_asks_for_is_found_by_its_number() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let request = Uuid::from_u128(7);
    let by_hand = AssetEventRecord {
        source: None,
        by: Some("ann".to_owned()),
        request: Some(request),
        ..event(1, "unheard of", &[])
    };
    let decisions = Decisions { asset_events: vec![by_hand], ..Decisions::default() };
    db.store.commit(&proof, &decisions, &[]).await.unwrap();
    let found = db.store.asset_event_of(request).await.unwrap().unwrap();
    assert_eq!((found.name.as_str(), found.created_by.as_deref()), ("unheard of", Some("ann")));
    assert_eq!((found.source_dag_id, found.source_map_index), (None, -1));
    assert!(db.store.asset_event_of(Uuid::nil()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_dag_that_was_deleted_meanwhile_waits_for_nothing() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let queued =
        QueuedAsset { dag_id: dag_id("gone"), asset: AssetName::new("orders").unwrap(), at: Some(at(1)) };
    let decisions = Decisions {
        asset_events: vec![event(1, "orders", &[])],
        assets_queued: vec![queued],
        ..Decisions::default()
    };
    db.store.commit(&proof, &decisions, &[]).await.unwrap();
    assert_eq!(db.store.queued_assets(None, None, None).await.unwrap(), []);
}

#[tokio::test]
async fn old_events_are_forgotten_but_for_what_is_still_to_be_consumed() {
    let db = Database::new().await;
    let proof = db.lead().await;
    save(&db, &proof, "report.yaml", REPORT).await;
    let queued =
        QueuedAsset { dag_id: dag_id("report"), asset: AssetName::new("orders").unwrap(), at: Some(at(1)) };
    let decisions = Decisions {
        asset_events: vec![
            event(1, "orders", &[]),
            event(2, "orders", &[]),
            event(3, "x", &[]),
            event(4, "x", &[]),
        ],
        assets_queued: vec![queued],
        ..Decisions::default()
    };
    db.store.commit(&proof, &decisions, &[]).await.unwrap();
    assert_eq!(db.store.count_old(at(100)).await.unwrap().asset_events, 1);
    assert_eq!(db.store.clean(at(100)).await.unwrap().asset_events, 1);
    assert_eq!(db.texts("SELECT id::text FROM asset_event ORDER BY id").await, ["1", "2", "4"]);
}
