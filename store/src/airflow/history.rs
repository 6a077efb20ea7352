//! The runs of an Airflow that have ended, with their task instances, tries and XComs, as records of ours.
//!
//! Whole rows are read as JSON: `map_index` came with 2.3, the notes of runs with 2.5, the history of tries with 2.10, and what 2.x
//! calls `execution_date` is `logical_date` in 3.x.

mod rows;

use std::{cmp::Reverse, collections::BTreeMap};

use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz};
use diesel_async::RunQueryDsl;
use domain::{
    id::DagId,
    state::{RunState, RunType},
};
use serde::{Deserialize, de::DeserializeOwned};

use self::rows::{ChildRow, HistoryRow, RunRow, TiRow, XComRow};
use super::{AirflowDatabase, Body, Count, strange};
use crate::{Error, history::PastRun};

/// A run of Airflow's, as a list has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AirflowRun {
    /// Its number in that database.
    pub id: i64,
    /// Its name.
    pub run_id: String,
    /// How it came to be.
    pub run_type: String,
    /// Its state.
    pub state: Option<String>,
    /// Its logical date.
    pub logical_date: Option<DateTime<Utc>>,
    /// The end of its data interval, or when it was due.
    pub until: Option<DateTime<Utc>>,
    /// How many task instances it has.
    pub instances: usize,
}

impl AirflowDatabase {
    /// The newest runs of a DAG, newest first: at most `last`, and only those that were due since then.
    ///
    /// # Errors
    /// [`Error::Invalid`] when a table is not as in Airflow 2.2 to 3.x.
    pub async fn runs(
        &self,
        dag_id: &DagId,
        since: Option<DateTime<Utc>>,
        last: u32,
    ) -> Result<Vec<AirflowRun>, Error> {
        let mut conn = self.store.conn().await?;
        let rows: Vec<Body> = diesel::sql_query(include_str!("history/list.sql"))
            .bind::<Text, _>(dag_id.as_str())
            .bind::<Nullable<Timestamptz>, _>(since)
            .bind::<BigInt, _>(i64::from(last))
            .load(&mut conn)
            .await
            .map_err(|error| strange("dag_run", &error))?;
        let read = |row: Body| serde_json::from_str(&row.body).map_err(|error| strange("dag_run", &error));
        rows.into_iter().map(read).collect()
    }

    /// Everything about some runs that have ended, newest first.
    ///
    /// # Errors
    /// [`Error::Invalid`] when more than [`super::MOST`] rows belong to them, or one cannot be read.
    pub async fn history(&self, ids: &[i64], with_xcoms: bool) -> Result<Vec<PastRun>, Error> {
        let ids = ids.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
        let note = if self.has("dag_run_note").await? { NOTE } else { "NULL::text" };
        let runs = format!("SELECT r.*, {note} AS note FROM dag_run r WHERE r.id IN ({ids})");
        let mut runs: Vec<RunRow> = self.rows("dag_run", &runs).await?;
        runs.sort_by_key(|run| Reverse((run.due(), run.id)));
        let mut tis = self.children::<TiRow>("task_instance", &ids).await?;
        let mut tries = match self.has("task_instance_history").await? {
            true => self.children::<HistoryRow>("task_instance_history", &ids).await?,
            false => BTreeMap::new(),
        };
        let mut xcoms = match with_xcoms {
            true => self.children::<XComRow>("xcom", &ids).await?,
            false => BTreeMap::new(),
        };
        let past = |run: RunRow| {
            let (tis, tries, xcoms) = (tis.remove(&run.id), tries.remove(&run.id), xcoms.remove(&run.id));
            run.past(tis.unwrap_or_default(), tries.unwrap_or_default(), xcoms.unwrap_or_default())
        };
        runs.into_iter().map(past).collect()
    }

    // The rows of a table that belong to some runs, by run. What is large and of no use here stays there.
    async fn children<R: DeserializeOwned>(
        &self,
        table: &str,
        runs: &str,
    ) -> Result<BTreeMap<i64, Vec<R>>, Error> {
        let query = format!(
            "SELECT r.id AS run, to_jsonb(c) - '{{executor_config,next_kwargs,trigger_kwargs,context_carrier}}'::text[] AS child
             FROM dag_run r JOIN {table} c ON c.dag_id = r.dag_id AND c.run_id = r.run_id WHERE r.id IN ({runs})"
        );
        let mut found: BTreeMap<i64, Vec<R>> = BTreeMap::new();
        for child in self.rows::<ChildRow<R>>(table, &query).await? {
            found.entry(child.run).or_default().push(child.child);
        }
        Ok(found)
    }

    async fn has(&self, table: &str) -> Result<bool, Error> {
        let mut conn = self.store.conn().await?;
        let query = "SELECT count(*) AS total FROM information_schema.tables
             WHERE table_name = $1 AND table_schema = ANY (current_schemas(false))";
        let found: Count = diesel::sql_query(query).bind::<Text, _>(table).get_result(&mut conn).await?;
        Ok(found.total > 0)
    }
}

const NOTE: &str = "(SELECT n.content FROM dag_run_note n WHERE n.dag_run_id = r.id)";

/// The state of a run that has ended, or none.
#[must_use]
pub fn ended_state(text: Option<&str>) -> Option<RunState> {
    text?.parse().ok().filter(|state: &RunState| state.is_finished())
}

/// How a run came to be. Airflow called assets datasets before 3.0.
#[must_use]
pub fn run_type(text: &str) -> Option<RunType> {
    if text == "dataset_triggered" { Some(RunType::AssetTriggered) } else { text.parse().ok() }
}
