//! Partitions: what waits, what it has heard of, and the runs that it becomes.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    asset::{Asset, AssetName, EventId},
    dagfile,
    engine::{
        decision::Decisions,
        record::{
            AssetEventRecord, Begun, DagRecord, PartitionEnd, PartitionEvent, PartitionRecord, Pending,
        },
    },
    id::RunKey,
    partition::{Key, Mapper, Mappers, Partition, Partitions},
    state::RunType,
};
use serde_json::Map;
use store::{
    LeaderProof,
    view::api_list::{Ask, Test},
};

use crate::{
    database::Database,
    fixture::{at, dag_id, file, run},
};

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

async fn divided(db: &Database, proof: &LeaderProof) -> DagRecord {
    let text = "dag_id: report\nschedule: {assets: orders}\ntasks: {t: {empty: {}}}";
    let parsed = dagfile::parse(text.as_bytes(), "report.yaml", &|_| Err(String::new()));
    let mut dag = parsed.dags[0].dag.clone();
    dag.partitions = Some(Partitions::Assets(Mappers { usual: Mapper::identity(), of: BTreeMap::new() }));
    let saved = db.store.save(proof, &[file("report.yaml", vec![dag])]).await.unwrap();
    saved.changed.into_iter().next().unwrap()
}

fn event(id: i64, partition: Option<&str>) -> AssetEventRecord {
    AssetEventRecord {
        id: EventId(id),
        asset: Asset::bare(AssetName::new("orders").unwrap()).unwrap(),
        aliases: Vec::new(),
        extra: Map::new(),
        partition_key: partition.map(key),
        at: at(id),
        source: None,
        by: Some("ann".to_owned()),
        request: None,
    }
}

fn begun(minutes: i64) -> Begun {
    Begun { since: at(minutes), date: Some(at(0)), mappers: "m".to_owned() }
}

fn waits(partition: &str, begun: Option<Begun>) -> PartitionRecord {
    PartitionRecord { dag_id: dag_id("report"), key: key(partition), begun }
}

fn heard(partition: &str, event: i64) -> PartitionEvent {
    PartitionEvent { dag_id: dag_id("report"), key: key(partition), event: EventId(event) }
}

fn ends(partition: &str, upto: i64, run: Option<i64>) -> PartitionEnd {
    let (upto, run) = (EventId(upto), run.map(RunKey));
    PartitionEnd { dag_id: dag_id("report"), key: key(partition), upto, run }
}

async fn pending(db: &Database, proof: &LeaderProof) -> BTreeMap<Key, Pending> {
    let loaded = db.store.load(proof).await.unwrap();
    let found = loaded.dags.into_iter().find(|dag| dag.dag.dag_id == dag_id("report")).unwrap();
    let one = db.store.dag_record(&dag_id("report")).await.unwrap().unwrap();
    assert_eq!(one.assets, found.assets);
    found.assets.pending
}

fn about(record: &DagRecord, number: i64, partition: &str) -> domain::engine::record::RunRecord {
    let mut run = run(number, record, number);
    (run.run_type, run.logical_date, run.data_interval) = (RunType::AssetTriggered, None, None);
    run.partition = Some(Partition { key: key(partition), date: Some(at(0)) });
    run
}

