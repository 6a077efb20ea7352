//! Partitions that wait for their assets. Source: Airflow 3.3.2 `assets/manager.py:547`, `jobs/scheduler_job_runner.py:2142`.
//!
//! An event about a partition of an asset is, by the mapper of each DAG that waits for the asset, about some partitions of that DAG. Each of
//! them waits by itself: of it is remembered which assets have told something, and where many partitions of an asset make up one, which
//! of those. An event so costs the keys that it is mapped to, and for such a whole the parts of it. When the condition holds, a run about the
//! partition is created that consumes the events that it has heard of. What is told after that begins anew.
//!
//! Airflow creates these runs whether the DAG has room for them or not. Here they wait for it as partitions, and what is told meanwhile
//! belongs to them.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    Engine,
    assets::{ASSET_REST, Assets, asset_run_id},
    plan::{DagState, NewRun},
    record::{AssetCursor, AuditRecord, Begun, EventSource, PartitionEnd, PartitionEvent, Pending},
    timer::Timer,
};
use crate::{
    asset::{AssetName, Condition, EventId},
    id::DagId,
    partition::{self, Key, Mappers, MappingError, Partition},
};

/// Most partitions of one DAG that wait. Of more than that the one goes that has waited for the longest time and lacks something.
pub const MOST_WAITING: usize = 10_000;

/// An event about a partition.
pub(super) struct Heard<'a> {
    pub id: EventId,
    pub asset: &'a AssetName,
    pub partition: &'a Partition,
    pub source: Option<&'a EventSource>,
}

/// The partitions of a DAG that wait, the oldest first.
#[derive(Debug, Default)]
pub struct Line {
    /// They have everything that they wait for, but no run yet.
    complete: BTreeSet<(DateTime<Utc>, Key)>,
    /// They lack something.
    open: BTreeSet<(DateTime<Utc>, Key)>,
}

impl Line {
    fn place(&mut self, since: DateTime<Utc>, key: &Key, is_complete: bool) {
        if is_complete {
            self.open.remove(&(since, key.clone()));
            self.complete.insert((since, key.clone()));
        } else {
            self.open.insert((since, key.clone()));
        }
    }

    fn remove(&mut self, since: DateTime<Utc>, key: &Key) {
        let place = (since, key.clone());
        if !self.complete.remove(&place) {
            self.open.remove(&place);
        }
    }
}

impl Pending {
    /// Takes note of an event; what does not count is not kept.
    fn hear(&mut self, mappers: &Mappers, key: &Key, heard: &Heard<'_>) {
        let told = self.seen.entry(heard.asset.clone()).or_default();
        if mappers.wanted(heard.asset, key).is_ok_and(|wanted| wanted.counts(&heard.partition.key)) {
            told.insert(heard.partition.key.clone());
        }
        let carried = heard.partition.date.filter(|_| mappers.of(heard.asset).keeps_date());
        self.begun.date = match (self.begun.date, carried) {
            // Whichever is right, a wrong one is worse than none.
            (Some(known), Some(new)) if known != new => None,
            (known, new) => known.or(new),
        };
    }

    /// Everything has been told that the condition asks for.
    fn is_complete(&self, key: &Key, condition: &Condition, mappers: &Mappers, assets: &Assets) -> bool {
        let has = |asset: &AssetName| {
            let told = self.seen.get(asset);
            told.is_some_and(|told| mappers.wanted(asset, key).is_ok_and(|wanted| wanted.has_enough(told)))
        };
        condition.holds(&has, &|alias| assets.is_under(alias, has))
    }

    /// The moment that its run is about.
    fn date(&self, key: &Key, mappers: &Mappers) -> Option<DateTime<Utc>> {
        let dates = mappers.dates(self.seen.keys(), key).ok()?;
        if dates.is_empty() { self.begun.date } else { dates.first().copied().filter(|_| dates.len() == 1) }
    }
}

impl DagState {
    /// A partition has heard something: it may be complete now.
    fn judge(&mut self, key: &Key, assets: &Assets) {
        let dag = &self.record.dag;
        if let (Some(pending), Some(condition), Some(mappers)) =
            (self.record.assets.pending.get(key), &dag.asset_condition, dag.mappers())
        {
            let is_complete = pending.is_complete(key, condition, mappers, assets);
            self.line.place(pending.begun.since, key, is_complete);
        }
    }

    fn fingerprint(&self) -> Option<String> {
        let dag = &self.record.dag;
        Some(dag.mappers()?.fingerprint(dag.asset_condition.as_ref()?))
    }
}

