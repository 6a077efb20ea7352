//! The story of a simulated world: what it is made from. Parts of it can be left out without changing the others, so a
//! story that ends badly can be made short.

use std::{collections::BTreeSet, fmt};

use domain::{
    dag::{Dag, Expand},
    id::TaskId,
};

use crate::chance::Chance;

/// How many steps a world lives through before it comes to rest.
const STEPS: u64 = 150;

/// What a world is made from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Story {
    pub seed: u64,
    /// The steps that are taken; each has random numbers of its own.
    pub steps: Vec<u64>,
    /// Tasks that are left out, by the place of their DAG.
    without: BTreeSet<(usize, String)>,
}

impl Story {
    pub fn new(seed: u64) -> Self {
        Self { seed, steps: (0..STEPS).collect(), without: BTreeSet::new() }
    }

    /// The story of the seed, or the part of it that the environment names (as a failure prints it).
    pub fn from_env() -> Option<Self> {
        let variable = |name: &str| std::env::var(name).ok();
        let mut story = Self::new(variable("SIMULATION_SEED")?.parse().unwrap());
        if let Some(steps) = variable("SIMULATION_STEPS") {
            story.steps =
                steps.split(',').filter(|step| !step.is_empty()).map(|step| step.parse().unwrap()).collect();
        }
        for task in variable("SIMULATION_WITHOUT").iter().flat_map(|tasks| tasks.split(',')) {
            let (dag, task) = task.split_once('.').unwrap();
            story.without.insert((dag.parse().unwrap(), task.to_owned()));
        }
        Some(story)
    }

    /// The random numbers of one step.
    pub const fn chance(&self, step: u64) -> Chance {
        Chance::new(self.seed.wrapping_mul(STEPS + 1).wrapping_add(step))
    }

    /// Takes the tasks out that are left out.
    pub fn trim(&self, dags: &mut [Dag]) {
        for (place, task_id) in &self.without {
            let is_it = |id: &TaskId| id.as_str() == task_id;
            let is_over = |expand: &Expand| expand.xcoms().iter().any(|(id, _)| is_it(id));
            let dag = &mut dags[*place];
            dag.tasks.retain(|task| !is_it(&task.task_id));
            for task in &mut dag.tasks {
                task.upstream.retain(|id| !is_it(id));
                task.expand.retain(|_, expand| !is_over(expand));
                task.expand_kwargs = task.expand_kwargs.take().filter(|expand| !is_over(expand));
            }
            for group in &mut dag.groups {
                group.expand.retain(|_, expand| !is_over(expand));
                group.expand_kwargs = group.expand_kwargs.take().filter(|expand| !is_over(expand));
            }
        }
    }

    /// Makes it shorter for as long as it still fails, trying `tries` stories at most. `tasks` are those of each DAG.
    pub fn shrink(mut self, tasks: &[Vec<String>], tries: usize, fails: impl Fn(&Self) -> bool) -> Self {
        let mut left = tries;
        let mut fails = |story: &Self| {
            let may = left > 0;
            left = left.saturating_sub(1);
            may && fails(story)
        };
        let mut size = self.steps.len().div_ceil(2);
        while size > 0 {
            let mut at = 0;
            while at < self.steps.len() {
                let mut shorter = self.clone();
                shorter.steps.drain(at..(at + size).min(self.steps.len()));
                if fails(&shorter) { self = shorter } else { at += size }
            }
            size /= 2;
        }
        let all = tasks.iter().enumerate().flat_map(|(dag, ids)| ids.iter().map(move |id| (dag, id.clone())));
        for task in all {
            let mut fewer = self.clone();
            fewer.without.insert(task);
            if fails(&fewer) {
                self = fewer;
            }
        }
        self
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIMULATION_SEED={}", self.seed)?;
        if self.steps.len() as u64 != STEPS {
            let steps: Vec<String> = self.steps.iter().map(ToString::to_string).collect();
            write!(f, " SIMULATION_STEPS={}", steps.join(","))?;
        }
        if !self.without.is_empty() {
            let tasks: Vec<String> = self.without.iter().map(|(dag, task)| format!("{dag}.{task}")).collect();
            write!(f, " SIMULATION_WITHOUT={}", tasks.join(","))?;
        }
        Ok(())
    }
}

#[test]
fn a_story_shrinks_to_what_matters() {
    let fails = |story: &Story| {
        story.steps.contains(&17) && story.steps.contains(&90) && !story.without.contains(&(0, "t1".into()))
    };
    let tasks = [vec!["t0".to_owned(), "t1".to_owned()], vec!["t0".to_owned()]];
    let short = Story::new(5).shrink(&tasks, 1_000, fails);
    assert_eq!(short.to_string(), "SIMULATION_SEED=5 SIMULATION_STEPS=17,90 SIMULATION_WITHOUT=0.t0,1.t0");
}

#[test]
fn shrinking_gives_up_in_time() {
    let asked = std::cell::Cell::new(0);
    let fails = |_: &Story| {
        asked.set(asked.get() + 1);
        false
    };
    assert_eq!(Story::new(5).shrink(&[], 10, fails), Story::new(5));
    assert_eq!(asked.get(), 10);
}
