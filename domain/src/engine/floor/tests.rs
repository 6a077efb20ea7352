mod share;

use chrono::TimeDelta;

use super::{line::LOOKAHEAD, *};

fn name(text: &str) -> DagId {
    DagId::new(text).unwrap()
}

fn pool(text: &str) -> Gate {
    Gate::Pool(PoolName::new(text).unwrap())
}

fn ti(run: i64, index: u32) -> TiKey {
    TiKey { run: RunKey(run), index }
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
}

fn of_dag(dag: &str, run: i64, index: u32, in_pool: &str, slots: u32) -> Candidate {
    Candidate {
        ti: ti(run, index),
        dag_id: name(dag),
        task_id: TaskId::new("t").unwrap(),
        map_index: -1,
        priority: 1,
        since: at(0),
        ready: at(0),
        expected: None,
        path: 0,
        queue: QueueName::default_queue(),
        gates: vec![(Gate::Dag(name(dag)), 1), (Gate::Run(RunKey(run)), 1), (pool(in_pool), slots)],
    }
}

fn candidate(index: u32, priority: i32, run: i64, in_pool: &str, slots: u32) -> Candidate {
    Candidate { priority, ..of_dag("dag", run, index, in_pool, slots) }
}

fn workers(slots: u32) -> Vec<WorkerRecord> {
    vec![WorkerRecord { id: uuid::Uuid::nil(), queues: vec![QueueName::default_queue()], slots }]
}

fn pools(pools: &[(&str, u32)]) -> Vec<PoolRecord> {
    pools.iter().map(|&(name, slots)| PoolRecord::new(PoolName::new(name).unwrap(), Some(slots))).collect()
}

fn floor(with: &[(&str, u32)]) -> Floor {
    let mut floor = Floor::default();
    floor.set_pools(&pools(with));
    floor.set_workers(&workers(1000));
    floor
}

fn drain(floor: &mut Floor) -> Vec<u32> {
    drain_at(floor, 0)
}

fn drain_at(floor: &mut Floor, seconds: i64) -> Vec<u32> {
    floor.admit(at(seconds)).into_iter().map(|candidate| candidate.ti.index).collect()
}

#[test]
fn priority_first_then_logical_date_then_map_index() {
    let mut floor = floor(&[("p", 100)]);
    for (index, priority) in [(0, 1), (1, 5), (2, 5), (3, -1)] {
        floor.wait(candidate(index, priority, 1, "p", 1));
    }
    floor.wait(Candidate { since: at(-9), ..candidate(4, 5, 0, "p", 1) });
    floor.wait(Candidate { map_index: 7, ..candidate(5, 5, 1, "p", 1) });
    assert_eq!(drain(&mut floor), [4, 1, 2, 5, 0, 3]);
}

#[test]
fn each_policy_gives_its_order() {
    let orders = [
        (Policy::Fifo, [2, 0, 1, 3]),
        (Policy::Priority, [3, 0, 1, 2]),
        (Policy::Shortest, [1, 2, 3, 0]),
        (Policy::Longest, [0, 3, 2, 1]),
        (Policy::FifoShortest, [2, 1, 3, 0]),
        (Policy::CriticalPath, [1, 0, 3, 2]),
    ];
    for (policy, order) in orders {
        let mut floor = floor(&[("p", 100)]);
        floor.set_admission(&AdmissionRecord { policy, ..AdmissionRecord::default() });
        let ready = |index, priority, ready, expected, path| Candidate {
            ready: at(ready),
            expected: Some(expected),
            path,
            ..candidate(index, priority, 1, "p", 1)
        };
        floor.wait(ready(0, 1, 5, 9000, 0));
        floor.wait(ready(1, 1, 5, 1000, 9999));
        floor.wait(ready(2, 0, 2, 2000, 2000));
        floor.wait(ready(3, 8, 5, 3000, 3000));
        assert_eq!(drain(&mut floor), order, "{policy}");
    }
}

#[test]
fn an_unknown_duration_counts_as_the_median_of_the_known() {
    let mut floor = floor(&[("p", 100)]);
    let policy = Policy::Shortest;
    floor.set_admission(&AdmissionRecord { policy, ..AdmissionRecord::default() });
    for (task, seconds) in [("a", 1), ("b", 10), ("c", 100)] {
        floor.durations.learn(&name("dag"), &TaskId::new(task).unwrap(), at(0), at(seconds));
    }
    for (index, task) in [(0, "c"), (1, "unknown"), (2, "a")] {
        floor.wait(Candidate { task_id: TaskId::new(task).unwrap(), ..candidate(index, 1, 1, "p", 1) });
    }
    assert_eq!(drain(&mut floor), [2, 1, 0]);
}

