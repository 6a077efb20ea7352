//! Trigger rules: what a task makes of the states its upstreams ended in.
//!
//! Source: Airflow 3.3.2 `ti_deps/deps/trigger_rule_dep.py:361-672`.

use serde::{Deserialize, Serialize};

use crate::state::TaskState;

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

/// How many upstream task instances there are, and how many of them ended in each way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// All of them; a mapped task counts once for each instance.
    pub total: u32,
    /// Succeeded.
    pub success: u32,
    /// Were skipped.
    pub skipped: u32,
    /// Failed.
    pub failed: u32,
    /// Did not run because something before them failed.
    pub upstream_failed: u32,
    /// No longer exist.
    pub removed: u32,
    /// How many of all are setups.
    pub setups: u32,
    /// How many setups succeeded.
    pub setup_success: u32,
    /// How many setups were skipped.
    pub setup_skipped: u32,
}

impl Tally {
    /// Expects `count` more upstream instances, of a setup or not.
    pub const fn expect(&mut self, count: u32, is_setup: bool) {
        self.total += count;
        if is_setup {
            self.setups += count;
        }
    }

    /// Takes back what [`Tally::expect`] counted.
    pub const fn expect_less(&mut self, count: u32, is_setup: bool) {
        self.total = self.total.saturating_sub(count);
        if is_setup {
            self.setups = self.setups.saturating_sub(count);
        }
    }

    /// What two tallies of different instances count together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            total: self.total + other.total,
            success: self.success + other.success,
            skipped: self.skipped + other.skipped,
            failed: self.failed + other.failed,
            upstream_failed: self.upstream_failed + other.upstream_failed,
            removed: self.removed + other.removed,
            setups: self.setups + other.setups,
            setup_success: self.setup_success + other.setup_success,
            setup_skipped: self.setup_skipped + other.setup_skipped,
        }
    }

    /// Everything about one summand that the verdict on a sum can depend on: whether there is any instance of a kind, and whether
    /// all are of some kinds. While this stays the same, the summand changes no verdict.
    pub(crate) const fn looks(&self) -> [bool; 12] {
        let broken = self.failed + self.upstream_failed;
        [
            self.total == 0,
            self.done() >= self.total,
            self.success > 0,
            self.skipped > 0,
            self.failed > 0,
            broken > 0,
            self.success + self.removed >= self.total,
            broken + self.removed >= self.total,
            self.success + self.skipped + self.removed >= self.total,
            self.skipped >= self.total,
            self.setup_success > 0,
            self.setups == 0 || self.setup_skipped >= self.setups,
        ]
    }

    /// Counts one upstream instance that is now in `state`; unfinished states count nowhere.
    pub fn add(&mut self, state: TaskState, is_setup: bool) {
        if let Some(count) = self.slot(state) {
            *count += 1;
        }
        if let Some(count) = self.setup_slot(state).filter(|_| is_setup) {
            *count += 1;
        }
    }

    /// Takes back what [`Tally::add`] counted.
    pub fn remove(&mut self, state: TaskState, is_setup: bool) {
        if let Some(count) = self.slot(state) {
            *count = count.saturating_sub(1);
        }
        if let Some(count) = self.setup_slot(state).filter(|_| is_setup) {
            *count = count.saturating_sub(1);
        }
    }

    /// How many ended.
    #[must_use]
    pub const fn done(&self) -> u32 {
        self.success + self.skipped + self.failed + self.upstream_failed + self.removed
    }

    fn slot(&mut self, state: TaskState) -> Option<&mut u32> {
        match state {
            TaskState::Success => Some(&mut self.success),
            TaskState::Skipped => Some(&mut self.skipped),
            TaskState::Failed => Some(&mut self.failed),
            TaskState::UpstreamFailed => Some(&mut self.upstream_failed),
            TaskState::Removed => Some(&mut self.removed),
            TaskState::None
            | TaskState::Scheduled
            | TaskState::Queued
            | TaskState::Running
            | TaskState::Restarting
            | TaskState::UpForRetry
            | TaskState::UpForReschedule
            | TaskState::Deferred
            | TaskState::AwaitingInput => None,
        }
    }

    fn setup_slot(&mut self, state: TaskState) -> Option<&mut u32> {
        if state == TaskState::Success {
            return Some(&mut self.setup_success);
        }
        (state == TaskState::Skipped).then_some(&mut self.setup_skipped)
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
