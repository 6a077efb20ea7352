//! The rows of Airflow's tables, and what becomes of them here.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use domain::{
    dag::MAX_MAP_NAME,
    engine::record::{Placement, RunRecord, TiRecord, TryRecord, VersionId, XComRecord},
    id::{DagId, PoolName, QueueName, RunId, RunKey, TaskId, TiKey, TryKey},
    partition::{Key, Partition},
    state::TaskState,
    timetable::DataInterval,
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    super::{pickle, strange},
    ended_state, run_type,
};
use crate::{Error, history::PastRun};

/// A row of another table, and the number of the run that it belongs to.
#[derive(Deserialize)]
pub struct ChildRow<R> {
    pub run: i64,
    pub child: R,
}

/// A row of `dag_run`.
#[derive(Deserialize)]
pub struct RunRow {
    pub id: i64,
    dag_id: String,
    run_id: String,
    run_type: String,
    state: Option<String>,
    logical_date: Option<DateTime<Utc>>,
    execution_date: Option<DateTime<Utc>>,
    data_interval_start: Option<DateTime<Utc>>,
    data_interval_end: Option<DateTime<Utc>>,
    run_after: Option<DateTime<Utc>>,
    queued_at: Option<DateTime<Utc>>,
    start_date: Option<DateTime<Utc>>,
    end_date: Option<DateTime<Utc>>,
    conf: Option<Value>,
    clear_number: Option<u32>,
    triggering_user_name: Option<String>,
    partition_key: Option<String>,
    partition_date: Option<DateTime<Utc>>,
    note: Option<String>,
}

/// A row of `task_instance`.
#[derive(Deserialize)]
pub struct TiRow {
    task_id: String,
    map_index: Option<i32>,
    state: Option<String>,
    try_number: Option<i32>,
    max_tries: Option<i32>,
    scheduled_dttm: Option<DateTime<Utc>>,
    queued_dttm: Option<DateTime<Utc>>,
    start_date: Option<DateTime<Utc>>,
    end_date: Option<DateTime<Utc>>,
    pool: Option<String>,
    pool_slots: Option<i32>,
    queue: Option<String>,
    priority_weight: Option<i32>,
    operator: Option<String>,
    rendered_map_index: Option<String>,
}

/// A row of `task_instance_history`.
#[derive(Deserialize)]
pub struct HistoryRow {
    task_id: String,
    map_index: Option<i32>,
    try_number: i32,
    state: Option<String>,
    queued_dttm: Option<DateTime<Utc>>,
    start_date: Option<DateTime<Utc>>,
    end_date: Option<DateTime<Utc>>,
}

/// A row of `xcom`.
#[derive(Deserialize)]
pub struct XComRow {
    task_id: String,
    map_index: Option<i32>,
    key: String,
    value: Option<Value>,
}

impl RunRow {
    fn date(&self) -> Option<DateTime<Utc>> {
        self.logical_date.or(self.execution_date)
    }

    /// When it was due. Source: Airflow 3.3.2 `models/dagrun.py`, `_default_run_after`.
    pub fn due(&self) -> DateTime<Utc> {
        let known = self.run_after.or(self.data_interval_end).or(self.date());
        known.or(self.queued_at).or(self.start_date).unwrap_or_default()
    }

    /// The run as it is kept here, with all that belongs to it.
    pub fn past(
        self,
        tis: Vec<TiRow>,
        tries: Vec<HistoryRow>,
        xcoms: Vec<XComRow>,
    ) -> Result<PastRun, Error> {
        let tis = instances(tis)?;
        let places: HashMap<(&str, i32), u32> =
            tis.iter().map(|ti| ((ti.task_id.as_str(), ti.map_index), ti.key.index)).collect();
        let mut ended: Vec<TryRecord> = tries.into_iter().filter_map(|row| row.ended(&places)).collect();
        let seen: HashSet<TryKey> = ended.iter().map(|row| row.attempt).collect();
        ended.extend(tis.iter().filter_map(last_try).filter(|row| !seen.contains(&row.attempt)));
        let xcoms = xcoms.into_iter().filter_map(|row| row.kept(&places)).collect();
        Ok(PastRun { run: self.run()?, tries: ended, xcoms, tis })
    }

    fn run(self) -> Result<RunRecord, Error> {
        let wrong = |what: &str| strange("dag_run", &format!("`{}` has {what}", self.run_id));
        let (date, due) = (self.date(), self.due());
        let partition = self.partition_key.as_deref().and_then(|key| Key::new(key).ok());
        Ok(RunRecord {
            key: RunKey(0),
            dag_id: DagId::new(&self.dag_id).map_err(|error| strange("dag_run", &error))?,
            run_id: RunId::new(&self.run_id).map_err(|error| strange("dag_run", &error))?,
            run_type: run_type(&self.run_type).ok_or_else(|| wrong("an unknown type"))?,
            state: ended_state(self.state.as_deref()).ok_or_else(|| wrong("not ended"))?,
            version: VersionId(0),
            logical_date: date,
            data_interval: self
                .data_interval_start
                .zip(self.data_interval_end)
                .map(|(start, end)| DataInterval { start, end }),
            partition: partition.map(|key| Partition { key, date: self.partition_date }),
            run_after: due,
            queued_at: self.queued_at.or(self.start_date).unwrap_or(due),
            started_at: self.start_date,
            ended_at: Some(self.end_date.or(self.start_date).unwrap_or(due)),
            conf: Arc::new(self.conf.map(conf).unwrap_or_default()),
            triggered_by: self.triggering_user_name,
            note: self.note,
            clear_number: self.clear_number.unwrap_or(0),
            depth: 0,
            is_paused: false,
            backfill: None,
            missed: Vec::new(),
            bases: Vec::new(),
        })
    }
}

