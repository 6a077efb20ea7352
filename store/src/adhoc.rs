//! Tasks that are posted one by one: they form a DAG of their own whose one run grows with it.
//!
//! Adding a task writes the DAG's next version and asks the engine for what follows from it in one transaction, so no
//! task is ever written without being run. No file stands behind this DAG.

use std::{collections::BTreeSet, sync::Arc};

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Bool, Integer, Json, Nullable, Text, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    dag::{Dag, Operator, Task, USUAL_MAPPED, WeightRule},
    engine::record::{AssetStanding, DagRecord, VersionId},
    id::{DagId, PoolName, QueueName, RunId, TaskId},
    intent::{Intent, Message, Trigger, Wish},
    retry::Retry,
    timetable::{Catchup, Timetable},
    trigger_rule::TriggerRule,
};

use crate::{
    Error, InboxId, Store,
    column::{FromJson, Parsed, ToJson, count, interval},
    hot::hot_query,
};

/// The DAG that the tasks form.
pub const DAG_ID: &str = "tasks";
/// What stands where other DAGs have their file. No file is called so, because the loader's names have an ending.
pub const FILE: &str = "(tasks api)";
/// Most tasks of the run.
pub const MOST_TASKS: usize = 2_000;
/// Task instances of the run that may be in flight at the same time.
const MAX_ACTIVE: u32 = 64;
/// What a task runs when it names no command.
const ECHO: &str = "echo \"$TRADEWIND_TASK_ID\"";
const SOURCE: &str = "# The tasks that were posted to /tasks. No file stands behind this DAG.\n";

/// A task to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTask {
    /// Its name, unique among the tasks.
    pub name: TaskId,
    /// The tasks that must have succeeded before it starts.
    pub dependencies: Vec<TaskId>,
    /// Higher goes first.
    pub priority: i32,
    /// What it runs, with bash; without one it prints its name.
    pub command: Option<String>,
}

/// A task that was added.
#[derive(Debug, Clone, PartialEq)]
pub struct Added {
    /// Counts the tasks from 1.
    pub id: usize,
    /// The task as it is part of the DAG.
    pub task: Task,
    /// The run that it is part of.
    pub run_id: RunId,
    /// The message that the engine was sent.
    pub message: InboxId,
    /// What it says.
    pub intent: Intent,
}

/// Why a task was not added.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// There is one of that name.
    #[error("a task `{0}` exists already")]
    Duplicate(TaskId),
    /// It depends on something that is not there.
    #[error("it depends on `{missing}`, which does not exist; there is {}", or_nothing(.known))]
    Unknown {
        /// What is not there.
        missing: TaskId,
        /// The names of some that are.
        known: Vec<String>,
    },
    /// There are as many tasks as there may be.
    #[error("there are {MOST_TASKS} tasks already: delete the DAG `{DAG_ID}` to begin anew")]
    Full,
    /// A file has a DAG of that name.
    #[error("{0} has a DAG `{DAG_ID}`: give it another `dag_id`, tasks that are posted need the name")]
    Taken(String),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] Error),
}

fn or_nothing(known: &[String]) -> String {
    if known.is_empty() { "no task yet".to_owned() } else { known.join(", ") }
}

impl Store {
    /// Adds a task and asks the engine, in the name of `by`, to run it. Ring its doorbell afterwards.
    ///
    /// # Errors
    /// See [`AddError`]. Then nothing was written.
    pub async fn add_task(&self, new: &NewTask, by: &str, now: DateTime<Utc>) -> Result<Added, AddError> {
        let mut transaction = self.begin().await?;
        Lock {}.execute(&mut transaction).await.map_err(Error::from)?;
        let found = current(&mut transaction).await?;
        let run_id = found.as_ref().and_then(|found| found.run_id.clone());
        let Some(dag) = grown(found.as_ref(), new)? else {
            return Err(AddError::Full);
        };
        insert(&mut transaction, found.as_ref(), &dag).await?;
        let intent = Intent { by: by.to_owned(), wish: wish(run_id, now)? };
        let message = post(&mut transaction, &intent).await?;
        Forget { dag_id: DAG_ID }.execute(&mut transaction).await.map_err(Error::from)?;
        transaction.commit().await?;

        let id = dag.tasks.len();
        let run_id = run_of(&intent)?;
        let task = dag.tasks.into_iter().next_back();
        let task = task.ok_or_else(|| Error::Invalid("the task was not added".to_owned()))?;
        Ok(Added { id, task, run_id, message, intent })
    }

    /// The DAG that the tasks form, when its version is another one than `known`: the leader asks before it carries out
    /// an intent about [`DAG_ID`], because no loader tells it.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn adhoc_dag(&self, known: Option<VersionId>) -> Result<Option<DagRecord>, Error> {
        let mut conn = self.conn().await?;
        let query = Changed { dag_id: DAG_ID, file: FILE, known: &known.map(|version| version.0) };
        let rows: Vec<RecordRow> = query.load(&mut conn).await?;
        Ok(rows.into_iter().next().map(|row| DagRecord {
            version: VersionId(row.version_id),
            dag: Arc::new(row.body.0),
            is_paused: row.is_paused,
            is_stale: row.is_stale,
            cursor: interval(row.cursor_start, row.cursor_end),
            disabled: row.disabled.into_iter().map(|id| id.0).collect(),
            failed_runs: count(row.failed_runs),
            taken: BTreeSet::new(),
            assets: AssetStanding::default(),
        }))
    }
}

