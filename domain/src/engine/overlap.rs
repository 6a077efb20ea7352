//! What becomes of a scheduled run that is due while other runs of its DAG are active: [`Overlap`].

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;

use super::{
    Engine,
    plan::DagState,
    record::{AuditRecord, RunRecord},
};
use crate::{
    id::{DagId, RunId, RunKey},
    state::{RunState, RunType, TaskState},
    timetable::{Catchup, Overlap, Timetable},
};

/// What a run that is due does about those that are active.
pub enum Meeting {
    /// It is not created yet: as many are active as may be.
    Wait,
    /// It is created.
    Create,
    /// It is dropped because of this one.
    Skip(RunKey),
    /// These, which were created by schedule, are stopped for it.
    Replace(Vec<RunKey>),
}

impl Engine {
    /// What becomes of a run that is due now.
    pub(super) fn meeting(&self, dag_id: &DagId, now: DateTime<Utc>) -> Meeting {
        let Some(dag) = self.dags.get(dag_id) else {
            return Meeting::Wait;
        };
        let most = dag.record.dag.max_active_runs as usize;
        // Airflow's `exceeds_max_non_backfill`: the schedule creates no run while as many as may run are queued or running.
        let has_room = |active: usize| if active < most { Meeting::Create } else { Meeting::Wait };
        match dag.record.dag.overlap {
            Overlap::Allow | Overlap::Queue => has_room(dag.active().count()),
            Overlap::Skip => {
                match dag.active().find(|key| self.run(*key).is_some_and(|run| run.run_after <= now)) {
                    // It is the only run there will ever be.
                    Some(_) if dag.record.dag.schedule == Timetable::Once => Meeting::Wait,
                    Some(active) => Meeting::Skip(active),
                    None => has_room(dag.active().count()),
                }
            }
            Overlap::CancelRunning => {
                let (own, others): (Vec<RunKey>, Vec<RunKey>) =
                    dag.active().partition(|key| self.is_scheduled(*key));
                if own.is_empty() || others.len() >= most {
                    return has_room(dag.active().count());
                }
                Meeting::Replace(own)
            }
        }
    }

    /// Whether a queued run waits for an earlier one to end. "Earlier" is the order in which they were created, so that a
    /// run that a person starts, or has run again, holds up only what comes after it.
    pub(super) fn stands_back(&self, dag: &DagState, key: RunKey) -> bool {
        match dag.record.dag.overlap {
            Overlap::Queue => {
                self.is_scheduled(key) && dag.running.first().is_some_and(|running| *running < key)
            }
            Overlap::Allow | Overlap::Skip | Overlap::CancelRunning => false,
        }
    }

    /// Lets the schedule go on behind every tick that has passed. One line tells of all that are dropped at once.
    pub(super) fn skip_due(&mut self, dag_id: &DagId, active: RunKey, now: DateTime<Utc>) -> bool {
        let because = self.run(active).map(|run| run.run_id.clone());
        let Some(dag) = self.dags.get_mut(dag_id) else {
            return false;
        };
        let (Some(latest), Some(because)) = (dag.due(Catchup::Last, now), because) else {
            return false;
        };
        dag.move_on(&latest);
        let tick = latest.tick().to_rfc3339_opts(SecondsFormat::AutoSi, true);
        let reason = format!("the run due at {tick} was dropped: `{because}` was active (overlap: skip)");
        self.tell("skip_run", dag_id, None, &reason, now);
        true
    }

    /// Stops runs and creates the latest that is due in their place: whatever was missed before would be stopped at once.
    pub(super) fn replace(&mut self, dag_id: &DagId, active: &[RunKey], now: DateTime<Utc>) -> bool {
        let latest = |engine: &Self| engine.dags.get(dag_id)?.due(Catchup::Last, now);
        let Some(tick) = latest(self).map(|next| next.tick().to_rfc3339_opts(SecondsFormat::AutoSi, true))
        else {
            return false;
        };
        let reason = format!("stopped for the run due at {tick} (overlap: cancel_running)");
        for &key in active {
            let run_id = self.run(key).map(|run| run.run_id.clone());
            self.stop_run(key, RunState::Failed, TaskState::Skipped, &reason, now);
            self.tell("cancel_run", dag_id, run_id, &reason, now);
        }
        // These failures may have paused the DAG, and then nothing is due any more.
        latest(self).is_some_and(|next| self.create_scheduled(dag_id, next, now))
    }

    fn run(&self, key: RunKey) -> Option<&RunRecord> {
        self.runs.get(&key).map(|run| &run.record)
    }

    fn is_scheduled(&self, key: RunKey) -> bool {
        self.run(key).is_some_and(|run| run.run_type == RunType::Scheduled)
    }

    fn tell(
        &mut self,
        event: &'static str,
        dag_id: &DagId,
        run_id: Option<RunId>,
        reason: &str,
        now: DateTime<Utc>,
    ) {
        self.out.audit.push(AuditRecord {
            at: now,
            by: "scheduler".to_owned(),
            event,
            dag_id: Some(dag_id.clone()),
            run_id,
            task_id: None,
            extra: json!({ "result": "done", "reason": reason }),
        });
    }
}
