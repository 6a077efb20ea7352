//! Planning and ordering backfills, for programs and for people alike.

use chrono::{DateTime, Utc};
use domain::{
    backfill::{BackfillId, Date, Order, Refusal, plan},
    dag::Dag,
    engine::{backfill::BackfillRecord, record::VersionId},
    id::DagId,
    intent::Wish,
    timetable::NextRun,
};

use crate::{
    AppState,
    error::Error,
    oracle,
    wish::{self, Outcome},
};

/// Most bytes of what the runs of a backfill are given, as JSON.
const LONGEST_CONF: usize = 256 << 10;

/// The dates that would get a run, in their order. Those of runs that would be left alone are not among them.
///
/// # Errors
/// [`Error::Rejected`] says what does not fit.
pub(crate) async fn preview(state: &AppState, order: &Order) -> Result<Vec<Date>, Error> {
    let dates = match planned(state, order).await {
        Ok((dates, _)) => dates,
        Err(Fault::Refused(Refusal::Nothing { .. })) => return Ok(Vec::new()),
        Err(fault) => return Err(fault.into()),
    };
    let found = state.store.survey_dates(&order.dag_id, &dates).await?;
    Ok(order.wanted(dates, found.into_iter().map(|found| (found.ordinal, found.state))))
}

/// Has a backfill created by the engine, and tells whether that has happened or is still to come.
///
/// # Errors
/// [`Error::Rejected`] says what does not fit, [`Error::Conflict`] that the DAG has an active backfill.
pub(crate) async fn create(
    state: &AppState,
    by: &str,
    order: Order,
) -> Result<(BackfillRecord, Outcome), Error> {
    // The engine checks all of this again, at the moment that counts; here it is known whose fault each refusal is.
    let checked = planned(state, &order).await;
    if state.store.active_backfill(&order.dag_id).await?.is_some() {
        return Err(Error::Conflict(format!("There is already a running backfill for dag {}", order.dag_id)));
    }
    let (_, named) = checked?;
    let id = state.store.next_backfill().await?;
    let wish = Wish::CreateBackfill { id, order: order.clone(), named };
    let outcome = wish::ask(state, by, wish).await?;
    if let Outcome::Refused(reason) = &outcome {
        return Err(Error::Conflict(reason.clone()));
    }
    let found = state.store.backfill(id).await?;
    Ok((found.unwrap_or_else(|| pending(id, order, by, state.clock.now())), outcome))
}

// Without a scheduler it is written down but not yet among the records: it is shown as it will be.
fn pending(id: BackfillId, order: Order, by: &str, now: DateTime<Utc>) -> BackfillRecord {
    BackfillRecord {
        id,
        order,
        by: by.to_owned(),
        is_paused: false,
        is_cancelled: false,
        created_at: now,
        updated_at: now,
        completed_at: None,
    }
}

enum Fault {
    Refused(Refusal),
    Other(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl From<store::Error> for Fault {
    fn from(error: store::Error) -> Self {
        Self::Other(error.into())
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Refused(refusal) => Self::Rejected(refusal.to_string()),
            Fault::Other(error) => error,
        }
    }
}

/// The dates of a backfill, and what the program of its timetable named for it.
async fn planned(state: &AppState, order: &Order) -> Result<(Vec<Date>, Option<Vec<NextRun>>), Fault> {
    if let Some(conf) = &order.conf {
        let length = serde_json::to_vec(conf).map_or(0, |bytes| bytes.len());
        if length > LONGEST_CONF {
            let text = format!("dag_run_conf has {length} bytes as JSON, at most {LONGEST_CONF} are kept");
            return Err(Error::Rejected(text).into());
        }
    }
    let dag = newest(state, &order.dag_id).await?;
    let named = oracle::between(state, &dag, order).await?;
    let dates = plan(&dag, order, named.as_deref(), state.clock.now()).map_err(Fault::Refused)?;
    Ok((dates, named))
}

async fn newest(state: &AppState, dag_id: &DagId) -> Result<std::sync::Arc<Dag>, Error> {
    let missing = || Error::NotFound(format!("Could not find dag {dag_id}"));
    let row = state.store.api_dag(dag_id).await?.filter(|row| !row.is_stale).ok_or_else(missing)?;
    let version = state.store.version(VersionId(row.version_id)).await?;
    version.map(|(dag, _)| dag).ok_or_else(missing)
}