/// The DAG with one task more; `None` when it is full. Without a run it begins anew: old tasks are not run again.
fn grown(found: Option<&Current>, new: &NewTask) -> Result<Option<Dag>, AddError> {
    if let Some(found) = found.filter(|found| found.file != FILE && !found.is_stale) {
        return Err(AddError::Taken(found.file.clone()));
    }
    let known = found.filter(|found| found.run_id.is_some() && found.file == FILE);
    let mut dag = known.map_or_else(empty, |found| Ok(found.body.0.clone()))?;
    if dag.task(new.name.as_str()).is_some() {
        return Err(AddError::Duplicate(new.name.clone()));
    }
    if let Some(missing) = new.dependencies.iter().find(|name| dag.task(name.as_str()).is_none()) {
        let known = dag.tasks.iter().rev().take(20).map(|task| format!("`{}`", task.task_id)).collect();
        return Err(AddError::Unknown { missing: missing.clone(), known });
    }
    if dag.tasks.len() >= MOST_TASKS {
        return Ok(None);
    }
    dag.tasks.push(task(new));
    Ok(Some(dag))
}

fn empty() -> Result<Dag, AddError> {
    let dag_id = DagId::new(DAG_ID).map_err(|error| Error::Invalid(error.to_string()))?;
    Ok(Dag {
        dag_id,
        description: Some("Tasks that were posted one by one".to_owned()),
        doc: None,
        schedule: Timetable::Null,
        asset_condition: None,
        partitions: None,
        timezone: Default::default(),
        start_date: None,
        end_date: None,
        catchup: Catchup::None,
        max_active_runs: 1,
        max_active_tasks: MAX_ACTIVE,
        dagrun_timeout: None,
        fail_fast: false,
        max_consecutive_failed_dag_runs: 0,
        max_map_length: USUAL_MAPPED,
        overlap: Default::default(),
        share: 1,
        team: None,
        tags: Vec::new(),
        owner: "tradewind".to_owned(),
        params: Default::default(),
        is_paused_upon_creation: false,
        deadlines: Vec::new(),
        alerts: Default::default(),
        tasks: Vec::new(),
        groups: Vec::new(),
        python_file: None,
    })
}

fn task(new: &NewTask) -> Task {
    let mut upstream = new.dependencies.clone();
    upstream.sort();
    upstream.dedup();
    Task {
        task_id: new.name.clone(),
        group: None,
        operator: Operator::Bash { command: new.command.clone().unwrap_or_else(|| ECHO.to_owned()) },
        upstream,
        trigger_rule: TriggerRule::default(),
        setup: false,
        teardown: None,
        depends_on_past: false,
        wait_for_downstream: false,
        wait_for_past_depends_before_skipping: false,
        retry: Retry::default(),
        execution_timeout: None,
        pool: PoolName::default_pool(),
        pool_slots: 1,
        queue: QueueName::default_queue(),
        priority_weight: new.priority,
        weight_rule: WeightRule::Absolute,
        max_active_tis_per_dag: None,
        max_active_tis_per_dagrun: None,
        do_xcom_push: true,
        outlets: Vec::new(),
        inlets: Vec::new(),
        expand: Default::default(),
        expand_kwargs: None,
        map_index_template: None,
        repeat: None,
        env: Default::default(),
        cwd: None,
        owner: None,
        alerts: Default::default(),
        doc: None,
    }
}

fn run_of(intent: &Intent) -> Result<RunId, Error> {
    let run_id = intent.wish.subject().1.cloned();
    run_id.ok_or_else(|| Error::Invalid("the wish names no run".to_owned()))
}

fn wish(run_id: Option<String>, now: DateTime<Utc>) -> Result<Wish, Error> {
    let named = |text: &str| RunId::new(text).map_err(|error| Error::Invalid(error.to_string()));
    let dag_id = DagId::new(DAG_ID).map_err(|error| Error::Invalid(error.to_string()))?;
    if let Some(run_id) = run_id {
        return Ok(Wish::AdoptVersion { dag_id, run_id: named(&run_id)? });
    }
    Ok(Wish::Trigger(Trigger {
        dag_id,
        run_id: named(&format!("manual__{}", now.format("%Y-%m-%dT%H:%M:%S%.6f+00:00")))?,
        logical_date: None,
        data_interval: None,
        run_after: now,
        conf: Default::default(),
        note: None,
        partition_key: None,
        materializes: false,
    }))
}

async fn current(conn: &mut AsyncPgConnection) -> Result<Option<Current>, Error> {
    let rows: Vec<Current> = Find { dag_id: DAG_ID }.load(conn).await?;
    Ok(rows.into_iter().next())
}

