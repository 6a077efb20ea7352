//! `tradewind dags trigger`

use std::{process::ExitCode, time::Duration};

use anyhow::{Result, bail};
use chrono::{DateTime, SecondsFormat, Utc};
use domain::{
    dag::Dag,
    engine::record::RunRecord,
    id::RunId,
    intent::{self, Wish},
    state::RunState,
    timetable::DataInterval,
};
use runtime::{clock::Clock, config::Config};
use serde::Serialize;
use serde_json::{Map, Value};
use store::Store;

use crate::{
    args::{Common, dags::Trigger},
    command::{inbox, runs},
    output, setup,
};

/// How often a run that is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(300);

#[derive(Serialize)]
struct Row {
    dag_id: String,
    run_id: String,
    state: &'static str,
    logical_date: Option<DateTime<Utc>>,
    run_after: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    conf: Value,
}

/// Creates a run.
pub async fn run(common: &Common, trigger: Trigger) -> Result<ExitCode> {
    let config = setup::config(&setup::flags(common))?;
    let store = setup::command_store(&config).await?;
    let (line, dag) = super::known(&store, &trigger.dag_id).await?;
    let wait = trigger.wait;
    let wish = wish(&dag, trigger)?;
    if line.is_paused {
        output::note(&format!("note: {} is paused, so nothing starts before `tradewind dags unpause`", dag.dag_id));
    }
    if store.run(&wish.dag_id, &wish.run_id).await?.is_some() {
        bail!("the run `{}` of {} exists already", wish.run_id, wish.dag_id);
    }
    let (dag_id, run_id) = (wish.dag_id.clone(), wish.run_id.clone());
    inbox::ask(&config, &store, Wish::Trigger(wish)).await?;
    let Some(mut run) = runs::find(&store, &dag_id, &run_id).await? else {
        output::note("note: no scheduler has created the run yet; the first one that runs will");
        output::say(run_id.as_str())?;
        return Ok(ExitCode::SUCCESS);
    };
    if wait {
        run = until_ended(&config, &store, run).await?;
    }
    let has_failed = run.state == RunState::Failed;
    output::record(common.output, &row(run))?;
    Ok(if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn wish(dag: &Dag, trigger: Trigger) -> Result<intent::Trigger> {
    let now = Clock::system().now();
    let conf: Map<String, Value> = trigger.conf.unwrap_or_default().0;
    if let Err(errors) = domain::params::resolve(&dag.params, &conf) {
        bail!("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "));
    }
    let run_after = trigger.run_after.unwrap_or(now);
    let run_id = match trigger.run_id {
        Some(run_id) => run_id,
        None => RunId::new(&format!("manual__{}", now.to_rfc3339_opts(SecondsFormat::Micros, false)))?,
    };
    let interval = |date| dag.schedule.manual_interval(date).unwrap_or(DataInterval::exact(date));
    Ok(intent::Trigger {
        dag_id: trigger.dag_id,
        run_id,
        logical_date: trigger.logical_date,
        data_interval: trigger.logical_date.map(interval),
        run_after,
        conf,
        note: trigger.note,
    })
}

async fn until_ended(config: &Config, store: &Store, mut run: RunRecord) -> Result<RunRecord> {
    output::note(&format!("waiting for {} {}", run.dag_id, run.run_id));
    while !run.state.is_finished() {
        tokio::time::sleep(LOOK_EVERY).await;
        match runs::find(store, &run.dag_id, &run.run_id).await {
            Ok(Some(now)) => run = now,
            Ok(None) => bail!("the run was deleted"),
            Err(error) => runs::wait_for_database(config, error).await?,
        }
    }
    Ok(run)
}

fn row(run: RunRecord) -> Row {
    Row {
        dag_id: run.dag_id.to_string(),
        run_id: run.run_id.to_string(),
        state: run.state.as_str(),
        logical_date: run.logical_date,
        run_after: run.run_after,
        started_at: run.started_at,
        ended_at: run.ended_at,
        conf: Value::Object(run.conf.as_ref().clone()),
    }
}
