//! Assets in the simulated world: who makes them, who waits for them, and what must hold of both.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    asset::{AliasName, Asset, AssetName, AssetRef, Condition, EventId, OutletEvent},
    dag::Dag,
    engine::{
        decision::Decisions,
        record::{AssetEventRecord, AssetsRecord, Consumption, DagRecord},
    },
    id::{DagId, RunKey, TryKey},
    intent::Wish,
    state::RunType,
};
use serde_json::Map;
use uuid::Uuid;

use crate::{chance::Chance, world::World};

/// What the records have of assets, beside what each DAG waits for.
#[derive(Debug, Default, Clone)]
pub struct Happenings {
    pub events: BTreeMap<EventId, AssetEventRecord>,
    /// The run of a DAG that consumed an event.
    consumed: BTreeMap<(DagId, EventId), RunKey>,
    /// The DAGs that had to be told of an event: they waited for it and were not paused.
    told: BTreeSet<(DagId, EventId)>,
}

pub fn asset(name: &str) -> Asset {
    Asset::bare(AssetName::new(name).unwrap()).unwrap()
}

fn alias(dag: u64) -> AliasName {
    AliasName::new(&format!("files{dag}")).unwrap()
}

/// Lets some tasks make assets and some DAGs wait for them, by random numbers of its own.
pub fn make_assets(dags: &mut [Dag], seed: u64) {
    let mut chance = Chance::new(seed ^ 0xa55e7);
    if !chance.one_in(3) {
        return;
    }
    for (number, dag) in (0..).zip(dags) {
        dag.asset_condition = random_condition(number, &mut chance);
        dag.tasks.iter_mut().for_each(|task| task.outlets = random_outlets(number, &mut chance));
    }
}

/// What a task of a DAG makes.
fn random_outlets(dag: u64, chance: &mut Chance) -> Vec<AssetRef> {
    if !chance.one_in(4) {
        return Vec::new();
    }
    let mut all = vec![AssetRef::Asset(asset(&format!("a{dag}")))];
    match chance.below(4) {
        0 => all.push(AssetRef::Asset(asset(&format!("b{dag}")))),
        1 => all.push(AssetRef::Alias { alias: alias(dag) }),
        2 => all = vec![AssetRef::Alias { alias: alias(dag) }],
        _ => {}
    }
    all
}

/// What a DAG waits for: only what DAGs with higher numbers make, so that every cascade ends.
fn random_condition(dag: u64, chance: &mut Chance) -> Option<Condition> {
    (dag < 2 && chance.one_in(2)).then(|| random_part(dag, 0, chance))
}

fn random_part(dag: u64, depth: u64, chance: &mut Chance) -> Condition {
    let maker = dag + 1 + chance.below(2 - dag);
    match chance.below(6 - depth) {
        0 => Condition::Alias(alias(maker)),
        1 => Condition::Asset(asset(&format!("b{maker}"))),
        2 | 3 => Condition::Asset(asset(&format!("a{maker}"))),
        _ => {
            let parts = (0..1 + chance.below(3)).map(|_| random_part(dag, depth + 2, chance)).collect();
            if chance.one_in(2) { Condition::Any(parts) } else { Condition::All(parts) }
        }
    }
}

impl World {
    pub fn assets(&self) -> AssetsRecord {
        let events = || self.records.assets.events.values();
        let members: BTreeSet<(AliasName, AssetName)> = events()
            .flat_map(|event| event.aliases.iter().map(|alias| (alias.clone(), event.asset.name.clone())))
            .collect();
        let next_event = self.records.assets.events.keys().next_back().map_or(1, |id| id.0 + 1);
        AssetsRecord { members: members.into_iter().collect(), next_event }
    }

    /// What a try says of the assets that it made.
    pub fn makes(&mut self, attempt: TryKey) -> Vec<OutletEvent> {
        let (record, run) = (&self.records.tis[&attempt.ti], &self.records.runs[&attempt.ti.run]);
        let dag = self.dag(run);
        let outlets = dag.task(record.task_id.as_str()).map(|task| task.outlets.clone()).unwrap_or_default();
        let mut all = Vec::new();
        for outlet in outlets {
            for number in 0..self.makers.below(3) {
                let extra: Map<_, _> = [("rows".to_owned(), number.into())].into_iter().collect();
                let (asset, alias) = match &outlet {
                    AssetRef::Asset(asset) => (asset.clone(), None),
                    AssetRef::Alias { alias } => {
                        (asset(&format!("x{}", self.makers.below(3))), Some(alias.clone()))
                    }
                };
                let partition_key = self.random_key();
                all.push(OutletEvent { asset, alias, extra, partition_key });
            }
        }
        all
    }

    /// Somebody says that an asset was updated.
    pub fn update_asset(&mut self) -> Wish {
        let name = ["a1", "a2", "b1", "b2", "x0"][self.makers.below(5) as usize];
        let request = Uuid::from_u128(u128::from(self.makers.next()));
        let partition_key = self.random_key();
        Wish::CreateAssetEvent { asset: asset(name), extra: Map::new(), partition_key, request }
    }

