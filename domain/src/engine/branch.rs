//! Tasks that choose which of the tasks behind them run: branches, short circuits, latest-only.
//!
//! What was not chosen is skipped at once, and again whenever it is cleared while the choice stands. Source: Airflow 3.3.2
//! `models/skipmixin.py` (`skip_all_except`), `ti_deps/deps/not_previously_skipped_dep.py`, `operators/latest_only.py`.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Value, json};

use super::{
    approvals::{approval, is_rejected},
    graph::Graph,
    life::Life,
    record::XComRecord,
    run::Run,
};
use crate::{
    approval::AfterAnswer,
    dag::Operator,
    dagfile::did_you_mean,
    id::TaskId,
    outcome::{CHOICE, Outcome, RETURN_VALUE},
    state::{RunType, TaskState},
    timetable::{Catchup, Timetable},
};

/// The exit code by which a script says that nothing behind it shall run: the shell's `false`.
const NO: i32 = 1;

/// Whom a task has had skipped.
pub struct Choice {
    /// Everything that is skipped now.
    skip: Vec<usize>,
    /// The XCom that remembers it.
    value: Value,
}

impl Life<'_> {
    /// Carries out an operator that needs no worker.
    pub(super) fn carry_out(&mut self, index: u32, node: usize) {
        let graph = self.run.graph.clone();
        let operator = &graph.task(node).operator;
        if let Operator::WaitFor(wait) = operator {
            return self.begin_wait(index, wait);
        }
        if let Some(approval) = approval(operator) {
            return self.ask(index, approval);
        }
        self.end_without_try(index, TaskState::Success, None);
        self.tell_of_try(index, None);
        self.emit(index, Vec::new());
        if matches!(operator, Operator::LatestOnly) && !self.is_newest() {
            let choice = self.run.only(node, &[]);
            self.follow(index, choice);
        }
    }

    // No later run is due by schedule. A run that somebody triggered always counts as the newest.
    fn is_newest(&self) -> bool {
        let (run, dag) = (&self.run.record, &self.run.graph.dag);
        let follows_others = matches!(dag.schedule, Timetable::Continuous | Timetable::Once);
        let counts = run.run_type != RunType::Manual && !follows_others;
        let Some(interval) = run.data_interval.filter(|_| counts) else {
            return true;
        };
        let next = dag.schedule.next_run(Some(&interval), &dag.bounds(), Catchup::All, self.now);
        next.is_none_or(|next| next.run_after > self.now)
    }

    /// What a try that succeeded chose.
    ///
    /// # Errors
    /// Names the task or group that does not exist, or the result that is no choice.
    pub(super) fn choose(&self, index: u32, outcome: &Outcome) -> Result<Option<Choice>, String> {
        let node = self.run.tis[index as usize].node;
        if let Some((program, ignores_rules)) = self.run.short_circuit(index) {
            let goes_on = match outcome.xcoms.get(RETURN_VALUE) {
                Some(value) => is_truthy(value),
                None => matches!(program, Operator::Bash { .. }),
            };
            let says_no = !goes_on || outcome.exit_code == Some(NO);
            return Ok(says_no.then(|| self.run.nobody(node, ignores_rules)));
        }
        if self.run.is_airflow(node) {
            return Ok(outcome.xcoms.get(CHOICE).map(|said| self.run.stated(node, said)));
        }
        let operator = (node < self.run.graph.len()).then(|| &self.run.graph.task(node).operator);
        let is_branch = match operator.and_then(approval).map(|approval| &approval.then) {
            Some(AfterAnswer::Reject { ignore_downstream_trigger_rules, .. }) => {
                let says_no = is_rejected(outcome.xcoms.get(RETURN_VALUE));
                return Ok(says_no.then(|| self.run.nobody(node, *ignore_downstream_trigger_rules)));
            }
            Some(AfterAnswer::Branch(_)) => true,
            Some(AfterAnswer::Nothing) | None => matches!(operator, Some(Operator::Branch { .. })),
        };
        if !is_branch {
            return Ok(None);
        }
        let names = names(outcome.xcoms.get(RETURN_VALUE))?;
        let targets =
            names.iter().map(|name| target(&self.run.graph, name)).collect::<Result<Vec<_>, _>>()?;
        Ok(Some(self.run.only(node, &targets.concat())))
    }

    /// Carries out a choice: what has not been handed out yet is skipped.
    pub(super) fn follow(&mut self, index: u32, choice: Choice) {
        let (node, record) = (self.run.tis[index as usize].node, &self.run.tis[index as usize].record);
        let xcom = XComRecord {
            ti: record.key,
            task_id: record.task_id.clone(),
            map_index: record.map_index,
            key: CHOICE.to_owned(),
            value: choice.value,
        };
        let reason = format!("`{}` chose another path", record.task_id);
        let graph = self.run.graph.clone();
        let is_direct = |next: &&usize| choice.skip.binary_search(next).is_ok();
        let direct = graph.node(node).downstream.iter().filter(is_direct).copied().collect();
        self.run.choices.insert(index, direct);
        self.out.xcoms.push(xcom);
        let place = usize::try_from(self.run.tis[index as usize].record.map_index).unwrap_or(0);
        for next in choice.skip {
            for at in self.run.obedient(next, node, place) {
                let instance = self.run.nodes[next].instances[at];
                let state = self.run.tis[instance as usize].record.state;
                if matches!(state, TaskState::None | TaskState::Scheduled) {
                    self.end_without_try(instance, TaskState::Skipped, Some(&reason));
                }
            }
        }
    }
}