#[tokio::test]
async fn what_waits_is_loaded_as_it_was_written() {
    let db = Database::new().await;
    let proof = db.lead().await;
    divided(&db, &proof).await;
    let decisions = Decisions {
        asset_events: vec![event(1, Some("a")), event(2, Some("a")), event(3, Some("b")), event(4, None)],
        partitions: vec![waits("a", Some(begun(1))), waits("b", Some(begun(3)))],
        partition_events: vec![heard("a", 1), heard("a", 2), heard("b", 3)],
        ..Decisions::default()
    };
    db.store.commit(&proof, &decisions, &[]).await.unwrap();
    let expected = |partition: &str, minutes| {
        let told = BTreeSet::from([key(partition)]);
        let seen = BTreeMap::from([(AssetName::new("orders").unwrap(), told)]);
        (key(partition), Pending { begun: begun(minutes), seen })
    };
    assert_eq!(pending(&db, &proof).await, BTreeMap::from([expected("a", 1), expected("b", 3)]));

    let orders = db.store.assets(&Ask { limit: 1, ..Ask::default() }).await.unwrap().rows[0].id;
    let (rows, total) = db.store.waiting_partitions(&dag_id("report"), orders, 1).await.unwrap();
    assert_eq!((rows.len(), total, rows[0].key.as_str(), rows[0].told.len()), (1, 2, "a", 1));

    let changed = Decisions { partitions: vec![waits("a", None)], ..Decisions::default() };
    db.store.commit(&proof, &changed, &[]).await.unwrap();
    assert_eq!(pending(&db, &proof).await, BTreeMap::from([expected("b", 3)]));
}

#[tokio::test]
async fn a_run_consumes_what_its_partition_had_heard_of() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let report = divided(&db, &proof).await;
    let (first, second) = (about(&report, 8, "a"), about(&report, 9, "a"));
    let names = [first.run_id.clone(), second.run_id.clone()];
    let decisions = Decisions {
        runs_created: vec![first.clone(), second],
        asset_events: (1..=5).map(|id| event(id, Some("a"))).collect(),
        partitions: vec![waits("a", Some(begun(5))), waits("b", None)],
        partition_events: vec![
            heard("a", 1),
            heard("a", 2),
            heard("a", 3),
            heard("a", 4),
            heard("a", 5),
            heard("b", 1),
        ],
        // The third is forgotten, and the last is for the next run.
        partition_ends: vec![
            ends("a", 2, Some(8)),
            ends("a", 3, None),
            ends("b", 5, None),
            ends("a", 4, Some(9)),
        ],
        ..Decisions::default()
    };
    db.store.commit(&proof, &decisions, &[]).await.unwrap();
    let consumed = async |run: usize| {
        let events = db.store.consumed_events(&dag_id("report"), &names[run]).await.unwrap();
        events.into_iter().map(|event| (event.id, event.partition_key.unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(consumed(0).await, [(1, "a".to_owned()), (2, "a".to_owned())]);
    assert_eq!(consumed(1).await, [(4, "a".to_owned())]);
    let waiting = pending(&db, &proof).await;
    assert_eq!(waiting.keys().map(Key::as_str).collect::<Vec<_>>(), ["a"]);

    let loaded = db.store.run(&first.dag_id, &first.run_id).await.unwrap().unwrap();
    assert_eq!(loaded.run.partition, first.partition);
    let ask = Ask { limit: 9, ..Ask::default() }.with("partition_key", Test::is("a"));
    let (rows, total) = db.store.api_runs(&ask).await.unwrap();
    assert_eq!(
        (rows[0].partition_key.as_deref(), rows[0].partition_date, total),
        (Some("a"), Some(at(0)), 2)
    );
}

#[tokio::test]
async fn who_is_not_divided_consumes_only_events_about_the_whole() {
    let db = Database::new().await;
    let proof = db.lead().await;
    let report = divided(&db, &proof).await;
    let run = about(&report, 8, "a");
    let decisions = Decisions {
        runs_created: vec![run.clone()],
        asset_events: vec![event(1, Some("a")), event(2, None)],
        consumed: vec![domain::engine::record::Consumption {
            run: RunKey(8),
            after: EventId(0),
            upto: EventId(2),
            assets: vec![AssetName::new("orders").unwrap()],
            aliases: Vec::new(),
        }],
        ..Decisions::default()
    };
    db.store.commit(&proof, &decisions, &[]).await.unwrap();
    let events = db.store.consumed_events(&dag_id("report"), &run.run_id).await.unwrap();
    assert_eq!(events.iter().map(|event| event.id).collect::<Vec<_>>(), [2]);
}
