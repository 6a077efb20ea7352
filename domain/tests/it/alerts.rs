//! Who is told when something ends, and when nobody is.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    alert::{AlertEvent, Notification},
    dagfile::parse,
    engine::{decision::Decisions, event::Event},
    id::RunKey,
    intent::{MarkTasks, Wish},
    outcome::TryResult,
    state::{RunState, TaskState},
};
use serde_json::json;
use uuid::Uuid;

use crate::{stage::Stage, world::World};

/// Tells of everything.
const EVERYTHING: &str = "
on_success: [{slack: {conn_id: run}}]
on_failure: [{slack: {conn_id: run}}]
default_args:
  retry_delay: 10s
  on_success: [{slack: {conn_id: task}}]
  on_failure: [{slack: {conn_id: task}}, {slack: {conn_id: second}}]
  on_retry: [{slack: {conn_id: task}}]
  on_skipped: [{slack: {conn_id: task}}]
";

fn stage(rest: &str) -> Stage {
    let mut stage = Stage::new(&format!("{EVERYTHING}{rest}"));
    stage.trigger("r", None);
    stage
}

/// What was told since the last time: who, what, the number of the try or run, the place in the list.
fn told(stage: &mut Stage) -> Vec<String> {
    let line = |alert: domain::alert::AlertRecord| {
        let facts = alert.facts;
        let index =
            facts.map_index.filter(|index| *index >= 0).map_or_else(String::new, |i| format!("[{i}]"));
        let who = facts.task_id.map_or_else(|| "run".to_owned(), |id| format!("{id}{index}"));
        format!("{who} {} {} {}", facts.event, alert.number, alert.place)
    };
    std::mem::take(&mut stage.alerts).into_iter().map(line).collect()
}

#[test]
fn a_success_is_told_of_the_try_and_then_of_the_run() {
    let mut stage = stage("tasks: {a: {bash: a}}");
    stage.succeed("a");
    assert_eq!(told(&mut stage), ["a success 1 0", "run success 0 0"]);
}

#[test]
fn every_retry_and_then_the_failure_are_told() {
    let mut stage = stage("tasks: {a: {bash: a, retries: 1}, b: {bash: b, depends_on: a}}");
    stage.fail("a");
    let retry = stage.alerts[0].facts.clone();
    assert_eq!((retry.state.as_str(), retry.max_tries), ("up_for_retry", Some(1)));
    assert_eq!(retry.next_try_at, Some(stage.now + chrono::TimeDelta::seconds(10)));
    assert_eq!(told(&mut stage), ["a retry 1 0"]);
    stage.pass(10);
    stage.fail("a");
    assert_eq!(stage.state("b"), TaskState::UpstreamFailed);
    let run = stage.alerts.last().unwrap().facts.clone();
    assert_eq!((run.state.as_str(), run.reason.as_deref()), ("failed", Some("`a` failed")));
    assert_eq!(run.ended_at, Some(stage.now));
    assert_eq!(told(&mut stage), ["a failure 2 0", "a failure 2 1", "run failure 0 0"]);
}

#[test]
fn a_skip_is_told_of_the_try_that_skipped_itself_alone() {
    let mut stage = stage("tasks: {a: {bash: a}, b: {bash: b, depends_on: a}}");
    stage.end("r", "a", TryResult::Skipped, Some(99), None);
    assert_eq!(stage.state("b"), TaskState::Skipped);
    assert_eq!(told(&mut stage), ["a skipped 1 0", "run success 0 0"]);
}

#[test]
fn each_mapped_instance_is_told_of() {
    let mut stage = stage("tasks: {a: {bash: a, expand: {n: [1, 2]}}}");
    for ti in stage.tis.values().cloned().collect::<Vec<_>>() {
        let attempt = domain::id::TryKey { ti: ti.key, try_number: ti.try_number };
        let result = if ti.map_index == 0 { TryResult::Success } else { TryResult::FailedForGood };
        stage.handle(Event::Outcome(Box::new(domain::outcome::Outcome {
            attempt,
            result,
            started_at: stage.now,
            ended_at: stage.now,
            worker: Uuid::nil(),
            exit_code: None,
            reason: Some("because".into()),
            rendered_map_index: None,
            xcoms: Default::default(),
            asset_events: Vec::new(),
            pokes: None,
            trigger: None,
            question: None,
            deferral: None,
            resume_at: None,
        })));
    }
    assert_eq!(
        told(&mut stage),
        ["a[0] success 1 0", "a[1] failure 1 0", "a[1] failure 1 1", "run failure 0 0"]
    );
}

