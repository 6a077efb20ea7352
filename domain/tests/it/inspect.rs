//! What must hold in the simulated world after every turn.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    leaving::ASKED,
    oracle::{Fate, Scene},
    world::{Records, World, length},
};
use domain::{
    dag::{Dag, Task},
    engine::{
        Engine,
        decision::Decisions,
        event::Event,
        record::{RunRecord, TiRecord, XComRecord},
    },
    id::{RunKey, TaskId, TiKey},
    outcome::CHOICE,
    state::{RunState, RunType, TaskState},
    timetable::{Catchup, Overlap},
    wait::{Awaited, Heard, MAX_DEPTH},
};
/// Each record is written once in a turn: the database takes several rows of a batch in no order.
pub fn check_once(decisions: &Decisions) {
    fn once<T: Ord>(what: &str, keys: impl Iterator<Item = T>) {
        let mut seen = BTreeSet::new();
        assert!(keys.into_iter().all(|key| seen.insert(key)), "{what} are written twice in one turn");
    }
    once("schedules", decisions.cursors.iter().map(|row| &row.dag_id));
    once("flags of DAGs", decisions.dags.iter().map(|row| &row.dag_id));
    once("consumed events", decisions.asset_cursors.iter().map(|row| &row.dag_id));
    once("runs", decisions.runs_changed.iter().map(|row| row.new.key));
    once("instances", decisions.tis_changed.iter().map(|row| row.new.key));
    once("XComs", decisions.xcoms.iter().map(|row| (row.ti, &row.key)));
    once("durations", decisions.durations.iter().map(|row| (&row.dag_id, &row.task_id)));
    once("deferrals", decisions.deferrals.iter().map(|row| row.attempt.ti));
    once("questions", decisions.questions_asked.iter().map(|row| row.attempt));
    once("backfills", decisions.backfills_changed.iter().map(|row| row.id));
}

impl World {
    /// What is handed out is neither held, nor of a paused run, nor switched off.
    pub fn check_ready(&self, key: TiKey) {
        let (ti, run) = (&self.records.tis[&key], &self.records.runs[&key.run]);
        assert!(!ti.is_held && !run.is_paused, "{ti:?} of {run:?} was handed out");
        let dag = self.records.dags.iter().find(|dag| dag.dag.dag_id == run.dag_id).unwrap();
        assert!(!dag.disabled.contains(&ti.task_id), "{ti:?} is switched off");
    }

    pub fn scene<'a>(&'a self, dag: &'a Dag, run: RunKey) -> Scene<'a> {
        Scene { dag, tis: self.tis(run).map(|ti| (ti, ti.state)).collect(), lengths: self.lengths(run) }
    }

    fn lengths(&self, run: RunKey) -> BTreeMap<(String, i32), usize> {
        let results =
            self.records.xcoms.iter().filter(|((of, _, _, key), _)| *of == run && key == "return_value");
        results.map(|((_, id, at, _), value)| ((id.clone(), *at), length(value).unwrap_or(0))).collect()
    }

    /// The instances of a task are numbered without gaps, or there is a placeholder alone; and there are no more than its DAG allows.
    fn check_counts(&self) {
        for run in self.records.runs.values().filter(|run| run.state == RunState::Running) {
            let dag = self.dag(run);
            let mut counts: BTreeMap<&TaskId, BTreeSet<i32>> = BTreeMap::new();
            for ti in self.tis(run.key) {
                assert!(counts.entry(&ti.task_id).or_default().insert(ti.map_index), "{ti:?} twice");
            }
            for (id, indexes) in counts {
                let most = dag.task(id.as_str()).map_or(usize::MAX, |_| dag.max_map_length as usize);
                let whole = (0..indexes.len() as i32).collect::<BTreeSet<_>>();
                assert!(indexes.len() <= most, "{id} has {} instances", indexes.len());
                assert!(indexes == whole || indexes == BTreeSet::from([-1]), "{id} has {indexes:?}");
            }
        }
    }

