//! The rules once more, slowly: from the states of all instances, with recursion instead of counters, sharing no code with the engine.

use std::collections::BTreeSet;

use domain::{
    dag::{Dag, Operator, Task},
    engine::record::TiRecord,
    state::TaskState::{self, Failed, Removed, Skipped, Success, UpstreamFailed},
    trigger_rule::TriggerRule,
};
use serde_json::Value;

/// What becomes of a task that has not started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Runs,
    Waits,
    IsSkipped,
    IsUpstreamFailed,
}

/// A run as the records have it.
pub struct Scene<'a> {
    pub dag: &'a Dag,
    pub tis: Vec<(&'a TiRecord, TaskState)>,
}

impl Scene<'_> {
    /// What the rule, the setups around it and the scope of a teardown say.
    pub fn fate(&self, task: &Task) -> Fate {
        if task.upstream.is_empty() || task.trigger_rule == TriggerRule::Always {
            return Fate::Runs;
        }
        let around = self.states(&self.indirect_setups(task));
        if around.iter().any(|state| matches!(state, Failed | UpstreamFailed)) {
            return Fate::IsUpstreamFailed;
        }
        if around.contains(&Skipped) {
            return Fate::IsSkipped;
        }
        let fate = self.rule(task);
        let open = around.iter().any(|state| !matches!(state, Success | Removed));
        let busy = self.states(&self.scope(task)).iter().any(|state| !state.is_finished());
        if fate == Fate::Runs && (open || busy) { Fate::Waits } else { fate }
    }

    fn rule(&self, task: &Task) -> Fate {
        let up = self.states(&task.upstream.iter().map(|id| id.as_str()).collect());
        let setups: BTreeSet<&str> =
            task.upstream.iter().map(|id| id.as_str()).filter(|id| self.task(id).setup).collect();
        let setups = self.states(&setups);
        let any = |wanted: &[TaskState]| up.iter().any(|state| wanted.contains(state));
        let all = |wanted: &[TaskState]| up.iter().all(|state| wanted.contains(state));
        let done = up.iter().all(|state| state.is_finished());
        let first = |cases: &[(bool, Fate)]| {
            cases.iter().find(|(holds, _)| *holds).map_or(Fate::Waits, |(_, fate)| *fate)
        };
        use Fate::{IsSkipped, IsUpstreamFailed, Runs};
        let broken = any(&[Failed, UpstreamFailed]);
        match task.trigger_rule {
            TriggerRule::AllSuccess => first(&[
                (broken, IsUpstreamFailed),
                (any(&[Skipped]), IsSkipped),
                (all(&[Success, Removed]), Runs),
            ]),
            TriggerRule::AllFailed => first(&[
                (any(&[Success, Skipped]), IsSkipped),
                (all(&[Failed, UpstreamFailed, Removed]), Runs),
            ]),
            TriggerRule::AllDone => first(&[(done, Runs)]),
            TriggerRule::OneSuccess => {
                first(&[(any(&[Success]), Runs), (all(&[Skipped]), IsSkipped), (done, IsUpstreamFailed)])
            }
            TriggerRule::OneFailed => first(&[(broken, Runs), (done, IsSkipped)]),
            TriggerRule::OneDone => first(&[(any(&[Success, Failed]), Runs), (done, IsSkipped)]),
            TriggerRule::NoneFailed => {
                first(&[(broken, IsUpstreamFailed), (all(&[Success, Skipped, Removed]), Runs)])
            }
            TriggerRule::NoneFailedMinOneSuccess => first(&[
                (broken, IsUpstreamFailed),
                (all(&[Skipped]), IsSkipped),
                (done && !any(&[Success]), IsUpstreamFailed),
                (done, Runs),
            ]),
            TriggerRule::NoneSkipped => first(&[(any(&[Skipped]), IsSkipped), (done, Runs)]),
            TriggerRule::AllSkipped => {
                first(&[(broken || any(&[Success]), IsSkipped), (all(&[Skipped]), Runs)])
            }
            TriggerRule::AllDoneMinOneSuccess => first(&[
                (any(&[Skipped]), IsSkipped),
                (done && any(&[Success]), Runs),
                (done, IsUpstreamFailed),
            ]),
            TriggerRule::AllDoneSetupSuccess => first(&[
                (!done, Fate::Waits),
                (setups.is_empty() || setups.contains(&Success), Runs),
                (setups.iter().all(|state| *state == Skipped), IsSkipped),
                (true, IsUpstreamFailed),
            ]),
            TriggerRule::Always => Runs,
        }
    }

    /// A direct upstream has chosen, and not this task.
    pub fn was_left_out(&self, task: &Task, xcom: &impl Fn(&str, &str) -> Option<Value>) -> bool {
        task.upstream.iter().any(|id| {
            let chooser = self.task(id.as_str());
            let has_ended = self.states(&[id.as_str()].into()).iter().all(|state| *state == Success);
            let choice = xcom(id.as_str(), "skipmixin_key").filter(|_| has_ended);
            match &chooser.operator {
                Operator::Branch { .. } => {
                    choice.is_some() && {
                        let result = xcom(id.as_str(), "return_value").unwrap_or(Value::Null);
                        let named: Vec<&str> = match &result {
                            Value::String(name) => vec![name],
                            Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
                            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
                        };
                        !named.iter().any(|name| *name == task.task_id.as_str() || self.behind(name, task))
                    }
                }
                Operator::ShortCircuit { .. } => choice.is_some() && task.teardown.is_none(),
                Operator::LatestOnly => choice.is_some(),
                Operator::Bash { .. }
                | Operator::Python { .. }
                | Operator::Sql { .. }
                | Operator::Http { .. }
                | Operator::WaitFor(_)
                | Operator::TriggerDag(_)
                | Operator::Empty => false,
            }
        })
    }

    fn states(&self, ids: &BTreeSet<&str>) -> Vec<TaskState> {
        let wanted = self.tis.iter().filter(|(ti, _)| ids.contains(ti.task_id.as_str()));
        wanted.map(|(_, state)| *state).collect()
    }

    fn task(&self, id: &str) -> &Task {
        self.dag.task(id).unwrap()
    }

    /// Whether `task` lies behind `id`.
    pub fn behind(&self, id: &str, task: &Task) -> bool {
        task.upstream.iter().any(|up| up.as_str() == id || self.behind(id, self.task(up.as_str())))
    }

    fn teardowns_of(&self, setup: &Task) -> Vec<&Task> {
        let is_its = |task: &&Task| task.teardown.is_some() && task.upstream.contains(&setup.task_id);
        self.dag.tasks.iter().filter(is_its).collect()
    }

    fn indirect_setups(&self, task: &Task) -> BTreeSet<&str> {
        if task.teardown.is_some() {
            return BTreeSet::new();
        }
        let surrounds = |setup: &&Task| {
            let teardowns = self.teardowns_of(setup);
            let closes = teardowns.iter().any(|teardown| self.behind(task.task_id.as_str(), teardown));
            setup.setup
                && self.behind(setup.task_id.as_str(), task)
                && !task.upstream.contains(&setup.task_id)
                && (teardowns.is_empty() || closes)
        };
        self.dag.tasks.iter().filter(surrounds).map(|setup| setup.task_id.as_str()).collect()
    }

    fn scope(&self, teardown: &Task) -> BTreeSet<&str> {
        if teardown.teardown.is_none() {
            return BTreeSet::new();
        }
        let setups: Vec<&str> =
            teardown.upstream.iter().map(|id| id.as_str()).filter(|id| self.task(id).setup).collect();
        let inside = |task: &&Task| {
            self.behind(task.task_id.as_str(), teardown)
                && !setups.contains(&task.task_id.as_str())
                && setups.iter().any(|setup| self.behind(setup, task))
        };
        self.dag.tasks.iter().filter(inside).map(|task| task.task_id.as_str()).collect()
    }
}
