//! Questions about other runs and their task instances, and the wish for a run.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Reply, missing};

/// What a task asks about other runs.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type")]
pub enum RunRequest {
    /// Starts a run.
    TriggerDagRun(TriggerDagRun),
    /// A run.
    GetDagRun {
        /// Its DAG.
        dag_id: String,
        /// Its name.
        run_id: String,
    },
    /// The state of a run.
    GetDagRunState {
        /// Its DAG.
        dag_id: String,
        /// Its name.
        run_id: String,
    },
    /// How many runs there are.
    GetDRCount {
        /// Of this DAG.
        dag_id: String,
        /// With one of these logical dates.
        #[serde(default)]
        logical_dates: Option<Vec<DateTime<Utc>>>,
        /// With one of these names.
        #[serde(default)]
        run_ids: Option<Vec<String>>,
        /// In one of these states.
        #[serde(default)]
        states: Option<Vec<String>>,
    },
    /// The run before a logical date.
    GetPreviousDagRun {
        /// Its DAG.
        dag_id: String,
        /// Only runs with an earlier one count.
        logical_date: DateTime<Utc>,
        /// Only runs in this state count.
        #[serde(default)]
        state: Option<String>,
    },
    /// The newest successful run before that of the task.
    GetPrevSuccessfulDagRun,
    /// How many task instances there are.
    GetTICount {
        /// Which.
        #[serde(flatten)]
        of: Tis,
        /// In one of these states; `null` is that of one that nothing has happened to.
        #[serde(default)]
        states: Option<Vec<String>>,
    },
    /// The states of task instances.
    GetTaskStates {
        /// Which.
        #[serde(flatten)]
        of: Tis,
    },
    /// The task instances of a run that have ended.
    GetTaskBreadcrumbs {
        /// Its DAG.
        dag_id: String,
        /// The run.
        run_id: String,
    },
    /// The instance of a task before a logical date.
    GetPreviousTI {
        /// Its DAG.
        dag_id: String,
        /// The task.
        task_id: String,
        /// Only runs with an earlier one count.
        #[serde(default)]
        logical_date: Option<DateTime<Utc>>,
        /// Its mapped index, or -1.
        #[serde(default = "unmapped")]
        map_index: i32,
        /// Only an instance in this state counts.
        #[serde(default)]
        state: Option<String>,
    },
    /// A DAG.
    GetDag {
        /// Its id.
        dag_id: String,
    },
}

const fn unmapped() -> i32 {
    -1
}

/// A run that a task asks for.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct TriggerDagRun {
    /// Its DAG.
    pub dag_id: String,
    /// Its name.
    pub run_id: String,
    /// Its logical date, if it has one.
    #[serde(default)]
    pub logical_date: Option<DateTime<Utc>>,
    /// Not before.
    #[serde(default)]
    pub run_after: Option<DateTime<Utc>>,
    /// What it is given.
    #[serde(default)]
    pub conf: Option<Map<String, Value>>,
    /// A run of that name runs again.
    #[serde(default)]
    pub reset_dag_run: Option<bool>,
    /// The partition that it is for.
    #[serde(default)]
    pub partition_key: Option<String>,
    /// A remark.
    #[serde(default)]
    pub note: Option<String>,
}

/// Which task instances are meant.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Tis {
    /// Of this DAG.
    pub dag_id: String,
    /// With this mapped index.
    #[serde(default)]
    pub map_index: Option<i32>,
    /// Of these tasks.
    #[serde(default)]
    pub task_ids: Option<Vec<String>>,
    /// Of the tasks of this group.
    #[serde(default)]
    pub task_group_id: Option<String>,
    /// In runs with one of these logical dates.
    #[serde(default)]
    pub logical_dates: Option<Vec<DateTime<Utc>>>,
    /// In runs with one of these names.
    #[serde(default)]
    pub run_ids: Option<Vec<String>>,
}

impl Reply {
    /// There is a run of that name, or of that logical date.
    #[must_use]
    pub fn run_exists() -> Self {
        Self::Body(missing("DAGRUN_ALREADY_EXISTS", &Value::Null))
    }

    /// A run in Airflow's form (`DagRun`).
    #[must_use]
    pub fn run(mut run: Value) -> Self {
        run["type"] = json!("DagRunResult");
        Self::Body(run)
    }

    /// The run before another, in Airflow's form.
    #[must_use]
    pub fn previous_run(run: Option<Value>) -> Self {
        Self::Body(json!({"type": "PreviousDagRunResult", "dag_run": run}))
    }

    /// The instance before another, in Airflow's form (`PreviousTIResponse`).
    #[must_use]
    pub fn previous_ti(ti: Option<Value>) -> Self {
        Self::Body(json!({"type": "PreviousTIResult", "task_instance": ti}))
    }

    /// The state of a run.
    #[must_use]
    pub fn run_state(state: &str) -> Self {
        Self::Body(json!({"type": "DagRunStateResult", "state": state}))
    }

    /// How many runs there are.
    #[must_use]
    pub fn run_count(count: i64) -> Self {
        Self::Body(json!({"type": "DRCount", "count": count}))
    }

    /// How many task instances there are.
    #[must_use]
    pub fn ti_count(count: i64) -> Self {
        Self::Body(json!({"type": "TICount", "count": count}))
    }

    /// The states of task instances, by run and task; behind the task's id stands the index of a mapped one (`load_3`).
    #[must_use]
    pub fn ti_states(states: Map<String, Value>) -> Self {
        Self::Body(json!({"type": "TaskStatesResult", "task_states": states}))
    }

    /// Task instances that have ended.
    #[must_use]
    pub fn breadcrumbs(breadcrumbs: Vec<Value>) -> Self {
        Self::Body(json!({"type": "TaskBreadcrumbsResult", "breadcrumbs": breadcrumbs}))
    }

    /// A DAG in Airflow's form (`DagResponse`).
    #[must_use]
    pub fn dag(mut dag: Value) -> Self {
        dag["type"] = json!("DagResult");
        Self::Body(dag)
    }
}