impl Engine {
    /// Tells a DAG of an event about a partition.
    pub(super) fn hear_of_partition(&mut self, dag_id: &DagId, heard: &Heard<'_>, now: DateTime<Utc>) {
        let Some(dag) = self.dags.get(dag_id) else { return };
        let (Some(mappers), Some(fingerprint)) = (dag.record.dag.mappers(), dag.fingerprint()) else {
            return;
        };
        let keys = match mappers.keys(heard.asset, &heard.partition.key) {
            Ok(keys) => keys,
            Err(error) => return self.tell_of_mapping(dag_id, heard, &error, now),
        };
        for key in keys {
            if !self.has_place_for(dag_id, &key, now) {
                continue;
            }
            let Some(dag) = self.dags.get_mut(dag_id) else { return };
            let Some(mappers) = dag.record.dag.mappers() else { return };
            let begin = || Pending {
                begun: Begun { since: now, date: None, mappers: fingerprint.clone() },
                seen: BTreeMap::new(),
            };
            let pending = dag.record.assets.pending.entry(key.clone()).or_insert_with(begin);
            pending.hear(mappers, &key, heard);
            dag.judge(&key, &self.assets);
            self.assets.partitions_changed.insert((dag_id.clone(), key.clone()));
            self.out.partition_events.push(PartitionEvent { dag_id: dag_id.clone(), key, event: heard.id });
        }
    }

    // There is always room for what complete partitions leave of it.
    fn has_place_for(&mut self, dag_id: &DagId, key: &Key, now: DateTime<Utc>) -> bool {
        let Some(dag) = self.dags.get(dag_id) else { return false };
        let pending = &dag.record.assets.pending;
        if pending.len() < MOST_WAITING || pending.contains_key(key) {
            return true;
        }
        let oldest = dag.line.open.first().map(|(_, key)| key.clone());
        let given_up = oldest.clone().unwrap_or_else(|| key.clone());
        let reason = format!("more than {MOST_WAITING} partitions wait for assets: `{given_up}` is given up");
        self.tell_of_partitions("partition dropped", Some(dag_id), None, &json!({ "reason": reason }), now);
        oldest.is_some_and(|oldest| self.forget_partition(dag_id, &oldest))
    }

    /// Forgets what a partition has heard of.
    fn forget_partition(&mut self, dag_id: &DagId, key: &Key) -> bool {
        let Some(dag) = self.dags.get_mut(dag_id) else { return false };
        let Some(pending) = dag.record.assets.pending.remove(key) else { return false };
        dag.line.remove(pending.begun.since, key);
        let (upto, run) = (self.assets.last(), None);
        self.assets.partitions_changed.insert((dag_id.clone(), key.clone()));
        self.out.partition_ends.push(PartitionEnd { dag_id: dag_id.clone(), key: key.clone(), upto, run });
        true
    }

    /// A DAG has come into memory, or it or an alias has changed: partitions that other mappers chose are forgotten, and of the others is
    /// found out anew what they lack.
    pub(super) fn settle_partitions(&mut self, dag_id: &DagId) {
        let Some(dag) = self.dags.get_mut(dag_id).filter(|dag| !dag.record.assets.pending.is_empty()) else {
            return;
        };
        let fingerprint = dag.fingerprint();
        let is_over = |pending: &Pending| Some(&pending.begun.mappers) != fingerprint.as_ref();
        let pending = &mut dag.record.assets.pending;
        let over: Vec<Key> =
            pending.iter().filter(|(_, pending)| is_over(pending)).map(|(key, _)| key.clone()).collect();
        if let Some(mappers) = dag.record.dag.mappers() {
            for (key, pending) in pending.iter_mut() {
                for (asset, told) in &mut pending.seen {
                    let wanted = mappers.wanted(asset, key);
                    told.retain(|told| wanted.as_ref().is_ok_and(|wanted| wanted.counts(told)));
                }
            }
        }
        dag.line = Line::default();
        for key in dag.record.assets.pending.keys().cloned().collect::<Vec<_>>() {
            dag.judge(&key, &self.assets);
        }
        for key in over {
            self.forget_partition(dag_id, &key);
        }
    }

