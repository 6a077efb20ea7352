//! Whatever the engine says about why an instance does not run is true, and it leaves nothing out.

use domain::{
    backfill::BackfillId,
    dag::{Dag, Operator, Task},
    engine::{
        backfill::BackfillRecord,
        obstacle::{Answer, AwaitedTasks, Holder, NextRound, Obstacle, Over, Question, Standing},
        record::{RunRecord, TiRecord},
    },
    id::{TaskId, TryKey},
    state::{RunState, TaskState},
};

use crate::{
    inspect::waits_for_past,
    oracle::Scene,
    world::{SLOTS, World},
};

impl World {
    /// Asks about an instance of an active run, and holds the answer against the records. Only at a moment at which nothing is left to
    /// decide.
    pub fn check_why(&mut self) {
        let active: Vec<_> = self.active().into_keys().collect();
        if active.is_empty() {
            return;
        }
        let run = active[self.curiosity.below(active.len() as u64) as usize];
        // What an operator or a failure keeps back is rare, so it is looked at more often.
        let is_rare = |ti: &&TiRecord| ti.is_held || ti.state == TaskState::UpForRetry;
        let rare = self.tis(run).filter(is_rare).count() as u64;
        let ti = if rare > 0 && self.curiosity.one_in(2) {
            let place = self.curiosity.below(rare) as usize;
            self.tis(run).filter(is_rare).nth(place)
        } else {
            let place = self.curiosity.below(self.tis(run).count() as u64) as usize;
            self.tis(run).nth(place)
        };
        let ti = ti.unwrap().clone();
        let run = &self.records.runs[&run];
        let question = Question {
            dag_id: run.dag_id.clone(),
            run_id: run.run_id.clone(),
            task_id: ti.task_id.clone(),
            map_index: ti.map_index,
        };
        let answer = self.engine.answer(&question, self.now);
        let answer = answer.unwrap_or_else(|| panic!("no answer about {ti:?} of {run:?}"));
        let subject = Subject { world: self, run, ti: &ti, dag: &self.dag(run) };
        subject.check_standing(&answer);
        if answer.standing == Standing::Waiting {
            answer.obstacles.iter().for_each(|obstacle| {
                assert!(subject.is_true(obstacle), "{obstacle:?} is not true of {ti:?} in {run:?}");
            });
            subject.check_whole(&answer);
        }
        let travelled = serde_json::from_str(&serde_json::to_string(&answer).unwrap()).unwrap();
        assert_eq!(answer, travelled);
    }
}

struct Subject<'a> {
    world: &'a World,
    run: &'a RunRecord,
    ti: &'a TiRecord,
    dag: &'a Dag,
}

