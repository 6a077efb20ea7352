//! A small stage on which one DAG file plays: the engine, what it has decided so far, and workers that do as they are told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    alert::{AlertRecord, Withdrawn},
    asset::AssetName,
    backfill::BackfillId,
    dag::Dag,
    dagfile,
    engine::{
        Engine, Snapshot,
        backfill::{BackfillRecord, DateRecord, Recall, Survey},
        event::Event,
        record::{
            AssetEventRecord, AssetStanding, AssetsRecord, AuditRecord, ClosingRecord, Consumption, DagFlags,
            DagRecord, DeadlineQuestion, DeferralRecord, PartitionEnd, PartitionRecord, PastQuestion,
            PoolRecord, QuestionRecord, QueuedAsset, ResumptionRecord, RunQuestion, RunRecord, TiRecord,
            VersionId, WorkerRecord, XComRecord,
        },
    },
    id::{DagId, PoolName, QueueName, RunId, RunKey, TiKey, TryKey},
    intent::{Clear, Intent, SelectedTask, Selection, Trigger, Wish},
    outcome::{Outcome, TryResult},
    partition::Key,
    state::{RunState, TaskState},
    timetable::NextRun,
};
use serde_json::Value;
use uuid::Uuid;

use crate::inspect::check_once;

pub struct Stage {
    pub dag: Arc<Dag>,
    pub engine: Engine,
    pub now: DateTime<Utc>,
    pub tis: BTreeMap<TiKey, TiRecord>,
    pub runs: BTreeMap<RunKey, RunRecord>,
    pub flags: Vec<DagFlags>,
    pub audit: Vec<AuditRecord>,
    pub alerts: Vec<AlertRecord>,
    pub asked: Vec<QuestionRecord>,
    pub closed: Vec<ClosingRecord>,
    pub deferrals: Vec<DeferralRecord>,
    pub resumptions: Vec<ResumptionRecord>,
    /// The instances of which nothing is left of a deferral.
    pub over: Vec<TiKey>,
    pub xcoms: Vec<XComRecord>,
    /// The instances of the run `r` whose XComs were deleted, in that order.
    pub cleared: Vec<String>,
    pub questions: Vec<PastQuestion>,
    pub lookups: Vec<RunQuestion>,
    pub measures: Vec<DeadlineQuestion>,
    pub withdrawn: Vec<Withdrawn>,
    pub surveys: Vec<Survey>,
    pub recalls: Vec<Recall>,
    pub dates: Vec<DateRecord>,
    pub backfills: BTreeMap<BackfillId, BackfillRecord>,
    /// What was last said to come next by schedule.
    pub next: Option<NextRun>,
    pub stopped: Vec<TryKey>,
    pub events: Vec<AssetEventRecord>,
    pub consumed: Vec<Consumption>,
    /// What is queued for which DAG.
    pub queued: BTreeSet<(DagId, AssetName)>,
    /// The partitions of DAGs that wait.
    pub waiting: BTreeSet<(DagId, Key)>,
    pub partition_ends: Vec<PartitionEnd>,
    dag_id: DagId,
}

/// A version of a DAG that nothing else is recorded of.
pub fn record(version: VersionId, dag: Arc<Dag>) -> DagRecord {
    DagRecord {
        version,
        dag,
        is_paused: false,
        is_stale: false,
        cursor: None,
        disabled: BTreeSet::new(),
        failed_runs: 0,
        taken: BTreeSet::new(),
        assets: AssetStanding::default(),
    }
}

impl Stage {
    pub fn new(yaml: &str) -> Self {
        let parsed = dagfile::parse(yaml.as_bytes(), "play.yaml", &|_| Err("no files here".into()));
        assert!(parsed.errors.is_empty(), "{:#?}", parsed.errors);
        Self::of(parsed.dags.into_iter().map(|loaded| loaded.dag).collect())
    }

