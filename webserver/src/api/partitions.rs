//! What runs are about: lists of runs by the dates of their partitions, and taking partitions away from runs. Source: Airflow 3.3.2
//! `api_fastapi/core_api/routes/public/dag_run.py:467`, `models/dagrun.py:2296`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime};
use domain::{
    dag::Dag,
    intent::{Clear, Selection, Wish},
};
use serde::Deserialize;
use serde_json::{Value, json};
use store::view::{
    api_list::{Ask, Comparison, Test},
    api_run::RunRow,
};

use super::{clear, dags::wrong, names, query, runs};
use crate::{AppState, auth::User, body::Body, error::Error, wish};

/// Most runs whose partitions are taken away at once.
const MOST_RUNS: u32 = 1_000;
const COLUMN: &str = "partition_date";

/// Which runs are not to be about partitions any more.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClearBody {
    #[serde(default)]
    run_id: Option<String>,
    #[serde(default)]
    partition_key: Option<String>,
    #[serde(default)]
    partition_date_start: Option<String>,
    #[serde(default)]
    partition_date_end: Option<String>,
    #[serde(default)]
    clear_task_instances: bool,
    #[serde(default = "super::yes")]
    dry_run: bool,
}

/// `POST /dags/{dag_id}/dagRuns/clearPartitions`
pub(super) async fn clear(
    state: Data<AppState>,
    user: User,
    dag_id: Path<String>,
    body: Body<ClearBody>,
) -> Result<HttpResponse, Error> {
    let body = body.0;
    let row = names::dag(&state, &dag_id).await?;
    let dag = names::version(&state, row.version_id).await?;
    let ask =
        Ask { limit: MOST_RUNS, order_by: vec![COLUMN.to_owned(), "run_id".to_owned()], ..Ask::default() };
    let ask = chosen(&dag, &body, ask.with("dag_id", Test::is(&row.dag_id)))?;
    let (found, total) = state.store.api_runs(&ask).await?;
    if total > i64::from(MOST_RUNS) {
        let text = format!("{total} runs are selected; at most {MOST_RUNS} are cleared at once");
        return Err(Error::Rejected(text));
    }
    let (mut runs, mut instances) = (0, 0);
    for run in &found {
        let is_about = run.partition_key.is_some() || run.partition_date.is_some();
        runs += usize::from(is_about);
        if is_about && !body.dry_run {
            let (dag_id, run_id) = runs::ids(run)?;
            wish::insist(&state, user.name(), Wish::ForgetPartition { dag_id, run_id }).await?;
        }
        if body.clear_task_instances {
            instances += clear_instances(&state, user.name(), run, body.dry_run).await?;
        }
    }
    Ok(HttpResponse::Ok().json(json!({
        "dag_runs_cleared": runs, "task_instances_cleared": instances, "dry_run": body.dry_run,
    })))
}

async fn clear_instances(state: &AppState, by: &str, run: &RunRow, dry_run: bool) -> Result<usize, Error> {
    let (dag_id, run_id) = runs::ids(run)?;
    let selection = Selection { dag_id, run_id, tasks: Vec::new(), upstream: false, downstream: false };
    let which = clear::Which { only_failed: false, only_running: false };
    let count = clear::select(state, run, &selection, which).await?.len();
    if !dry_run {
        wish::insist(state, by, Wish::Clear(Clear { selection, only_failed: false })).await?;
    }
    Ok(count)
}

/// Adds what selects the runs: exactly one of the ways in which that can be said.
fn chosen(dag: &Dag, body: &ClearBody, ask: Ask) -> Result<Ask, Error> {
    let bounds = [
        ("partition_date_start", &body.partition_date_start, Comparison::AtLeast),
        ("partition_date_end", &body.partition_date_end, Comparison::AtMost),
    ];
    let has_window = bounds.iter().any(|(_, bound, _)| bound.is_some());
    let ways = [body.run_id.is_some(), body.partition_key.is_some(), has_window];
    if ways.iter().filter(|way| **way).count() != 1 {
        let text = "Exactly one of run_id, partition_key, or a partition date window (partition_date_start / \
                    partition_date_end) must be provided.";
        return Err(wrong("run_id", text, Value::Null));
    }
    if let Some(run_id) = &body.run_id {
        return Ok(ask.with("run_id", Test::is(run_id)));
    }
    if let Some(key) = &body.partition_key {
        return Ok(ask.with("partition_key", Test::is(key)));
    }
    let mut ask = ask;
    let mut last: Option<NaiveDateTime> = None;
    for (name, bound, comparison) in bounds {
        let Some(text) = bound else { continue };
        let wall =
            wall(text).ok_or_else(|| wrong(name, "Input should be a valid datetime", text.clone().into()))?;
        if last.is_some_and(|last| last > wall) {
            let text = "partition_date_start must be on or before partition_date_end.";
            return Err(wrong("partition_date_start", text, Value::Null));
        }
        last = Some(wall);
        ask.tests.push((COLUMN, Test::Moment(comparison, dag.partition_moment(wall))));
    }
    Ok(ask)
}

/// What a clock reads in the text, wherever it hangs: it is meant in the zone of the DAG's schedule.
fn wall(text: &str) -> Option<NaiveDateTime> {
    let zoned = DateTime::parse_from_rfc3339(text.trim()).ok().map(|moment| moment.naive_local());
    zoned.or_else(|| query::moment(text).map(|moment| moment.naive_utc()))
}

/// Adds the days between which the partitions of the runs of a list begin, both included, in the zone of the DAG's schedule.
pub(super) async fn within_days(
    state: &AppState,
    dag_id: &str,
    query: &query::Query,
    mut ask: Ask,
) -> Result<Ask, Error> {
    let [first, last] = [day(query, "partition_date_gte")?, day(query, "partition_date_lte")?];
    if first.is_none() && last.is_none() {
        return Ok(ask);
    }
    if dag_id == names::ALL {
        let text = "partition_date_gte and partition_date_lte require a specific dag_id.";
        return Err(Error::Invalid(text.to_owned()));
    }
    let row = names::dag(state, dag_id).await?;
    if !row.is_partitioned {
        return Err(Error::Invalid(format!(
            "Dag with dag_id: '{dag_id}' is not partitioned; partition_date_gte and partition_date_lte are not supported."
        )));
    }
    let dag = names::version(state, row.version_id).await?;
    let after = last.and_then(|day| day.checked_add_days(Days::new(1)));
    for (day, comparison) in [(first, Comparison::AtLeast), (after, Comparison::Below)] {
        let begins = day.map(|day| dag.partition_moment(day.and_time(NaiveTime::MIN)));
        ask.tests.extend(begins.map(|begins| (COLUMN, Test::Moment(comparison, begins))));
    }
    Ok(ask)
}

fn day(query: &query::Query, name: &'static str) -> Result<Option<NaiveDate>, Error> {
    let parse = |text: &str| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    query.parsed(
        name,
        "date_from_datetime_parsing",
        "Input should be a valid date, such as 2026-01-01",
        parse,
    )
}