// Before 3.0 it is a pickle.
fn conf(found: Value) -> Map<String, Value> {
    let conf = match bytes(&found) {
        Some(bytes) => pickle::read(&bytes),
        None => Some(found),
    };
    match conf {
        Some(Value::Object(conf)) => conf,
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) | None => {
            Map::new()
        }
    }
}

// The engine finds the instance of a mapped index at its place among those of its task.
fn instances(mut rows: Vec<TiRow>) -> Result<Vec<TiRecord>, Error> {
    rows.sort_by(|a, b| (&a.task_id, a.map_index).cmp(&(&b.task_id, b.map_index)));
    rows.into_iter().zip(0..).map(|(row, index)| row.record(index)).collect()
}

impl TiRow {
    fn record(self, index: u32) -> Result<TiRecord, Error> {
        let found = state(self.state.as_deref());
        let is_over = found.is_finished();
        let reason = self.state.filter(|_| !is_over && found != TaskState::None);
        Ok(TiRecord {
            key: TiKey { run: RunKey(0), index },
            task_id: TaskId::new(&self.task_id).map_err(|error| strange("task_instance", &error))?,
            map_index: self.map_index.unwrap_or(-1),
            state: if is_over { found } else { TaskState::None },
            try_number: counted(self.try_number),
            max_tries: counted(self.max_tries),
            lost: 0,
            rounds: 0,
            scheduled_at: self.scheduled_dttm,
            queued_at: self.queued_dttm,
            started_at: self.start_date,
            ended_at: self.end_date,
            next_try_at: None,
            wait: None,
            worker: None,
            reason: reason.map(|state| format!("it was `{state}` in Airflow when its run ended")),
            rendered_map_index: self.rendered_map_index.map(|name| name.chars().take(MAX_MAP_NAME).collect()),
            is_held: false,
            // Names that are none here would keep the run from being read: they say where it has run, not where it is to run.
            placement: Placement {
                pool: self
                    .pool
                    .and_then(|name| PoolName::new(&name).ok())
                    .unwrap_or_else(PoolName::default_pool),
                pool_slots: counted(self.pool_slots).max(1),
                queue: self
                    .queue
                    .and_then(|name| QueueName::new(&name).ok())
                    .unwrap_or_else(QueueName::default_queue),
                priority: self.priority_weight.unwrap_or(1),
                operator: Arc::from(self.operator.unwrap_or_default()),
            },
        })
    }
}

// 2.x has a state `shutdown`, of tries that were told to end.
fn state(text: Option<&str>) -> TaskState {
    match text {
        Some("shutdown") => TaskState::Failed,
        Some(text) => text.parse().unwrap_or(TaskState::None),
        None => TaskState::None,
    }
}

fn counted(number: Option<i32>) -> u32 {
    number.and_then(|number| u32::try_from(number).ok()).unwrap_or(0)
}

// The history has a try only once another one followed.
fn last_try(ti: &TiRecord) -> Option<TryRecord> {
    (ti.try_number > 0 && ti.state.is_finished()).then_some(())?;
    Some(TryRecord {
        attempt: TryKey { ti: ti.key, try_number: ti.try_number },
        state: ti.state,
        round: None,
        queued_at: ti.queued_at,
        started_at: ti.started_at,
        ended_at: ti.ended_at.or(ti.started_at)?,
        worker: None,
        exit_code: None,
        reason: None,
    })
}

impl HistoryRow {
    // None when nobody knows its instance any more, or when it never ended.
    fn ended(self, places: &HashMap<(&str, i32), u32>) -> Option<TryRecord> {
        let index = *places.get(&(self.task_id.as_str(), self.map_index.unwrap_or(-1)))?;
        let try_number = u32::try_from(self.try_number).ok().filter(|number| *number > 0)?;
        Some(TryRecord {
            attempt: TryKey { ti: TiKey { run: RunKey(0), index }, try_number },
            state: state(self.state.as_deref()),
            round: None,
            queued_at: self.queued_dttm,
            started_at: self.start_date,
            ended_at: self.end_date.or(self.start_date)?,
            worker: None,
            exit_code: None,
            reason: None,
        })
    }
}

impl XComRow {
    // None when its instance is gone, or when its value is a pickle of what JSON cannot say.
    fn kept(self, places: &HashMap<(&str, i32), u32>) -> Option<XComRecord> {
        let map_index = self.map_index.unwrap_or(-1);
        let index = *places.get(&(self.task_id.as_str(), map_index))?;
        crate::xcom::check_key(&self.key).ok()?;
        Some(XComRecord {
            ti: TiKey { run: RunKey(0), index },
            task_id: TaskId::new(&self.task_id).ok()?,
            map_index,
            key: self.key,
            value: value(self.value.unwrap_or(Value::Null))?,
        })
    }
}

// 2.x keeps the bytes of a JSON text, or of a pickle where it was told to; 3.x keeps JSON.
fn value(found: Value) -> Option<Value> {
    match bytes(&found) {
        Some(bytes) => serde_json::from_slice(&bytes).ok().or_else(|| pickle::read(&bytes)),
        None => Some(found),
    }
}

// PostgreSQL writes a `bytea` as `\x` and hexadecimal digits.
fn bytes(found: &Value) -> Option<Vec<u8>> {
    let digits = found.as_str()?.strip_prefix("\\x")?;
    let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    (0..digits.len()).step_by(2).map(byte).collect()
}