async fn insert(conn: &mut AsyncPgConnection, found: Option<&Current>, dag: &Dag) -> Result<(), Error> {
    let number = found.map_or(0, |found| found.number) + 1;
    let description = dag.description.clone();
    let query = Insert {
        dag_id: DAG_ID,
        number: &number,
        hash: &dag.content_hash(),
        file: FILE,
        body: &ToJson::of(dag)?,
        source: SOURCE,
        owner: &dag.owner,
        description: &description,
        schedule: &dag.schedule_summary(),
        words: &dag.schedule_description(),
    };
    query.execute(conn).await?;
    Ok(())
}

async fn post(conn: &mut AsyncPgConnection, intent: &Intent) -> Result<InboxId, Error> {
    let body = ToJson::of(&Message::Intent(intent.clone()))?;
    let row: Posted = Post { body: &body }.get_result(conn).await?;
    Ok(InboxId(row.id))
}

#[derive(QueryableByName)]
struct Current {
    #[diesel(sql_type = Integer)]
    number: i32,
    #[diesel(sql_type = Text)]
    file: String,
    #[diesel(sql_type = Bool)]
    is_stale: bool,
    #[diesel(sql_type = Json)]
    body: FromJson<Dag>,
    #[diesel(sql_type = Nullable<Text>)]
    run_id: Option<String>,
}

#[derive(QueryableByName)]
struct RecordRow {
    #[diesel(sql_type = BigInt)]
    version_id: i64,
    #[diesel(sql_type = Json)]
    body: FromJson<Dag>,
    #[diesel(sql_type = Bool)]
    is_paused: bool,
    #[diesel(sql_type = Bool)]
    is_stale: bool,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    cursor_start: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    cursor_end: Option<DateTime<Utc>>,
    #[diesel(sql_type = Array<Text>)]
    disabled: Vec<Parsed<TaskId>>,
    #[diesel(sql_type = Integer)]
    failed_runs: i32,
}

#[derive(QueryableByName)]
struct Posted {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

hot_query! {
    /// One task after the other.
    Lock {}
    "SELECT pg_advisory_xact_lock(7239018450133)"
}

hot_query! {
    /// The run may still be a message on its way to the engine, which swaps one for the other in one transaction.
    Find { dag_id: str => Text }
    "SELECT v.number, d.file, d.is_stale, v.body, coalesce(
         (SELECT r.run_id FROM dag_run r WHERE r.dag_id = d.dag_id ORDER BY r.run_after DESC, r.key DESC LIMIT 1),
         (SELECT i.body -> 'wish' ->> 'run_id' FROM inbox i
          WHERE i.body ->> 'kind' = 'intent' AND i.body -> 'wish' ->> 'wish' = 'trigger'
            AND i.body -> 'wish' ->> 'dag_id' = d.dag_id ORDER BY i.id LIMIT 1)
     ) AS run_id
     FROM dag d JOIN dag_version v ON v.id = d.version_id WHERE d.dag_id = $1"
}

hot_query! {
    Insert {
        dag_id: str => Text,
        number: i32 => Integer,
        hash: str => Text,
        file: str => Text,
        body: ToJson => Json,
        source: str => Text,
        owner: str => Text,
        description: Option<String> => Nullable<Text>,
        schedule: str => Text,
        words: str => Text,
    }
    "WITH made AS (
         INSERT INTO dag_version (dag_id, number, hash, file, body, source) VALUES ($1, $2, $3, $4, $5, $6)
         RETURNING id
     )
     INSERT INTO dag (dag_id, version_id, is_paused, file, description, owner, schedule, schedule_description, parsed_at)
     SELECT $1, id, false, $4, $8, $7, $9, $10, now() FROM made
     ON CONFLICT (dag_id) DO UPDATE
     SET version_id = excluded.version_id, is_stale = false, file = excluded.file, description = excluded.description,
         owner = excluded.owner, tags = '{}', schedule = excluded.schedule,
         schedule_description = excluded.schedule_description, parsed_at = excluded.parsed_at"
}

hot_query! {
    Post { body: ToJson => Json }
    "INSERT INTO inbox (body) VALUES ($1) RETURNING id"
}

hot_query! {
    /// Each version holds all tasks, so those that the run has left behind are not kept, but for some that the leader may
    /// be about to use.
    Forget { dag_id: str => Text }
    "DELETE FROM dag_version v USING dag d, dag_version n
     WHERE v.dag_id = $1 AND d.dag_id = $1 AND n.id = d.version_id AND v.number < n.number - 20
       AND NOT EXISTS (SELECT FROM dag_run r WHERE r.version_id = v.id)"
}

hot_query! {
    Changed { dag_id: str => Text, file: str => Text, known: Option<i64> => Nullable<BigInt> }
    "SELECT d.version_id, v.body, d.is_paused, d.is_stale, d.cursor_start, d.cursor_end,
            d.disabled, d.failed_runs
     FROM dag d JOIN dag_version v ON v.id = d.version_id
     WHERE d.dag_id = $1 AND d.file = $2 AND d.version_id IS DISTINCT FROM $3"
}
