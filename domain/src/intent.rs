//! What people and programs ask for. An intent is a row of the inbox; the engine alone carries it out.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    approval::Answer,
    asset::{Asset, AssetName},
    backfill::{BackfillId, Order},
    deferral::Fired,
    id::{DagId, RunId, TaskId, TryKey},
    outcome::Outcome,
    partition::Key,
    state::{RunState, TaskState},
    timetable::{DataInterval, NextRun},
};

/// What the names of runs begin with that are wanted for an asset.
pub const MATERIALIZATION: &str = "asset_materialization__";

/// One row of the inbox.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Message {
    /// From a worker.
    Outcome(Outcome),
    /// From a worker that holds a trigger.
    Fired(Fired),
    /// From a person or a program.
    Intent(Intent),
}

/// A wish, and whose it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// The user name, or the name of the program.
    pub by: String,
    /// What is asked for.
    pub wish: Wish,
}

/// What can be asked of the engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "wish")]
pub enum Wish {
    /// Create a run.
    Trigger(Trigger),
    /// Create a run in the name of a task that goes on meanwhile.
    TriggerByTask(TaskTrigger),
    /// Run task instances again.
    Clear(Clear),
    /// Set the state of task instances by hand.
    MarkTasks(MarkTasks),
    /// Set the state of a run by hand; `failed` stops it.
    MarkRun {
        /// Its DAG.
        dag_id: DagId,
        /// The run.
        run_id: RunId,
        /// `success`, `failed`, or `queued` to clear all of it.
        state: RunState,
    },
    /// Let a run continue on the newest version of its DAG: tasks it does not have yet are added to it.
    AdoptVersion {
        /// Its DAG.
        dag_id: DagId,
        /// The run.
        run_id: RunId,
    },
    /// Keep task instances that have not been handed out from starting, or let them start again.
    Hold {
        /// Which.
        selection: Selection,
        /// Hold, or release.
        held: bool,
    },
    /// Give task instances that have not been handed out another place among those that wait.
    Prioritize {
        /// Which.
        selection: Selection,
        /// Their effective priority from now on: higher goes first.
        priority: i32,
    },
    /// Let nothing new start in a run while what is in flight ends, or let it go on.
    PauseRun {
        /// Its DAG.
        dag_id: DagId,
        /// The run.
        run_id: RunId,
        /// Pause, or go on.
        paused: bool,
    },
    /// Let a run not be about a partition any more.
    ForgetPartition {
        /// Its DAG.
        dag_id: DagId,
        /// The run.
        run_id: RunId,
    },
    /// Switch a task of a DAG off or on, in active and future runs, without changing its file. While it is off its instances are
    /// skipped when their turn comes.
    SwitchTask {
        /// The DAG.
        dag_id: DagId,
        /// The task.
        task_id: TaskId,
        /// On, or off.
        enabled: bool,
    },
    /// Answer the question of a task.
    Answer(Answer),
    /// Run a DAG for dates that have passed.
    CreateBackfill {
        /// The number it gets, fresh from the records.
        id: BackfillId,
        /// What is asked for.
        order: Order,
        /// The runs that the program of the DAG's timetable named for it, if its timetable is a program.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        named: Option<Vec<NextRun>>,
    },
    /// Let no new run of a backfill start while active ones go on, or let it go on.
    PauseBackfill {
        /// Its DAG.
        dag_id: DagId,
        /// The backfill.
        id: BackfillId,
        /// Pause, or go on.
        paused: bool,
    },
    /// Say that an asset was updated by something that no DAG knows of.
    CreateAssetEvent {
        /// The asset, as the records have it.
        asset: Asset,
        /// What consumers may want to know.
        extra: Map<String, Value>,
        /// The partition of the asset that it is about.
        #[serde(default)]
        partition_key: Option<Key>,
        /// What the event is found by; made up by whoever asks.
        request: Uuid,
    },
    /// Forget that assets were updated since the last runs that they asked for.
    DropQueuedAssets {
        /// For this DAG only.
        dag_id: Option<DagId>,
        /// This asset only.
        asset: Option<AssetName>,
        /// Only what was queued before.
        before: Option<DateTime<Utc>>,
    },
    /// End a backfill: its queued runs are ended, those that run go on, its other dates get no run.
    CancelBackfill {
        /// Its DAG.
        dag_id: DagId,
        /// The backfill.
        id: BackfillId,
    },
}

/// Creates a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trigger {
    /// Of which DAG.
    pub dag_id: DagId,
    /// Its name; must not exist yet.
    pub run_id: RunId,
    /// Its logical date, if it has one; must not exist yet.
    #[serde(default)]
    pub logical_date: Option<DateTime<Utc>>,
    /// Its data interval, if it has one.
    #[serde(default)]
    pub data_interval: Option<DataInterval>,
    /// Not before this moment.
    pub run_after: DateTime<Utc>,
    /// Its parameters, already validated.
    #[serde(default)]
    pub conf: Map<String, Value>,
    /// A remark.
    #[serde(default)]
    pub note: Option<String>,
    /// What it is about, if its DAG is partitioned.
    #[serde(default)]
    pub partition_key: Option<Key>,
    /// It is wanted for an asset that the DAG makes (Airflow's run type `asset_materialization`).
    #[serde(default)]
    pub materializes: bool,
}

/// Creates a run that a try asks for while it runs. Source: Airflow 3.3.2 `TriggerDagRun` of `sdk/execution_time/comms.py`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskTrigger {
    /// Tells it apart from every other wish; the same try asks for the same thing under the same one.
    pub id: Uuid,
    /// The try.
    pub asker: TryKey,
    /// A run of that name runs again.
    #[serde(default)]
    pub resets: bool,
    /// The run. Without a data interval it gets that of its logical date.
    pub run: Trigger,
}