#[test]
fn a_pool_has_a_policy_of_its_own() {
    let mut floor = floor(&[("p", 1), ("q", 1)]);
    let mut own = pools(&[("p", 1), ("q", 1)]);
    own[0].policy = Some(Policy::Longest);
    for (index, in_pool) in [(0, "p"), (1, "p"), (2, "q"), (3, "q")] {
        let expected = Some(u64::from(index) * 1000);
        floor.wait(Candidate { expected, ..candidate(index, 1, 1, in_pool, 1) });
    }
    floor.set_pools(&own);
    assert_eq!(drain(&mut floor), [1, 2]);
}

#[test]
fn a_pool_is_never_oversubscribed_and_a_big_task_does_not_block_small_ones() {
    let mut floor = floor(&[("p", 3)]);
    floor.wait(candidate(0, 1, 1, "p", 2));
    floor.wait(candidate(1, 1, 1, "p", 2));
    floor.wait(candidate(2, 1, 1, "p", 1));
    assert_eq!(drain(&mut floor), [0, 2]);
    floor.remove(ti(1, 2));
    assert_eq!(drain(&mut floor), Vec::<u32>::new());
    floor.remove(ti(1, 0));
    assert_eq!(drain(&mut floor), [1]);
}

#[test]
fn room_is_kept_for_a_big_task_that_was_passed_over_too_often() {
    let mut floor = floor(&[("p", 3)]);
    floor.set_admission(&AdmissionRecord { passed_over: 4, ..AdmissionRecord::default() });
    for index in 0..3 {
        floor.wait(candidate(index, 1, 1, "p", 1));
    }
    assert_eq!(drain(&mut floor).len(), 3);
    floor.wait(candidate(100, 9, 1, "p", 3));
    let mut passed = 0;
    for index in 3.. {
        floor.wait(candidate(index, 1, 1, "p", 1));
        let oldest = *floor.holding.keys().min().unwrap();
        floor.remove(oldest);
        let through = drain(&mut floor);
        if through == [100] {
            break;
        }
        passed += through.len();
        assert!(passed <= 4, "{through:?}");
    }
    assert_eq!(passed, 4);
    floor.remove(ti(1, 100));
    assert_eq!(drain(&mut floor).len(), 3);
}

#[test]
fn room_is_kept_after_a_time_and_given_up_when_it_is_in_vain() {
    let mut floor = floor(&[("p", 2), ("q", 9)]);
    floor.wait(candidate(0, 1, 1, "p", 1));
    floor.wait(Candidate { gates: of_dag("big", 2, 1, "p", 2).gates, ..candidate(1, 0, 2, "p", 2) });
    assert_eq!(drain(&mut floor), [0]);
    assert_eq!(drain_at(&mut floor, 300), Vec::<u32>::new());
    floor.wait(candidate(2, 9, 1, "p", 1));
    assert_eq!(drain_at(&mut floor, 301), Vec::<u32>::new());
    let why = floor.why(ti(1, 2)).unwrap();
    let p = PoolName::new("p").unwrap();
    assert_eq!(why[0], Hindrance::PoolReserved { pool: p, free: 1, by: ti(2, 1) });
    floor.pause(&name("big"), true);
    assert_eq!(drain_at(&mut floor, 302), [2]);
    floor.pause(&name("big"), false);
    floor.remove(ti(1, 0));
    floor.wait(candidate(3, 9, 1, "p", 1));
    assert_eq!(drain_at(&mut floor, 303), Vec::<u32>::new());
    floor.remove(ti(1, 2));
    assert_eq!(drain_at(&mut floor, 304), [1]);
}

#[test]
fn a_task_bigger_than_its_pool_is_said_to_be_and_keeps_nobody_waiting() {
    let mut floor = floor(&[("p", 2)]);
    floor.wait(candidate(0, 9, 1, "p", 3));
    floor.wait(candidate(1, 1, 1, "p", 1));
    assert_eq!(drain_at(&mut floor, 9999), [1]);
    floor.wait(candidate(2, 1, 1, "p", 1));
    assert_eq!(drain_at(&mut floor, 99_999), [2]);
    let too_big = Hindrance::TooBigForPool { pool: PoolName::new("p").unwrap(), slots: 2, wanted: 3 };
    assert_eq!(floor.why(ti(1, 0)).unwrap()[0], too_big);
    floor.set_pools(&pools(&[("p", 5)]));
    assert_eq!(drain_at(&mut floor, 99_999), [0]);
}

