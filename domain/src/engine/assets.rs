//! Assets: what the success of a task is to the DAGs that wait for it. Source: Airflow 3.3.2 `assets/manager.py:272`,
//! `jobs/scheduler_job_runner.py:2554`, `models/dag.py:683`.
//!
//! An event costs as much as its asset has consumers. For each of these the engine remembers which assets have been updated since the
//! last run that assets asked for; when the condition holds, a run is created that consumes every event up to that moment, and
//! what was remembered is forgotten. Events have ascending numbers, and what a DAG has consumed is one number: so none is consumed twice,
//! and none is lost while a run waits for room.
//!
//! Airflow consumes only what happened up to the first event of the asset that came last, so that events which arrive while the DAG
//! has no room wait for yet another one. Here they belong to the run that is created when there is room.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use uuid::Uuid;

use super::{
    Engine,
    life::Life,
    partitions::Heard,
    plan::{DagState, NewRun},
    record::{
        AssetCursor, AssetCursorRecord, AssetEventRecord, AssetStanding, AssetsRecord, Consumption,
        EventSource, PartitionRecord, QueuedAsset,
    },
    timer::Timer,
};
use crate::{
    asset::{AliasName, AssetName, Condition, Emission, EventId, OutletEvent, emissions},
    id::{DagId, RunId, short_digest},
    partition::Key,
    timetable::Catchup,
};

/// The least time between two runs of a DAG that assets ask for: what arrives in between is consumed together, and DAGs that feed each
/// other in a circle do not keep the scheduler busy with nothing.
pub const ASSET_REST: TimeDelta = TimeDelta::seconds(1);

/// What happened to an asset and has no number yet.
#[derive(Debug, Clone)]
pub struct Unnumbered {
    pub emission: Emission,
    pub source: Option<EventSource>,
    /// Who asked for it, when a person or a program did, and under which number.
    pub asked: Option<(String, Uuid)>,
}

/// What the engine remembers of assets, beside what each DAG waits for.
#[derive(Debug, Default)]
pub struct Assets {
    /// The DAGs whose conditions name an asset,
    consumers: HashMap<AssetName, BTreeSet<DagId>>,
    /// or an alias.
    followers: HashMap<AliasName, BTreeSet<DagId>>,
    /// What events have put under each alias.
    members: HashMap<AliasName, BTreeSet<AssetName>>,
    next_event: i64,
    /// Events that nobody has been told of.
    happened: VecDeque<Unnumbered>,
    /// What is to be written anew of what is queued,
    queue_changed: BTreeSet<(DagId, AssetName)>,
    /// of what has been consumed,
    pub(super) cursor_changed: BTreeSet<DagId>,
    /// and of partitions that wait.
    pub(super) partitions_changed: BTreeSet<(DagId, Key)>,
}

impl Assets {
    pub fn restore(record: AssetsRecord) -> Self {
        let mut assets = Self { next_event: record.next_event, ..Self::default() };
        for (alias, asset) in record.members {
            assets.members.entry(alias).or_default().insert(asset);
        }
        assets
    }

    pub fn note(&mut self, happened: impl IntoIterator<Item = Unnumbered>) {
        self.happened.extend(happened);
    }

    pub fn pop(&mut self) -> Option<Unnumbered> {
        self.happened.pop_front()
    }

    /// The number of the last event.
    pub(super) const fn last(&self) -> EventId {
        EventId(self.next_event - 1)
    }

    fn subscribe(&mut self, dag_id: &DagId, condition: &Condition) {
        for asset in condition.assets() {
            self.consumers.entry(asset.name.clone()).or_default().insert(dag_id.clone());
        }
        for alias in condition.aliases() {
            self.followers.entry(alias.clone()).or_default().insert(dag_id.clone());
        }
    }

