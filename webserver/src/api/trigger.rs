//! Starting a run.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chrono::{DateTime, SecondsFormat, Utc};
use domain::{
    dag::Dag,
    id::{DagId, RunId},
    intent::{MATERIALIZATION, Trigger, Wish},
    params,
    partition::Key,
    state::RunType,
    timetable::DataInterval,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use store::view::api_dag::DagRow;

use super::{batch::a_moment, dags::wrong, idempotency::Sent, names, runs, shape};
use crate::{
    AppState,
    auth::User,
    body::Body,
    error::Error,
    oracle::{self, Given},
    wish::{self, Outcome},
};

/// How random the end of a run id is that was not given, in letters and digits.
const RANDOM: usize = 8;
/// Most bytes of a run's conf as JSON.
const LONGEST_CONF: usize = 256 << 10;
/// What only runs of other kinds may be called.
const RESERVED: [&str; 4] = ["scheduled__", "backfill__", "asset_triggered__", MATERIALIZATION];

/// What a run is to be like.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRun {
    #[serde(default)]
    pub(crate) dag_run_id: Option<String>,
    #[serde(default, deserialize_with = "a_moment")]
    pub(crate) data_interval_start: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "a_moment")]
    pub(crate) data_interval_end: Option<DateTime<Utc>>,
    /// Required, but may be null.
    #[serde(default, deserialize_with = "given_moment")]
    pub(crate) logical_date: Option<Option<DateTime<Utc>>>,
    #[serde(default, deserialize_with = "a_moment")]
    pub(crate) run_after: Option<DateTime<Utc>>,
    #[serde(default)]
    pub(crate) conf: Option<Map<String, Value>>,
    #[serde(default)]
    pub(crate) note: Option<String>,
    #[serde(default)]
    pub(crate) partition_key: Option<String>,
}

fn given_moment<'de, D: serde::Deserializer<'de>>(
    from: D,
) -> Result<Option<Option<DateTime<Utc>>>, D::Error> {
    a_moment(from).map(Some)
}

pub(super) async fn create(
    state: Data<AppState>,
    user: User,
    dag_id: Path<String>,
    Sent(key): Sent,
    body: Body<NewRun>,
) -> Result<HttpResponse, Error> {
    let mut new = body.0;
    if new.logical_date.is_none() {
        let problem =
            crate::error::Problem::new("missing", "body", "logical_date", "Field required", Value::Null);
        return Err(problem.into());
    }
    let row = names::dag(&state, &dag_id).await?;
    let kept = match &key {
        Some(key) => Some(key.open(&state, &row, &mut new).await?),
        None => None,
    };
    if let Some(run) = kept.as_ref().and_then(|kept| kept.run.as_ref()) {
        return Ok(HttpResponse::Ok().json(shape::run(run)));
    }
    let known = kept.as_ref().and_then(|kept| kept.name.clone());
    let mut trigger = match (plan(&state, &row, new, false).await, known) {
        (Ok(trigger), _) => trigger,
        // Whoever sent the same key has got the run since it was looked for.
        (Err(Error::Conflict(_)), Some(run_id)) => {
            let run = names::run(&state, &dag_id, run_id.as_str()).await?;
            return Ok(HttpResponse::Ok().json(shape::run(&run)));
        }
        (Err(fault), _) => return Err(fault),
    };
    if let Some((key, kept)) = key.as_ref().zip(kept) {
        trigger.run_id = key.keep(&state, &trigger, &kept).await?;
    }
    let run_id = trigger.run_id.clone();
    let outcome = wish::ask(&state, user.name(), Wish::Trigger(trigger.clone())).await?;
    // Without a scheduler the run is written down but not yet among the runs: it is shown as it will be.
    let found = names::run(&state, &dag_id, run_id.as_str()).await;
    let shape = match (outcome, found) {
        // Somebody who sent the same key was faster.
        (Outcome::Refused(_), Ok(run)) if key.is_some() => shape::run(&run),
        (Outcome::Refused(reason), _) => return Err(Error::Conflict(reason)),
        (Outcome::Done | Outcome::Pending, Ok(run)) => shape::run(&run),
        (Outcome::Done | Outcome::Pending, Err(Error::NotFound(_))) => {
            pending(&trigger, &row, user.name(), state.clock.now())
        }
        (Outcome::Done | Outcome::Pending, Err(fault)) => return Err(fault),
    };
    Ok(HttpResponse::Ok().json(shape))
}