#[test]
fn a_pool_that_shrinks_lets_nobody_in_until_there_is_room() {
    let mut floor = floor(&[("p", 4)]);
    (0..6).for_each(|index| floor.wait(candidate(index, 1, 1, "p", 1)));
    assert_eq!(drain(&mut floor), [0, 1, 2, 3]);
    floor.set_pools(&pools(&[("p", 2)]));
    for index in [0, 1] {
        floor.remove(ti(1, index));
        assert_eq!(drain(&mut floor), Vec::<u32>::new());
    }
    floor.remove(ti(1, 2));
    assert_eq!(drain(&mut floor), [4]);
}

#[test]
fn deferred_instances_count_in_pools_that_say_so_and_at_their_task() {
    let mut floor = floor(&[("p", 1)]);
    let task = Gate::Task(name("dag"), TaskId::new("t").unwrap());
    let mut limited = candidate(0, 1, 1, "p", 1);
    limited.gates.insert(2, (task.clone(), 1));
    floor.limit(task.clone(), 1);
    floor.wait(limited.clone());
    assert_eq!(drain(&mut floor), [0]);
    floor.sleep(limited.clone(), Sleep::Deferred);
    floor.wait(candidate(1, 1, 1, "p", 1));
    assert_eq!(drain(&mut floor), [1], "the pool does not count it");
    assert_eq!(floor.used(&task), 1, "its task does");
    floor.remove(ti(1, 1));
    let mut counting = pools(&[("p", 1)]);
    counting[0].include_deferred = true;
    floor.set_pools(&counting);
    floor.wait(candidate(2, 1, 1, "p", 1));
    assert_eq!(drain(&mut floor), Vec::<u32>::new());
    floor.sleep(limited.clone(), Sleep::AwaitingInput);
    assert_eq!(drain(&mut floor), [2], "who waits for a person takes no slot");
    floor.wait(limited);
    floor.remove(ti(1, 2));
    assert_eq!(drain(&mut floor), [0], "it was not in its own way");
}

#[test]
fn room_at_a_run_goes_to_whoever_can_use_it() {
    let mut floor = floor(&[("full", 0), ("p", 9)]);
    floor.limit(Gate::Run(RunKey(1)), 1);
    floor.wait(candidate(0, 9, 1, "p", 1));
    floor.wait(candidate(1, 8, 1, "full", 1));
    floor.wait(candidate(2, 7, 1, "p", 1));
    assert_eq!(drain(&mut floor), [0]);
    floor.remove(ti(1, 0));
    assert_eq!(drain(&mut floor), [2]);
}

#[test]
fn room_is_not_left_to_one_whose_queue_has_no_worker() {
    let mut floor = floor(&[("p", 1)]);
    let nobody = QueueName::new("nobody").unwrap();
    floor.wait(candidate(0, 1, 1, "p", 1));
    assert_eq!(drain(&mut floor), [0]);
    floor.wait(Candidate { queue: nobody.clone(), ..candidate(1, 9, 1, "p", 1) });
    floor.wait(candidate(2, 1, 1, "p", 1));
    floor.remove(ti(1, 0));
    assert_eq!(drain(&mut floor), [2]);
    assert!(floor.why(ti(1, 1)).unwrap().contains(&Hindrance::NoWorker(nobody)));
}

#[test]
fn a_paused_dag_waits_and_goes_on() {
    let mut floor = floor(&[("p", 9)]);
    floor.pause(&name("dag"), true);
    floor.wait(candidate(0, 1, 1, "p", 1));
    assert_eq!(drain(&mut floor), Vec::<u32>::new());
    assert_eq!(floor.why(ti(1, 0)).unwrap()[0], Hindrance::DagPaused(name("dag")));
    floor.pause(&name("dag"), false);
    assert_eq!(drain(&mut floor), [0]);
    assert_eq!(floor.why(ti(1, 0)), None);
}

#[test]
fn no_worker_no_release_and_only_a_little_more_than_the_slots() {
    let mut floor = floor(&[("p", 10_000)]);
    floor.set_workers(&[]);
    (0..500).for_each(|index| floor.wait(candidate(index, 1, 1, "p", 1)));
    assert_eq!(drain(&mut floor), Vec::<u32>::new());
    floor.set_workers(&workers(8));
    assert_eq!(drain(&mut floor).len(), 8 + LOOKAHEAD as usize);
    let queue = QueueName::default_queue();
    let full = Hindrance::QueueFull { queue, in_flight: 8 + LOOKAHEAD, capacity: 8 + LOOKAHEAD };
    assert_eq!(floor.why(ti(1, 499)).unwrap()[0], full);
}

#[test]
fn nothing_is_released_ahead_of_the_slots_where_tasks_are_long() {
    for (millis, released) in [(10_000, 8), (1000, 10), (250, 16), (1, 8 + LOOKAHEAD as usize)] {
        let mut floor = floor(&[("p", 10_000)]);
        floor.set_workers(&workers(8));
        for index in 0..500 {
            floor.wait(Candidate { expected: Some(millis), ..candidate(index, 1, 1, "p", 1) });
        }
        assert_eq!(drain(&mut floor).len(), released, "{millis} ms");
    }
}

