//! Partitions in the simulated world: which DAGs have some, what events say of them, and what must hold of both.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    asset::{AssetName, EventId},
    dag::Dag,
    engine::{
        decision::Decisions,
        record::{AssetEventRecord, DagRecord, PartitionEnd, Pending},
    },
    id::DagId,
    partition::{FanOut, Key, Mapper, Mappers, Partitions, Policy, Rollup, Rule, Ticks, Window},
    state::RunType,
    timetable::Timetable,
};

use crate::{chance::Chance, consuming::is_about, world::World};

/// What waiting partitions have heard of, as the records have it.
#[derive(Debug, Default, Clone)]
pub struct Heard(BTreeMap<(DagId, Key), BTreeSet<EventId>>);

fn mapper(rule: Rule) -> Mapper {
    Mapper { rule, most: None }
}

fn names(count: u64) -> BTreeSet<String> {
    (0..count).map(|number| format!("k{number}")).collect()
}

fn random_mapper(chance: &mut Chance) -> Mapper {
    let segments = Window::Segments(names(1 + chance.below(3)));
    mapper(match chance.below(6) {
        0 => Rule::Allowed(names(2)),
        1 => Rule::FanOut(Box::new(FanOut {
            upstream: Mapper::identity(),
            window: segments,
            downstream: Mapper::identity(),
        })),
        2 | 3 => Rule::Rollup(Box::new(Rollup {
            upstream: mapper(Rule::Fixed("k0".into())),
            window: segments,
            policy: match chance.below(4) {
                0 => Policy::AtLeast(2.try_into().unwrap()),
                1 => Policy::AtLeast((-1).try_into().unwrap()),
                _ => Policy::All,
            },
        })),
        _ => Rule::Identity,
    })
}

/// Divides some DAGs into partitions, by random numbers of its own.
pub fn divide(dags: &mut [Dag], seed: u64) {
    let mut chance = Chance::new(seed ^ 0x9a57);
    for dag in dags {
        let is_whole = chance.one_in(if dag.asset_condition.is_some() { 4 } else { 2 });
        dag.partitions = match (&dag.asset_condition, &dag.schedule) {
            _ if is_whole => None,
            (Some(_), Timetable::Null) => {
                let other = AssetName::new(["a1", "a2", "b2"][chance.below(3) as usize]).unwrap();
                let of = [(other, random_mapper(&mut chance))].into();
                Some(Partitions::Assets(Mappers { usual: random_mapper(&mut chance), of }))
            }
            (None, Timetable::Cron(_)) if chance.one_in(2) => {
                let offset = i32::try_from(chance.below(3)).unwrap() - 1;
                Some(Partitions::Cron(Ticks::new(offset, "%H:%M").unwrap()))
            }
            _ => Some(Partitions::AtRuntime),
        };
    }
}

impl World {
    /// A partition, or none.
    pub fn random_key(&mut self) -> Option<Key> {
        let number = self.makers.below(6);
        (number < 3).then(|| Key::new(&format!("k{number}")).unwrap())
    }

    /// A key that a run of the DAG may be given.
    pub fn key_for(&mut self, place: usize) -> Option<Key> {
        let is_free = match &self.records.dags[place].dag.partitions {
            Some(Partitions::AtRuntime | Partitions::Assets(_)) => true,
            Some(Partitions::Cron(_)) | None => false,
        };
        self.random_key().filter(|_| is_free)
    }

    /// The DAGs as the records have them, with what their partitions have heard.
    pub fn with_partitions(&self, mut dag: DagRecord) -> DagRecord {
        for (key, pending) in &mut dag.assets.pending {
            let place = (dag.dag.dag_id.clone(), key.clone());
            for id in self.records.heard.0.get(&place).into_iter().flatten() {
                let event = &self.records.assets.events[id];
                let told = pending.seen.entry(event.asset.name.clone()).or_default();
                told.extend(event.partition_key.clone());
            }
        }
        dag
    }

    pub fn write_partitions(&mut self, decisions: &Decisions, paused: &BTreeSet<DagId>) {
        for event in &decisions.asset_events {
            for dag in &self.records.dags {
                self.check_told(dag, event, decisions, paused);
            }
        }
        for event in &decisions.partition_events {
            let place = (event.dag_id.clone(), event.key.clone());
            let is_new = self.records.heard.0.entry(place).or_default().insert(event.event);
            assert!(is_new, "{event:?} was told twice");
        }
        for end in &decisions.partition_ends {
            let heard = self.records.heard.0.entry((end.dag_id.clone(), end.key.clone())).or_default();
            let later = heard.split_off(&EventId(end.upto.0 + 1));
            let consumed = std::mem::replace(heard, later);
            self.check_consumption(end, &consumed);
        }
        for record in &decisions.partitions {
            let dag = self.records.dags.iter_mut().find(|dag| dag.dag.dag_id == record.dag_id).unwrap();
            let pending = &mut dag.assets.pending;
            match &record.begun {
                Some(begun) => {
                    let new = Pending { begun: begun.clone(), seen: BTreeMap::new() };
                    pending.insert(record.key.clone(), new);
                }
                None => drop(pending.remove(&record.key)),
            }
        }
    }

