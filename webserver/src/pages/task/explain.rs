//! Why a task is in its state, in words, and what may be done about it.

use domain::state::TaskState;
use store::view::{page_run::RunTask, task::Instance};

use super::{Explanation, Seen, why::Why};
use crate::{
    error::Error,
    pages::{parts::Mood, tally::Tally, visit::Visit, words},
};

/// Upstreams that are looked at.
const MOST_UPSTREAMS: usize = 200;
/// Upstreams that are named.
const MOST_NAMED: usize = 5;

/// Explains states that raise a question; success and running do not. What waits says what is in its way instead.
///
/// # Errors
/// Only when the database fails.
pub(super) async fn explain(
    visit: &Visit,
    seen: &Seen,
    why: Option<&Why>,
) -> Result<Option<Explanation>, Error> {
    let Some(instance) = &seen.instance else {
        return Ok(None);
    };
    // A try that failed is worth telling of beside what keeps the next one.
    if why.is_some() && instance.state != TaskState::UpForRetry {
        return Ok(before(instance));
    }
    Ok(match instance.state {
        TaskState::Failed => Some(failed(instance)),
        TaskState::UpForRetry => Some(up_for_retry(instance, visit)),
        TaskState::UpstreamFailed | TaskState::None => waiting(visit, seen, instance).await?,
        TaskState::Scheduled | TaskState::Queued => Some(in_line(instance, seen)),
        TaskState::Skipped => Some(skipped(instance)),
        TaskState::Removed => Some(note(
            Mood::Info,
            "No longer part of the DAG",
            reason(instance, "Its task is gone, or the list it was mapped over became shorter."),
        )),
        TaskState::Restarting => Some(note(
            Mood::Info,
            "Being restarted",
            "It was cleared while it ran: its process is ended, then it runs again.".to_owned(),
        )),
        TaskState::Deferred | TaskState::UpForReschedule => Some(note(
            Mood::Info,
            "Waits without holding a slot",
            reason(instance, "It goes on when what it waits for has happened."),
        )),
        TaskState::AwaitingInput => Some(note(
            Mood::Info,
            "Waits for a person",
            reason(instance, "Somebody must answer before it goes on."),
        )),
        TaskState::Running | TaskState::Success => marked(instance, seen),
    })
}

/// What became of the try before one that waits again.
fn before(instance: &Instance) -> Option<Explanation> {
    let had_one = matches!(instance.state, TaskState::Scheduled | TaskState::Queued);
    let why = instance.reason.as_deref().filter(|_| had_one && instance.try_number > 1)?;
    Some(note(Mood::Info, "Before", words::sentence(why)))
}

fn note(kind: Mood, title: &str, text: String) -> Explanation {
    Explanation { kind, title: title.to_owned(), text, hint: None }
}

fn reason(instance: &Instance, otherwise: &str) -> String {
    instance.reason.as_deref().map_or_else(|| otherwise.to_owned(), words::sentence)
}

fn failed(instance: &Instance) -> Explanation {
    let why = instance.reason.as_deref().unwrap_or_default();
    let tries = match instance.try_number {
        0 => "Failed before its first try".to_owned(),
        1 => "Failed".to_owned(),
        number => format!("Failed after {number} tries"),
    };
    Explanation {
        kind: Mood::Bad,
        title: tries,
        text: reason(instance, "Nobody wrote down why."),
        hint: hint(why).map(str::to_owned),
    }
}

/// What usually helps. The words are those in which workers tell how a try ended.
fn hint(why: &str) -> Option<&'static str> {
    let hints = [
        (
            "exit code 127",
            "The program is not installed where the worker runs, or not on its PATH; check its name, or use its full path.",
        ),
        ("exit code 126", "Make the file executable (chmod +x) and check its first line."),
        (
            "memory ran out",
            "Let it work on less at a time, or give the worker's machine or container more memory.",
        ),
        (
            "execution_timeout",
            "If it needs that long, raise execution_timeout; otherwise the end of the log shows where it hung.",
        ),
        ("worker was lost", "Look at the worker's own log: it may have been killed, or its machine is gone."),
        ("exit code", "The end of the log usually says more. Retry runs it again as it is."),
        (
            "killed by signal",
            "Somebody or something outside ended the process; the end of the log shows how far it came.",
        ),
    ];
    hints.into_iter().find(|(words, _)| why.contains(words)).map(|(_, hint)| hint)
}

fn up_for_retry(instance: &Instance, visit: &Visit) -> Explanation {
    let next = instance.next_try_at.map(|at| words::ago(at, visit.now));
    let next = next.map_or_else(
        || "soon".to_owned(),
        |next| {
            if next.starts_with("in ") { next } else { "now".to_owned() }
        },
    );
    Explanation {
        kind: Mood::Warn,
        title: format!("Try {} failed; the next one begins {next}", instance.try_number),
        text: reason(instance, "Nobody wrote down why."),
        hint: hint(instance.reason.as_deref().unwrap_or_default()).map(str::to_owned),
    }
}

fn skipped(instance: &Instance) -> Explanation {
    note(Mood::Info, "Skipped", reason(instance, "What comes before it left nothing for it to do."))
}

fn marked(instance: &Instance, seen: &Seen) -> Option<Explanation> {
    let why = instance.reason.as_deref().filter(|_| instance.state == TaskState::Success)?;
    let is_used_up = seen.repeat().is_some_and(|repeat| repeat.exhausted() == why);
    Some(note(Mood::Info, if is_used_up { "No rounds are left" } else { "By hand" }, words::sentence(why)))
}

