//! Many simulated worlds on all cores.
//!
//! `SOAK_SEEDS=N` sets how many are tried, and `SOAK_FROM=S` from which seed on. A story that failed is made short, printed, and
//! tried again with what was printed in the environment: `SIMULATION_SEED=S`, and `SIMULATION_STEPS` and `SIMULATION_WITHOUT`
//! for a part of it.

use std::{
    any::Any,
    ops::Range,
    panic::{self, AssertUnwindSafe},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use crate::{
    simulation::{live, task_ids},
    story::Story,
};

/// How many worlds are tried unless `SOAK_SEEDS` says otherwise.
const SEEDS: u64 = 10_000;

/// How many shorter stories are tried of one that failed.
const SHORTER: usize = 2_000;

#[test]
fn whatever_goes_wrong_every_run_ends_and_every_effect_happens_once() {
    if let Some(story) = Story::from_env() {
        live(&story, true);
        return;
    }
    let number = |name, otherwise| std::env::var(name).map_or(otherwise, |number| number.parse().unwrap());
    let (from, seeds) = (number("SOAK_FROM", 0), number("SOAK_SEEDS", SEEDS));
    let began = Instant::now();
    let failed = first_failure(from..from + seeds);
    let took = began.elapsed().as_secs_f64();
    if let Some((seed, what)) = failed {
        panic::set_hook(Box::new(|_| {}));
        let long = Story::new(seed);
        let tasks = task_ids(&long);
        let short = long.shrink(&tasks, SHORTER, |story| panic::catch_unwind(|| live(story, true)).is_err());
        let again = panic::catch_unwind(|| drop(live(&short, true))).err().map(|panic| words(panic.as_ref()));
        drop(panic::take_hook());
        panic!("SIMULATION_SEED={seed}: {what}\n\nin short, {short}: {}", again.unwrap_or_default());
    }
    println!("{seeds} worlds in {took:.1} s: {:.0} a second", seeds as f64 / took);
}

#[test]
fn in_a_world_without_faults_no_try_is_given_up() {
    for seed in 0..300 {
        let world = live(&Story::new(seed), false);
        assert!(world.records.tis.values().all(|ti| ti.lost == 0), "seed {seed}");
    }
}

// The smallest seed that was found to fail, and what it said.
fn first_failure(seeds: Range<u64>) -> Option<(u64, String)> {
    let (next, failed) = (AtomicU64::new(seeds.start), Mutex::new(None));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || failed.lock().unwrap().is_some() {
                return;
            }
            let story = Story::new(seed);
            if let Err(panic) = panic::catch_unwind(AssertUnwindSafe(|| drop(live(&story, true)))) {
                failed.lock().unwrap().get_or_insert((seed, words(panic.as_ref())));
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(work))));
    failed.into_inner().unwrap()
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