    fn unsubscribe(&mut self, dag_id: &DagId, condition: &Condition) {
        for asset in condition.assets() {
            leave(&mut self.consumers, &asset.name, dag_id);
        }
        for alias in condition.aliases() {
            leave(&mut self.followers, alias, dag_id);
        }
    }

    /// Puts the asset of an event under its aliases; says whether it was not under all of them before.
    fn join(&mut self, emission: &Emission) -> bool {
        let name = &emission.asset.name;
        let mut has_joined = false;
        for alias in &emission.aliases {
            has_joined |= self.members.entry(alias.clone()).or_default().insert(name.clone());
        }
        has_joined
    }

    /// Those who are to be told of an event.
    fn concerned(&self, emission: &Emission) -> BTreeSet<DagId> {
        let direct = self.consumers.get(&emission.asset.name).into_iter().flatten().cloned();
        direct.chain(self.followers(emission)).collect()
    }

    /// Those of them who wait for one of its aliases.
    fn followers(&self, emission: &Emission) -> BTreeSet<DagId> {
        let followers = emission.aliases.iter().filter_map(|alias| self.followers.get(alias));
        followers.flatten().cloned().collect()
    }

    pub(super) fn is_under(&self, alias: &AliasName, wanted: impl Fn(&AssetName) -> bool) -> bool {
        self.members.get(alias).is_some_and(|members| members.iter().any(wanted))
    }

    fn holds(&self, condition: &Condition, queued: &BTreeMap<AssetName, DateTime<Utc>>) -> bool {
        let is_queued = |asset: &AssetName| queued.contains_key(asset);
        condition.holds(&is_queued, &|alias| self.is_under(alias, is_queued))
    }

    /// The condition has to do with the asset.
    fn concerns(&self, condition: &Condition, asset: &AssetName) -> bool {
        condition.assets().iter().any(|named| named.name == *asset)
            || condition.aliases().into_iter().any(|alias| self.is_under(alias, |member| member == asset))
    }
}

fn leave<K: std::hash::Hash + Eq>(places: &mut HashMap<K, BTreeSet<DagId>>, key: &K, dag_id: &DagId) {
    if let Some(dags) = places.get_mut(key) {
        dags.remove(dag_id);
        if dags.is_empty() {
            places.remove(key);
        }
    }
}

impl DagState {
    /// Its condition, while its file exists.
    pub(super) fn condition(&self) -> Option<&Condition> {
        self.record.dag.asset_condition.as_ref().filter(|_| !self.record.is_stale)
    }
}

impl Engine {
    /// A DAG has come into memory or has changed: who hears of which asset changes with it. What was queued for assets that it does
    /// not wait for any more is dropped; a DAG that begins to wait for assets starts with the next event, or with the first of all when it
    /// catches up.
    pub(super) fn subscribe(&mut self, dag_id: &DagId, before: Option<&Condition>) {
        if let Some(before) = before {
            self.assets.unsubscribe(dag_id, before);
        }
        let Some(dag) = self.dags.get_mut(dag_id) else { return };
        let condition = dag.record.dag.asset_condition.clone();
        let is_partitioned = dag.record.dag.mappers().is_some();
        let AssetStanding { cursor, queued, .. } = &mut dag.record.assets;
        if let Some(condition) = &condition {
            if !dag.record.is_stale {
                self.assets.subscribe(dag_id, condition);
            }
            if cursor.is_none() {
                let catches_up = dag.record.dag.catchup == Catchup::All;
                let event = if catches_up { EventId(0) } else { self.assets.last() };
                *cursor = Some(AssetCursor { event, at: None });
                self.assets.cursor_changed.insert(dag_id.clone());
            }
        }
        let is_over = |asset: &AssetName| {
            is_partitioned
                || condition.as_ref().is_none_or(|condition| !self.assets.concerns(condition, asset))
        };
        let dropped: Vec<AssetName> = queued.keys().filter(|asset| is_over(asset)).cloned().collect();
        for asset in dropped {
            queued.remove(&asset);
            self.assets.queue_changed.insert((dag_id.clone(), asset));
        }
    }

