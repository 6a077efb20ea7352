//! Fair share.

use std::collections::{BTreeMap, VecDeque};

use super::*;

// A hundred DAGs want ten slots each; one more comes along with a single task, and little weight, at any time.
#[test]
fn a_single_task_starts_at_the_next_free_slot_behind_a_backlog() {
    for served in (0..990).step_by(37) {
        let mut floor = floor(&[("p", 8)]);
        for dag in 0..100 {
            for index in 0..10 {
                let backlog = of_dag(&format!("dag{dag}"), dag, index, "p", 1);
                floor.wait(Candidate { priority: 50, ..backlog });
            }
        }
        let mut running: VecDeque<TiKey> = floor.admit(at(0)).iter().map(|c| c.ti).collect();
        for second in 0..served {
            floor.remove(running.pop_front().unwrap());
            running.extend(floor.admit(at(second)).iter().map(|c| c.ti));
        }
        floor.wait(Candidate { ready: at(served), ..of_dag("cron", 1000, 0, "p", 1) });
        assert!(floor.admit(at(served)).is_empty() || served >= 992);
        floor.remove(running.pop_front().unwrap());
        assert_eq!(floor.admit(at(served))[0].ti, ti(1000, 0), "after {served}");
    }
}

#[test]
fn the_same_holds_where_the_workers_are_what_is_short() {
    let mut floor = floor(&[("p", 10_000)]);
    floor.set_workers(&workers(4));
    for dag in 0..100 {
        for index in 0..10 {
            let backlog = of_dag(&format!("dag{dag}"), dag, index, "p", 1);
            floor.wait(Candidate { priority: 50, expected: Some(60_000), ..backlog });
        }
    }
    let running = floor.admit(at(0));
    assert_eq!(running.len(), 4);
    floor.wait(Candidate { ready: at(1), ..of_dag("cron", 1000, 0, "p", 1) });
    assert!(floor.admit(at(1)).is_empty());
    floor.remove(running[0].ti);
    assert_eq!(floor.admit(at(2))[0].ti, ti(1000, 0));
}

#[test]
fn in_the_long_run_slots_follow_the_shares_also_of_teams() {
    let mut floor = floor(&[("p", 5)]);
    let team: std::sync::Arc<str> = "data".into();
    floor.set_admission(&AdmissionRecord {
        shares: [(Account::Dag(name("a")), 3), (Account::Team(team.clone()), 2)].into(),
        teams: [(name("c"), team.clone()), (name("d"), team)].into(),
        ..AdmissionRecord::default()
    });
    for (run, dag) in [(1, "a"), (2, "b"), (3, "c"), (4, "d")] {
        (0..2000).for_each(|index| floor.wait(of_dag(dag, run, index, "p", 1)));
    }
    let mut given: BTreeMap<i64, u32> = BTreeMap::new();
    let mut running: VecDeque<TiKey> = VecDeque::new();
    for _ in 0..1200 {
        running.extend(floor.admit(at(0)).iter().map(|c| c.ti));
        let done = running.pop_front().unwrap();
        *given.entry(done.run.0).or_default() += 1;
        floor.remove(done);
    }
    let team = given.get(&3).unwrap_or(&0) + given.get(&4).unwrap_or(&0);
    assert!(
        given[&1].abs_diff(600) <= 10 && given[&2].abs_diff(200) <= 10 && team.abs_diff(400) <= 10,
        "{given:?}"
    );
}

#[test]
fn among_dags_that_want_one_task_each_priority_decides() {
    let mut floor = floor(&[("p", 1)]);
    floor.wait(of_dag("first", 0, 0, "p", 1));
    assert_eq!(drain(&mut floor), [0]);
    for (index, priority) in [(1, 2), (2, 9), (3, 5)] {
        let alone = of_dag(&format!("dag{index}"), i64::from(index), index, "p", 1);
        floor.wait(Candidate { priority, ..alone });
    }
    floor.remove(ti(0, 0));
    assert_eq!(drain(&mut floor), [2]);
}

#[test]
fn without_fair_share_priority_decides_between_dags_as_in_airflow() {
    let mut floor = floor(&[("p", 100)]);
    floor.set_admission(&AdmissionRecord { fair_share: false, ..AdmissionRecord::default() });
    for (index, dag, priority) in [(0, "a", 1), (1, "a", 5), (2, "b", 3), (3, "b", 7)] {
        floor.wait(Candidate { priority, ..of_dag(dag, 1, index, "p", 1) });
    }
    assert_eq!(drain(&mut floor), [3, 1, 2, 0]);
}
