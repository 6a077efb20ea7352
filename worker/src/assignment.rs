//! What a worker has to do: one try with everything that its context is made of.

use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::dag::{Dag, Task};
use domain::id::{RunId, TryKey};
use domain::partition::{Key, Partition};
use domain::state::RunType;
use domain::timetable::DataInterval;
use runtime::logs::LogKey;
use serde_json::{Map, Value};
use store::Resumed;
use store::masked_xcom::Masked;

use crate::output::{Hides, Output};

/// One try of one task instance.
#[derive(Debug, Clone)]
pub struct Assignment {
    /// Which try.
    pub attempt: TryKey,
    /// The version of the DAG that the run runs.
    pub dag: Arc<Dag>,
    /// The task's place in [`Dag::tasks`].
    pub task: usize,
    /// The folder of the DAG file, where this machine has it.
    pub folder: Option<PathBuf>,
    /// The run.
    pub run: Run,
    /// The instance's place among those of a mapped task, or -1.
    pub map_index: i32,
    /// It is tried again while the try number is not above this.
    pub max_tries: u32,
    /// How often a worker has looked under this try number, where it waits for something.
    pub pokes: u32,
    /// When the first look under this try number began, where there was one before.
    pub since: Option<DateTime<Utc>>,
    /// With what it goes on, when it has waited for a trigger.
    pub resumption: Option<Resumed>,
    /// How many rounds of its loop are behind it.
    pub rounds: u32,
    /// When it was claimed.
    pub started_at: DateTime<Utc>,
}

/// A run, as far as its tasks can see it.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its name.
    pub run_id: RunId,
    /// How it came to be.
    pub run_type: RunType,
    /// Its logical date; none for some manual runs.
    pub logical_date: Option<DateTime<Utc>>,
    /// Its data interval.
    pub data_interval: Option<DataInterval>,
    /// What it is about, in a partitioned DAG.
    pub partition: Option<Partition>,
    /// It was due then.
    pub run_after: DateTime<Utc>,
    /// When it started.
    pub started_at: Option<DateTime<Utc>>,
    /// What it was given.
    pub conf: Map<String, Value>,
    /// Who triggered it, when a person did.
    pub triggered_by: Option<String>,
    /// What it was created for, when assets asked for it: each with the `name` of its asset, the newest last.
    pub asset_events: Vec<Value>,
}

/// Most bytes of JSON of the events that a task is shown: an environment variable has little room.
const MOST_EVENT_BYTES: usize = 64 << 10;

impl Run {
    /// The key of what it is about.
    #[must_use]
    pub fn partition_key(&self) -> Option<&Key> {
        self.partition.as_ref().map(|partition| &partition.key)
    }

    /// The moment that this begins with.
    #[must_use]
    pub fn partition_date(&self) -> Option<DateTime<Utc>> {
        self.partition.as_ref().and_then(|partition| partition.date)
    }

    /// The events that it was created for, by the names of their assets; the oldest are left out when they are too long together.
    #[must_use]
    pub fn events_by_asset(&self) -> Map<String, Value> {
        let mut length = 0;
        let newest = self.asset_events.iter().rev().take_while(|event| {
            length += event.to_string().len();
            length <= MOST_EVENT_BYTES
        });
        let mut events: Vec<&Value> = newest.collect();
        events.reverse();
        let mut all = Map::new();
        for event in events {
            let name = event.get("name").and_then(Value::as_str).unwrap_or_default();
            if let Value::Array(list) = all.entry(name).or_insert_with(|| Value::Array(Vec::new())) {
                list.push(event.clone());
            }
        }
        all
    }
}

impl Assignment {
    /// The task. The place was looked up in this very DAG, so there is one.
    #[must_use]
    pub fn task(&self) -> &Task {
        &self.dag.tasks[self.task]
    }

    /// The round of its task's loop that this is, from 1; none outside of loops.
    #[must_use]
    pub fn round(&self) -> Option<u32> {
        self.task().repeat.as_ref().map(|_| self.rounds + 1)
    }

    /// What is shown of an XCom that it leaves, if there is something in it that its output hides.
    pub(crate) fn masked_xcom(&self, key: &str, value: &Value, output: &Output) -> Option<Masked> {
        output.masked_value(value).map(|shown| Masked {
            run: self.attempt.ti.run,
            task_id: self.task().task_id.clone(),
            map_index: self.map_index,
            key: key.to_owned(),
            value: value.clone(),
            shown,
        })
    }

    /// The name of its log.
    #[must_use]
    pub fn log_key(&self) -> LogKey {
        LogKey {
            dag_id: self.dag.dag_id.to_string(),
            run_id: self.run.run_id.to_string(),
            task_id: self.task().task_id.to_string(),
            map_index: self.map_index,
            try_number: self.attempt.try_number,
        }
    }
}
