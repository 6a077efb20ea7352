//! `tradewind dags trigger`

use std::{process::ExitCode, time::Duration};

use anyhow::{Result, bail};
use chrono::{DateTime, SecondsFormat, Utc};
use domain::{
    dag::Dag,
    id::{DagId, RunId},
    intent::{self, Wish},
    state::RunState,
    timetable::asked::ByHand,
};
use runtime::clock::Clock;
use serde_json::{Map, Value};
use store::{Store, view::run::Run};

use crate::{
    args::{Common, dags::Trigger},
    command::{inbox, runs},
    oracle, output, setup,
};

/// How often a run that is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// After so many failures in a row to look, nobody waits any longer.
const MOST_FAILURES: u32 = 30;

/// Creates a run.
pub async fn run(common: &Common, trigger: Trigger) -> Result<ExitCode> {
    let (config, store) = setup::for_command(common).await?;
    let (line, dag) = super::known(&store, &trigger.dag_id).await?;
    let wait = trigger.wait;
    let run_after = trigger.run_after.unwrap_or_else(|| Clock::system().now());
    let dates = (trigger.logical_date, run_after);
    let said = oracle::by_hand(&config, &store, &dag, dates, trigger.run_id.is_some()).await?;
    let wish = wish(&dag, trigger, run_after, said)?;
    if line.is_paused {
        output::note(&format!(
            "note: {} is paused, so nothing starts before `tradewind dags unpause`",
            dag.dag_id
        ));
    }
    if store.run_line(&wish.dag_id, &wish.run_id).await?.is_some() {
        bail!("the run `{}` of {} exists already", wish.run_id, wish.dag_id);
    }
    let (dag_id, run_id) = (wish.dag_id.clone(), wish.run_id.clone());
    let is_created = inbox::ask(&config, &store, Wish::Trigger(wish)).await?;
    if !is_created && !wait {
        output::note("note: no scheduler has created the run yet; the first one that runs will");
        output::say(run_id.as_str())?;
        return Ok(ExitCode::SUCCESS);
    }
    let run = if wait {
        until_ended(&store, &dag_id, &run_id).await?
    } else {
        runs::find(&store, &dag_id, &run_id).await?
    };
    let has_failed = run.state == RunState::Failed;
    output::record(common.output, &runs::row(run))?;
    Ok(if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn wish(dag: &Dag, trigger: Trigger, run_after: DateTime<Utc>, said: ByHand) -> Result<intent::Trigger> {
    let now = Clock::system().now();
    let conf: Map<String, Value> = trigger.conf.unwrap_or_default().0;
    if let Err(errors) = domain::params::resolve(&dag.params, &conf) {
        bail!("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "));
    }
    let given = trigger.logical_date.and_then(|date| dag.schedule.given_interval(date));
    let run_id = match trigger.run_id.or(said.run_id) {
        Some(run_id) => run_id,
        None => RunId::new(&format!("manual__{}", now.to_rfc3339_opts(SecondsFormat::Micros, false)))?,
    };
    if let Some(key) = trigger.partition_key.clone() {
        dag.partition_of(key)?;
    }
    Ok(intent::Trigger {
        dag_id: trigger.dag_id,
        run_id,
        logical_date: trigger.logical_date,
        data_interval: given.or(said.data_interval),
        run_after,
        conf,
        note: trigger.note,
        partition_key: trigger.partition_key,
        materializes: false,
    })
}

async fn until_ended(store: &Store, dag_id: &DagId, run_id: &RunId) -> Result<Run> {
    output::note(&format!("waiting for {dag_id} {run_id}"));
    let mut failures = 0;
    let mut was_seen = false;
    loop {
        match store.run_line(dag_id, run_id).await {
            Ok(Some(run)) if run.state.is_finished() => return Ok(run),
            Ok(None) if was_seen => bail!("the run was deleted"),
            Ok(found) => {
                was_seen |= found.is_some();
                failures = 0;
            }
            Err(error) if error.is_transient() && failures < MOST_FAILURES => failures += 1,
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