/// The run that is asked for, checked against the DAG's params and the runs that exist.
///
/// # Errors
/// Says what does not fit.
pub(crate) async fn plan(
    state: &AppState,
    row: &DagRow,
    new: NewRun,
    materializes: bool,
) -> Result<Trigger, Error> {
    if row.is_stale {
        return Err(Error::NotFound(format!("Dag with dag_id: '{}' not found", row.dag_id)));
    }
    let dag = names::version(state, row.version_id).await?;
    let now = state.clock.now();
    let run_after = new.run_after.unwrap_or(now);
    let logical_date = new.logical_date.flatten();
    runs::check_note(new.note.as_deref())?;
    let partition_key = partition_key(&dag, new.partition_key.as_deref())?;
    let interval = interval(&dag, logical_date, new.data_interval_start, new.data_interval_end)?;
    let name = new.dag_run_id.as_deref().filter(|name| !name.is_empty());
    let run_type = if materializes { RunType::AssetMaterialization } else { RunType::Manual };
    let given =
        Given { logical_date, data_interval: interval, run_after, run_type, is_named: name.is_some() };
    let said = oracle::by_hand(state, &dag, &given).await?;
    let data_interval = interval.or(said.data_interval);
    let run_id = match said.run_id.filter(|_| name.is_none()) {
        Some(run_id) => run_id,
        None => run_id(name, &given)?,
    };
    let conf = new.conf.unwrap_or_default();
    check_conf(&dag, &conf)?;
    let dag_id = DagId::new(&row.dag_id)?;
    if state.store.api_run(&dag_id, &run_id).await?.is_some() {
        return Err(Error::Conflict(format!("a run `{run_id}` of DAG `{dag_id}` exists already")));
    }
    if let Some(date) = logical_date
        && state.store.has_logical_date(&dag_id, date).await?
    {
        return Err(Error::Conflict(format!(
            "a run of DAG `{dag_id}` with the logical date {} exists already",
            date.to_rfc3339()
        )));
    }
    Ok(Trigger {
        dag_id,
        run_id,
        logical_date,
        data_interval,
        run_after,
        conf,
        note: new.note,
        partition_key,
        materializes,
    })
}

fn partition_key(dag: &Dag, given: Option<&str>) -> Result<Option<Key>, Error> {
    let key = given.map(Key::new).transpose().map_err(|fault| Error::Invalid(fault.to_string()))?;
    let partition = key.clone().map(|key| dag.partition_of(key)).transpose();
    partition.map_err(|fault| Error::Invalid(fault.to_string()))?;
    Ok(key)
}

fn interval(
    dag: &Dag,
    logical_date: Option<DateTime<Utc>>,
    start: Option<DateTime<Utc>>,
    end: Option<DateTime<Utc>>,
) -> Result<Option<DataInterval>, Error> {
    match (start, end) {
        (Some(start), Some(end)) if start > end => Err(wrong(
            "data_interval_end",
            "data_interval_end lies before data_interval_start",
            shape::moment(end),
        )),
        (Some(start), Some(end)) => Ok(logical_date.map(|_| DataInterval { start, end })),
        (None, None) => Ok(logical_date.and_then(|date| dag.schedule.given_interval(date))),
        (Some(_), None) | (None, Some(_)) => Err(wrong(
            "data_interval_start",
            "Either both data_interval_start and data_interval_end must be provided or both must be None",
            Value::Null,
        )),
    }
}

