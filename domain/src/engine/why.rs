//! Why a task instance is not running: asked of the same steps, gates and lines that decide.
//!
//! Held to in the simulation: an instance that waits has an obstacle, one that is in flight or has ended has none, and every obstacle
//! is true.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::{
    Engine,
    floor::Hindrance,
    obstacle::{
        Answer, Awaited, AwaitedTasks, Holder, NAMED, NextRound, Obstacle, Over, Question, Source, Standing,
    },
    past::{Behind, Past, past_of},
    record::{PastQuestion, TiRecord},
    run::Run,
    step::Step,
};
use crate::{
    id::{RunId, TaskId, TiKey},
    state::{RunState, TaskState},
    trigger_rule::Open,
    wait::Awaited as Until,
};

impl Engine {
    /// Where a task instance stands and everything that is in its way, at a moment at which nothing is left to decide: after
    /// [`Engine::poll`]. `None` when its run is not in memory, because it has ended or does not exist, or has no such instance.
    ///
    /// Changes nothing. Costs as much as there are upstream instances, and as goes before it in its line.
    #[must_use]
    pub fn answer(&self, question: &Question, now: DateTime<Utc>) -> Option<Answer> {
        let name = (question.dag_id.clone(), question.run_id.clone());
        let run = self.runs.get(self.names.get(&name)?)?;
        let ti = run.find(&question.task_id, question.map_index)?;
        let standing = self.standing(ti);
        let obstacles = if standing == Standing::Waiting { self.obstacles(run, ti, now) } else { Vec::new() };
        let (state, try_number) = (ti.state, ti.try_number);
        Some(Answer { state, try_number, standing, obstacles, source: Source::Scheduler, at: now })
    }

    /// What the records are to be asked next, for a reader that never takes decisions.
    #[must_use]
    pub fn open_questions(&self) -> &[PastQuestion] {
        &self.out.questions
    }

    fn standing(&self, ti: &TiRecord) -> Standing {
        match ti.state {
            TaskState::Queued => {
                let queue = ti.placement.queue.clone();
                let has_worker = self.floor.has_worker(&queue);
                Standing::HandedOut { queue, since: ti.queued_at, has_worker }
            }
            TaskState::Running | TaskState::Restarting => Standing::Running { since: ti.started_at },
            TaskState::Success
            | TaskState::Failed
            | TaskState::UpstreamFailed
            | TaskState::Skipped
            | TaskState::Removed => Standing::Ended,
            TaskState::None
            | TaskState::Scheduled
            | TaskState::UpForRetry
            | TaskState::UpForReschedule
            | TaskState::Deferred
            | TaskState::AwaitingInput => Standing::Waiting,
        }
    }

    fn obstacles(&self, run: &Run, ti: &TiRecord, now: DateTime<Utc>) -> Vec<Obstacle> {
        let node = run.graph.find(&ti.task_id);
        // What the engine carries out itself needs no room, and is done in a paused DAG, too.
        let needs_room = node.is_none_or(|node| !run.graph.node(node).is_instant);
        let mut found = self.of_run(run, needs_room, now);
        if let Some(node) = node.filter(|_| ti.state == TaskState::None) {
            found.extend(self.of_task(run, node, ti.key.index));
        }
        let rounds =
            node.and_then(|node| run.graph.task(node).repeat.as_ref()).map(|repeat| repeat.max_rounds);
        found.extend(of_instance(ti, rounds, now));
        if let Some(node) = node.filter(|&node| run.nodes[node].disabled) {
            found.push(Obstacle::SwitchedOff { task_id: run.graph.task(node).task_id.clone() });
        }
        let is_asleep = matches!(ti.state, TaskState::Deferred | TaskState::AwaitingInput);
        if needs_room && !is_asleep {
            found.extend(self.of_room(run, ti.key));
        }
        found
    }

    // What keeps the run from starting or going on.
    fn of_run(&self, run: &Run, needs_room: bool, now: DateTime<Utc>) -> Vec<Obstacle> {
        let record = &run.record;
        let is_queued = record.state == RunState::Queued;
        let dag = self.dags.get(&record.dag_id);
        let mut found = Vec::new();
        if dag.is_some_and(|dag| dag.record.is_paused) && (is_queued || needs_room) {
            found.push(Obstacle::DagPaused { dag_id: record.dag_id.clone() });
        }
        if is_queued {
            if record.run_after > now {
                found.push(Obstacle::RunNotDue { run_after: record.run_after });
            }
            let backfill = dag.and_then(|dag| dag.backfill.as_ref()).filter(|backfill| backfill.owns(record));
            found.extend(backfill.iter().flat_map(|backfill| backfill.obstacles()));
            let dag_counts = dag.filter(|_| backfill.is_none());
            if let Some(dag) = dag_counts.filter(|dag| !dag.has_room()) {
                let (running, limit) = (dag.running.len(), dag.record.dag.max_active_runs);
                let runs = dag.running.iter().take(NAMED).filter_map(|key| self.runs.get(key));
                let runs: Vec<RunId> = runs.map(|run| run.record.run_id.clone()).collect();
                found.push(Obstacle::MaxActiveRuns { running, limit, runs });
            }
            let first = dag_counts.filter(|dag| self.stands_back(dag, record.key));
            let first = first.and_then(|dag| dag.running.first());
            if let Some(first) = first.and_then(|key| self.runs.get(key)) {
                found.push(Obstacle::EarlierRun { run_id: first.record.run_id.clone() });
            }
            if dag.is_none() {
                found.push(Obstacle::RunQueued);
            }
        }
        if record.is_paused {
            found.push(Obstacle::RunPaused);
        }
        found
    }