#[test]
fn what_the_engine_carries_out_itself_succeeds_aloud() {
    let mut stage = stage("tasks: {a: {empty: {}}}");
    assert_eq!(told(&mut stage), ["a success 1 0", "run success 0 0"]);
}

#[test]
fn callbacks_of_a_task_are_asked_for_when_its_process_could_not_run_them() {
    let yaml = "tasks: {a: {bash: a, retries: 1, retry_delay: 10s}, b: {bash: b, trigger_rule: all_done, depends_on: a}}";
    let mut dag = parse(yaml.as_bytes(), "r.yaml", &|_| Err(String::new())).dags.remove(0).dag;
    for task in &mut dag.tasks {
        task.alerts.on_failure = vec![Notification::Callback];
        task.alerts.on_retry = vec![Notification::Callback];
    }
    dag.alerts.on_failure = vec![Notification::Callback];
    let mut stage = Stage::of(vec![dag]);
    stage.trigger("r", None);
    stage.end("r", "a", TryResult::Failed, Some(137), None);
    assert_eq!(told(&mut stage), ["a retry 1 0"], "it was killed");
    stage.pass(10);
    stage.end("r", "a", TryResult::FailedForGood, Some(0), None);
    assert_eq!(told(&mut stage), [""; 0], "its process has run them");
    for _ in 0..4 {
        let (attempt, worker) = (stage.attempt("r", "b"), Uuid::nil());
        stage.handle(Event::WorkerLost { worker, tries: vec![attempt] });
    }
    assert_eq!(told(&mut stage), ["b failure 4 0", "run failure 0 0"], "nobody knows what became of it");
}

#[test]
fn a_task_says_otherwise_than_the_defaults() {
    let mut stage = stage("tasks: {a: {bash: a, on_failure: null, on_success: []}}");
    stage.fail("a");
    assert_eq!(told(&mut stage), ["run failure 0 0"]);
}

#[test]
fn what_is_marked_by_hand_tells_nobody_but_what_follows_from_it_does() {
    let mut stage = stage("tasks: {a: {bash: a}, b: {bash: b, depends_on: a}}");
    let selection = stage.selection("r", &["a"]);
    stage.ask(Wish::MarkTasks(MarkTasks { selection, state: TaskState::Failed }));
    assert_eq!(told(&mut stage), ["run failure 0 0"]);
}

#[test]
fn a_run_that_is_stopped_by_hand_tells_nobody() {
    for state in [RunState::Failed, RunState::Success] {
        let mut stage = stage("tasks: {a: {bash: a}, b: {bash: b, depends_on: a}}");
        stage.ask(Wish::MarkRun { dag_id: stage.dag_id(), run_id: "r".parse().unwrap(), state });
        assert_eq!((stage.run_state("r"), told(&mut stage)), (state, vec![]));
    }
}

#[test]
fn a_run_that_its_timeout_ends_says_so_and_its_tasks_say_nothing() {
    let mut stage = stage("dagrun_timeout: 1m\ntasks: {a: {bash: a}}");
    stage.pass(60);
    let reason = stage.alerts[0].facts.reason.clone();
    assert_eq!(reason.as_deref(), Some("the run lasted longer than its dagrun_timeout of 1m"));
    assert_eq!(told(&mut stage), ["run failure 0 0"]);
}

#[test]
fn a_cleared_run_tells_of_its_second_end_as_well() {
    let mut stage = stage("tasks: {a: {bash: a}}");
    stage.succeed("a");
    let snapshot = domain::engine::record::RunSnapshot {
        run: stage.run("r").clone(),
        dag: stage.dag.clone(),
        tis: stage.tis.values().cloned().collect(),
        lengths: Vec::new(),
        choices: Vec::new(),
    };
    told(&mut stage);
    stage.engine.handle(Event::Run(Box::new(snapshot)), stage.now);
    stage.clear(&["a"]);
    stage.succeed("a");
    assert_eq!(told(&mut stage), ["a success 2 0", "run success 1 0"]);
}

#[test]
fn a_try_that_is_lost_is_told_of_only_when_it_counts_as_failed() {
    let mut stage = stage("tasks: {a: {bash: a}}");
    for _ in 0..3 {
        let attempt = stage.attempt("r", "a");
        stage.handle(Event::WorkerLost { worker: Uuid::nil(), tries: vec![attempt] });
        assert_eq!(told(&mut stage), [""; 0]);
    }
    let attempt = stage.attempt("r", "a");
    stage.handle(Event::WorkerLost { worker: Uuid::nil(), tries: vec![attempt] });
    assert_eq!(told(&mut stage), ["a failure 4 0", "a failure 4 1", "run failure 0 0"]);
}