impl Run {
    /// The task that had the instance at a place skipped, if one did and its choice stands.
    pub fn skipped_by(&self, node: usize, place: usize) -> Option<usize> {
        if self.choices.is_empty() {
            return None;
        }
        let has_skipped = |&&chooser: &&usize| {
            let places = self.counterparts(chooser, node, place);
            let theirs = places.map(|place| self.nodes[chooser].instances[place]);
            let mut choices = theirs.filter_map(|index| self.choices.get(&index));
            self.has_say(chooser, node) && choices.any(|skipped| skipped.contains(&node))
        };
        self.graph.node(node).choosers.iter().find(has_skipped).copied()
    }

    // Within a mapped group each instance chooses for its own element; what lies outside waits for all of them and goes by its rule.
    fn has_say(&self, chooser: usize, node: usize) -> bool {
        self.graph.common(chooser, node) == self.graph.node(chooser).groups.len()
    }

    // The places of the instances of a task that the instance of a chooser at `place` can have skipped.
    fn obedient(&self, node: usize, chooser: usize, place: usize) -> std::ops::Range<usize> {
        if self.has_say(chooser, node) { self.counterparts(node, chooser, place) } else { 0..0 }
    }

    /// Remembers a choice that is in the records.
    pub fn recall(&mut self, choice: &XComRecord) {
        let Some(node) = self.graph.find(&choice.task_id) else {
            return;
        };
        let listed = |key: &str| {
            let list = choice.value.get(key)?.as_array()?;
            Some(list.iter().filter_map(Value::as_str).collect::<BTreeSet<_>>())
        };
        let (followed, skipped) = (listed("followed"), listed("skipped").unwrap_or_default());
        let was_skipped = |&&next: &&usize| {
            let id = self.graph.task(next).task_id.as_str();
            followed.as_ref().map_or_else(|| skipped.contains(id), |followed| !followed.contains(id))
        };
        let direct = self.graph.node(node).downstream.iter().filter(was_skipped).copied().collect();
        self.choices.insert(choice.ti.index, direct);
    }

    /// Takes over choices that were made on another version of the DAG.
    pub fn translate(&mut self, old: &Graph, choices: HashMap<u32, Vec<usize>>) {
        let graph = self.graph.clone();
        for (index, skipped) in choices {
            let mut skipped: Vec<usize> =
                skipped.into_iter().filter_map(|node| graph.find(&old.task(node).task_id)).collect();
            skipped.sort_unstable();
            self.choices.insert(index, skipped);
        }
    }

    fn short_circuit(&self, index: u32) -> Option<(&Operator, bool)> {
        let node = Some(self.tis[index as usize].node).filter(|&node| node < self.graph.len())?;
        if let Operator::ShortCircuit { program, ignore_downstream_trigger_rules } =
            &self.graph.task(node).operator
        {
            return Some((program, *ignore_downstream_trigger_rules));
        }
        None
    }