    // What keeps a task from beginning: the first thing that does decides, and everything behind it that would is told, too.
    fn of_task(&self, run: &Run, node: usize, index: u32) -> Vec<Obstacle> {
        let past = past_of(&self.runs, &self.dags, run, run.past.as_ref());
        let place = run.nodes[node].instances.iter().position(|&other| other == index).unwrap_or_default();
        let step = run.next_step(node, place, &past);
        let mut found = Vec::new();
        if let Step::Wait(open) = step {
            found.extend(of_rule(run, (node, place), open));
        }
        if matches!(step, Step::Wait(_) | Step::StandBack(_) | Step::AwaitSources) {
            found.extend(of_past(run, node, &past));
            let unmeasured = run.unmeasured(node);
            let sources: BTreeSet<usize> =
                unmeasured.flat_map(|other| run.graph.node(other).sources.iter().copied()).collect();
            if !sources.is_empty() {
                let sources = sources.into_iter();
                found.push(Obstacle::MappedOver { awaited: run.awaited(sources, None, is_open) });
            }
        }
        found
    }

    // What keeps the floor from letting it through, now if it waits there, else if it came now.
    fn of_room(&self, run: &Run, key: TiKey) -> Vec<Obstacle> {
        let waiting = self.floor.why(key);
        let hindrances = waiting.unwrap_or_else(|| self.floor.shut_for(&run.candidate(key.index)));
        let is_told = |hindrance: &Hindrance| match hindrance {
            Hindrance::DagPaused(_) => true,
            Hindrance::RunLimit { .. } => run.record.is_paused,
            // Nobody goes before the first, and then something else is in the way or it starts.
            Hindrance::InLine { place, of, .. } => *place == 1 && *of == 1,
            Hindrance::TaskLimit { .. }
            | Hindrance::NoPool(_)
            | Hindrance::TooBigForPool { .. }
            | Hindrance::PoolFull { .. }
            | Hindrance::PoolReserved { .. }
            | Hindrance::NoWorker(_)
            | Hindrance::QueueFull { .. } => false,
        };
        let untold = hindrances.into_iter().filter(|hindrance| !is_told(hindrance));
        untold.filter_map(|hindrance| self.obstacle(key, hindrance)).collect()
    }

    fn obstacle(&self, key: TiKey, hindrance: Hindrance) -> Option<Obstacle> {
        Some(match hindrance {
            Hindrance::DagPaused(dag_id) => Obstacle::DagPaused { dag_id },
            Hindrance::RunLimit { used, limit, holders, .. } => {
                Obstacle::MaxActiveTasks { used, limit, holders: self.holders(&holders) }
            }
            Hindrance::TaskLimit { dag_id, used, limit, holders, .. } => {
                let over = if dag_id.is_some() { Over::Dag } else { Over::Run };
                Obstacle::MaxActiveTis { over, used, limit, holders: self.holders(&holders) }
            }
            Hindrance::NoPool(pool) => Obstacle::NoPool { pool },
            Hindrance::TooBigForPool { pool, slots, wanted } => {
                Obstacle::TooBigForPool { pool, slots, wanted }
            }
            Hindrance::PoolFull { pool, used, slots, wanted, holders } => {
                Obstacle::PoolFull { pool, used, slots, wanted, holders: self.holders(&holders) }
            }
            Hindrance::PoolReserved { pool, free, by } => {
                Obstacle::PoolReserved { pool, free, by: self.holder(by) }
            }
            Hindrance::NoWorker(queue) => Obstacle::NoWorker { queue },
            Hindrance::QueueFull { queue, in_flight, capacity } => {
                Obstacle::QueueFull { queue, in_flight, capacity }
            }
            Hindrance::InLine { place, of, .. } => {
                let (policy, fair_share) = self.floor.order_of(key)?;
                Obstacle::InLine { place, of, policy, fair_share }
            }
        })
    }

    fn holders(&self, keys: &[TiKey]) -> Vec<Holder> {
        keys.iter().filter_map(|key| self.holder(*key)).collect()
    }

    fn holder(&self, key: TiKey) -> Option<Holder> {
        let run = self.runs.get(&key.run)?;
        let ti = &run.tis.get(key.index as usize)?.record;
        Some(Holder {
            dag_id: run.record.dag_id.clone(),
            run_id: run.record.run_id.clone(),
            task_id: ti.task_id.clone(),
            map_index: ti.map_index,
            pool_slots: ti.placement.pool_slots,
        })
    }
}