    pub fn write_assets(&mut self, decisions: &Decisions, paused: &BTreeSet<DagId>) {
        for event in &decisions.asset_events {
            let last = self.records.assets.events.keys().next_back();
            assert!(last.is_none_or(|last| *last < event.id), "{event:?} is not the newest");
            for dag in &self.records.dags {
                let dag_id = &dag.dag.dag_id;
                if is_heard(dag, event) && !dag.is_paused && !paused.contains(dag_id) {
                    self.records.assets.told.insert((dag_id.clone(), event.id));
                }
            }
            self.records.assets.events.insert(event.id, event.clone());
        }
        for consumption in &decisions.consumed {
            self.consume(consumption);
        }
        for queued in &decisions.assets_queued {
            let dag = self.records.dags.iter_mut().find(|dag| dag.dag.dag_id == queued.dag_id).unwrap();
            match queued.at {
                Some(at) => drop(dag.assets.queued.insert(queued.asset.clone(), at)),
                None => drop(dag.assets.queued.remove(&queued.asset)),
            }
        }
        for new in &decisions.asset_cursors {
            let dag = self.records.dags.iter_mut().find(|dag| dag.dag.dag_id == new.dag_id).unwrap();
            let old = dag.assets.cursor.replace(new.cursor);
            assert!(old.is_none_or(|old| old.event <= new.cursor.event), "{new:?} behind {old:?}");
        }
        let by_assets = decisions.runs_created.iter().filter(|run| run.run_type == RunType::AssetTriggered);
        let about_parts = decisions.partition_ends.iter().filter(|end| end.run.is_some());
        let consuming = decisions.consumed.len() + about_parts.count();
        assert_eq!(by_assets.count(), consuming, "a run by assets consumes events");
    }

    // What a new run consumes fulfils the condition, and nobody has consumed it before.
    fn consume(&mut self, consumption: &Consumption) {
        let run = &self.records.runs[&consumption.run];
        assert_eq!((run.run_type, run.logical_date), (RunType::AssetTriggered, None));
        let dag = self.records.dags.iter().find(|dag| dag.dag.dag_id == run.dag_id).unwrap();
        let events = self.records.assets.events.range(EventId(consumption.after.0 + 1)..=consumption.upto);
        let events: Vec<&AssetEventRecord> =
            events.map(|(_, event)| event).filter(|event| is_heard(dag, event)).collect();
        let has = |name: &AssetName| events.iter().any(|event| event.asset.name == *name);
        let has_alias = |alias: &AliasName| {
            let members = self.assets().members;
            members.iter().any(|(of, member)| of == alias && has(member))
        };
        let condition = dag.dag.asset_condition.as_ref().unwrap();
        assert!(condition.holds(&has, &has_alias), "{run:?} consumed only {events:#?}");
        assert!(!dag.is_stale && events.iter().any(|event| run.run_after <= event.at), "{run:?}");
        for event in events.iter().map(|event| event.id).collect::<Vec<_>>() {
            let key = (run.dag_id.clone(), event);
            let before = self.records.assets.consumed.insert(key, consumption.run);
            assert_eq!(before, None, "{event:?} was consumed twice");
        }
    }

    /// A DAG has everything that it waits for.
    pub fn has_all_assets(&self) -> bool {
        let members = self.assets().members;
        self.records.dags.iter().filter(|dag| dag.dag.mappers().is_none()).any(|dag| {
            let has = |name: &AssetName| dag.assets.queued.contains_key(name);
            let has_alias = |alias: &AliasName| members.iter().any(|(of, member)| of == alias && has(member));
            dag.dag.asset_condition.as_ref().is_some_and(|condition| condition.holds(&has, &has_alias))
        })
    }

    /// At rest every event that a DAG was told of has been consumed by a run of it, or is queued for the next.
    pub fn check_consumed(&self) {
        assert!(!self.has_all_assets() && !self.has_whole_partition());
        self.check_partitions();
        for (dag_id, id) in &self.records.assets.told {
            let dag = self.records.dags.iter().find(|dag| dag.dag.dag_id == *dag_id).unwrap();
            let event = &self.records.assets.events[id];
            let was_consumed = self.records.assets.consumed.contains_key(&(dag_id.clone(), *id));
            let is_queued = dag.assets.queued.contains_key(&event.asset.name);
            let is_behind = dag.assets.cursor.is_some_and(|cursor| *id <= cursor.event);
            assert_eq!(was_consumed, is_behind, "{event:?} for {dag_id}: {:?}", dag.assets);
            assert!(was_consumed || is_queued, "{event:?} was lost for {dag_id}: {:?}", dag.assets);
        }
    }

    /// Every success of a task in the simulation has had its events: none fewer and, without a second success, none more.
    pub fn check_sources(&self) {
        for event in self.records.assets.events.values() {
            let Some(source) = &event.source else { continue };
            let run = self
                .records
                .runs
                .values()
                .find(|run| run.dag_id == source.dag_id && run.run_id == source.run_id);
            let run = run.unwrap();
            let dag = self.dag(run);
            let outlets = &dag.task(source.task_id.as_str()).unwrap().outlets;
            let is_outlet = |outlet: &AssetRef| match outlet {
                AssetRef::Asset(asset) => asset.name == event.asset.name && event.aliases.is_empty(),
                AssetRef::Alias { alias } => event.aliases.contains(alias),
            };
            assert!(outlets.iter().any(is_outlet), "{event:?} is about no outlet");
        }
    }
}

// Who is not divided hears of events that are about the whole.
fn is_heard(dag: &DagRecord, event: &AssetEventRecord) -> bool {
    is_about(dag, event) && dag.dag.mappers().is_none() && event.partition_key.is_none()
}

// The condition of the DAG names the asset, or an alias of the event.
pub fn is_about(dag: &DagRecord, event: &AssetEventRecord) -> bool {
    dag.dag.asset_condition.as_ref().is_some_and(|condition| {
        condition.assets().iter().any(|asset| asset.name == event.asset.name)
            || condition.aliases().iter().any(|alias| event.aliases.contains(alias))
    })
}
