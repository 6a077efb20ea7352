//! Trigger rules: what a task makes of the states its upstreams ended in.
//!
//! Source: Airflow 3.3.2 `ti_deps/deps/trigger_rule_dep.py:361-672`.

mod tally;

use serde::{Deserialize, Serialize};

pub use tally::Tally;

/// When a task may run, judged by its direct upstreams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TriggerRule {
    /// All succeeded.
    #[default]
    AllSuccess,
    /// All failed.
    AllFailed,
    /// All ended, in whatever way.
    AllDone,
    /// One succeeded; does not wait for the others.
    OneSuccess,
    /// One failed; does not wait for the others.
    OneFailed,
    /// One succeeded or failed; does not wait for the others.
    OneDone,
    /// None failed: all succeeded or were skipped.
    NoneFailed,
    /// None failed and at least one succeeded.
    NoneFailedMinOneSuccess,
    /// All ended and none was skipped.
    NoneSkipped,
    /// All were skipped.
    AllSkipped,
    /// All ended, none was skipped and at least one succeeded.
    AllDoneMinOneSuccess,
    /// All ended and, when setups are among them, at least one of those succeeded: the usual rule of a teardown.
    AllDoneSetupSuccess,
    /// At once, whatever the upstreams do.
    Always,
}

impl TriggerRule {
    /// Every rule, in the order of the documentation.
    pub const ALL: &'static [Self] = &[
        Self::AllSuccess,
        Self::AllFailed,
        Self::AllDone,
        Self::OneSuccess,
        Self::OneFailed,
        Self::OneDone,
        Self::NoneFailed,
        Self::NoneFailedMinOneSuccess,
        Self::NoneSkipped,
        Self::AllSkipped,
        Self::AllDoneMinOneSuccess,
        Self::AllDoneSetupSuccess,
        Self::Always,
    ];

    /// The name written in DAG files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AllSuccess => "all_success",
            Self::AllFailed => "all_failed",
            Self::AllDone => "all_done",
            Self::OneSuccess => "one_success",
            Self::OneFailed => "one_failed",
            Self::OneDone => "one_done",
            Self::NoneFailed => "none_failed",
            Self::NoneFailedMinOneSuccess => "none_failed_min_one_success",
            Self::NoneSkipped => "none_skipped",
            Self::AllSkipped => "all_skipped",
            Self::AllDoneMinOneSuccess => "all_done_min_one_success",
            Self::AllDoneSetupSuccess => "all_done_setup_success",
            Self::Always => "always",
        }
    }
}

/// What a rule says of a task that has not started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Its dependencies are met.
    Run,
    /// Too early to tell.
    Wait,
    /// It will never run: set it to skipped.
    Skip,
    /// It will never run: set it to `upstream_failed`.
    UpstreamFailed,
}