    // Who waits for an asset hears of every partition of his that the event is about, and of no other.
    fn check_told(
        &self,
        dag: &DagRecord,
        event: &AssetEventRecord,
        decisions: &Decisions,
        paused: &BTreeSet<DagId>,
    ) {
        let dag_id = &dag.dag.dag_id;
        let told = decisions.partition_events.iter().filter(|told| told.dag_id == *dag_id);
        let told: BTreeSet<&str> =
            told.filter(|told| told.event == event.id).map(|told| told.key.as_str()).collect();
        let keys = match (dag.dag.mappers(), &event.partition_key) {
            (Some(mappers), Some(key)) if is_about(dag, event) => mapped(mappers, &event.asset.name, key),
            _ => BTreeSet::new(),
        };
        let was_told = told.iter().copied().eq(keys.iter().map(String::as_str));
        let may_be_deaf = (dag.is_paused || paused.contains(dag_id)) && told.is_empty();
        assert!(was_told || may_be_deaf, "{dag_id} was told of {told:?}, not of {keys:?}: {event:?}");
    }

    // A run about a partition consumes what the partition has heard of since the last one, and that is enough.
    fn check_consumption(&self, end: &PartitionEnd, consumed: &BTreeSet<EventId>) {
        assert!(!consumed.is_empty(), "{end:?}");
        let Some(run) = end.run else { return };
        let run = &self.records.runs[&run];
        let partition = run.partition.as_ref().unwrap();
        assert_eq!((&run.dag_id, &partition.key), (&end.dag_id, &end.key));
        assert_eq!((run.run_type, run.logical_date), (RunType::AssetTriggered, None));
        let dag = self.records.dags.iter().find(|dag| dag.dag.dag_id == run.dag_id).unwrap();
        assert!(self.suffices(dag, &end.key, consumed), "{run:?} consumed only {consumed:?}");
    }

    fn suffices(&self, dag: &DagRecord, key: &Key, heard: &BTreeSet<EventId>) -> bool {
        let events = || heard.iter().map(|id| &self.records.assets.events[id]);
        let mappers = dag.dag.mappers().unwrap();
        let has = |name: &AssetName| {
            let sources: BTreeSet<String> = events()
                .filter(|event| event.asset.name == *name)
                .filter_map(|event| Some(event.partition_key.as_ref()?.to_string()))
                .collect();
            let Rule::Rollup(rollup) = &mappers.of(name).rule else { return !sources.is_empty() };
            let Window::Segments(all) = &rollup.window else { unreachable!() };
            let there = sources.intersection(all).count();
            !sources.is_empty() && key.as_str() == "k0" && there >= rollup.policy.needs(all.len())
        };
        let members = self.assets().members;
        let has_alias = |alias: &_| members.iter().any(|(of, member)| of == alias && has(member));
        dag.dag.asset_condition.as_ref().unwrap().holds(&has, &has_alias)
    }

    /// A partition has everything that it waits for.
    pub fn has_whole_partition(&self) -> bool {
        self.records.dags.iter().filter(|dag| dag.dag.mappers().is_some()).any(|dag| {
            let of_dag = |((dag_id, _), _): &(&(DagId, Key), &BTreeSet<EventId>)| *dag_id == dag.dag.dag_id;
            self.records
                .heard
                .0
                .iter()
                .filter(of_dag)
                .any(|((_, key), heard)| !heard.is_empty() && self.suffices(dag, key, heard))
        })
    }

    /// What waits has heard of something, and what has heard of something waits.
    pub fn check_partitions(&self) {
        let waiting: BTreeSet<(&DagId, &Key)> = self
            .records
            .dags
            .iter()
            .flat_map(|dag| dag.assets.pending.keys().map(|key| (&dag.dag.dag_id, key)))
            .collect();
        let heard = self.records.heard.0.iter().filter(|(_, events)| !events.is_empty());
        let heard: BTreeSet<(&DagId, &Key)> = heard.map(|((dag_id, key), _)| (dag_id, key)).collect();
        assert_eq!(waiting, heard);
    }
}

// What an event is about, for the few mappers that these worlds have.
fn mapped(mappers: &Mappers, asset: &AssetName, key: &Key) -> BTreeSet<String> {
    match &mappers.of(asset).rule {
        Rule::Identity => [key.to_string()].into(),
        Rule::Allowed(keys) => keys.iter().filter(|allowed| *allowed == key.as_str()).cloned().collect(),
        Rule::Rollup(_) => ["k0".to_owned()].into(),
        Rule::FanOut(fan_out) => match &fan_out.window {
            Window::Segments(all) => all.clone(),
            Window::Period { .. } => unreachable!(),
        },
        Rule::Fixed(_) | Rule::Start(_) | Rule::Product { .. } | Rule::Chain(_) => unreachable!(),
    }
}

#[test]
fn worlds_have_partitions_that_are_run() {
    let (mut whole, mut parts, mut backfilled) = (0, 0, 0);
    for seed in 0..120 {
        let world = crate::simulation::live(&crate::story::Story::new(seed), true);
        let runs = world.records.runs.values().filter(|run| run.partition.is_some());
        parts += runs.clone().filter(|run| run.run_type == RunType::AssetTriggered).count();
        backfilled += runs.clone().filter(|run| run.run_type == RunType::Backfill).count();
        whole += runs.filter(|run| run.run_type == RunType::Scheduled).count();
    }
    assert!(
        whole > 20 && parts > 5 && backfilled > 5,
        "{whole} by schedule, {parts} by assets, {backfilled} of backfills"
    );
}
