//! The rules once more, slowly: from the states of all instances, with recursion instead of counters, sharing no code with the engine.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    approval::AfterAnswer,
    dag::{Dag, Expand, Group, Operator, Task},
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
    /// How many elements the results have, by task and mapped index.
    pub lengths: BTreeMap<(String, i32), usize>,
}

impl Scene<'_> {
    /// What the rule, the setups around it and the scope of a teardown say.
    pub fn fate(&self, ti: &TiRecord) -> Fate {
        let task = self.task(ti.task_id.as_str());
        if self.is_unsettled(task) { Fate::Waits } else { self.fate_of(task, ti.map_index) }
    }

    /// What the rule, the setups and the scope say, if anything in the task could be judged: within a mapped group nothing is as long
    /// as nobody knows how many elements there are.
    pub fn waits_by_rule(&self, ti: &TiRecord) -> bool {
        let task = self.task(ti.task_id.as_str());
        let is_unknown = !self.groups(task).is_empty() && self.is_unsettled(task);
        !is_unknown && self.fate_of(task, ti.map_index) == Fate::Waits
    }

    // So it is with those in the same mapped group that it waits for and that had instances before.
    fn is_unsettled(&self, task: &Task) -> bool {
        let groups = self.groups(task);
        let mut tied: BTreeSet<&str> = task.upstream.iter().map(|id| id.as_str()).collect();
        tied.extend(self.indirect_setups(task));
        tied.extend(self.scope(task));
        let is_open = |id: &str| {
            let had_some = self.tis.iter().any(|(ti, _)| ti.task_id.as_str() == id && ti.map_index >= 0);
            let other = self.task(id);
            let is_near = self.groups(other).first().is_some_and(|group| groups.contains(group));
            is_near && had_some && self.is_unmeasured(other)
        };
        self.is_unmeasured(task) || tied.into_iter().any(is_open)
    }

    /// What it is mapped over has not ended, so that nobody knows how many instances it will have.
    pub fn is_unmeasured(&self, task: &Task) -> bool {
        let is_open = |id: &String| self.states(&[id.as_str()].into()).iter().any(|s| !s.is_finished());
        self.sources(task).iter().any(is_open)
    }

    fn fate_of(&self, task: &Task, at: i32) -> Fate {
        if task.upstream.is_empty() || task.trigger_rule == TriggerRule::Always {
            return Fate::Runs;
        }
        let around = self.relevant(&self.indirect_setups(task), task, at);
        if around.iter().any(|state| matches!(state, Failed | UpstreamFailed)) {
            return Fate::IsUpstreamFailed;
        }
        if around.contains(&Skipped) {
            return Fate::IsSkipped;
        }
        let fate = self.rule(task, at);
        let open = around.iter().any(|state| !matches!(state, Success | Removed));
        let busy = self.relevant(&self.scope(task), task, at).iter().any(|state| !state.is_finished());
        if fate == Fate::Runs && (open || busy) { Fate::Waits } else { fate }
    }

    fn rule(&self, task: &Task, at: i32) -> Fate {
        let up = self.relevant(&task.upstream.iter().map(|id| id.as_str()).collect(), task, at);
        if up.is_empty() {
            return Fate::Runs;
        }
        let setups: BTreeSet<&str> =
            task.upstream.iter().map(|id| id.as_str()).filter(|id| self.task(id).setup).collect();
        let setups = self.relevant(&setups, task, at);
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
    pub fn was_left_out(&self, ti: &TiRecord, xcom: &impl Fn(&str, i32, &str) -> Option<Value>) -> bool {
        let task = self.task(ti.task_id.as_str());
        task.upstream.iter().any(|id| {
            let chooser = self.task(id.as_str());
            let is_beside = self.groups(chooser).iter().all(|group| self.groups(task).contains(group));
            let is_its = |(other, state): &&(&TiRecord, TaskState)| {
                other.task_id == *id && *state == Success && self.concerns(other, task, ti.map_index)
            };
            let mut choices = self.tis.iter().filter(is_its);
            is_beside
                && choices.any(|(other, _)| {
                    self.left_out_by(chooser, task, &|key| xcom(id.as_str(), other.map_index, key))
                })
        })
    }

    fn left_out_by(&self, chooser: &Task, task: &Task, xcom: &impl Fn(&str) -> Option<Value>) -> bool {
        let choice = xcom("skipmixin_key");
        let is_elsewhere = || {
            let result = xcom("return_value").unwrap_or(Value::Null);
            let named: Vec<&str> = match &result {
                Value::String(name) => vec![name],
                Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
            };
            !named.iter().any(|name| *name == task.task_id.as_str() || self.behind(name, task))
        };
        match &chooser.operator {
            Operator::Branch { .. } => choice.is_some() && is_elsewhere(),
            Operator::Approval(approval) => match &approval.then {
                AfterAnswer::Nothing => false,
                AfterAnswer::Reject { .. } => choice.is_some() && task.teardown.is_none(),
                AfterAnswer::Branch(_) => choice.is_some() && is_elsewhere(),
            },
            Operator::ShortCircuit { .. } => choice.is_some() && task.teardown.is_none(),
            Operator::LatestOnly => choice.is_some(),
            Operator::Bash { .. }
            | Operator::Python { .. }
            | Operator::Sql { .. }
            | Operator::Http { .. }
            | Operator::WaitFor(_)
            | Operator::TriggerDag(_)
            | Operator::Airflow(_)
            | Operator::Empty => false,
        }
    }

    /// The states of those instances of some tasks that the instance of a task at a mapped index has to do with.
    fn relevant(&self, ids: &BTreeSet<&str>, task: &Task, at: i32) -> Vec<TaskState> {
        let wanted = |(ti, _): &&(&TiRecord, TaskState)| {
            ids.contains(ti.task_id.as_str()) && self.concerns(ti, task, at)
        };
        self.tis.iter().filter(wanted).map(|(_, state)| *state).collect()
    }

    // Both have the same element of every mapped group that they share.
    pub fn concerns(&self, other: &TiRecord, task: &Task, at: i32) -> bool {
        let there = self.task(other.task_id.as_str());
        let (own, theirs) = (self.groups(task), self.groups(there));
        let shared = own.iter().filter(|group| theirs.contains(group)).count();
        let is_unknown =
            at < 0 || other.map_index < 0 || self.is_unmeasured(there) || self.is_too_long(there);
        if shared == 0 || is_unknown {
            return true;
        }
        let (own, theirs) = (self.digits(task, at), self.digits(there, other.map_index));
        own.zip(theirs).is_some_and(|(own, theirs)| own[..shared] == theirs[..shared])
    }

    // It cannot be mapped anew: the instances that it had before all end as it does, and count for every element.
    fn is_too_long(&self, task: &Task) -> bool {
        self.widths(task).iter().product::<usize>() > self.dag.max_map_length as usize
    }

    // How many elements each group around a task has, and its own mapping.
    fn widths(&self, task: &Task) -> Vec<usize> {
        let groups = self.groups(task);
        let around = groups.iter().map(|group| self.length(&group.expand, group.expand_kwargs.as_ref()));
        let own = task.is_mapped().then(|| self.length(&task.expand, task.expand_kwargs.as_ref()));
        around.chain(own).collect()
    }

    // Which element of each group around it, and of its own mapping, an instance has; none beyond the last.
    fn digits(&self, task: &Task, at: i32) -> Option<Vec<usize>> {
        let lengths = self.widths(task);
        let mut rest = usize::try_from(at).ok()?;
        let mut digits: Vec<usize> = Vec::new();
        for length in lengths.iter().rev() {
            digits.push(rest % (*length).max(1));
            rest /= (*length).max(1);
        }
        digits.reverse();
        (rest == 0 && lengths.iter().all(|length| *length > 0)).then_some(digits)
    }

    fn groups(&self, task: &Task) -> Vec<&Group> {
        let id = task.task_id.as_str();
        let around = |group: &&Group| id.starts_with(&format!("{}.", group.group_id));
        let mapped = |group: &&Group| !group.expand.is_empty() || group.expand_kwargs.is_some();
        self.dag.groups.iter().filter(around).filter(mapped).collect()
    }

    fn length(&self, product: &indexmap::IndexMap<String, Expand>, each: Option<&Expand>) -> usize {
        product.values().chain(each).map(|source| self.elements(source)).product()
    }

    fn elements(&self, source: &Expand) -> usize {
        match source {
            Expand::List(list) => list.len(),
            Expand::Concat(parts) => parts.iter().map(|part| self.elements(part)).sum(),
            Expand::Zip { of, fillvalue: None } => of.iter().map(|part| self.elements(part)).min().unwrap(),
            Expand::Zip { of, .. } => of.iter().map(|part| self.elements(part)).max().unwrap(),
            Expand::XCom { task_id, .. } => {
                let task = self.task(task_id.as_str());
                let left = || self.lengths.iter().filter(|((id, _), _)| id == task_id.as_str());
                let is_split = task.is_mapped() || !self.groups(task).is_empty();
                if is_split { left().count() } else { left().map(|(_, length)| *length).next().unwrap_or(0) }
            }
        }
    }

    /// The tasks that a task, or a group around it, is mapped over.
    fn sources(&self, task: &Task) -> BTreeSet<String> {
        let groups = self.groups(task);
        let around = groups.iter().flat_map(|group| group.expand.values().chain(&group.expand_kwargs));
        let own = task.expand.values().chain(&task.expand_kwargs);
        around.chain(own).flat_map(Expand::xcoms).map(|(id, _)| id.to_string()).collect()
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
