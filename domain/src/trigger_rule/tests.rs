//! Every rule at its borders.

use super::*;
use crate::state::TaskState;
use TriggerRule::*;

const fn tally(total: u32, success: u32, skipped: u32, failed: u32, upstream_failed: u32) -> Tally {
    Tally {
        total,
        success,
        skipped,
        failed,
        upstream_failed,
        removed: 0,
        setups: 0,
        setup_success: 0,
        setup_skipped: 0,
    }
}

fn with_setups(states: &[TaskState], pending: u32) -> Tally {
    let mut up = Tally::default();
    up.expect(pending, false);
    for state in states {
        up.expect(1, true);
        up.add(*state, true);
    }
    up
}

#[test]
fn a_teardown_runs_once_all_ended_and_a_setup_succeeded() {
    use TaskState::{Failed, Running, Skipped, Success, UpstreamFailed};
    let table = [
        (with_setups(&[Success], 1), Verdict::Wait),
        (with_setups(&[Running], 0), Verdict::Wait),
        (with_setups(&[Success, Failed], 0), Verdict::Run),
        (with_setups(&[Skipped, Success], 0), Verdict::Run),
        (with_setups(&[Skipped, Skipped], 0), Verdict::Skip),
        (with_setups(&[Skipped, Failed], 0), Verdict::UpstreamFailed),
        (with_setups(&[UpstreamFailed], 0), Verdict::UpstreamFailed),
        (tally(2, 0, 0, 2, 0), Verdict::Run),
        (tally(2, 0, 2, 0, 0), Verdict::Run),
    ];
    for (up, verdict) in table {
        assert_eq!(judge(AllDoneSetupSuccess, &up), verdict, "{up:?}");
    }
}

#[test]
fn what_is_counted_can_be_taken_back() {
    for state in TaskState::ALL {
        let mut up = with_setups(&[], 3);
        let before = up;
        up.add(*state, true);
        up.remove(*state, true);
        assert_eq!(up, before, "{state}");
    }
}

#[test]
fn setups_around_a_task_decide_before_its_rule() {
    let up = tally(1, 1, 0, 0, 0);
    let none = Tally::default();
    let cases = [
        (none, 0, Verdict::Run),
        (none, 1, Verdict::Wait),
        (tally(2, 1, 0, 0, 0), 0, Verdict::Wait),
        (tally(2, 2, 0, 0, 0), 0, Verdict::Run),
        (tally(2, 1, 1, 0, 0), 0, Verdict::Skip),
        (tally(2, 0, 1, 1, 0), 0, Verdict::UpstreamFailed),
        (tally(2, 0, 1, 0, 1), 0, Verdict::UpstreamFailed),
    ];
    for (setups, left, verdict) in cases {
        assert_eq!(judge_all(AllDone, &up, &setups, left), verdict, "{setups:?} {left}");
    }
    let broken = tally(1, 0, 0, 1, 0);
    assert_eq!(judge_all(Always, &up, &broken, 1), Verdict::Run);
    assert_eq!(judge_all(AllDone, &none, &broken, 1), Verdict::Run);
    assert_eq!(judge_all(AllSuccess, &broken, &tally(1, 0, 0, 0, 0), 1), Verdict::UpstreamFailed);
}

#[test]
fn removed_upstreams_are_not_waited_for_except_by_the_rule_that_wants_skips() {
    for rule in TriggerRule::ALL {
        let up = Tally { removed: 1, ..tally(2, 0, 1, 0, 0) };
        let waits = judge(*rule, &up) == Verdict::Wait;
        assert_eq!(waits, *rule == AllSkipped, "{rule:?}");
    }
}