    /// A DAG is gone.
    pub(super) fn unsubscribe(&mut self, dag: &DagState) {
        if let Some(condition) = &dag.record.dag.asset_condition {
            self.assets.unsubscribe(&dag.record.dag.dag_id, condition);
        }
    }

    /// Gives an event its number and tells those who wait for it. A DAG that is paused is not told, as in Airflow: the event counts when
    /// a later one asks for a run. An event about a partition is for partitioned DAGs alone, and one about none for the others.
    pub(super) fn register(&mut self, happened: Unnumbered, now: DateTime<Utc>) {
        let Unnumbered { emission, source, asked } = happened;
        let id = EventId(self.assets.next_event);
        self.assets.next_event += 1;
        let name = &emission.asset.name;
        let has_joined = self.assets.join(&emission);
        let mut deaf = Vec::new();
        for dag_id in self.assets.concerned(&emission) {
            let Some(dag) = self.dags.get_mut(&dag_id).filter(|dag| !dag.record.is_paused) else { continue };
            match (&emission.partition, dag.record.dag.mappers()) {
                (Some(partition), Some(_)) => {
                    let heard = Heard { id, asset: name, partition, source: source.as_ref() };
                    self.hear_of_partition(&dag_id, &heard, now);
                }
                (None, Some(_)) => deaf.push(dag_id.clone()),
                (Some(_), None) => continue,
                (None, None) if dag.record.assets.queued.contains_key(name) => {}
                (None, None) => {
                    dag.record.assets.queued.insert(name.clone(), now);
                    self.assets.queue_changed.insert((dag_id.clone(), name.clone()));
                }
            }
            self.due.insert(dag_id);
        }
        for dag_id in has_joined.then(|| self.assets.followers(&emission)).into_iter().flatten() {
            self.settle_partitions(&dag_id);
            self.due.insert(dag_id);
        }
        self.tell_of_deaf(&deaf, name, source.as_ref(), now);
        let (by, request) = asked.unzip();
        let Emission { asset, aliases, extra, partition } = emission;
        let partition_key = partition.map(|partition| partition.key);
        let event =
            AssetEventRecord { id, asset, aliases, extra, partition_key, at: now, source, by, request };
        self.out.asset_events.push(event);
    }

    /// Creates the run that assets ask for, if they do and the DAG has room for it.
    pub(super) fn create_asset_run(&mut self, dag_id: &DagId, now: DateTime<Utc>) {
        let Some(dag) = self.dags.get(dag_id).filter(|dag| !dag.record.is_paused) else { return };
        let AssetStanding { cursor, queued, .. } = &dag.record.assets;
        let is_asked_for = |condition: &&Condition| {
            dag.record.dag.mappers().is_none() && self.assets.holds(condition, queued)
        };
        let Some(condition) = dag.condition().filter(is_asked_for) else { return };
        // The end of a run looks here again.
        if dag.active().count() >= dag.record.dag.max_active_runs as usize {
            return;
        }
        let rested = cursor.and_then(|cursor| cursor.at).map(|at| at + ASSET_REST);
        if let Some(rested) = rested.filter(|rested| *rested > now) {
            return self.timers.set(rested, Timer::Dag(dag_id.clone()));
        }
        let run_after = queued.values().max().copied().unwrap_or(now);
        let (after, upto) = (cursor.map_or(EventId(0), |cursor| cursor.event), self.assets.last());
        let assets = condition.assets().into_iter().map(|asset| asset.name.clone()).collect();
        let aliases = condition.aliases().into_iter().cloned().collect();
        let Ok(run_id) = asset_run_id(run_after, &format!("{dag_id}\0{}", upto.0)) else { return };
        let Some(run) = self.create_run(dag_id, NewRun::by_assets(run_id, run_after, None), now) else {
            return;
        };
        self.out.consumed.push(Consumption { run, after, upto, assets, aliases });
        self.consume(dag_id, AssetCursor { event: upto, at: Some(now) });
    }