    pub fn past_allows(&self, key: TiKey) -> bool {
        let (ti, run) = (&self.records.tis[&key], &self.records.runs[&key.run]);
        self.dag(run)
            .task(ti.task_id.as_str())
            .is_some_and(|task| waits_for_past(&self.records, run, task).is_none())
    }

    pub fn check_start(&self, key: TiKey, decisions: &Decisions, was_allowed: bool) {
        let (record, run) = (&self.records.tis[&key], &self.records.runs[&key.run]);
        let dag = self.dag(run);
        let scene = self.scene(&dag, key.run);
        assert_eq!(scene.fate(record), Fate::Runs, "{} started too early: {:#?}", record.task_id, scene.tis);
        let xcom = |id: &str, at: i32, name: &str| {
            self.records.xcoms.get(&(key.run, id.to_owned(), at, name.to_owned())).cloned()
        };
        // A wait may have begun earlier in this turn than the choice was made.
        let is_choice = |xcom: &XComRecord| xcom.ti.run == key.run && xcom.key == CHOICE;
        let waits = matches!(record.state, TaskState::Deferred | TaskState::AwaitingInput);
        let was_first = waits && decisions.xcoms.iter().any(is_choice);
        assert!(was_first || !scene.was_left_out(record, &xcom), "{} was not chosen", record.task_id);
        // Wishes of the same turn may have changed the past after it was looked at.
        let was_changed = self.has_wishes || !decisions.runs_created.is_empty();
        let allowed = self.past_allows(key) || was_allowed || was_changed;
        assert!(allowed, "{} did not wait for the previous run of {run:?}", record.task_id);
    }

    /// A run that was given up could really not go on.
    pub fn check_deadlocks(&self, decisions: &Decisions) {
        let is_stuck = |ti: &TiRecord| ti.reason.as_deref().is_some_and(|why| why.contains("deadlock"));
        let stuck: BTreeSet<TiKey> = decisions
            .tis_changed
            .iter()
            .map(|change| &change.new)
            .filter(|ti| is_stuck(ti))
            .map(|ti| ti.key)
            .collect();
        for key in &stuck {
            let dag = self.dag(&self.records.runs[&key.run]);
            let state = |ti: &TiRecord| if stuck.contains(&ti.key) { TaskState::None } else { ti.state };
            let tis = self.tis(key.run).map(|ti| (ti, state(ti))).collect();
            let record = &self.records.tis[key];
            let fate = Scene { dag: &dag, tis, lengths: self.lengths(key.run) }.fate(record);
            assert_eq!(fate, Fate::Waits, "{} could have gone on", record.task_id);
        }
    }

    /// A wait has not come to a good end before what it is for.
    pub fn check_wait(&self, old: &TiRecord) {
        let new = &self.records.tis[&old.key];
        let Some(wait) = old.wait.as_ref().filter(|_| old.state.is_asleep()) else { return };
        let is_good = new.state == TaskState::Success && new.reason.is_none() && !self.has_wishes;
        match &wait.until {
            Awaited::Time(at) if is_good => assert!(*at <= self.now, "{new:?} ended before {at}"),
            Awaited::Run(other) if is_good => {
                let standings: Vec<_> = self.meant(other).map(|run| self.stands(run, other)).collect();
                let is_met = standings.iter().any(|standing| other.judge(standing) == Some(Heard::Met));
                assert!(is_met, "{new:?} waited for {standings:?}");
            }
            Awaited::Time(_)
            | Awaited::Run(_)
            | Awaited::Poke
            | Awaited::Answer(_)
            | Awaited::Input(_)
            | Awaited::Trigger { .. } => {}
        }
        let deadline = wait.deadline.filter(|_| new.state.is_asleep() && !new.is_held && *new == *old);
        assert!(deadline.is_none_or(|at| at > self.now), "{new:?} waits for too long");
    }