    /// The first one is the one that is spoken of.
    pub fn of(dags: Vec<Dag>) -> Self {
        let dags: Vec<Arc<Dag>> = dags.into_iter().map(Arc::new).collect();
        let dag = Arc::clone(&dags[0]);
        let dag_id = dag.dag_id.clone();
        let record = |(number, dag)| record(VersionId(number), dag);
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let queues = vec![QueueName::default_queue()];
        let snapshot = Snapshot {
            dags: (1..).zip(dags).map(record).collect(),
            pools: vec![PoolRecord::new(PoolName::default_pool(), None)],
            workers: vec![WorkerRecord { id: Uuid::nil(), queues, slots: 100 }],
            assets: AssetsRecord { next_event: 1, ..AssetsRecord::default() },
            next_run: 1,
            ..Snapshot::default()
        };
        let mut stage = Self {
            dag,
            engine: Engine::restore(snapshot, now),
            now,
            tis: BTreeMap::new(),
            runs: BTreeMap::new(),
            flags: vec![],
            audit: vec![],
            alerts: vec![],
            asked: vec![],
            closed: vec![],
            deferrals: vec![],
            resumptions: vec![],
            over: vec![],
            xcoms: vec![],
            cleared: vec![],
            questions: vec![],
            lookups: vec![],
            measures: vec![],
            withdrawn: vec![],
            surveys: vec![],
            recalls: vec![],
            dates: vec![],
            backfills: BTreeMap::new(),
            next: None,
            stopped: Vec::new(),
            events: Vec::new(),
            consumed: Vec::new(),
            queued: BTreeSet::new(),
            waiting: BTreeSet::new(),
            partition_ends: Vec::new(),
            dag_id,
        };
        stage.poll();
        stage
    }

    pub fn poll(&mut self) {
        let decisions = self.engine.poll(self.now);
        check_once(&decisions);
        for run in
            decisions.runs_created.into_iter().chain(decisions.runs_changed.into_iter().map(|run| run.new))
        {
            self.runs.insert(run.key, run);
        }
        for ti in decisions.tis_created.into_iter().chain(decisions.tis_changed.into_iter().map(|ti| ti.new))
        {
            self.tis.insert(ti.key, ti);
        }
        if let Some(cursor) = decisions.cursors.last() {
            self.next = cursor.next;
        }
        self.flags.extend(decisions.dags);
        self.audit.extend(decisions.audit);
        self.alerts.extend(decisions.alerts);
        self.withdrawn.extend(decisions.alerts_withdrawn);
        self.asked.extend(decisions.questions_asked);
        self.closed.extend(decisions.questions_closed);
        self.deferrals.extend(decisions.deferrals);
        self.resumptions.extend(decisions.resumptions);
        self.over.extend(decisions.deferrals_closed);
        self.cleared.extend(decisions.xcoms_cleared.into_iter().map(|(_, task_id, _)| task_id.to_string()));
        self.xcoms.extend(decisions.xcoms);
        self.questions.extend(decisions.questions);
        self.lookups.extend(decisions.lookups);
        self.measures.extend(decisions.measures);
        self.surveys.extend(decisions.surveys);
        self.recalls.extend(decisions.recalls);
        self.dates.extend(decisions.dates);
        let created = decisions.backfills_created.into_iter().map(|new| new.record);
        for backfill in created.chain(decisions.backfills_changed) {
            self.backfills.insert(backfill.id, backfill);
        }
        self.stopped.extend(decisions.stop);
        self.events.extend(decisions.asset_events);
        self.consumed.extend(decisions.consumed);
        self.partition_ends.extend(decisions.partition_ends);
        for PartitionRecord { dag_id, key, begun } in decisions.partitions {
            match begun {
                Some(_) => self.waiting.insert((dag_id, key)),
                None => self.waiting.remove(&(dag_id, key)),
            };
        }
        for QueuedAsset { dag_id, asset, at } in decisions.assets_queued {
            match at {
                Some(_) => self.queued.insert((dag_id, asset)),
                None => self.queued.remove(&(dag_id, asset)),
            };
        }
    }

    pub fn handle(&mut self, event: Event) {
        self.engine.handle(event, self.now);
        self.poll();
    }

    pub fn pass(&mut self, seconds: i64) {
        self.now += TimeDelta::seconds(seconds);
        self.poll();
    }

    pub fn ask(&mut self, wish: Wish) {
        self.handle(Event::Intent(Box::new(Intent { by: "ada".into(), wish })));
    }

    /// Why the last wish was refused.
    pub fn refusal(&self) -> Option<String> {
        self.audit.last().unwrap().extra.get("reason").and_then(Value::as_str).map(str::to_owned)
    }

    /// Triggers a run that is due now, with a logical date on that day of January when one is given.
    pub fn trigger(&mut self, run_id: &str, day: Option<u32>) {
        self.trigger_of(self.dag_id(), run_id, day);
    }