    fn consume(&mut self, dag_id: &DagId, cursor: AssetCursor) {
        let Some(dag) = self.dags.get_mut(dag_id) else { return };
        dag.record.assets.cursor = Some(cursor);
        self.assets.cursor_changed.insert(dag_id.clone());
        for asset in std::mem::take(&mut dag.record.assets.queued).into_keys() {
            self.assets.queue_changed.insert((dag_id.clone(), asset));
        }
    }

    /// Forgets that assets were updated: of one DAG or all, one asset or all, before a moment or ever.
    ///
    /// # Errors
    /// When there is nothing to forget.
    pub(super) fn drop_queued(
        &mut self,
        dag_id: Option<&DagId>,
        asset: Option<&AssetName>,
        before: Option<DateTime<Utc>>,
    ) -> Result<(), String> {
        let mut dropped = self.drop_waiting(dag_id, asset, before);
        for (id, dag) in self.dags.iter_mut().filter(|(id, _)| dag_id.is_none_or(|wanted| wanted == *id)) {
            dag.record.assets.queued.retain(|name, at| {
                let goes =
                    asset.is_none_or(|wanted| wanted == name) && before.is_none_or(|before| *at < before);
                if goes {
                    self.assets.queue_changed.insert((id.clone(), name.clone()));
                    dropped = true;
                }
                !goes
            });
        }
        if dropped { Ok(()) } else { Err("no such event is queued".to_owned()) }
    }

    /// Turns what changed into decisions, each DAG and each pair once, as it is at the end.
    pub(super) fn collect_assets(&mut self) {
        for (dag_id, asset) in std::mem::take(&mut self.assets.queue_changed) {
            let at = self.dags.get(&dag_id).and_then(|dag| dag.record.assets.queued.get(&asset).copied());
            self.out.assets_queued.push(QueuedAsset { dag_id, asset, at });
        }
        for (dag_id, key) in std::mem::take(&mut self.assets.partitions_changed) {
            let pending = self.dags.get(&dag_id).and_then(|dag| dag.record.assets.pending.get(&key));
            let begun = pending.map(|pending| pending.begun.clone());
            self.out.partitions.push(PartitionRecord { dag_id, key, begun });
        }
        for dag_id in std::mem::take(&mut self.assets.cursor_changed) {
            if let Some(cursor) = self.dags.get(&dag_id).and_then(|dag| dag.record.assets.cursor) {
                self.out.asset_cursors.push(AssetCursorRecord { dag_id, cursor });
            }
        }
    }
}

impl Life<'_> {
    /// A try has succeeded: each of its task's outlets has an event.
    pub(super) fn emit(&mut self, index: u32, told: Vec<OutletEvent>) {
        let ti = &self.run.tis[index as usize];
        if ti.node >= self.run.graph.len() {
            return;
        }
        let outlets = &self.run.graph.task(ti.node).outlets;
        if outlets.is_empty() {
            return;
        }
        let source = EventSource {
            dag_id: self.run.record.dag_id.clone(),
            run_id: self.run.record.run_id.clone(),
            task_id: ti.record.task_id.clone(),
            map_index: ti.record.map_index,
        };
        let emitted = emissions(outlets, told, self.run.record.partition.as_ref());
        let unnumbered = |emission| Unnumbered { emission, source: Some(source.clone()), asked: None };
        self.run.emitted.extend(emitted.into_iter().map(unnumbered));
    }
}

/// Airflow's name, with an end that follows from what is consumed.
pub(super) fn asset_run_id(run_after: DateTime<Utc>, consumed: &str) -> Result<RunId, crate::id::Error> {
    let tail = short_digest(consumed);
    RunId::new(&format!(
        "asset_triggered__{}_{tail}",
        run_after.to_rfc3339_opts(SecondsFormat::AutoSi, false)
    ))
}