    // Only some tasks are followed. What waits directly and also lies behind one of those is not skipped: an empty branch.
    fn only(&self, node: usize, targets: &[usize]) -> Choice {
        let kept: BTreeSet<usize> = self.graph.closure(targets, false, true).into_iter().collect();
        let (followed, skip): (Vec<usize>, Vec<usize>) =
            self.graph.node(node).downstream.iter().partition(|next| kept.contains(next));
        Choice { skip, value: json!({ "followed": self.ids(&followed) }) }
    }

    /// Airflow's own operators say in the XCom itself whom they chose.
    fn is_airflow(&self, node: usize) -> bool {
        node < self.graph.len() && matches!(self.graph.task(node).operator, Operator::Airflow(_))
    }

    fn stated(&self, node: usize, said: &Value) -> Choice {
        let named = |key: &str| -> Option<Vec<usize>> {
            let ids = said.get(key)?.as_array()?.iter().filter_map(Value::as_str);
            Some(ids.filter_map(|id| self.graph.find(&TaskId::new(id).ok()?)).collect())
        };
        match named("followed") {
            Some(followed) => Choice { value: said.clone(), ..self.only(node, &followed) },
            None => {
                let mut skip = named("skipped").unwrap_or_default();
                skip.sort_unstable();
                Choice { value: said.clone(), skip }
            }
        }
    }

    // Nothing behind the task is followed, except teardowns.
    fn nobody(&self, node: usize, ignores_rules: bool) -> Choice {
        let behind = if ignores_rules {
            let behind = self.graph.beyond(&[node], true);
            (0..behind.len()).filter(|&next| behind[next]).collect()
        } else {
            self.graph.node(node).downstream.clone()
        };
        let skip: Vec<usize> =
            behind.into_iter().filter(|&next| self.graph.task(next).teardown.is_none()).collect();
        Choice { value: json!({ "skipped": self.ids(&skip) }), skip }
    }

    fn ids(&self, nodes: &[usize]) -> Vec<String> {
        nodes.iter().map(|&node| self.graph.task(node).task_id.to_string()).collect()
    }
}

// The ids that a result names: one, several, or none. Shells print text, so a list may come as text too.
fn names(result: Option<&Value>) -> Result<Vec<String>, String> {
    let wrong = |value: &Value| {
        let shown: String = value.to_string().chars().take(80).collect();
        format!("a branch must name tasks or groups, by an id or a list of ids, not {shown}")
    };
    match result {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(text
            .split(|c: char| c.is_whitespace() || "[],\"'".contains(c))
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect()),
        Some(Value::Array(list)) => {
            list.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(|| wrong(item))).collect()
        }
        Some(value @ (Value::Bool(_) | Value::Number(_) | Value::Object(_))) => Err(wrong(value)),
    }
}

// A task, or the first tasks of a group.
fn target(graph: &Graph, name: &str) -> Result<Vec<usize>, String> {
    if let Some(node) = TaskId::new(name).ok().and_then(|id| graph.find(&id)) {
        return Ok(vec![node]);
    }
    if graph.dag.groups.iter().any(|group| group.group_id.as_str() == name) {
        let prefix = format!("{name}.");
        let is_inside = |node: usize| graph.task(node).task_id.as_str().starts_with(&prefix);
        let is_first = |node: &usize| !graph.node(*node).upstream.iter().any(|&up| is_inside(up));
        return Ok((0..graph.len()).filter(|&node| is_inside(node)).filter(is_first).collect());
    }
    let tasks = graph.dag.tasks.iter().map(|task| task.task_id.as_str());
    let known = tasks.chain(graph.dag.groups.iter().map(|group| group.group_id.as_str()));
    let shown: String = name.chars().take(60).collect();
    let hint = did_you_mean(name, known).map(|hint| format!(": {hint}")).unwrap_or_default();
    Err(format!("it chose `{shown}`, and its DAG has no such task or group{hint}"))
}

/// Whether a result means yes; text as shells print it counts like the value it spells.
fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => {
            !matches!(text.trim().to_ascii_lowercase().as_str(), "" | "false" | "0" | "null" | "none")
        }
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}