impl TaskTrigger {
    /// The wish that a try has for a run. `pokes` is how often a worker had looked before it went on, `number` counts its wishes from then on.
    #[must_use]
    pub fn new(asker: TryKey, pokes: u32, number: u32, resets: bool, run: Trigger) -> Self {
        let digest = Sha256::digest(format!("{asker}:{pokes}:{number}:{}:{}", run.dag_id, run.run_id));
        let (id, _) = digest.split_first_chunk().unwrap_or((&[0; 16], &[]));
        Self { id: Uuid::from_bytes(*id), asker, resets, run }
    }
}

/// Names task instances of one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// The DAG.
    pub dag_id: DagId,
    /// The run.
    pub run_id: RunId,
    /// These tasks; empty means all.
    pub tasks: Vec<SelectedTask>,
    /// And everything upstream of them.
    #[serde(default)]
    pub upstream: bool,
    /// And everything downstream of them.
    #[serde(default)]
    pub downstream: bool,
}

/// Names one task, or one mapped instance of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelectedTask {
    /// The task.
    pub task_id: TaskId,
    /// Only this instance.
    #[serde(default)]
    pub map_index: Option<i32>,
}

/// Runs task instances again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clear {
    /// Which.
    pub selection: Selection,
    /// Only those that are failed or `upstream_failed`.
    #[serde(default)]
    pub only_failed: bool,
}

/// Sets the state of task instances by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkTasks {
    /// Which.
    pub selection: Selection,
    /// `success`, `failed` or `skipped`.
    pub state: TaskState,
}

impl Wish {
    /// The DAG and the run it is about, if it is about any; the run of a [`Wish::Trigger`] should not exist yet.
    #[must_use]
    pub const fn subject(&self) -> (Option<&DagId>, Option<&RunId>) {
        match self {
            Self::Trigger(trigger) | Self::TriggerByTask(TaskTrigger { run: trigger, .. }) => {
                (Some(&trigger.dag_id), Some(&trigger.run_id))
            }
            Self::Clear(Clear { selection, .. })
            | Self::MarkTasks(MarkTasks { selection, .. })
            | Self::Hold { selection, .. }
            | Self::Prioritize { selection, .. } => (Some(&selection.dag_id), Some(&selection.run_id)),
            Self::MarkRun { dag_id, run_id, .. }
            | Self::Answer(Answer { dag_id, run_id, .. })
            | Self::AdoptVersion { dag_id, run_id }
            | Self::ForgetPartition { dag_id, run_id }
            | Self::PauseRun { dag_id, run_id, .. } => (Some(dag_id), Some(run_id)),
            Self::SwitchTask { dag_id, .. }
            | Self::CreateBackfill { order: Order { dag_id, .. }, .. }
            | Self::PauseBackfill { dag_id, .. }
            | Self::CancelBackfill { dag_id, .. } => (Some(dag_id), None),
            Self::DropQueuedAssets { dag_id, .. } => (dag_id.as_ref(), None),
            Self::CreateAssetEvent { .. } => (None, None),
        }
    }

    /// What tells it apart from other wishes of the same person that were asked at the same time and end differently. It is the `id` of its
    /// JSON form.
    #[must_use]
    pub const fn token(&self) -> Option<Uuid> {
        match self {
            Self::Answer(answer) => Some(answer.id),
            Self::TriggerByTask(asked) => Some(asked.id),
            Self::Trigger(_)
            | Self::Clear(_)
            | Self::MarkTasks(_)
            | Self::MarkRun { .. }
            | Self::AdoptVersion { .. }
            | Self::Hold { .. }
            | Self::Prioritize { .. }
            | Self::PauseRun { .. }
            | Self::ForgetPartition { .. }
            | Self::SwitchTask { .. }
            | Self::CreateBackfill { .. }
            | Self::PauseBackfill { .. }
            | Self::CancelBackfill { .. }
            | Self::CreateAssetEvent { .. }
            | Self::DropQueuedAssets { .. } => None,
        }
    }

    /// Its name in the audit log (Airflow's event names where it has one).
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Trigger(Trigger { materializes: true, .. }) => "materialize_asset",
            Self::Trigger(_) | Self::TriggerByTask(_) => "trigger_dag_run",
            Self::Clear(_) => "clear_task_instances",
            Self::MarkTasks(_) => "patch_task_instance",
            Self::MarkRun { .. } => "patch_dag_run",
            Self::AdoptVersion { .. } => "adopt_version",
            Self::Hold { held: true, .. } => "hold_task_instances",
            Self::Hold { held: false, .. } => "release_task_instances",
            Self::Prioritize { .. } => "prioritize_task_instances",
            Self::PauseRun { paused: true, .. } => "pause_dag_run",
            Self::PauseRun { paused: false, .. } => "resume_dag_run",
            Self::ForgetPartition { .. } => "clear_dag_run_partitions",
            Self::SwitchTask { enabled: true, .. } => "enable_task",
            Self::SwitchTask { enabled: false, .. } => "disable_task",
            Self::Answer(_) => "update_hitl_detail",
            Self::CreateBackfill { .. } => "create_backfill",
            Self::PauseBackfill { paused: true, .. } => "pause_backfill",
            Self::PauseBackfill { paused: false, .. } => "unpause_backfill",
            Self::CancelBackfill { .. } => "cancel_backfill",
            Self::CreateAssetEvent { .. } => "create_asset_event",
            Self::DropQueuedAssets { dag_id: None, .. } => "delete_asset_queued_events",
            Self::DropQueuedAssets { asset: None, .. } => "delete_dag_asset_queued_events",
            Self::DropQueuedAssets { .. } => "delete_dag_asset_queued_event",
        }
    }
}
