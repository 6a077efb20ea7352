//! Backfills in the simulated world: their records, the answers to what they ask, and what must hold of them after every turn.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    backfill::{self, BackfillId, Deed, Order, Reprocess},
    engine::{
        backfill::{BackfillRecord, BackfillSnapshot, DateRecord, Found, Survey},
        decision::Decisions,
        event::Event,
        record::{DagRecord, RunRecord},
    },
    id::{DagId, RunKey},
    intent::Wish,
    state::{RunState, RunType},
};

use crate::world::World;

/// A date, what became of it, and its run.
pub type Date = (backfill::Date, Option<(Deed, Option<RunKey>)>);

/// The records of backfills, as the database would have them.
#[derive(Debug, Default, Clone)]
pub struct Backfills {
    pub records: BTreeMap<BackfillId, BackfillRecord>,
    pub dates: BTreeMap<(BackfillId, u32), Date>,
    last: i64,
}

impl World {
    /// Somebody asks for a backfill, pauses one, lets it go on, or cancels it.
    pub fn backfill(&mut self) {
        let flag = self.chance.one_in(2);
        let chosen = self.chance.below(3);
        let active = self.active_backfills().nth(chosen as usize);
        let wish = match active.map(|backfill| (backfill.order.dag_id.clone(), backfill.id)) {
            Some((dag_id, id)) if self.chance.one_in(5) => Wish::CancelBackfill { dag_id, id },
            Some((dag_id, id)) => Wish::PauseBackfill { dag_id, id, paused: flag },
            None => self.order(),
        };
        self.tell_all([wish]);
    }

    fn order(&mut self) -> Wish {
        let place = self.chance.below(self.records.dags.len() as u64) as usize;
        let dag = self.records.dags[place].dag.clone();
        let start = dag.start_date.unwrap() - TimeDelta::minutes(self.chance.below(90) as i64);
        let minutes = self.chance.below(240) as i64;
        let order = Order {
            dag_id: dag.dag_id.clone(),
            from: start,
            to: start + TimeDelta::minutes(minutes),
            run_backwards: self.chance.one_in(3),
            max_active_runs: 1 + self.chance.below(3) as u32,
            reprocess: Reprocess::ALL[self.chance.below(3) as usize],
            conf: None,
            run_on_latest_version: self.chance.one_in(2),
        };
        self.records.backfills.last += 1;
        Wish::CreateBackfill {
            id: BackfillId(self.records.backfills.last),
            named: Self::named_between(&dag, &order),
            order,
        }
    }

    pub fn active_backfills(&self) -> impl Iterator<Item = &BackfillRecord> {
        self.records.backfills.records.values().filter(|backfill| backfill.completed_at.is_none())
    }

    fn dates_of(&self, id: BackfillId) -> impl Iterator<Item = (u32, &Date)> {
        let range = (id, 0)..=(id, u32::MAX);
        self.records.backfills.dates.range(range).map(|((_, ordinal), date)| (*ordinal, date))
    }

    /// All backfills that are not over, with what is left of them.
    pub fn backfills(&self) -> Vec<BackfillSnapshot> {
        let snapshot = |record: &BackfillRecord| BackfillSnapshot {
            waiting: self
                .dates_of(record.id)
                .filter(|(_, (_, deed))| deed.is_none())
                .map(|(ordinal, (date, _))| (ordinal, date.clone()))
                .collect(),
            record: record.clone(),
        };
        self.active_backfills().map(snapshot).collect()
    }

    /// The DAGs, with the dates that backfills have run before their schedules.
    pub fn dags(&self) -> Vec<DagRecord> {
        let taken = |dag: &DagRecord| -> BTreeSet<DateTime<Utc>> {
            let ours = |id: &BackfillId| self.records.backfills.records[id].order.dag_id == dag.dag.dag_id;
            let dates = self.records.backfills.dates.iter().filter(|((id, _), _)| ours(id));
            let run = dates.filter(|(_, (_, deed))| deed.is_some_and(|(_, run)| run.is_some()));
            let dates = run.filter_map(|(_, (date, _))| Some(date.next()?.logical_date));
            dates.filter(|date| dag.cursor.is_none_or(|cursor| cursor.start < *date)).collect()
        };
        let whole = |dag: &DagRecord| self.with_partitions(DagRecord { taken: taken(dag), ..dag.clone() });
        self.records.dags.iter().map(whole).collect()
    }

    /// The records' answer to a survey.
    pub fn surveyed(&self, survey: &Survey) -> Event {
        let mut found = Vec::new();
        for (ordinal, (date, _)) in self.dates_of(survey.backfill).filter(|(_, (_, deed))| deed.is_none()) {
            let name = date.run_id(survey.backfill).unwrap();
            let is_its = |run: &&RunRecord| {
                let is_dated = date.key.is_none() && run.logical_date == Some(date.moment());
                run.dag_id == survey.dag_id && (is_dated || run.run_id == name)
            };
            let of_partition = self.newest_about(&survey.dag_id, date);
            let runs = self.records.runs.values().filter(is_its).chain(of_partition);
            found.extend(runs.map(|run| Found { ordinal, run_id: run.run_id.clone(), state: run.state }));
        }
        Event::Surveyed { dag_id: survey.dag_id.clone(), backfill: survey.backfill, found }
    }

    // The run about a partition that started last.
    fn newest_about(&self, dag_id: &DagId, date: &backfill::Date) -> Option<&RunRecord> {
        let is_its = |run: &&RunRecord| {
            let about = run.partition.as_ref().and_then(|partition| partition.date);
            date.key.is_some() && run.dag_id == *dag_id && about == Some(date.moment())
        };
        self.records.runs.values().filter(is_its).max_by_key(|run| (run.started_at, run.key))
    }