impl Subject<'_> {
    fn check_standing(&self, answer: &Answer) {
        let state = self.ti.state;
        // A claim is the one change that the engine does not know of.
        let same = answer.state == state || answer.state.is_in_flight() && state.is_in_flight();
        assert!(same && answer.try_number == self.ti.try_number, "{answer:?} of {:?}", self.ti);
        let waits = !state.is_finished() && !state.is_in_flight();
        assert_eq!(waits, answer.standing == Standing::Waiting, "{answer:?} of {:?}", self.ti);
        let hinders = |obstacle: &&Obstacle| !matches!(obstacle, Obstacle::InLine { .. });
        let is_hindered = answer.obstacles.iter().find(hinders).is_some();
        assert_eq!(waits, is_hindered, "{answer:?} of {:?} in {:?}", self.ti, self.run);
        assert!(waits || answer.obstacles.is_empty());
    }

    fn is_true(&self, obstacle: &Obstacle) -> bool {
        let (run, ti, now) = (self.run, self.ti, self.world.now);
        match obstacle {
            Obstacle::DagPaused { dag_id } => *dag_id == run.dag_id && self.dag_is_paused(),
            Obstacle::RunNotDue { run_after } => {
                run.state == RunState::Queued && run.run_after == *run_after && *run_after > now
            }
            Obstacle::Rescheduled { next_try_at, wait, round } => {
                ti.state == TaskState::UpForReschedule
                    && ti.next_try_at == *next_try_at
                    && *next_try_at > Some(now)
                    && ti.wait == *wait
                    && self.is_next(*round)
            }
            Obstacle::AwaitingInput { users, until } => {
                let attempt = TryKey { ti: ti.key, try_number: ti.try_number };
                let asked = &self.world.records.questions[&attempt].question;
                asked.terms.assigned_users == *users && asked.deadline == *until
            }
            Obstacle::Deferred { wait } => ti.state == TaskState::Deferred && ti.wait == *wait,
            Obstacle::BackfillPaused { .. }
            | Obstacle::BackfillFull { .. }
            | Obstacle::MaxActiveRuns { .. }
            | Obstacle::EarlierRun { .. } => run.state == RunState::Queued && self.keeps_run_back(obstacle),
            Obstacle::RunPaused => run.is_paused,
            Obstacle::Upstream { awaited, .. } => {
                let before = |id: &TaskId| self.task().upstream.contains(id);
                self.waits_by_rule() && self.awaits(awaited, before)
            }
            Obstacle::Setup { awaited } | Obstacle::Scope { awaited } => {
                self.waits_by_rule() && !awaited.named.is_empty() && awaited.more == 0
            }
            Obstacle::MappedOver { awaited } => !awaited.named.is_empty(),
            Obstacle::PreviousRun { tasks, .. } => {
                let waits = waits_for_past(&self.world.records, run, self.task());
                waits.is_some_and(|task| tasks.contains(&task))
            }
            Obstacle::PreviousRunUnknown => {
                self.world.questions.iter().any(|question| question.run == run.key)
            }
            Obstacle::Held => ti.is_held,
            Obstacle::SwitchedOff { .. } => self.is_off(),
            Obstacle::RetryDelay { next_try_at } => {
                ti.state == TaskState::UpForRetry
                    && ti.next_try_at == Some(*next_try_at)
                    && *next_try_at > now
            }
            Obstacle::MaxActiveTasks { .. }
            | Obstacle::MaxActiveTis { .. }
            | Obstacle::PoolFull { .. }
            | Obstacle::PoolReserved { .. }
            | Obstacle::QueueFull { .. }
            | Obstacle::InLine { .. }
            | Obstacle::TooBigForPool { .. } => self.is_full(obstacle),
            // None of these happens in this world: its workers live, its pools exist, nobody is asked.
            Obstacle::NoScheduler
            | Obstacle::RunQueued
            | Obstacle::NoPool { .. }
            | Obstacle::NoWorker { .. } => false,
        }
    }

    fn keeps_run_back(&self, obstacle: &Obstacle) -> bool {
        match obstacle {
            Obstacle::BackfillPaused { id } => {
                self.is_own_backfill(*id) && self.backfill(*id).is_some_and(|backfill| backfill.is_paused)
            }
            Obstacle::BackfillFull { id, running, limit } => {
                self.is_own_backfill(*id)
                    && self.of_backfill(*id) == *running
                    && self.backfill(*id).is_some_and(|backfill| backfill.order.max_active_runs == *limit)
                    && *running >= *limit as usize
            }
            Obstacle::MaxActiveRuns { running, limit, runs } => {
                let known = self.running();
                let named = runs.iter().all(|id| known.iter().any(|run| run.run_id == *id));
                *running == known.len()
                    && *limit == self.dag.max_active_runs
                    && *running >= *limit as usize
                    && named
            }
            Obstacle::EarlierRun { run_id } => {
                let earlier = self.running().into_iter().find(|run| run.run_id == *run_id);
                earlier.is_some_and(|earlier| earlier.key < self.run.key)
            }
            Obstacle::NoScheduler
            | Obstacle::DagPaused { .. }
            | Obstacle::RunNotDue { .. }
            | Obstacle::RunQueued
            | Obstacle::RunPaused
            | Obstacle::Upstream { .. }
            | Obstacle::Setup { .. }
            | Obstacle::Scope { .. }
            | Obstacle::PreviousRun { .. }
            | Obstacle::PreviousRunUnknown
            | Obstacle::MappedOver { .. }
            | Obstacle::Held
            | Obstacle::SwitchedOff { .. }
            | Obstacle::RetryDelay { .. }
            | Obstacle::Rescheduled { .. }
            | Obstacle::Deferred { .. }
            | Obstacle::AwaitingInput { .. }
            | Obstacle::MaxActiveTasks { .. }
            | Obstacle::MaxActiveTis { .. }
            | Obstacle::NoPool { .. }
            | Obstacle::TooBigForPool { .. }
            | Obstacle::PoolFull { .. }
            | Obstacle::PoolReserved { .. }
            | Obstacle::NoWorker { .. }
            | Obstacle::QueueFull { .. }
            | Obstacle::InLine { .. } => false,
        }
    }

    // What is rescheduled waits for something, or for one more round that its task allows.
    fn is_next(&self, round: Option<NextRound>) -> bool {
        let most = self.task().repeat.as_ref().map(|repeat| repeat.max_rounds);
        match round {
            None => self.ti.wait.is_some(),
            Some(next) => {
                let is_allowed = next.most == most && most >= Some(next.number);
                self.ti.wait.is_none() && next.number == self.ti.rounds + 1 && is_allowed
            }
        }
    }

    fn is_full(&self, obstacle: &Obstacle) -> bool {
        let ti = self.ti;
        match obstacle {
            Obstacle::MaxActiveTasks { used, limit, holders } => {
                let of_run = self.in_flight(|other| other.key.run == ti.key.run);
                self.fill(holders, &of_run, |_| 1, *used)
                    && *limit == self.dag.max_active_tasks
                    && used >= limit
            }
            Obstacle::MaxActiveTis { over, used, limit, holders } => {
                self.task_is_full(*over, *used, *limit, holders)
            }
            Obstacle::PoolFull { pool, used, slots, wanted, holders } => {
                let inside = self.in_flight(|other| other.placement.pool == *pool);
                self.fill(holders, &inside, |other| other.placement.pool_slots, *used)
                    && *pool == ti.placement.pool
                    && *wanted == ti.placement.pool_slots
                    && self.slots() == Some(*slots)
                    && used + wanted > *slots
            }
            Obstacle::PoolReserved { free, by, .. } => {
                let by = by.as_ref().unwrap();
                self.slots() == Some(free + self.used_of_pool())
                    && by.pool_slots > 1
                    && by.pool_slots > *free - ti.placement.pool_slots
            }
            Obstacle::TooBigForPool { slots, wanted, .. } => wanted > slots,
            Obstacle::QueueFull { in_flight, capacity, .. } => {
                let all = self.in_flight(|_| true).len();
                *in_flight as usize == all && in_flight >= capacity && *capacity >= 2 * SLOTS
            }
            Obstacle::InLine { place, of, .. } => {
                let waiting = self.world.records.tis.values().filter(|ti| ti.state == TaskState::Scheduled);
                ti.state == TaskState::Scheduled && 1 <= *place && place <= of && *of <= waiting.count()
            }
            Obstacle::NoScheduler
            | Obstacle::DagPaused { .. }
            | Obstacle::RunNotDue { .. }
            | Obstacle::BackfillPaused { .. }
            | Obstacle::BackfillFull { .. }
            | Obstacle::MaxActiveRuns { .. }
            | Obstacle::EarlierRun { .. }
            | Obstacle::RunQueued
            | Obstacle::RunPaused
            | Obstacle::Upstream { .. }
            | Obstacle::Setup { .. }
            | Obstacle::Scope { .. }
            | Obstacle::PreviousRun { .. }
            | Obstacle::PreviousRunUnknown
            | Obstacle::MappedOver { .. }
            | Obstacle::Held
            | Obstacle::SwitchedOff { .. }
            | Obstacle::RetryDelay { .. }
            | Obstacle::Rescheduled { .. }
            | Obstacle::Deferred { .. }
            | Obstacle::AwaitingInput { .. }
            | Obstacle::NoPool { .. }
            | Obstacle::NoWorker { .. } => false,
        }
    }

    fn task_is_full(&self, over: Over, used: u32, limit: u32, holders: &[Holder]) -> bool {
        let ti = self.ti;
        let same_dag = |other: &TiRecord| {
            let dag_id = &self.world.records.runs[&other.key.run].dag_id;
            *dag_id == self.run.dag_id && other.task_id == ti.task_id
        };
        let counts = |other: &TiRecord| same_dag(other) && (over == Over::Dag || other.key.run == ti.key.run);
        let known = match over {
            Over::Dag => self.task().max_active_tis_per_dag,
            Over::Run => self.task().max_active_tis_per_dagrun,
        };
        // Those that wait without a worker count, too, but are not named.
        let is_asleep = |state| matches!(state, TaskState::Deferred | TaskState::AwaitingInput);
        let sleeps = |other: &&TiRecord| is_asleep(other.state) && counts(other);
        let asleep = self.world.records.tis.values().filter(sleeps).count() as u32;
        let active = self.in_flight(counts);
        self.fill(holders, &active, |_| 1, used - asleep) && known == Some(limit) && used >= limit
    }

    fn used_of_pool(&self) -> u32 {
        let inside = self.in_flight(|other| other.placement.pool == self.ti.placement.pool);
        inside.iter().map(|other| other.placement.pool_slots).sum()
    }

    // What is in the way according to the records is said, and nothing else of the same kind.
    fn check_whole(&self, answer: &Answer) {
        let (ti, run, now) = (self.ti, self.run, self.world.now);
        let says = |is_it: fn(&Obstacle) -> bool| answer.obstacles.iter().any(is_it);
        let is_queued = run.state == RunState::Queued;
        let is_instant = match &self.task().operator {
            Operator::Empty | Operator::LatestOnly => true,
            Operator::WaitFor(wait) => !wait.until.is_poked(),
            Operator::Bash { .. }
            | Operator::Python { .. }
            | Operator::Sql { .. }
            | Operator::Http { .. }
            | Operator::Branch { .. }
            | Operator::ShortCircuit { .. }
            | Operator::TriggerDag(_)
            | Operator::Airflow(_) => false,
            Operator::Approval(approval) => !approval.question.subject.contains("{{"),
        };
        let is_asleep = matches!(ti.state, TaskState::Deferred | TaskState::AwaitingInput);
        let wants_room = !is_instant && !is_asleep;
        let goes_on = !is_queued && !run.is_paused;
        let waits = ti.state == TaskState::None && self.scene().waits_by_rule(ti);
        let too_many = !self.is_of_backfill(run) && self.running().len() >= self.dag.max_active_runs as usize;
        let delayed = ti.state == TaskState::UpForRetry && ti.next_try_at > Some(now);
        let used = self.used_of_pool();
        let no_slots = self.slots().is_some_and(|slots| used + ti.placement.pool_slots > slots);
        let of_run = self.in_flight(|other| other.key.run == ti.key.run).len();
        let run_full = !run.is_paused && of_run >= self.dag.max_active_tasks as usize;
        let told = [
            (
                self.dag_is_paused() && (is_queued || !is_instant),
                says(|o| matches!(o, Obstacle::DagPaused { .. })),
            ),
            (is_queued && run.run_after > now, says(|o| matches!(o, Obstacle::RunNotDue { .. }))),
            (is_queued && too_many, says(|o| matches!(o, Obstacle::MaxActiveRuns { .. }))),
            (run.is_paused, says(|o| matches!(o, Obstacle::RunPaused))),
            (ti.is_held, says(|o| matches!(o, Obstacle::Held))),
            (self.is_off(), says(|o| matches!(o, Obstacle::SwitchedOff { .. }))),
            (delayed, says(|o| matches!(o, Obstacle::RetryDelay { .. }))),
            (
                no_slots && wants_room,
                says(|o| matches!(o, Obstacle::PoolFull { .. } | Obstacle::TooBigForPool { .. })),
            ),
            (run_full && wants_room, says(|o| matches!(o, Obstacle::MaxActiveTasks { .. }))),
        ];
        for (place, (is_so, is_said)) in told.into_iter().enumerate() {
            assert_eq!(is_so, is_said, "number {place}: {answer:#?} of {ti:?} in {run:?}");
        }
        let of_rule = says(|o| {
            matches!(o, Obstacle::Upstream { .. } | Obstacle::Setup { .. } | Obstacle::Scope { .. })
        });
        assert!(of_rule == waits || !goes_on, "{answer:#?} of {ti:?}");
    }

    // These are the instances that take the room, all of them, and together they take as much as is said.
    fn fill(&self, holders: &[Holder], known: &[&TiRecord], takes: fn(&TiRecord) -> u32, used: u32) -> bool {
        let is_known = |holder: &Holder| {
            known.iter().any(|ti| {
                let run = &self.world.records.runs[&ti.key.run];
                (&holder.task_id, holder.map_index) == (&ti.task_id, ti.map_index)
                    && (&holder.dag_id, &holder.run_id) == (&run.dag_id, &run.run_id)
                    && holder.pool_slots == ti.placement.pool_slots
            })
        };
        holders.len() == known.len()
            && holders.iter().all(is_known)
            && known.iter().map(|ti| takes(ti)).sum::<u32>() == used
    }

    fn awaits(&self, awaited: &AwaitedTasks, counts: impl Fn(&TaskId) -> bool) -> bool {
        let scene = self.scene();
        let open = |id: &TaskId| {
            let counts = |other: &&TiRecord| {
                other.task_id == *id
                    && !other.state.is_finished()
                    && scene.concerns(other, self.task(), self.ti.map_index)
            };
            self.world.tis(self.run.key).filter(counts).count()
        };
        let named = |id: &TaskId| awaited.named.iter().find(|task| task.task_id == *id);
        let all_named = self.dag.tasks.iter().filter(|task| counts(&task.task_id)).all(|task| {
            let said: u32 = named(&task.task_id).map_or(0, |task| task.states.iter().map(|(_, n)| n).sum());
            // Which instances are waited for is open while a task is to be measured anew; nothing is in a run that is paused or has
            // not begun again.
            let stands = self.run.is_paused || self.run.state == RunState::Queued;
            let is_open = scene.is_unmeasured(task) || stands;
            said as usize == open(&task.task_id) || is_open && said > 0
        });
        all_named && awaited.named.iter().all(|task| counts(&task.task_id)) && awaited.more == 0
    }

    fn in_flight(&self, wanted: impl Fn(&TiRecord) -> bool) -> Vec<&TiRecord> {
        let all = self.world.records.tis.values().filter(|ti| ti.state.is_in_flight());
        all.filter(|ti| wanted(ti)).collect()
    }

    fn running(&self) -> Vec<&RunRecord> {
        let runs = self.world.records.runs.values();
        let counts = |run: &&RunRecord| {
            run.dag_id == self.run.dag_id && run.state == RunState::Running && !self.is_of_backfill(run)
        };
        runs.filter(counts).collect()
    }

    // Its backfill is not over, and has room of its own.
    fn is_of_backfill(&self, run: &RunRecord) -> bool {
        run.backfill.is_some_and(|place| self.backfill(place.id).is_some())
    }

    fn backfill(&self, id: BackfillId) -> Option<&BackfillRecord> {
        self.world.records.backfills.records.get(&id).filter(|backfill| backfill.completed_at.is_none())
    }

    fn of_backfill(&self, id: BackfillId) -> usize {
        let counts = |run: &&RunRecord| {
            run.state == RunState::Running && run.backfill.is_some_and(|place| place.id == id)
        };
        self.world.records.runs.values().filter(counts).count()
    }

    fn is_own_backfill(&self, id: BackfillId) -> bool {
        self.run.backfill.is_some_and(|place| place.id == id)
    }

    fn slots(&self) -> Option<u32> {
        self.world.records.pools.iter().find(|pool| pool.name == self.ti.placement.pool).unwrap().slots
    }

    // Nothing is measured anew in a paused run, so that its rules are judged on what was known before.
    fn waits_by_rule(&self) -> bool {
        self.run.is_paused || self.scene().waits_by_rule(self.ti)
    }

    fn scene(&self) -> Scene<'_> {
        self.world.scene(self.dag, self.run.key)
    }

    fn task(&self) -> &Task {
        self.dag.task(self.ti.task_id.as_str()).unwrap()
    }

    fn dag_is_paused(&self) -> bool {
        self.world.records.dags.iter().any(|dag| dag.dag.dag_id == self.run.dag_id && dag.is_paused)
    }

    fn is_off(&self) -> bool {
        let mut dags = self.world.records.dags.iter().filter(|dag| dag.dag.dag_id == self.run.dag_id);
        dags.any(|dag| dag.disabled.contains(&self.ti.task_id))
    }
}