    /// Creates runs for the partitions that have everything they wait for, while the DAG has room.
    pub(super) fn create_partition_runs(&mut self, dag_id: &DagId, now: DateTime<Utc>) {
        let Some(dag) = self.dags.get(dag_id).filter(|dag| !dag.line.complete.is_empty()) else { return };
        if dag.record.is_paused || dag.record.is_stale {
            return;
        }
        let last = dag.record.assets.cursor.and_then(|cursor| cursor.at);
        while let Some(dag) = self.dags.get(dag_id) {
            let Some((since, key)) = dag.line.complete.first().cloned() else { return };
            // The end of a run looks here again.
            if dag.active().count() >= dag.record.dag.max_active_runs as usize {
                return;
            }
            // What began before the last runs were created cannot have come from them.
            let rested = last.filter(|last| since >= *last).map(|last| last + ASSET_REST);
            if let Some(rested) = rested.filter(|rested| *rested > now) {
                return self.timers.set(rested, Timer::Dag(dag_id.clone()));
            }
            if !self.may_create(dag_id, now) || !self.create_partition_run(dag_id, &key, now) {
                return;
            }
        }
    }

    fn create_partition_run(&mut self, dag_id: &DagId, key: &Key, now: DateTime<Utc>) -> bool {
        let upto = self.assets.last();
        let Some(dag) = self.dags.get_mut(dag_id) else { return false };
        let Some(pending) = dag.record.assets.pending.remove(key) else { return false };
        dag.line.remove(pending.begun.since, key);
        dag.record.assets.cursor = Some(AssetCursor { event: upto, at: Some(now) });
        let date = dag.record.dag.mappers().and_then(|mappers| pending.date(key, mappers));
        let partition = Partition { key: key.clone(), date };
        self.assets.cursor_changed.insert(dag_id.clone());
        self.assets.partitions_changed.insert((dag_id.clone(), key.clone()));
        let run_id = asset_run_id(now, &format!("{dag_id}\0{}\0{key}", upto.0)).ok();
        let run = run_id
            .and_then(|run_id| self.create_run(dag_id, NewRun::by_assets(run_id, now, Some(partition)), now));
        let (dag_id, key) = (dag_id.clone(), key.clone());
        self.out.partition_ends.push(PartitionEnd { dag_id, key, upto, run });
        run.is_some()
    }

    /// Forgets partitions that wait: of one DAG or all, those that have heard of one asset or any, that began before a moment or ever.
    pub(super) fn drop_waiting(
        &mut self,
        dag_id: Option<&DagId>,
        asset: Option<&AssetName>,
        before: Option<DateTime<Utc>>,
    ) -> bool {
        let goes = |pending: &Pending| {
            asset.is_none_or(|asset| pending.seen.contains_key(asset))
                && before.is_none_or(|before| pending.begun.since < before)
        };
        let dags = self.dags.iter().filter(|(id, _)| dag_id.is_none_or(|wanted| wanted == *id));
        let dropped = dags.flat_map(|(id, dag)| {
            let keys = dag.record.assets.pending.iter().filter(|(_, pending)| goes(pending));
            keys.map(|(key, _)| (id.clone(), key.clone()))
        });
        let dropped: Vec<(DagId, Key)> = dropped.collect();
        for (dag_id, key) in &dropped {
            self.forget_partition(dag_id, key);
        }
        !dropped.is_empty()
    }

    /// Says that partitioned DAGs have not heard of an event, because it is about no partition.
    pub(super) fn tell_of_deaf(
        &mut self,
        deaf: &[DagId],
        asset: &AssetName,
        source: Option<&EventSource>,
        now: DateTime<Utc>,
    ) {
        if !deaf.is_empty() {
            let extra = json!({
                "reason": "the event is about no partition, and those who listen want one",
                "asset": asset, "listening_dags": deaf,
            });
            self.tell_of_partitions("missing partition key", None, source, &extra, now);
        }
    }

    fn tell_of_mapping(
        &mut self,
        dag_id: &DagId,
        heard: &Heard<'_>,
        error: &MappingError,
        now: DateTime<Utc>,
    ) {
        let event = match error {
            MappingError::Mapper(partition::Error::TooMany { .. }) => "partition fan-out exceeded",
            MappingError::Mapper(_) | MappingError::Key(_) => "failed to map partition_key",
        };
        let extra = json!({
            "reason": error.to_string(),
            "asset": heard.asset, "partition_key": heard.partition.key, "target_dag": dag_id,
        });
        self.tell_of_partitions(event, None, heard.source, &extra, now);
    }

    fn tell_of_partitions(
        &mut self,
        event: &'static str,
        dag_id: Option<&DagId>,
        source: Option<&EventSource>,
        extra: &Value,
        now: DateTime<Utc>,
    ) {
        self.out.audit.push(AuditRecord {
            at: now,
            by: "scheduler".to_owned(),
            event,
            dag_id: dag_id.or(source.map(|source| &source.dag_id)).cloned(),
            run_id: source.map(|source| source.run_id.clone()),
            task_id: source.map(|source| source.task_id.clone()),
            extra: extra.clone(),
        });
    }
}
