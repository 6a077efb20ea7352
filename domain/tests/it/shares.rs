//! Shares and teams that DAG files name.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};
use domain::{
    engine::{
        Engine, Snapshot,
        event::Event,
        record::{AssetStanding, AssetsRecord, DagRecord, PoolRecord, VersionId, WorkerRecord},
    },
    id::{DagId, PoolName, QueueName, RunId, RunKey},
    intent::{Intent, Trigger, Wish},
};
use uuid::Uuid;

use crate::dagfile;

fn record(version: i64, name: &str, header: &str) -> DagRecord {
    let list: Vec<u32> = (0..12).collect();
    let text = format!("dag_id: {name}\n{header}\ntasks: {{t: {{bash: t, expand: {{x: {list:?}}}}}}}");
    DagRecord {
        version: VersionId(version),
        dag: Arc::new(dagfile::dag(&text)),
        is_paused: false,
        is_stale: false,
        cursor: None,
        disabled: std::collections::BTreeSet::new(),
        failed_runs: 0,
        taken: std::collections::BTreeSet::new(),
        assets: AssetStanding::default(),
    }
}

fn trigger(engine: &mut Engine, dag: &str) {
    let wish = Wish::Trigger(Trigger {
        dag_id: DagId::new(dag).unwrap(),
        run_id: RunId::new("r").unwrap(),
        logical_date: None,
        data_interval: None,
        run_after: now(),
        conf: serde_json::Map::new(),
        note: None,
        partition_key: None,
        materializes: false,
    });
    engine.handle(Event::Intent(Box::new(Intent { by: "ada".into(), wish })), now());
}

fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH
}

fn engine(dags: Vec<DagRecord>, slots: u32) -> Engine {
    let queues = vec![QueueName::default_queue()];
    let snapshot = Snapshot {
        dags,
        pools: vec![PoolRecord::new(PoolName::default_pool(), Some(slots))],
        workers: vec![WorkerRecord { id: Uuid::nil(), queues, slots: 100 }],
        assets: AssetsRecord { next_event: 1, ..AssetsRecord::default() },
        next_run: 1,
        ..Snapshot::default()
    };
    Engine::restore(snapshot, now())
}

/// How many slots each DAG is given when all of them want more than there is.
fn given(engine: &mut Engine, dags: &[&str]) -> Vec<usize> {
    dags.iter().for_each(|dag| trigger(engine, dag));
    let decisions = engine.poll(now());
    let names: BTreeMap<RunKey, String> =
        decisions.runs_created.iter().map(|run| (run.key, run.dag_id.to_string())).collect();
    let of =
        |dag: &&str| decisions.ready.iter().filter(|ready| names[&ready.attempt.ti.run] == **dag).count();
    dags.iter().map(of).collect()
}

#[test]
fn slots_follow_the_shares_in_the_files() {
    let mut engine = engine(vec![record(1, "a", "share: 2"), record(2, "b", "")], 9);
    assert_eq!(given(&mut engine, &["a", "b"]), [6, 3]);
}

#[test]
fn a_team_counts_as_one_with_the_highest_share_of_its_dags() {
    let crew = [record(1, "a", "team: crew"), record(2, "b", "team: crew\nshare: 2"), record(3, "c", "")];
    let mut engine = engine(crew.to_vec(), 9);
    let given = given(&mut engine, &["a", "b", "c"]);
    assert_eq!((given[0] + given[1], given[2]), (6, 3), "{given:?}");
}

#[test]
fn a_share_that_changes_or_goes_away_counts_at_once() {
    let dags = || vec![record(1, "a", ""), record(2, "b", "")];
    let mut reloaded = engine(dags(), 8);
    reloaded.handle(Event::Dag(Box::new(record(3, "a", "share: 3"))), now());
    assert_eq!(given(&mut reloaded, &["a", "b"]), [6, 2]);
    let mut back = engine(dags(), 8);
    back.handle(Event::Dag(Box::new(record(3, "a", "share: 3"))), now());
    back.poll(now());
    back.handle(Event::Dag(Box::new(record(4, "a", ""))), now());
    assert_eq!(given(&mut back, &["a", "b"]), [4, 4]);
}

#[test]
fn a_share_is_a_whole_number_of_one_or_more_and_a_team_a_name() {
    for (header, told) in [
        ("share: 0", "`share` of the DAG"),
        ("share: 1001", "`share` of the DAG"),
        ("share: 1.5", "`share` of the DAG"),
        ("team: a/b", "is not a team name"),
    ] {
        let parsed = dagfile::load(&format!("{header}\ntasks: {{t: {{bash: t}}}}"));
        let said: Vec<String> = parsed.errors.iter().map(ToString::to_string).collect();
        assert!(said.len() == 1 && said[0].contains(told), "{header}: {said:?}");
    }
}