    /// Answers everything that backfills asked.
    pub fn answer(&mut self) {
        for survey in std::mem::take(&mut self.surveys) {
            let answer = self.surveyed(&survey);
            self.engine.handle(answer, self.now);
        }
        for recall in std::mem::take(&mut self.recalls) {
            let is_it = |run: &&RunRecord| run.dag_id == recall.dag_id && run.run_id == recall.run_id;
            let run = self.records.runs.values().find(is_it).map(|run| Box::new(self.run_snapshot(run)));
            let (backfill, ordinal) = (recall.place.id, recall.place.ordinal);
            let answer = Event::Recalled { dag_id: recall.dag_id, backfill, ordinal, run };
            self.engine.handle(answer, self.now);
        }
    }

    pub fn write_backfills(&mut self, decisions: &Decisions) {
        let backfills = &mut self.records.backfills;
        for new in &decisions.backfills_created {
            let id = new.record.id;
            assert!(backfills.records.insert(id, new.record.clone()).is_none(), "backfill {id} exists");
            for (ordinal, date) in (0..).zip(&new.dates) {
                backfills.dates.insert((id, ordinal), (date.clone(), None));
            }
        }
        for new in &decisions.backfills_changed {
            let old = backfills.records.insert(new.id, new.clone()).unwrap();
            assert_eq!(old.completed_at, None, "{new:?} was over");
        }
        for DateRecord { place, deed, run } in &decisions.dates {
            let date = backfills.dates.get_mut(&(place.id, place.ordinal)).unwrap();
            assert_eq!(date.1, None, "{place:?} was done with");
            date.1 = Some((*deed, *run));
            assert!(backfills.records[&place.id].completed_at.is_none_or(|at| at == self.now));
        }
        self.check_dates(decisions);
    }

    // What was done with a date is what its backfill says, and was done for a run of that date.
    fn check_dates(&self, decisions: &Decisions) {
        let backfills = &self.records.backfills;
        for DateRecord { place, deed, run } in &decisions.dates {
            let (date, _) = &backfills.dates[&(place.id, place.ordinal)];
            let order = &backfills.records[&place.id].order;
            match deed {
                Deed::Created => {
                    let run = decisions.runs_created.iter().find(|new| Some(new.key) == *run).unwrap();
                    let next = date.next();
                    let expected = (next.map(|next| next.logical_date), next.map(|next| next.data_interval));
                    assert_eq!((run.logical_date, run.data_interval), expected);
                    assert_eq!((&run.partition, run.run_after), (&date.partition(), date.run_after));
                    self.check_partition_is_wanted(run, order.reprocess);
                    assert_eq!((run.run_type, run.backfill), (RunType::Backfill, Some(*place)));
                }
                Deed::Reprocessed => {
                    let change = decisions.runs_changed.iter().find(|old| Some(old.new.key) == *run).unwrap();
                    assert_eq!((change.new.run_type, change.new.backfill), (RunType::Backfill, Some(*place)));
                    assert!(order.reprocess != Reprocess::None, "{order:?} ran {change:?} again");
                    assert!(date.key.is_none(), "{date:?} gets a new run");
                }
                Deed::InFlight | Deed::AlreadyExists => {
                    assert!(run.is_none());
                    assert!(order.reprocess != Reprocess::Completed || *deed == Deed::InFlight, "{order:?}");
                }
            }
        }
    }

    // A backfill that leaves runs alone makes no second one of a partition. The schedule does not ask: it may make one in the same turn.
    // Source: Airflow 3.3.2 `jobs/scheduler_job_runner.py` (`_create_dag_runs`), which looks for runs of the same logical date only.
    fn check_partition_is_wanted(&self, new: &RunRecord, reprocess: Reprocess) {
        let is_other = |run: &&RunRecord| {
            run.key < new.key && run.dag_id == new.dag_id && run.partition == new.partition
        };
        let other = self.records.runs.values().filter(is_other).find(|_| new.partition.is_some());
        assert!(reprocess != Reprocess::None || other.is_none(), "{new:?} beside {other:?}");
    }

    /// No backfill has more runs at work than it may, none is active twice for a DAG, and one that has been completed has been through
    /// all its dates.
    pub fn check_backfills(&self) {
        let mut dags = BTreeSet::new();
        for backfill in self.active_backfills() {
            assert!(dags.insert(&backfill.order.dag_id), "two backfills of {}", backfill.order.dag_id);
            let of = |run: &&RunRecord| run.backfill.is_some_and(|place| place.id == backfill.id);
            let runs = || self.records.runs.values().filter(of);
            let running = runs().filter(|run| run.state == RunState::Running).count();
            assert!(running <= backfill.order.max_active_runs as usize, "{backfill:?} runs {running}");
        }
        let over = |backfill: &&BackfillRecord| backfill.completed_at.is_some() && !backfill.is_cancelled;
        for backfill in self.records.backfills.records.values().filter(over) {
            let left = self.dates_of(backfill.id).find(|(_, (_, deed))| deed.is_none());
            assert!(left.is_none(), "{backfill:?} is over without {left:?}");
        }
    }

    /// Every date of a DAG for which a backfill or the schedule has created a run, has just that one; a person's run may have any date.
    pub fn check_dates_are_unique(&self) {
        let by_itself = |run: &&RunRecord| !run.run_id.as_str().starts_with("manual__");
        let mut seen = BTreeMap::new();
        for run in self.records.runs.values().filter(by_itself) {
            let other = seen.insert((&run.dag_id, run.logical_date), &run.run_id);
            assert!(other.is_none() || run.logical_date.is_none(), "{run:?} beside {other:?}");
        }
    }
}