    /// No try has started two runs, and none is behind too many others.
    pub fn check_triggered(&self, decisions: &Decisions) {
        for run in decisions.runs_created.iter().filter(|run| run.run_type == RunType::OperatorTriggered) {
            assert!((1..=MAX_DEPTH).contains(&run.depth), "{run:?}");
            let by = run.note.as_deref().unwrap();
            let alike = self.records.runs.values().filter(|run| run.note.as_deref() == Some(by)).count();
            if by.starts_with(ASKED) {
                assert_eq!(alike, 1, "{by} started several runs");
                continue;
            }
            let tries: u32 = self
                .records
                .runs
                .values()
                .flat_map(|parent| self.tis(parent.key).map(move |ti| (parent, ti)))
                .filter(|(parent, ti)| {
                    let (task, run, dag) = (&ti.task_id, &parent.run_id, &parent.dag_id);
                    by == format!("triggered by task `{task}` of run `{run}` of DAG `{dag}`")
                })
                .map(|(_, ti)| ti.try_number)
                .sum();
            assert!(alike <= tries as usize, "{alike} runs were {by}, which had {tries} tries");
        }
    }

    pub fn check_limits(&self) {
        self.check_counts();
        let in_flight = || self.records.tis.values().filter(|ti| ti.state.is_in_flight());
        for pool in &self.records.pools {
            let used: u32 = in_flight()
                .filter(|ti| ti.placement.pool == pool.name)
                .map(|ti| ti.placement.pool_slots)
                .sum();
            assert!(used <= pool.slots.unwrap_or(u32::MAX), "pool {} holds {used}", pool.name);
        }
        for run in self.records.runs.values().filter(|run| run.state == RunState::Running) {
            let dag = self.dag(run);
            let of_run = || in_flight().filter(|ti| ti.key.run == run.key);
            assert!(of_run().count() <= dag.max_active_tasks as usize, "run {:?}", run.key);
            let over = |task: &&Task| {
                let count = of_run().filter(|ti| ti.task_id == task.task_id).count();
                task.max_active_tis_per_dagrun.is_some_and(|max| count > max as usize)
            };
            assert!(dag.tasks.iter().find(over).is_none(), "run {:?}", run.key);
        }
        for dag in &self.records.dags {
            let running = |run: &&RunRecord| {
                run.dag_id == dag.dag.dag_id && run.state == RunState::Running && run.backfill.is_none()
            };
            assert!(self.records.runs.values().filter(running).count() <= dag.dag.max_active_runs as usize);
        }
        self.check_backfills();
    }

    pub fn active(&self) -> BTreeMap<RunKey, RunState> {
        let active = self.records.runs.values().filter(|run| !run.state.is_finished());
        active.map(|run| (run.key, run.state)).collect()
    }

    /// Runs by schedule met those that were active before this turn, and still are, as their DAG wants it.
    pub fn check_overlap(&self, active: &BTreeMap<RunKey, RunState>, decisions: &Decisions) {
        let created = decisions.runs_created.iter();
        let changed = decisions.runs_changed.iter().map(|change| &change.new);
        for run in created.clone().chain(changed).filter(|run| run.run_type == RunType::Scheduled) {
            let dag = self.records.dags.iter().find(|dag| dag.dag.dag_id == run.dag_id).unwrap();
            let others = || {
                let others = active.iter().filter(|(key, _)| **key != run.key);
                let others = others.map(|(key, was)| (&self.records.runs[key], *was));
                others.filter(|(other, _)| {
                    other.dag_id == run.dag_id && !other.state.is_finished() && other.backfill.is_none()
                })
            };
            let is_new = !active.contains_key(&run.key) && created.clone().any(|new| new.key == run.key);
            let starts = run.state == RunState::Running && active.get(&run.key) != Some(&RunState::Running);
            let bad = match dag.dag.overlap {
                Overlap::Allow => None,
                Overlap::Queue => others().find(|(other, was)| {
                    starts && other.key < run.key && other.state == RunState::Running && *was == other.state
                }),
                Overlap::Skip => others().find(|_| is_new),
                Overlap::CancelRunning => {
                    others().find(|(other, _)| is_new && other.run_type == RunType::Scheduled)
                }
            };
            assert!(bad.is_none(), "{:?}: {run:?} met {bad:?}", dag.dag.overlap);
        }
    }

