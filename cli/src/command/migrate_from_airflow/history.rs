//! What is to happen to the runs of an Airflow that have ended.

use anyhow::Result;
use domain::id::{DagId, RunId};
use runtime::clock::Clock;
use store::{
    Store,
    airflow::{
        AirflowDag, AirflowDatabase, MOST,
        history::{AirflowRun, ended_state, run_type},
    },
    history::KnownRuns,
};

use super::plan::{Action, Step, Verdict};
use crate::{args::migrate::MigrateFromAirflow, setup};

/// Most runs, and task instances, of one transaction: it must keep nobody waiting who commits beside it. A run with more is one alone.
const RUNS_AT_ONCE: usize = 100;
const INSTANCES_AT_ONCE: usize = 5_000;

/// Decides about the runs of DAGs.
///
/// # Errors
/// When one of the databases fails.
pub async fn steps(
    airflow: &AirflowDatabase,
    store: &Store,
    dags: &[AirflowDag],
    wanted: &MigrateFromAirflow,
) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    for dag in dags {
        // One that cannot be a name here is refused as a DAG.
        let Ok(dag_id) = DagId::new(&dag.dag_id) else { continue };
        let runs = airflow.runs(&dag_id, wanted.since, wanted.last).await?;
        if runs.is_empty() {
            continue;
        }
        let names: Vec<_> = runs.iter().map(|run| (run.run_id.as_str(), run.logical_date)).collect();
        let known = store.known_runs(&dag_id, &names).await?;
        steps.push(decide(dag_id, &runs, known.as_ref()));
    }
    Ok(steps)
}

/// Puts runs in, batch by batch; false when there was none left to put in.
///
/// # Errors
/// When one of the databases fails; batches before stay.
pub async fn put_in(
    store: &Store,
    airflow: &AirflowDatabase,
    dag_id: &DagId,
    batches: &[Vec<i64>],
    with_xcoms: bool,
) -> Result<bool> {
    let mut kept = 0;
    for batch in batches {
        let past = airflow.history(batch, with_xcoms).await?;
        kept += store.keep_history(dag_id, past, &setup::operator(), Clock::system().now()).await?;
    }
    Ok(kept > 0)
}

/// What becomes of a run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Moves,
    /// A run of this name or logical date is here.
    IsHere,
    /// It is unfinished in Airflow.
    GoesOn,
    /// The schedule here has not come so far, and would create it again.
    IsAhead,
    /// It has a name or type that none can have here, or more task instances than fit.
    DoesNotFit,
}

fn decide(dag_id: DagId, runs: &[AirflowRun], known: Option<&KnownRuns>) -> Step {
    let name = dag_id.as_str().to_owned();
    let Some(known) = known else {
        let why = format!(
            "{} runs; no file with the DAG has been read here yet: run this again when it has",
            runs.len()
        );
        return Step::new("history", name, Verdict::Later, why);
    };
    let fates: Vec<Fate> = runs.iter().map(|run| fate(run, known)).collect();
    let moving: Vec<&AirflowRun> =
        runs.iter().zip(&fates).filter(|(_, fate)| **fate == Fate::Moves).map(|(run, _)| run).collect();
    let instances: usize = moving.iter().map(|run| run.instances).sum();
    let mut why = vec![format!("{} runs with {instances} task instances", moving.len())];
    for (fate, words) in [
        (Fate::IsHere, "are here already"),
        (Fate::GoesOn, "have not ended in Airflow"),
        (Fate::IsAhead, "lie behind where the schedule stands here, which creates them itself"),
        (Fate::DoesNotFit, "cannot be taken here, by their names, types or sizes"),
    ] {
        let count = fates.iter().filter(|found| **found == fate).count();
        if count > 0 {
            why.push(format!("{count} {words}"));
        }
    }
    let (why, batches) = (why.join("; "), batches(&moving));
    if batches.is_empty() {
        return Step::new("history", name, Verdict::Same, why);
    }
    Step::new("history", name, Verdict::New, why).with(Action::PutIn { dag_id, batches })
}

fn fate(run: &AirflowRun, known: &KnownRuns) -> Fate {
    if known.has(&run.run_id, run.logical_date) {
        Fate::IsHere
    } else if ended_state(run.state.as_deref()).is_none() {
        Fate::GoesOn
    } else if RunId::new(&run.run_id).is_err() || run_type(&run.run_type).is_none() || run.instances > MOST {
        Fate::DoesNotFit
    } else if run.run_type == "scheduled" && run.until > known.until {
        Fate::IsAhead
    } else {
        Fate::Moves
    }
}

fn batches(runs: &[&AirflowRun]) -> Vec<Vec<i64>> {
    let mut batches: Vec<Vec<i64>> = Vec::new();
    let mut instances = 0;
    for run in runs {
        instances += run.instances;
        match batches.last_mut() {
            Some(batch) if batch.len() < RUNS_AT_ONCE && instances <= INSTANCES_AT_ONCE => batch.push(run.id),
            Some(_) | None => {
                instances = run.instances;
                batches.push(vec![run.id]);
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};

    use super::*;

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(hours)
    }

    fn run(id: i64, run_type: &str, state: &str) -> AirflowRun {
        AirflowRun {
            id,
            run_id: format!("{run_type}__{id}"),
            run_type: run_type.to_owned(),
            state: Some(state.to_owned()),
            logical_date: Some(at(id)),
            until: Some(at(id + 1)),
            instances: 3,
        }
    }

    fn fates(runs: &[AirflowRun], known: &KnownRuns) -> Vec<i64> {
        match decide(DagId::new("d").unwrap(), runs, Some(known)).action {
            Some(Action::PutIn { batches, .. }) => batches.concat(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_the_schedule_will_create_is_left_to_it() {
        let runs = [
            run(9, "manual", "success"),
            run(5, "scheduled", "success"),
            run(4, "scheduled", "failed"),
            run(3, "scheduled", "running"),
            run(2, "scheduled", "success"),
        ];
        let known = KnownRuns { until: Some(at(5)), ..KnownRuns::default() };
        assert_eq!(fates(&runs, &known), [9, 4, 2]);
        let known = KnownRuns { dates: [at(4)].into(), run_ids: ["manual__9".to_owned()].into(), ..known };
        assert_eq!(fates(&runs, &known), [2], "neither a name nor a date comes twice");
        assert_eq!(fates(&runs, &KnownRuns::default()), [9], "no schedule has begun here");
    }

    #[test]
    fn batches_are_bounded_by_runs_and_by_instances() {
        let small: Vec<_> = (0..201).map(|id| run(id, "manual", "success")).collect();
        let sizes = |runs: &[AirflowRun]| -> Vec<usize> {
            batches(&runs.iter().collect::<Vec<_>>()).iter().map(Vec::len).collect()
        };
        assert_eq!(sizes(&small), [100, 100, 1]);
        let mut large = small[..4].to_vec();
        (large[1].instances, large[2].instances) = (4_997, 90_000);
        assert_eq!(sizes(&large), [2, 1, 1]);
    }
}
