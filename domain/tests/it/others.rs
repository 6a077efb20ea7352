//! What concerns other runs in the simulated world: waiting for them, and starting them.

use domain::{
    dag::Operator,
    engine::{
        decision::Decisions,
        record::{RunAnswer, RunQuestion, RunRecord, TiRecord, TryRecord},
    },
    id::{DagId, RunId, TryKey},
    outcome::TryResult,
    state::TaskState,
    wait::{Awaited, OtherRun, RunStanding, TriggerRequest, Which},
};

use crate::world::World;

impl World {
    /// The answer of the records to a question about another run.
    pub fn other(&self, question: &RunQuestion) -> RunAnswer {
        let other = OtherRun {
            dag_id: question.dag_id.clone(),
            which: question.which.clone(),
            task_id: question.task_id.clone(),
            states: Vec::new(),
            failed_states: Vec::new(),
        };
        self.meant(&other).last().map(|run| self.stands(run, &other))
    }

    /// The runs that somebody may mean who waits: several may have the same date.
    pub fn meant<'a>(&'a self, other: &'a OtherRun) -> impl Iterator<Item = &'a RunRecord> {
        self.records.runs.values().filter(|run| {
            run.dag_id == other.dag_id
                && match &other.which {
                    Which::Date(date) => run.logical_date == Some(*date),
                    Which::Id(run_id) => run.run_id == *run_id,
                }
        })
    }

    /// How a run stands for who waits for it.
    pub fn stands(&self, run: &RunRecord, other: &OtherRun) -> RunStanding {
        let tasks = other.task_id.as_ref().map(|id| {
            self.tis(run.key).filter(|ti| ti.task_id == *id).map(|ti| ti.state).collect::<Vec<_>>()
        });
        RunStanding { state: run.state, tasks: tasks.filter(|states| !states.is_empty()) }
    }

    /// A run that a task has started and waited for does not outlive the wait, unless that was called a success.
    pub fn check_forsaken(&self, old: &TiRecord, decisions: &Decisions) {
        let new = &self.records.tis[&old.key];
        let Some(wait) = old.wait.as_ref().filter(|_| new.wait.is_none() && old.state.is_asleep()) else {
            return;
        };
        let Awaited::Run(other @ OtherRun { which: Which::Id(_), .. }) = &wait.until else { return };
        // It may have been called one and run again in the same turn.
        let attempt = TryKey { ti: old.key, try_number: old.try_number };
        let was_success = |ended: &TryRecord| ended.attempt == attempt && ended.state == TaskState::Success;
        let is_success = new.state == TaskState::Success || decisions.tries.iter().any(was_success);
        for run in self.meant(other).filter(|_| !is_success) {
            // Somebody may have started it again since, in the same turn.
            assert!(
                run.state.is_finished() || run.queued_at == self.now,
                "{run:?} outlives the wait of {new:?}"
            );
        }
    }

    // What looks for something finds it sooner or later, and what starts runs asks for one.
    pub fn waits(
        &mut self,
        attempt: TryKey,
        result: TryResult,
        faults: bool,
    ) -> (TryResult, Option<Box<TriggerRequest>>) {
        let dag = self.dag(&self.records.runs[&attempt.ti.run]);
        let task = dag.task(self.records.tis[&attempt.ti].task_id.as_str());
        match (task.map(|task| &task.operator), result) {
            (Some(Operator::WaitFor(_)), TryResult::Success) if faults && !self.chance.one_in(3) => {
                (TryResult::Rescheduled, None)
            }
            // It fetches what the run has left.
            (Some(Operator::TriggerDag(_)), TryResult::Success) if self.pokes[&attempt] > 0 => (result, None),
            (Some(Operator::TriggerDag(task)), TryResult::Success) => {
                let named = format!("named__{}", self.chance.below(8));
                let run_id = self.chance.one_in(3).then(|| RunId::new(&named).unwrap());
                let dag_id = DagId::new(&task.dag_id).unwrap();
                let (conf, then) = (task.conf.clone(), task.then.clone());
                let request = TriggerRequest { dag_id, run_id, logical_date: None, conf, then };
                (TryResult::Deferred, Some(Box::new(request)))
            }
            (_, result) => (result, None),
        }
    }
}
