//! How a simulated world comes to rest: its operator lets everything go, and everything goes well from then on.

use domain::{
    engine::{
        event::Event,
        record::{RunRecord, TiRecord},
    },
    id::TaskId,
    intent::{Selection, Wish},
    state::{RunState, TaskState},
};

use crate::world::World;

impl World {
    /// Everything goes well from here on, until nothing is left to do. A run that waits for a task that failed in the previous one
    /// says so, and is ended by its operator.
    pub fn come_to_rest(&mut self) {
        for round in 0..3_000 {
            self.unpause();
            self.reply_to_all();
            self.fire_all();
            self.turn(false);
            self.sweep();
            while !self.queue.is_empty() {
                self.claim(false);
            }
            while !self.running.is_empty() {
                self.finish(false);
            }
            self.pass(3600);
            let is_over = self.records.runs.values().all(|run| run.state.is_finished());
            if self.inbox.is_empty()
                && is_over
                && !self.has_all_assets()
                && !self.has_whole_partition()
                && !self.has_runs_to_come()
                && self.active_backfills().next().is_none()
            {
                return;
            }
            if round % 12 == 11 {
                self.release();
                self.end_one_that_waits();
            }
        }
        let stuck: Vec<_> = self.records.runs.values().filter(|run| !run.state.is_finished()).collect();
        panic!("runs never ended: {stuck:#?}");
    }

    fn end_one_that_waits(&mut self) {
        let says_why = |run: &&RunRecord| {
            let mut reasons = self.tis(run.key).filter(|ti| ti.state == TaskState::None);
            let waits =
                |ti: &TiRecord| ti.reason.as_deref().is_some_and(|why| why.contains("in the previous run"));
            run.state == RunState::Running && reasons.any(waits)
        };
        let Some(run) = self.records.runs.values().find(says_why).cloned() else { return };
        let wish = Wish::MarkRun { dag_id: run.dag_id, run_id: run.run_id, state: RunState::Failed };
        self.tell_all([wish]);
    }

    // A hold outlasts the end of its run: it counts again when a backfill has the run done once more.
    fn release(&mut self) {
        let held = |run: &&RunRecord| !run.state.is_finished() && self.tis(run.key).any(|ti| ti.is_held);
        let release = |run: &RunRecord| {
            let (dag_id, run_id) = (run.dag_id.clone(), run.run_id.clone());
            let (tasks, upstream, downstream) = (Vec::new(), false, false);
            let selection = Selection { dag_id, run_id, tasks, upstream, downstream };
            Wish::Hold { selection, held: false }
        };
        let wishes: Vec<Wish> = self.records.runs.values().filter(held).map(release).collect();
        self.tell_all(wishes);
    }

    /// The operator takes back every hold and every pause, and switches every task on.
    pub fn let_go(&mut self) {
        let mut wishes: Vec<Wish> = Vec::new();
        for run in self.records.runs.values() {
            let (dag_id, run_id) = (run.dag_id.clone(), run.run_id.clone());
            let (tasks, upstream, downstream) = (Vec::new(), false, false);
            let selection =
                Selection { dag_id: dag_id.clone(), run_id: run_id.clone(), tasks, upstream, downstream };
            wishes.push(Wish::Hold { selection, held: false });
            wishes.push(Wish::PauseRun { dag_id, run_id, paused: false });
        }
        for dag in &self.records.dags {
            let on = |task_id: &TaskId| Wish::SwitchTask {
                dag_id: dag.dag.dag_id.clone(),
                task_id: task_id.clone(),
                enabled: true,
            };
            wishes.extend(dag.disabled.iter().map(on));
        }
        wishes.extend(self.active_backfills().map(|backfill| Wish::PauseBackfill {
            dag_id: backfill.order.dag_id.clone(),
            id: backfill.id,
            paused: false,
        }));
        self.tell_all(wishes);
    }

    pub fn unpause(&mut self) {
        self.records.dags.iter_mut().for_each(|dag| dag.is_paused = false);
        let flags = self.records.dags.iter().map(|dag| (dag.dag.dag_id.clone(), false)).collect();
        self.engine.handle(Event::Flags(flags), self.now);
    }
}