#[test]
fn an_outcome_that_comes_twice_is_told_once() {
    let mut stage = stage("tasks: {a: {bash: a}, b: {bash: b}}");
    let outcome = domain::outcome::Outcome {
        attempt: stage.attempt("r", "a"),
        result: TryResult::Success,
        started_at: stage.now,
        ended_at: stage.now,
        worker: Uuid::nil(),
        exit_code: Some(0),
        reason: None,
        rendered_map_index: None,
        xcoms: Default::default(),
        asset_events: Vec::new(),
        pokes: None,
        trigger: None,
        question: None,
        deferral: None,
        resume_at: None,
    };
    for _ in 0..2 {
        stage.handle(Event::Outcome(Box::new(outcome.clone())));
    }
    assert_eq!(told(&mut stage), ["a success 1 0"]);
}

#[test]
fn the_facts_have_the_documented_form() {
    let mut stage = stage("owner: ada\ntasks: {a: {bash: a}}");
    stage.fail("a");
    let facts = serde_json::to_value(&stage.alerts[0].facts).unwrap();
    let now = "2026-01-01T00:00:00Z";
    let wanted = json!({
        "event": "failure", "at": now, "dag_id": "play", "owner": "ada", "run_id": "r", "run_type": "manual",
        "logical_date": null, "task_id": "a", "map_index": -1, "try_number": 1, "max_tries": 0, "state": "failed",
        "reason": null, "started_at": now, "ended_at": now, "next_try_at": null, "deadline": null
    });
    assert_eq!(facts, wanted);
    assert_eq!(stage.alerts[0].facts.headline(), "play: task a failed (r)");
}

#[test]
fn a_notification_names_one_channel_and_a_place() {
    for (list, wanted) in [
        ("{slack: {conn_id: c}}", "must be a list"),
        ("[{}]", "needs exactly one of"),
        ("[{slack: {conn_id: c}, email: {conn_id: c, to: a@b}}]", "needs exactly one of"),
        ("[{slak: {conn_id: c}}]", "did you mean `slack`?"),
        ("[{webhook: {}}]", "needs a `url` or a `conn_id`"),
        ("[{webhook: {url: ftp://example.org}}]", "is not a whole URL"),
        ("[{webhook: {url: /path}}]", "is not a whole URL"),
        ("[{webhook: {url: 'http:///x'}}]", "is not a whole URL"),
        ("[{webhook: {conn_id: c, url: 'file:///etc'}}]", "is not a whole URL"),
        ("[{webhook: {url: 'https://{{ reason }}'}}]", "templates cannot stand here"),
        ("[{webhook: {url: https://example.org, headers: {'a b': c}}}]", "cannot name a header"),
        ("[{email: {to: ada@example.org}}]", "needs `conn_id`"),
        ("[{email: {conn_id: c, to: ada}}]", "is not an e-mail address"),
        ("[{email: {conn_id: c, to: []}}]", "1 to 50 recipients"),
    ] {
        let parsed =
            parse(format!("on_failure: {list}\ntasks: {{a: {{bash: a}}}}").as_bytes(), "x.yaml", &|_| {
                Err("none".into())
            });
        let told: String = parsed.errors.iter().map(ToString::to_string).collect();
        assert!(told.contains(wanted), "{list}: {told}");
    }
    let many = ["{slack: {conn_id: c}}"; 11].join(", ");
    let parsed =
        parse(format!("on_failure: [{many}]\ntasks: {{a: {{bash: a}}}}").as_bytes(), "x.yaml", &|_| {
            Err("none".into())
        });
    assert!(parsed.errors[0].to_string().contains("more than 10 notifications"));
}

#[test]
fn the_url_of_a_connection_may_be_a_path() {
    let text = "on_failure: [{webhook: {conn_id: pager, url: /v1, body: {a: 1}}}]\ntasks: {a: {bash: a}}";
    let parsed = parse(text.as_bytes(), "x.yaml", &|_| Err("none".into()));
    let wanted = Notification::Webhook {
        url: Some("/v1".into()),
        conn_id: Some("pager".into()),
        headers: Default::default(),
        body: Some(json!({"a": 1})),
    };
    assert_eq!(parsed.dags[0].dag.alerts.on_failure, [wanted]);
}

