//! The end of a turn: what changed becomes decisions, each entity at most once.

use super::{
    Engine,
    decision::{Decisions, Expected, Persisted},
    run::Run,
};

/// At most so many learned durations are written in one turn; the others follow.
const LEARNED: usize = 500;

impl Engine {
    /// Turns everything that changed into decisions, and forgets runs that have ended.
    pub(super) fn collect(&mut self) {
        self.collect_assets();
        self.collect_cursors();
        self.out.durations = self.floor.durations.take_changed(LEARNED);
        for key in std::mem::take(&mut self.dirty) {
            let Some(run) = self.runs.get_mut(&key) else {
                continue;
            };
            if collect_run(run, &mut self.out) {
                self.out.changed.push((run.record.dag_id.clone(), run.record.run_id.clone()));
            }
            if run.record.state.is_finished() {
                let tasks = run.graph.dag.tasks.iter().map(|task| task.task_id.clone());
                self.floor.forget_run(key, tasks);
                self.watch.forget(key);
                self.names.remove(&(run.record.dag_id.clone(), run.record.run_id.clone()));
                self.runs.remove(&key);
            }
        }
    }
}

fn collect_run(run: &mut Run, out: &mut Decisions) -> bool {
    let mut changed = run.dirty || !run.dirty_tis.is_empty();
    if run.dirty {
        run.dirty = false;
        match run.persisted.replace(run.record.state) {
            Some(old) => out.runs_changed.push(Expected { new: run.record.clone(), old }),
            None => out.runs_created.push(run.record.clone()),
        }
    }
    for index in std::mem::take(&mut run.dirty_tis) {
        let ti = &mut run.tis[index as usize];
        ti.dirty = false;
        changed = true;
        let persisted = Persisted { state: ti.record.state, try_number: ti.record.try_number };
        match ti.persisted.replace(persisted) {
            Some(old) => out.tis_changed.push(Expected { new: ti.record.clone(), old }),
            None => out.tis_created.push(ti.record.clone()),
        }
    }
    changed
}