// What waits within the run for others, as far as it is still open.
fn of_rule(run: &Run, at: (usize, usize), open: Open) -> Vec<Obstacle> {
    let (graph, node) = (&run.graph, at.0);
    let mut found = Vec::new();
    if open.rule {
        let awaited = run.awaited(graph.node(node).upstream.iter().copied(), Some(at), is_open);
        found.push(Obstacle::Upstream { trigger_rule: graph.task(node).trigger_rule, awaited });
    }
    if open.setups {
        let around = (0..graph.len()).filter(|&setup| graph.node(setup).guarded.contains(&node));
        let is_unmet = |state: TaskState| !matches!(state, TaskState::Success | TaskState::Removed);
        found.push(Obstacle::Setup { awaited: run.awaited(around, Some(at), is_unmet) });
    }
    if open.scope {
        let inside = (0..graph.len()).filter(|&task| graph.node(task).within.contains(&node));
        found.push(Obstacle::Scope { awaited: run.awaited(inside, Some(at), is_open) });
    }
    found
}

fn of_past(run: &Run, node: usize, past: &Past<'_>) -> Option<Obstacle> {
    let wait_for_downstream = run.graph.task(node).wait_for_downstream;
    Some(match past.keeps_back(&run.graph, node)? {
        Behind::Unknown => Obstacle::PreviousRunUnknown,
        Behind::Unmet { logical_date, mut tasks } => {
            tasks.truncate(NAMED);
            Obstacle::PreviousRun { logical_date, tasks, wait_for_downstream }
        }
    })
}

fn of_instance(ti: &TiRecord, max_rounds: Option<u32>, now: DateTime<Utc>) -> Vec<Obstacle> {
    let by_state = match ti.state {
        TaskState::UpForRetry => {
            ti.next_try_at.filter(|at| *at > now).map(|next_try_at| Obstacle::RetryDelay { next_try_at })
        }
        TaskState::UpForReschedule if ti.next_try_at.is_some_and(|at| at <= now) => None,
        TaskState::UpForReschedule => {
            let (next_try_at, wait) = (ti.next_try_at, ti.wait.clone());
            let round = NextRound { number: ti.rounds + 1, most: max_rounds };
            let round = wait.is_none().then_some(round);
            Some(Obstacle::Rescheduled { next_try_at, wait, round })
        }
        TaskState::Deferred => Some(Obstacle::Deferred { wait: ti.wait.clone() }),
        TaskState::AwaitingInput => Some(awaiting_input(ti)),
        TaskState::None
        | TaskState::Scheduled
        | TaskState::Queued
        | TaskState::Running
        | TaskState::Restarting
        | TaskState::Success
        | TaskState::Failed
        | TaskState::UpstreamFailed
        | TaskState::Skipped
        | TaskState::Removed => None,
    };
    by_state.into_iter().chain(ti.is_held.then_some(Obstacle::Held)).collect()
}

fn awaiting_input(ti: &TiRecord) -> Obstacle {
    let users = match ti.wait.as_ref().map(|wait| &wait.until) {
        Some(Until::Answer(terms) | Until::Input(terms)) => terms.assigned_users.clone(),
        Some(Until::Time(_) | Until::Run(_) | Until::Poke | Until::Trigger { .. }) | None => Vec::new(),
    };
    Obstacle::AwaitingInput { users, until: ti.wait.as_ref().and_then(|wait| wait.deadline) }
}

const fn is_open(state: TaskState) -> bool {
    !state.is_finished()
}

impl Run {
    fn find(&self, task_id: &TaskId, map_index: i32) -> Option<&TiRecord> {
        let instances = self.graph.find(task_id).map(|node| &self.nodes[node].instances)?;
        let mut records = instances.iter().map(|&index| &self.tis[index as usize].record);
        records.find(|record| record.map_index == map_index)
    }

    // Of some tasks those with instances that are waited for, by the instance of a task at a place or by all of it.
    fn awaited(
        &self,
        nodes: impl Iterator<Item = usize>,
        by: Option<(usize, usize)>,
        counts: impl Fn(TaskState) -> bool,
    ) -> AwaitedTasks {
        let mut awaited = AwaitedTasks::default();
        for node in nodes {
            let mut states: BTreeMap<TaskState, u32> = BTreeMap::new();
            let instances = &self.nodes[node].instances;
            let places = by.map_or(0..instances.len(), |(to, place)| self.counterparts(node, to, place));
            for &index in &instances[places] {
                let state = self.tis[index as usize].record.state;
                if counts(state) {
                    *states.entry(state).or_default() += 1;
                }
            }
            if states.is_empty() {
                continue;
            }
            if awaited.named.len() < NAMED {
                let task_id = self.graph.task(node).task_id.clone();
                awaited.named.push(Awaited { task_id, states: states.into_iter().collect() });
            } else {
                awaited.more += 1;
            }
        }
        awaited
    }
}