/// How the reasons of tries read that did not come to an end of their own.
const OUTSIDE: [&str; 13] = [
    "stopped, because it was cleared",
    "stopped with the task that waited for it",
    "stopped for the run due",
    "marked ",
    "the run was stopped by",
    "the run was marked",
    "the run lasted longer",
    "the run was at a deadlock",
    "the DAG is to fail fast",
    "stopped renewing its lease",
    "so it was queued again",
    "given back by its worker",
    "the task is switched off",
];

type Asked = BTreeMap<(RunKey, Option<u32>, u32, AlertEvent), usize>;

impl World {
    /// What this turn committed is told to everyone who asked for it, and nothing else is, and nothing twice.
    pub fn check_alerts(&mut self, active: &BTreeMap<RunKey, RunState>, decisions: &Decisions) {
        let mut told = Asked::new();
        for gone in &decisions.alerts_withdrawn {
            let key = (gone.run, None, gone.number, AlertEvent::Deadline, gone.place);
            assert!(self.records.alerts.remove(&key), "{gone:?} was not told");
        }
        for alert in &decisions.alerts {
            let key = (alert.run, alert.index, alert.number, alert.facts.event, alert.place);
            assert!(self.records.alerts.insert(key), "{alert:?} was told twice");
            *told.entry((key.0, key.1, key.2, key.3)).or_default() += 1;
        }
        told.retain(|key, _| key.3 != AlertEvent::Deadline);
        let (of_runs, of_tries): (Asked, Asked) = told.into_iter().partition(|(key, _)| key.1.is_none());
        assert_eq!(of_tries, self.asked_of_tries(decisions));
        let (of_earlier, of_runs): (Asked, Asked) =
            of_runs.into_iter().partition(|(key, _)| key.2 < self.records.runs[&key.0].clear_number);
        let unfinished = self.unfinished_within(active, decisions);
        // A task may start a run again in the very turn in which it ended: its end is told all the same.
        for ((key, _, _, event), count) in &of_earlier {
            assert_eq!(*count, self.dag(&self.records.runs[key]).alerts.of(*event).len());
            assert!(unfinished.contains(key), "{key:?} had ended before: {event:?}");
        }
        // A wish of the same turn may have stopped the run by hand, or started it again.
        if !self.has_wishes {
            assert_eq!(of_runs, self.asked_of_runs(&unfinished));
        }
    }

    /// The runs that were not over, or not there, at some moment of this turn.
    fn unfinished_within(
        &self,
        active: &BTreeMap<RunKey, RunState>,
        decisions: &Decisions,
    ) -> BTreeSet<RunKey> {
        let created = decisions.runs_created.iter().map(|run| run.key);
        // A backfill runs one again that had ended, and that may be over within the turn.
        let reopened = decisions.runs_changed.iter().filter(|change| change.old.is_finished());
        active.keys().copied().chain(created).chain(reopened.map(|change| change.new.key)).collect()
    }

    fn asked_of_tries(&self, decisions: &Decisions) -> Asked {
        let mut asked = Asked::new();
        for ended in &decisions.tries {
            let reason = ended.reason.as_deref().unwrap_or_default();
            let Some(event) = AlertEvent::of_try(ended.state) else { continue };
            if OUTSIDE.iter().any(|words| reason.contains(words)) && event != AlertEvent::Retry {
                continue;
            }
            let ti = &self.records.tis[&ended.attempt.ti];
            let dag = self.dag(&self.records.runs[&ti.key.run]);
            let is_due = |notification: &&Notification| {
                **notification != Notification::Callback || ended.exit_code != Some(0)
            };
            let number = dag
                .task(ti.task_id.as_str())
                .map_or(0, |task| task.alerts.of(event).iter().filter(is_due).count());
            if number > 0 {
                asked.insert((ti.key.run, Some(ti.key.index), ended.attempt.try_number, event), number);
            }
        }
        asked
    }

    fn asked_of_runs(&self, unfinished: &BTreeSet<RunKey>) -> Asked {
        let ended =
            self.records.runs.values().filter(|run| run.state.is_finished() && unfinished.contains(&run.key));
        let asked = ended.map(|run| {
            let event =
                if run.state == RunState::Success { AlertEvent::Success } else { AlertEvent::Failure };
            ((run.key, None, run.clear_number, event), self.dag(run).alerts.of(event).len())
        });
        asked.filter(|(_, number)| *number > 0).collect()
    }
}