    pub fn trigger_of(&mut self, dag_id: DagId, run_id: &str, day: Option<u32>) {
        let logical_date = day.map(|day| format!("2026-01-{day:02}T00:00:00Z").parse().unwrap());
        self.ask(Wish::Trigger(Trigger {
            dag_id,
            run_id: RunId::new(run_id).unwrap(),
            logical_date,
            data_interval: None,
            run_after: self.now,
            conf: serde_json::Map::new(),
            note: None,
            partition_key: None,
            materializes: false,
        }));
        for question in std::mem::take(&mut self.questions) {
            self.handle(Event::Past { run: question.run, before: None });
        }
    }

    pub fn run(&self, run_id: &str) -> &RunRecord {
        self.runs.values().find(|run| run.run_id.as_str() == run_id).unwrap()
    }

    pub fn run_state(&self, run_id: &str) -> RunState {
        self.run(run_id).state
    }

    pub fn ti(&self, run_id: &str, task_id: &str) -> &TiRecord {
        let run = self.run(run_id).key;
        self.tis.values().find(|ti| ti.key.run == run && ti.task_id.as_str() == task_id).unwrap()
    }

    pub fn state(&self, task_id: &str) -> TaskState {
        self.ti("r", task_id).state
    }

    pub fn states(&self, task_ids: &[&str]) -> Vec<TaskState> {
        task_ids.iter().map(|id| self.state(id)).collect()
    }

    pub fn attempt(&self, run_id: &str, task_id: &str) -> TryKey {
        let ti = self.ti(run_id, task_id);
        assert_eq!(ti.state, TaskState::Queued, "{task_id}: {ti:?}");
        TryKey { ti: ti.key, try_number: ti.try_number }
    }

    pub fn end(
        &mut self,
        run_id: &str,
        task_id: &str,
        result: TryResult,
        exit_code: Option<i32>,
        value: Option<Value>,
    ) {
        let outcome = Outcome {
            attempt: self.attempt(run_id, task_id),
            result,
            started_at: self.now,
            ended_at: self.now,
            worker: Uuid::nil(),
            exit_code,
            reason: None,
            rendered_map_index: None,
            xcoms: value.into_iter().map(|value| ("return_value".to_owned(), value)).collect(),
            asset_events: Vec::new(),
            pokes: Some(self.ti(run_id, task_id).wait.as_ref().map_or(0, |wait| wait.pokes)),
            trigger: None,
            question: None,
            deferral: None,
            resume_at: None,
        };
        self.handle(Event::Outcome(Box::new(outcome)));
    }

    /// What a worker would report of a try, as a success.
    pub fn outcome(&self, run_id: &str, task_id: &str) -> Outcome {
        Outcome {
            attempt: self.attempt(run_id, task_id),
            result: TryResult::Success,
            started_at: self.now,
            ended_at: self.now,
            worker: Uuid::nil(),
            exit_code: None,
            reason: None,
            rendered_map_index: None,
            xcoms: indexmap::IndexMap::new(),
            asset_events: Vec::new(),
            pokes: Some(self.ti(run_id, task_id).wait.as_ref().map_or(0, |wait| wait.pokes)),
            trigger: None,
            question: None,
            deferral: None,
            resume_at: None,
        }
    }

    pub fn succeed(&mut self, task_id: &str) {
        self.end("r", task_id, TryResult::Success, Some(0), None);
    }

    pub fn fail(&mut self, task_id: &str) {
        self.end("r", task_id, TryResult::Failed, Some(2), None);
    }

    pub fn print(&mut self, task_id: &str, value: impl Into<Value>) {
        self.end("r", task_id, TryResult::Success, Some(0), Some(value.into()));
    }

    pub fn selection(&self, run_id: &str, task_ids: &[&str]) -> Selection {
        let task = |id: &&str| SelectedTask { task_id: id.parse().unwrap(), map_index: None };
        Selection {
            dag_id: self.dag_id.clone(),
            run_id: RunId::new(run_id).unwrap(),
            tasks: task_ids.iter().map(task).collect(),
            upstream: false,
            downstream: false,
        }
    }

    pub fn clear(&mut self, task_ids: &[&str]) {
        let selection = self.selection("r", task_ids);
        self.ask(Wish::Clear(Clear { selection, only_failed: false }));
    }

    pub fn dag_id(&self) -> DagId {
        self.dag_id.clone()
    }
}
