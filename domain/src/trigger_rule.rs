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

    /// When a task may run by this rule, in words that follow "it runs once".
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::AllSuccess => "all tasks before it have succeeded",
            Self::AllFailed => "all tasks before it have failed",
            Self::AllDone => "all tasks before it have ended, in whatever way",
            Self::OneSuccess => "one task before it has succeeded",
            Self::OneFailed => "one task before it has failed",
            Self::OneDone => "one task before it has succeeded or failed",
            Self::NoneFailed => "all tasks before it have succeeded or been skipped",
            Self::NoneFailedMinOneSuccess => {
                "all tasks before it have succeeded or been skipped, and at least one has succeeded"
            }
            Self::NoneSkipped => "all tasks before it have ended and none was skipped",
            Self::AllSkipped => "all tasks before it were skipped",
            Self::AllDoneMinOneSuccess => {
                "all tasks before it have ended, none was skipped and at least one has succeeded"
            }
            Self::AllDoneSetupSuccess => {
                "all tasks before it have ended and, of the setups among them, one has succeeded"
            }
            Self::Always => "the run has started, whatever the tasks before it do",
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
    let open = open(rule, up, setups, scope_left);
    match judge(rule, up) {
        Verdict::Run => run_if(!open.setups && !open.scope),
        Verdict::Wait => Verdict::Wait,
        Verdict::Skip => Verdict::Skip,
        Verdict::UpstreamFailed => Verdict::UpstreamFailed,
    }
}

/// What a task still waits for within its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open {
    /// Its rule cannot tell yet.
    pub rule: bool,
    /// A setup around it has not succeeded.
    pub setups: bool,
    /// It is a teardown, and something between it and its setups has not ended.
    pub scope: bool,
}

/// What of the conditions that [`judge_all`] knows has not come true; the arguments are the same.
#[must_use]
pub const fn open(rule: TriggerRule, up: &Tally, setups: &Tally, scope_left: u32) -> Open {
    if up.total == 0 || matches!(rule, TriggerRule::Always) {
        return Open { rule: false, setups: false, scope: false };
    }
    Open {
        rule: matches!(judge(rule, up), Verdict::Wait),
        setups: setups.success + setups.removed < setups.total,
        scope: scope_left > 0,
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
mod tests;