#[test]
fn an_instance_without_counterpart_is_removed() {
    let up = Tally { removed: 1, ..tally(3, 2, 0, 0, 0) };
    let lost: Vec<i32> = (-1..4).filter(|index| is_without_counterpart(AllSuccess, &up, *index)).collect();
    assert_eq!(lost, [2, 3]);
    assert!(!is_without_counterpart(AllDone, &up, 3));
    assert!(!is_without_counterpart(AllSuccess, &tally(2, 2, 0, 0, 0), 3));
}

#[test]
fn no_upstream_always_runs() {
    for rule in TriggerRule::ALL {
        assert_eq!(judge(*rule, &Tally::default()), Verdict::Run, "{rule:?}");
    }
}

#[test]
fn each_rule_at_its_borders() {
    let table = [
        (AllSuccess, tally(2, 1, 0, 0, 0), Verdict::Wait),
        (AllSuccess, tally(2, 2, 0, 0, 0), Verdict::Run),
        (AllSuccess, tally(2, 0, 0, 1, 0), Verdict::UpstreamFailed),
        (AllSuccess, tally(2, 0, 1, 0, 0), Verdict::Skip),
        (AllDone, tally(2, 0, 0, 1, 0), Verdict::Wait),
        (AllDone, tally(2, 0, 1, 1, 0), Verdict::Run),
        (OneFailed, tally(3, 2, 0, 0, 0), Verdict::Wait),
        (OneFailed, tally(3, 0, 0, 0, 1), Verdict::Run),
        (OneFailed, tally(2, 1, 1, 0, 0), Verdict::Skip),
        (NoneFailed, tally(2, 1, 1, 0, 0), Verdict::Run),
        (NoneFailed, tally(2, 0, 1, 0, 0), Verdict::Wait),
        (NoneFailed, tally(2, 0, 0, 1, 0), Verdict::UpstreamFailed),
        (AllFailed, tally(2, 1, 0, 0, 0), Verdict::Skip),
        (AllFailed, tally(2, 0, 0, 1, 1), Verdict::Run),
        (OneSuccess, tally(3, 1, 0, 0, 0), Verdict::Run),
        (OneSuccess, tally(2, 0, 2, 0, 0), Verdict::Skip),
        (OneSuccess, tally(2, 0, 1, 1, 0), Verdict::UpstreamFailed),
        (OneDone, tally(2, 0, 0, 1, 0), Verdict::Run),
        (OneDone, tally(2, 0, 2, 0, 0), Verdict::Skip),
        (NoneFailedMinOneSuccess, tally(2, 1, 0, 0, 0), Verdict::Wait),
        (NoneFailedMinOneSuccess, tally(2, 1, 1, 0, 0), Verdict::Run),
        (NoneFailedMinOneSuccess, tally(2, 0, 2, 0, 0), Verdict::Skip),
        (NoneSkipped, tally(2, 1, 0, 1, 0), Verdict::Run),
        (NoneSkipped, tally(2, 0, 1, 0, 0), Verdict::Skip),
        (AllSkipped, tally(2, 0, 2, 0, 0), Verdict::Run),
        (AllSkipped, tally(2, 1, 0, 0, 0), Verdict::Skip),
        (AllDoneMinOneSuccess, tally(2, 1, 0, 1, 0), Verdict::Run),
        (AllDoneMinOneSuccess, tally(2, 0, 0, 2, 0), Verdict::UpstreamFailed),
        (Always, tally(2, 0, 0, 0, 0), Verdict::Run),
    ];
    for (rule, up, verdict) in table {
        assert_eq!(judge(rule, &up), verdict, "{rule:?} {up:?}");
    }
}

#[test]
fn once_everything_ended_no_rule_waits() {
    for total in 1..5 {
        for success in 0..=total {
            for skipped in 0..=total - success {
                for failed in 0..=total - success - skipped {
                    let up = tally(total, success, skipped, failed, total - success - skipped - failed);
                    for rule in TriggerRule::ALL {
                        assert_ne!(judge(*rule, &up), Verdict::Wait, "{rule:?} {up:?}");
                    }
                }
            }
        }
    }
}