/// Applies `rule` to the upstreams' tally. A task without upstreams always runs.
#[must_use]
pub const fn judge(rule: TriggerRule, up: &Tally) -> Verdict {
    if up.total == 0 {
        return Verdict::Run;
    }
    let done = up.done() >= up.total;
    let broken = up.failed + up.upstream_failed;
    match rule {
        TriggerRule::AllSuccess if broken > 0 => Verdict::UpstreamFailed,
        TriggerRule::AllSuccess | TriggerRule::NoneSkipped | TriggerRule::AllDoneMinOneSuccess
            if up.skipped > 0 =>
        {
            Verdict::Skip
        }
        TriggerRule::AllSuccess => run_if(up.success + up.removed >= up.total),
        TriggerRule::AllFailed if up.success + up.skipped > 0 => Verdict::Skip,
        TriggerRule::AllFailed => run_if(broken + up.removed >= up.total),
        TriggerRule::AllDone => run_if(done),
        TriggerRule::OneSuccess if up.success > 0 => Verdict::Run,
        TriggerRule::OneSuccess if done && up.done() == up.skipped => Verdict::Skip,
        TriggerRule::OneSuccess => upstream_failed_if(done),
        TriggerRule::OneFailed if broken > 0 => Verdict::Run,
        TriggerRule::OneDone if up.success + up.failed > 0 => Verdict::Run,
        TriggerRule::OneFailed | TriggerRule::OneDone => skip_if(done),
        TriggerRule::NoneFailed | TriggerRule::NoneFailedMinOneSuccess if broken > 0 => {
            Verdict::UpstreamFailed
        }
        TriggerRule::NoneFailed => run_if(up.success + up.skipped + up.removed >= up.total),
        TriggerRule::NoneFailedMinOneSuccess if up.skipped >= up.total => Verdict::Skip,
        TriggerRule::NoneFailedMinOneSuccess if done && up.success == 0 => Verdict::UpstreamFailed,
        TriggerRule::NoneFailedMinOneSuccess => run_if(up.success > 0 && done),
        TriggerRule::NoneSkipped => run_if(done),
        TriggerRule::AllSkipped if up.success + broken > 0 => Verdict::Skip,
        TriggerRule::AllSkipped => run_if(up.skipped >= up.total),
        TriggerRule::AllDoneMinOneSuccess if done && up.success == 0 => Verdict::UpstreamFailed,
        TriggerRule::AllDoneMinOneSuccess => run_if(done && up.success > 0),
        TriggerRule::AllDoneSetupSuccess if done && up.setups > 0 && up.setup_skipped >= up.setups => {
            Verdict::Skip
        }
        TriggerRule::AllDoneSetupSuccess if done && up.setups > 0 && up.setup_success == 0 => {
            Verdict::UpstreamFailed
        }
        TriggerRule::AllDoneSetupSuccess => run_if(done),
        TriggerRule::Always => Verdict::Run,
    }
}

/// What a task makes of everything it waits for within its run.
///
/// `setups` counts the instances of the setups that it is within the scope of without waiting for them directly: one that failed or
/// was skipped has the task follow, and the task waits until all succeeded (:272). An instance that no longer exists is waited for by
/// nobody; there Airflow's run would never go on. `scope_left` is the number of unfinished instances between a teardown and its
/// setups: it waits for all of them once its rule passes (:674). Neither concerns a task without upstreams or with the rule `always`.
#[must_use]
pub const fn judge_all(rule: TriggerRule, up: &Tally, setups: &Tally, scope_left: u32) -> Verdict {
    if up.total == 0 || matches!(rule, TriggerRule::Always) {
        return Verdict::Run;
    }
    if setups.failed + setups.upstream_failed > 0 {
        return Verdict::UpstreamFailed;
    }
    if setups.skipped > 0 {
        return Verdict::Skip;
    }
    let met = setups.success + setups.removed >= setups.total && scope_left == 0;
    match judge(rule, up) {
        Verdict::Run => run_if(met),
        Verdict::Wait => Verdict::Wait,
        Verdict::Skip => Verdict::Skip,
        Verdict::UpstreamFailed => Verdict::UpstreamFailed,
    }
}

/// Whether an instance of a mapped task has lost its counterpart: upstream instances were removed, and there are no more successful
/// ones than its index. Airflow decides this as soon as one upstream succeeded; here all must have, so that the order of ends does
/// not matter. Source: `trigger_rule_dep.py`, `all_success`.
#[must_use]
pub fn is_without_counterpart(rule: TriggerRule, up: &Tally, map_index: i32) -> bool {
    rule == TriggerRule::AllSuccess
        && up.removed > 0
        && up.success > 0
        && u32::try_from(map_index).is_ok_and(|index| index >= up.success)
}

const fn run_if(met: bool) -> Verdict {
    if met { Verdict::Run } else { Verdict::Wait }
}

const fn skip_if(met: bool) -> Verdict {
    if met { Verdict::Skip } else { Verdict::Wait }
}

const fn upstream_failed_if(met: bool) -> Verdict {
    if met { Verdict::UpstreamFailed } else { Verdict::Wait }
}

#[cfg(test)]
mod tests {
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
        let lost: Vec<i32> =
            (-1..4).filter(|index| is_without_counterpart(AllSuccess, &up, *index)).collect();
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
}