    /// An engine made from the records has nothing to add to what the one in memory decided.
    pub fn check_rebuilt(&self) {
        let mut rebuilt = Engine::restore(self.snapshot(), self.now);
        let decisions = rebuilt.poll(self.now);
        self.assert_idle(&decisions);
        if self.lookups.is_empty() && self.inbox.is_empty() {
            for question in &decisions.lookups {
                let found = self.other(question);
                rebuilt.handle(Event::Other { asker: question.asker, found }, self.now);
            }
            self.assert_idle(&rebuilt.poll(self.now));
        }
        let is_waiting = !self.questions.is_empty() || !self.surveys.is_empty() || !self.recalls.is_empty();
        if !is_waiting && self.inbox.is_empty() {
            for survey in &decisions.surveys {
                rebuilt.handle(self.surveyed(survey), self.now);
            }
            for question in &decisions.questions {
                rebuilt.handle(Event::Past { run: question.run, before: self.past(question) }, self.now);
            }
            self.assert_idle(&rebuilt.poll(self.now));
        }
    }

    pub fn assert_idle(&self, decisions: &Decisions) {
        let told = decisions.tis_changed.iter().filter(|change| !self.may_be_kept_back(&change.new));
        assert!(
            decisions.runs_created.is_empty()
                && decisions.runs_changed.is_empty()
                && decisions.tis_created.is_empty()
                && decisions.backfills_changed.is_empty()
                && decisions.dates.is_empty()
                && decisions.recalls.is_empty()
                && decisions.asset_events.is_empty()
                && decisions.assets_queued.is_empty()
                && decisions.consumed.is_empty()
                && decisions.partitions.is_empty()
                && decisions.partition_events.is_empty()
                && decisions.partition_ends.is_empty()
                && decisions.asset_cursors.is_empty()
                && told.count() == 0
                && decisions.dags.is_empty(),
            "a rebuilt engine would do more: {decisions:#?}"
        );
    }

    // Room that is being kept for an instance that takes several slots is not in the records, so it may go to another one.
    pub fn may_be_kept_back(&self, ti: &TiRecord) -> bool {
        let (pool, is_ready) = (&ti.placement.pool, self.records.tis[&ti.key].state == TaskState::Scheduled);
        let is_big = |other: &TiRecord| {
            other.state == TaskState::Scheduled
                && other.placement.pool == *pool
                && other.placement.pool_slots > 1
        };
        is_ready && ti.state == TaskState::Queued && self.records.tis.values().any(is_big)
    }
}

pub fn blocks_next(state: TaskState) -> bool {
    !matches!(state, TaskState::Success | TaskState::Skipped | TaskState::Removed)
}

/// The task in the previous run that keeps this one waiting.
pub fn waits_for_past(records: &Records, run: &RunRecord, task: &Task) -> Option<TaskId> {
    let dag = &records.dags.iter().find(|dag| dag.version == run.version)?.dag;
    let is_first = run.backfill.is_some_and(|place| place.ordinal == 0);
    if is_first || !task.depends_on_past && !task.wait_for_downstream {
        return None;
    }
    let earlier = |other: &&RunRecord| {
        let counts = dag.catchup == Catchup::None || other.run_type != RunType::Manual;
        other.dag_id == run.dag_id
            && other.logical_date.is_some()
            && other.logical_date < run.logical_date
            && counts
    };
    let previous = records.runs.values().filter(earlier).max_by_key(|run| (run.logical_date, run.key))?;
    let waited_for = |ti: &&TiRecord| {
        let is_downstream = dag.task(ti.task_id.as_str()).unwrap().upstream.contains(&task.task_id);
        ti.task_id == task.task_id || (task.wait_for_downstream && is_downstream)
    };
    let tis = records.tis.values().filter(|ti| ti.key.run == previous.key);
    tis.filter(waited_for).find(|ti| blocks_next(ti.state)).map(|ti| ti.task_id.clone())
}