// Source: Airflow 3.3.2 `timetables/base.py:474` and `models/dagrun.py:847`.
fn run_id(name: Option<&str>, given: &Given) -> Result<RunId, Error> {
    let Some(given) = name else {
        let at = given.run_after.to_rfc3339_opts(SecondsFormat::Micros, false).replace(".000000", "");
        let is_whole = given.logical_date.is_some() && given.run_type == RunType::Manual;
        let end = if is_whole { String::new() } else { format!("_{}", random_end()) };
        return Ok(RunId::new(&format!("{}__{at}{end}", given.run_type.as_str()))?);
    };
    if RESERVED.iter().any(|prefix| given.starts_with(prefix)) {
        return Err(Error::Invalid(format!(
            "the dag_run_id `{given}` begins as those of other kinds of runs do ({}): choose another one",
            RESERVED.join(", ")
        )));
    }
    RunId::new(given).map_err(|fault| Error::Invalid(fault.to_string()))
}

fn random_end() -> String {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    (0..RANDOM).map(|_| char::from(LETTERS[usize::from(rand::random::<u8>()) % LETTERS.len()])).collect()
}

fn check_conf(dag: &Dag, conf: &Map<String, Value>) -> Result<(), Error> {
    let length = serde_json::to_vec(conf).map_or(0, |bytes| bytes.len());
    if length > LONGEST_CONF {
        return Err(wrong(
            "conf",
            format!("conf has {length} bytes as JSON, at most {LONGEST_CONF} are kept"),
            length.into(),
        ));
    }
    params::resolve(&dag.params, conf).map(drop).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        Error::Invalid(faults.join("; "))
    })
}

fn pending(trigger: &Trigger, row: &DagRow, by: &str, now: DateTime<Utc>) -> Value {
    let maybe = |at: Option<DateTime<Utc>>| at.map_or(Value::Null, shape::moment);
    json!({
        "dag_run_id": trigger.run_id, "dag_id": row.dag_id, "logical_date": maybe(trigger.logical_date),
        "queued_at": shape::moment(now), "start_date": null, "end_date": null, "duration": null,
        "data_interval_start": maybe(trigger.data_interval.map(|interval| interval.start)),
        "data_interval_end": maybe(trigger.data_interval.map(|interval| interval.end)),
        "run_after": shape::moment(trigger.run_after), "last_scheduling_decision": null, "run_type": "manual",
        "state": "queued", "triggered_by": "rest_api", "triggering_user_name": by, "conf": trigger.conf,
        "note": trigger.note, "dag_versions": [], "bundle_version": null, "dag_display_name": row.dag_id,
        "partition_key": trigger.partition_key, "partition_date": null, "backfill_id": null,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn given(run_type: RunType, logical_date: Option<&str>, run_after: &str) -> Given {
        let logical_date = logical_date.map(at);
        Given { logical_date, data_interval: None, run_after: at(run_after), run_type, is_named: false }
    }

    #[test]
    fn run_ids_are_made_as_airflow_makes_them() {
        let after = "2026-01-02T03:04:05Z";
        let dated = given(RunType::Manual, Some(after), after);
        assert_eq!(run_id(None, &dated).unwrap().as_str(), "manual__2026-01-02T03:04:05+00:00");
        let random = run_id(None, &given(RunType::Manual, None, "2026-01-02T03:04:05.000250Z")).unwrap();
        let wanted = run_id(None, &given(RunType::AssetMaterialization, Some(after), after)).unwrap();
        assert!(wanted.as_str().starts_with("asset_materialization__2026-01-02T03:04:05+00:00_"), "{wanted}");
        assert!(random.as_str().starts_with("manual__2026-01-02T03:04:05.000250+00:00_"), "{random}");
        assert_eq!(random.as_str().len(), "manual__2026-01-02T03:04:05.000250+00:00_".len() + RANDOM);
    }

    #[test]
    fn names_of_other_kinds_of_runs_and_tricks_are_refused() {
        let new = given(RunType::Manual, None, "2026-01-02T03:04:05Z");
        for given in
            ["scheduled__2026", "backfill__x", "asset_triggered__x", "../x", "a/b", "a b", &"x".repeat(251)]
        {
            assert!(matches!(run_id(Some(given), &new), Err(Error::Invalid(_))), "{given}");
        }
        assert_eq!(run_id(Some("mine"), &new).unwrap().as_str(), "mine");
    }
}