fn in_line(instance: &Instance, seen: &Seen) -> Explanation {
    let (title, text) = if instance.state == TaskState::Queued {
        (
            "Waits for a worker",
            format!(
                "It is ready and goes to the next free worker that listens to queue `{}`.",
                instance.queue
            ),
        )
    } else {
        (
            "Ready, waits for its turn",
            format!(
                "It starts when pool `{}` has {}, and the limits of the DAG and the run leave room.",
                instance.pool,
                words::plural(instance.pool_slots.into(), "free slot"),
            ),
        )
    };
    let limit = seen.run.version.dag.max_active_tasks;
    Explanation {
        kind: Mood::Info,
        title: title.to_owned(),
        text: match instance.reason.as_deref() {
            None => text,
            // The reason is that of the try before.
            Some(why) if instance.state == TaskState::Queued || instance.try_number > 0 => {
                format!("{text} Before: {}", words::sentence(why))
            }
            Some(why) => words::sentence(why),
        },
        hint: Some(format!(
            "Priority {}; at most {} at once in a run.",
            instance.priority,
            words::plural(limit.into(), "task")
        )),
    }
}

/// A task that did not start because of others: which ones.
async fn waiting(visit: &Visit, seen: &Seen, instance: &Instance) -> Result<Option<Explanation>, Error> {
    let upstream: Vec<&str> = seen
        .spec()
        .map(|task| task.upstream.iter().map(|id| id.as_str()).take(MOST_UPSTREAMS).collect())
        .unwrap_or_default();
    let run_ended = seen.run.run.state.is_finished();
    if upstream.is_empty() {
        let text = if run_ended {
            "The run ended before it could start."
        } else {
            "The run has not come to it yet."
        };
        return Ok(Some(note(Mood::Info, "Not started", reason(instance, text))));
    }
    let limit = u32::try_from(MOST_UPSTREAMS).unwrap_or(u32::MAX);
    let found = visit.state.store.run_tasks(seen.run.run.key, &upstream, limit, 0).await?;
    Ok(Some(if instance.state == TaskState::UpstreamFailed {
        let broken =
            named(&found, |tally| tally.of(TaskState::Failed) + tally.of(TaskState::UpstreamFailed) > 0);
        let rule = seen.spec().map(|task| task.trigger_rule.as_str()).unwrap_or_default();
        Explanation {
            kind: Mood::Bad,
            title: "Not run, because of what comes before it".to_owned(),
            text: match (&instance.reason, broken.is_empty()) {
                (Some(why), _) => words::sentence(why),
                (None, false) => format!("Its trigger rule is {rule}, and {broken}."),
                (None, true) => format!("Its trigger rule is {rule}, and that cannot come true any more."),
            },
            hint: Some(
                "Retry the task that failed with everything that depends on it, or mark it as success."
                    .to_owned(),
            ),
        }
    } else {
        let open = named(&found, |tally| tally.present().any(|(state, _)| !state.is_finished()));
        let text = if open.is_empty() {
            "The run has not come to it yet.".to_owned()
        } else {
            format!("Before it: {open}.")
        };
        let title = if instance.reason.is_some() { "Waits" } else { "Waits for what comes before it" };
        note(Mood::Info, title, reason(instance, &text))
    }))
}

/// `extract failed, load upstream failed`: the tasks whose states meet the condition.
fn named(tasks: &[RunTask], wanted: impl Fn(&Tally) -> bool) -> String {
    let tallies =
        tasks.iter().map(|task| (task.task_id.as_str(), task.states.iter().copied().collect::<Tally>()));
    let mut named: Vec<String> = tallies
        .filter(|(_, tally)| wanted(tally))
        .map(|(id, tally)| {
            if tally.total() == 1 {
                format!("{id} is {}", tally.words().trim_start_matches("1 "))
            } else {
                format!("{id}: {}", tally.words())
            }
        })
        .collect();
    let more = named.len().saturating_sub(MOST_NAMED);
    named.truncate(MOST_NAMED);
    if more > 0 {
        named.push(format!("and {more} more"));
    }
    named.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_become_sentences() {
        assert_eq!(words::sentence("exit code 3"), "Exit code 3.");
        assert_eq!(words::sentence("gone!"), "Gone!");
        assert_eq!(words::sentence(""), ".");
    }

    #[test]
    fn the_most_specific_hint_wins() {
        assert!(hint("exit code 127: command not found").unwrap().contains("PATH"));
        assert!(hint("exit code 3").unwrap().contains("end of the log"));
        assert_eq!(hint("unknown connection `warehouse`"), None);
    }

    #[test]
    fn upstreams_are_named_up_to_a_limit() {
        let task = |id: usize| RunTask {
            task_id: format!("t{id}"),
            operator: String::new(),
            states: vec![(TaskState::Failed, 1)],
            is_expanded: false,
            try_number: 1,
            max_tries: 0,
            queued_at: None,
            started_at: None,
            ended_at: None,
            reason: None,
        };
        let tasks: Vec<RunTask> = (0..7).map(task).collect();
        let all = named(&tasks, |tally| tally.of(TaskState::Failed) > 0);
        assert_eq!(all, "t0 is failed, t1 is failed, t2 is failed, t3 is failed, t4 is failed, and 2 more");
        assert_eq!(named(&tasks, |tally| tally.of(TaskState::Running) > 0), "");
    }
}