#[test]
fn what_is_removed_while_parked_never_comes_back() {
    let mut floor = floor(&[("p", 1)]);
    floor.wait(candidate(0, 1, 1, "p", 1));
    floor.wait(candidate(1, 1, 1, "p", 1));
    assert_eq!(drain(&mut floor), [0]);
    floor.remove(ti(1, 1));
    floor.remove(ti(1, 0));
    assert_eq!(drain(&mut floor), Vec::<u32>::new());
    assert!(floor.waiting.is_empty() && floor.holding.is_empty());
}

#[test]
fn a_priority_that_is_raised_acts_on_what_waits() {
    let mut floor = floor(&[("p", 1)]);
    (0..4).for_each(|index| floor.wait(candidate(index, 1, 1, "p", 1)));
    assert_eq!(drain(&mut floor), [0]);
    let place = |floor: &Floor, index| floor.why(ti(1, index)).unwrap().pop();
    let third = Hindrance::InLine { at: Some(pool("p")), place: 3, of: 3 };
    assert_eq!(place(&floor, 3), Some(third));
    assert!(floor.reprioritize(ti(1, 3), 5));
    assert!(!floor.reprioritize(ti(9, 9), 5));
    assert_eq!(place(&floor, 3), Some(Hindrance::InLine { at: Some(pool("p")), place: 1, of: 3 }));
    floor.remove(ti(1, 0));
    assert_eq!(drain(&mut floor), [3]);
}

#[test]
fn why_names_the_holders_and_the_place_in_the_order_of_the_gates() {
    let mut floor = floor(&[("p", 1)]);
    floor.limit(Gate::Run(RunKey(1)), 1);
    floor.wait(candidate(0, 1, 1, "p", 1));
    floor.wait(candidate(1, 1, 1, "p", 1));
    assert_eq!(drain(&mut floor), [0]);
    let (pool, holders) = (PoolName::new("p").unwrap(), vec![ti(1, 0)]);
    let expected = [
        Hindrance::RunLimit { run: RunKey(1), used: 1, limit: 1, holders: holders.clone() },
        Hindrance::PoolFull { pool, used: 1, slots: 1, wanted: 1, holders },
        Hindrance::InLine { at: Some(Gate::Run(RunKey(1))), place: 1, of: 1 },
    ];
    assert_eq!(floor.why(ti(1, 1)).unwrap(), expected);
}

#[test]
fn whoever_waited_too_long_gets_every_fourth_place() {
    let mut floor = floor(&[("p", 1)]);
    floor.wait(candidate(0, -100, 1, "p", 1));
    let start = 2000;
    for index in 1..10 {
        floor.wait(Candidate { ready: at(start), ..candidate(index, 9, 1, "p", 1) });
    }
    let mut before = 0;
    loop {
        let through = drain_at(&mut floor, start);
        if through == [0] {
            break;
        }
        before += 1;
        assert!(before <= 4);
        floor.remove(ti(1, through[0]));
    }
}

#[test]
fn the_name_of_a_policy_is_read_and_a_misspelt_one_explained() {
    for policy in Policy::ALL {
        assert_eq!(policy.name().parse(), Ok(policy));
        assert_eq!(serde_json::to_value(policy).unwrap(), policy.name());
    }
    let error = "shortes".parse::<Policy>().unwrap_err().to_string();
    assert!(error.contains("did you mean `shortest`?"), "{error}");
}

#[test]
fn ten_thousand_that_wait_are_let_through_in_time_that_grows_with_their_number() {
    // By turns, and the best of several; in processor time, because the machine may have other work.
    let pairs: Vec<_> = (0..9).map(|_| (time_to_admit(1_000), time_to_admit(10_000))).collect();
    let few = pairs.iter().map(|(few, _)| *few).min().unwrap();
    let many = pairs.iter().map(|(_, many)| *many).min().unwrap();
    assert!(many < few * 40, "ten times as many took {many:?} instead of {few:?}");
}

fn time_to_admit(waiting: u32) -> std::time::Duration {
    let mut floor = floor(&[("p", 100_000)]);
    floor.set_workers(&workers(100_000));
    for index in 0..waiting {
        let run = i64::from(index % 100);
        floor.wait(of_dag(&format!("dag{run}"), run, index, "p", 1));
    }
    let start = processor_time();
    assert_eq!(floor.admit(at(0)).len(), waiting as usize);
    processor_time() - start
}

fn processor_time() -> std::time::Duration {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}
