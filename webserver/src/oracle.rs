//! Timetables that plugins bring: a scheduler is asked for what only their programs know.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::{
    backfill::{MOST_DATES, Order},
    dag::Dag,
    state::RunType,
    timetable::{
        DataInterval, Listed, NextRun,
        asked::{Answer, ByHand, Fault, Question},
    },
};
use queue::Bell;

use crate::{AppState, error::Error};

/// What is known of a run that somebody starts.
pub(crate) struct Given {
    pub(crate) logical_date: Option<DateTime<Utc>>,
    pub(crate) data_interval: Option<DataInterval>,
    pub(crate) run_after: DateTime<Utc>,
    pub(crate) run_type: RunType,
    /// It has a name already.
    pub(crate) is_named: bool,
}

/// What the program of a DAG's timetable says of a run that somebody starts; nothing where there is no such program, or nothing to ask.
///
/// # Errors
/// [`Error::Rejected`] when the program cannot say it, [`Error::Unavailable`] when nobody answers.
pub(crate) async fn by_hand(state: &AppState, dag: &Dag, given: &Given) -> Result<ByHand, Error> {
    let wants = |listed: &&Listed| {
        let wants_interval = given.logical_date.is_some() && given.data_interval.is_none();
        wants_interval || listed.program().names_runs && !given.is_named
    };
    let Some(listed) = dag.schedule.listed().filter(wants) else { return Ok(ByHand::default()) };
    let Given { logical_date, data_interval, run_after, run_type, .. } = *given;
    let question = Question::by_hand(listed, logical_date, data_interval, run_after, run_type.as_str());
    let answer = ask(state, &question).await?;
    question.read_by_hand(answer).map_err(Error::from)
}

/// The runs that the program of a DAG's timetable names for a backfill; `None` where there is no such program.
///
/// # Errors
/// As [`by_hand`].
pub(crate) async fn between(
    state: &AppState,
    dag: &Arc<Dag>,
    order: &Order,
) -> Result<Option<Vec<NextRun>>, Error> {
    let Some(listed) = dag.schedule.listed().filter(|_| order.from <= order.to) else { return Ok(None) };
    let question = Question::between(listed, order.from, order.to, MOST_DATES + 1);
    let answer = ask(state, &question).await?;
    Ok(Some(question.read_between(answer)?))
}

async fn ask(state: &AppState, question: &Question) -> Result<Option<Answer>, Error> {
    let ring = async {
        // The scheduler looks by itself, too.
        drop(state.queue.ring(Bell::Timetable).await);
    };
    Ok(state.store.ask_timetable(question, ring).await?)
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match &fault {
            Fault::Nobody(_) => Self::Unavailable(fault.to_string()),
            Fault::Failed { .. } => Self::Rejected(fault.to_string()),
        }
    }
}
