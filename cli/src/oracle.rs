//! Timetables that plugins bring: a scheduler is asked for what only their programs know.

use anyhow::Result;
use chrono::{DateTime, Utc};
use domain::{
    backfill::{MOST_DATES, Order},
    dag::Dag,
    state::RunType,
    timetable::{
        Listed, NextRun,
        asked::{Answer, ByHand, Question},
    },
};
use queue::Bell;
use runtime::config::Config;
use store::Store;

use crate::setup;

/// What the program of a DAG's timetable says of a run by hand; nothing where there is no such program, or nothing to ask.
///
/// # Errors
/// When the program cannot say it, or no scheduler answers.
pub async fn by_hand(
    config: &Config,
    store: &Store,
    dag: &Dag,
    (logical_date, run_after): (Option<DateTime<Utc>>, DateTime<Utc>),
    is_named: bool,
) -> Result<ByHand> {
    let wants = |listed: &&Listed| logical_date.is_some() || listed.program().names_runs && !is_named;
    let Some(listed) = dag.schedule.listed().filter(wants) else { return Ok(ByHand::default()) };
    let question = Question::by_hand(listed, logical_date, None, run_after, RunType::Manual.as_str());
    Ok(question.read_by_hand(ask(config, store, &question).await?)?)
}

/// The runs that the program of a DAG's timetable names for a backfill; `None` where there is no such program.
///
/// # Errors
/// As [`by_hand`].
pub async fn between(
    config: &Config,
    store: &Store,
    dag: &Dag,
    order: &Order,
) -> Result<Option<Vec<NextRun>>> {
    let Some(listed) = dag.schedule.listed().filter(|_| order.from <= order.to) else { return Ok(None) };
    let question = Question::between(listed, order.from, order.to, MOST_DATES + 1);
    Ok(Some(question.read_between(ask(config, store, &question).await?)?))
}

async fn ask(config: &Config, store: &Store, question: &Question) -> Result<Option<Answer>> {
    let ring = async {
        // The scheduler looks by itself, too.
        drop(setup::ring(config, Bell::Timetable).await);
    };
    Ok(store.ask_timetable(question, ring).await?)
}
