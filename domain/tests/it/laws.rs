//! Setups and teardowns, choices, the previous run, failing fast: one play each.

use domain::{
    engine::event::Event,
    outcome::TryResult,
    state::{
        RunState,
        TaskState::{Failed, None as Untouched, Queued, Skipped, Success, UpstreamFailed},
    },
};
use serde_json::json;

use crate::stage::Stage;

const CLUSTER: &str = "
tasks:
  create: {bash: c, setup: true}
  load: {bash: l, depends_on: create}
  check: {bash: k, depends_on: load}
  delete: {bash: d, teardown: true, depends_on: [create, load]}
";

#[test]
fn a_teardown_waits_for_everything_in_its_scope_and_runs_after_a_failure() {
    let mut stage = Stage::new(CLUSTER);
    stage.trigger("r", None);
    stage.succeed("create");
    stage.succeed("load");
    assert_eq!(stage.states(&["check", "delete"]), [Queued, Queued]);
    let mut stage = Stage::new(&CLUSTER.replace("[create, load]", "[create, check]"));
    stage.trigger("r", None);
    stage.succeed("create");
    stage.fail("load");
    assert_eq!(stage.states(&["check", "delete"]), [UpstreamFailed, Queued]);
    stage.fail("delete");
    assert_eq!(stage.run_state("r"), RunState::Failed);
}

#[test]
fn a_teardown_waits_for_what_only_lies_between() {
    let yaml = "
tasks:
  create: {bash: c, setup: true}
  fast: {bash: f, depends_on: create}
  slow: {bash: s, depends_on: create}
  join: {bash: j, depends_on: [fast, slow], trigger_rule: one_success}
  delete: {bash: d, teardown: true, depends_on: [create, join]}
";
    let mut stage = Stage::new(yaml);
    stage.trigger("r", None);
    stage.succeed("create");
    stage.succeed("fast");
    stage.succeed("join");
    assert_eq!(stage.state("delete"), Untouched);
    stage.succeed("slow");
    assert_eq!(stage.state("delete"), Queued);
}

#[test]
fn an_indirect_setup_decides_before_the_rule() {
    let yaml = "
tasks:
  create: {bash: c, setup: true}
  load: {bash: l, depends_on: create, trigger_rule: all_done}
  check: {bash: k, depends_on: load, trigger_rule: all_done}
  delete: {bash: d, teardown: true, depends_on: [create, check]}
";
    let mut stage = Stage::new(yaml);
    stage.trigger("r", None);
    stage.fail("create");
    assert_eq!(stage.states(&["load", "check", "delete"]), [Queued, UpstreamFailed, UpstreamFailed]);
}

#[test]
fn a_failed_teardown_is_ignored_unless_it_says_otherwise() {
    for (teardown, verdict) in
        [("true", RunState::Success), ("{on_failure_fail_dagrun: true}", RunState::Failed)]
    {
        let yaml = CLUSTER.replace("teardown: true", &format!("teardown: {teardown}"));
        let mut stage = Stage::new(&yaml);
        stage.trigger("r", None);
        ["create", "load", "check"].iter().for_each(|task| stage.succeed(task));
        stage.fail("delete");
        assert_eq!(stage.run_state("r"), verdict, "{teardown}");
    }
}

#[test]
fn clearing_a_task_takes_its_setup_and_teardown_along() {
    let mut stage = Stage::new(&CLUSTER.replace("[create, load]", "[create, check]"));
    stage.trigger("r", None);
    ["create", "load"].iter().for_each(|task| stage.succeed(task));
    stage.clear(&["load"]);
    assert_eq!(stage.states(&["create", "load", "delete"]), [Queued, Untouched, Untouched]);
    assert_eq!(stage.ti("r", "create").try_number, 2);
}

const BRANCH: &str = "
tasks:
  pick: {branch: {bash: p}}
  left: {bash: l, depends_on: pick}
  right: {bash: r, depends_on: pick}
  join: {bash: j, depends_on: [pick, left], trigger_rule: none_failed_min_one_success}
  more:
    depends_on: pick
    tasks:
      one: {bash: o}
      two: {bash: t, depends_on: one}
";

#[test]
fn a_branch_skips_what_it_did_not_name_also_when_that_is_cleared() {
    let mut stage = Stage::new(BRANCH);
    stage.trigger("r", None);
    stage.print("pick", "left");
    let skipped = ["right", "more.one", "more.two"];
    assert_eq!(stage.states(&["left", "join"]), [Queued, Untouched]);
    assert_eq!(stage.states(&skipped), [Skipped; 3]);
    stage.clear(&["right"]);
    assert_eq!(stage.state("right"), Skipped);
    assert_eq!(stage.ti("r", "right").reason.as_deref(), Some("`pick` chose another path"));
    stage.succeed("left");
    stage.succeed("join");
    assert_eq!(stage.run_state("r"), RunState::Success);
}

#[test]
fn a_branch_may_name_groups_several_tasks_or_nobody() {
    let cases = [
        (json!("more"), [Skipped, Skipped, Queued]),
        (json!(["right", "more.one"]), [Skipped, Queued, Queued]),
        (json!("left right"), [Queued, Queued, Skipped]),
        (json!(null), [Skipped; 3]),
    ];
    for (result, states) in cases {
        let mut stage = Stage::new(BRANCH);
        stage.trigger("r", None);
        stage.print("pick", result.clone());
        assert_eq!(stage.states(&["left", "right", "more.one"]), states, "{result}");
    }
}

#[test]
fn an_unknown_branch_fails_for_good_and_says_what_was_meant() {
    for (result, reason) in [
        (json!("rigth"), "it chose `rigth`, and its DAG has no such task or group: did you mean `right`?"),
        (json!(7), "a branch must name tasks or groups, by an id or a list of ids, not 7"),
    ] {
        let mut stage = Stage::new(&BRANCH.replace("pick: {", "pick: {retries: 3, "));
        stage.trigger("r", None);
        stage.print("pick", result);
        assert_eq!(stage.states(&["pick", "left"]), [Failed, UpstreamFailed]);
        assert_eq!(stage.ti("r", "pick").reason.as_deref(), Some(reason));
    }
}

#[test]
fn a_short_circuit_skips_everything_or_leaves_it_to_the_rules() {
    let yaml = "
tasks:
  ask: {short_circuit: {bash: a}}
  next: {bash: n, depends_on: ask}
  last: {bash: l, depends_on: next, trigger_rule: all_done}
";
    let polite = yaml.replace("bash: a}", "bash: a, ignore_downstream_trigger_rules: false}");
    for (yaml, last) in [(yaml, Skipped), (polite.as_str(), Queued)] {
        let mut stage = Stage::new(yaml);
        stage.trigger("r", None);
        stage.end("r", "ask", TryResult::Success, Some(1), None);
        assert_eq!(stage.states(&["ask", "next", "last"]), [Success, Skipped, last]);
    }
    for (printed, next) in [(json!("false"), Skipped), (json!(0), Skipped), (json!("rows"), Queued)] {
        let mut stage = Stage::new(yaml);
        stage.trigger("r", None);
        stage.print("ask", printed.clone());
        assert_eq!(stage.state("next"), next, "{printed}");
    }
    let mut stage = Stage::new(yaml);
    stage.trigger("r", None);
    stage.succeed("ask");
    assert_eq!(stage.state("next"), Queued);
    let mut stage = Stage::new(&yaml.replace("bash: a", "python: a"));
    stage.trigger("r", None);
    stage.succeed("ask");
    assert_eq!(stage.state("next"), Skipped);
}

#[test]
fn latest_only_skips_unless_the_run_is_the_newest_or_was_triggered() {
    let yaml = "
schedule: '@hourly'
start_date: 2025-12-31T22:00
catchup: true
tasks:
  newest: {latest_only: {}}
  next: {bash: n, depends_on: newest}
";
    let mut stage = Stage::new(yaml);
    let states: Vec<_> =
        stage.tis.values().filter(|ti| ti.task_id.as_str() == "next").map(|ti| ti.state).collect();
    assert_eq!(states, [Skipped, Skipped, Queued]);
    stage.trigger("r", Some(1));
    assert_eq!(stage.state("next"), Queued);
}

#[test]
fn a_task_waits_for_itself_in_the_previous_run_and_is_woken() {
    let yaml = "
default_args: {depends_on_past: true}
tasks:
  load: {bash: l}
  report: {bash: r, depends_on: load, depends_on_past: false}
";
    let mut stage = Stage::new(yaml);
    stage.trigger("one", Some(1));
    stage.trigger("two", Some(2));
    stage.trigger("undated", None);
    let load = |stage: &Stage, run: &str| stage.ti(run, "load").state;
    assert_eq!(
        [load(&stage, "one"), load(&stage, "two"), load(&stage, "undated")],
        [Queued, Untouched, Queued]
    );
    let reason = stage.ti("two", "load").reason.clone().unwrap();
    assert!(reason.contains("`load` has succeeded") && reason.contains("2026-01-01"), "{reason}");
    stage.end("one", "load", TryResult::Failed, None, None);
    assert_eq!((load(&stage, "two"), stage.run_state("one")), (Untouched, RunState::Failed));
    let selection = stage.selection("two", &["load"]);
    stage.ask(domain::intent::Wish::MarkTasks(domain::intent::MarkTasks { selection, state: Success }));
    assert_eq!(stage.ti("two", "report").state, Queued);
}

#[test]
fn of_two_runs_of_the_same_date_the_newest_is_the_previous_one() {
    let mut stage = Stage::new("tasks: {load: {bash: l, depends_on_past: true}}");
    let load = |stage: &Stage, run| stage.ti(run, "load").state;
    for (run, day) in [("one", 1), ("one-again", 1), ("two", 2), ("two-again", 2)] {
        stage.trigger(run, Some(day));
    }
    stage.end("one", "load", TryResult::Success, None, None);
    assert_eq!((load(&stage, "two"), load(&stage, "two-again")), (Untouched, Untouched));
    stage.end("one-again", "load", TryResult::Success, None, None);
    assert_eq!((load(&stage, "two"), load(&stage, "two-again")), (Queued, Queued));
}

#[test]
fn the_end_of_an_older_run_of_the_same_date_does_not_matter() {
    let mut stage =
        Stage::new("tasks: {first: {bash: f}, load: {bash: l, depends_on: first, depends_on_past: true}}");
    for (run, day) in [("one", 1), ("one-again", 1), ("two", 2)] {
        stage.trigger(run, Some(day));
    }
    for (run, result) in [("one-again", TryResult::Success), ("one", TryResult::Failed)] {
        stage.end(run, "first", TryResult::Success, None, None);
        stage.end(run, "load", result, None, None);
    }
    assert_eq!((stage.run_state("one"), stage.run_state("one-again")), (RunState::Failed, RunState::Success));
    stage.end("two", "first", TryResult::Success, None, None);
    assert_eq!(stage.ti("two", "load").state, Queued);
}

#[test]
fn a_skip_can_wait_for_the_previous_run_too() {
    let yaml = "
tasks:
  first: {bash: f}
  plain: {bash: p, depends_on: first, depends_on_past: true}
  patient: {bash: p, depends_on: first, depends_on_past: true, wait_for_past_depends_before_skipping: true}
";
    let mut stage = Stage::new(yaml);
    stage.trigger("one", Some(1));
    stage.trigger("two", Some(2));
    stage.end("two", "first", TryResult::Skipped, None, None);
    assert_eq!((stage.ti("two", "plain").state, stage.ti("two", "patient").state), (Skipped, Untouched));
    let reason = stage.ti("two", "patient").reason.clone().unwrap();
    assert!(reason.contains("`patient` has succeeded"), "{reason}");
    stage.end("one", "first", TryResult::Success, None, None);
    assert_eq!(stage.ti("two", "patient").state, Untouched);
    stage.end("one", "patient", TryResult::Success, None, None);
    assert_eq!(stage.ti("two", "patient").state, Skipped);
}

#[test]
fn a_task_waits_for_its_downstream_in_the_previous_run() {
    let yaml = "
tasks:
  load: {bash: l, wait_for_downstream: true}
  report: {bash: r, depends_on: load}
";
    let mut stage = Stage::new(yaml);
    stage.trigger("one", Some(1));
    stage.trigger("two", Some(2));
    stage.end("one", "load", TryResult::Success, None, None);
    assert_eq!(stage.ti("two", "load").state, Untouched);
    stage.end("one", "report", TryResult::Success, None, None);
    assert_eq!(stage.ti("two", "load").state, Queued);
}

#[test]
fn a_previous_run_that_ended_long_ago_is_asked_for() {
    let mut stage = Stage::new("tasks: {load: {bash: l, depends_on_past: true}}");
    stage.now += chrono::TimeDelta::days(9);
    let wish = domain::intent::Trigger {
        dag_id: stage.dag_id(),
        run_id: "r".parse().unwrap(),
        logical_date: Some("2026-01-09T00:00:00Z".parse().unwrap()),
        data_interval: None,
        run_after: stage.now,
        conf: serde_json::Map::new(),
        note: None,
        partition_key: None,
        materializes: false,
    };
    stage.ask(domain::intent::Wish::Trigger(wish));
    let question = stage.questions.pop().unwrap();
    assert_eq!((stage.state("load"), question.without_manual), (Untouched, false));
    let standing = domain::engine::record::Standing {
        run: domain::id::RunKey(0),
        logical_date: "2026-01-08T00:00:00Z".parse().unwrap(),
        unmet: ["other".parse().unwrap()].into(),
    };
    stage.handle(Event::Past { run: question.run, before: Some(standing) });
    assert_eq!(stage.state("load"), Queued);
}

#[test]
fn fail_fast_ends_everything_but_teardowns() {
    let yaml = "
fail_fast: true
tasks:
  create: {bash: c, setup: true}
  bad: {bash: b, depends_on: create}
  slow: {bash: s, depends_on: create}
  last: {bash: l, depends_on: slow}
  delete: {bash: d, teardown: true, depends_on: [create, bad, last]}
";
    let mut stage = Stage::new(yaml);
    stage.trigger("r", None);
    stage.succeed("create");
    stage.fail("bad");
    assert_eq!(stage.states(&["slow", "last", "delete"]), [Failed, Skipped, Queued]);
    assert_eq!(stage.stopped.len(), 1);
    stage.succeed("delete");
    assert_eq!(stage.run_state("r"), RunState::Failed);
}

#[test]
fn a_dag_is_paused_after_so_many_failed_runs_in_a_row() {
    let mut stage = Stage::new("max_consecutive_failed_dag_runs: 2\ntasks: {load: {bash: l}}");
    let mut play = |run: &str, result: TryResult| {
        stage.trigger(run, None);
        stage.end(run, "load", result, None, None);
        let last = stage.flags.last().cloned();
        last.map(|flags| (flags.failed_runs, flags.pause))
    };
    assert_eq!(play("a", TryResult::Failed), Some((1, false)));
    assert_eq!(play("b", TryResult::Success), Some((0, false)));
    assert_eq!(play("c", TryResult::Failed), Some((1, false)));
    assert_eq!(play("d", TryResult::Failed), Some((2, true)));
    let line = stage.audit.iter().find(|line| line.by == "scheduler").unwrap();
    assert_eq!(line.extra["reason"], "2 runs in a row failed (max_consecutive_failed_dag_runs)");
    stage.trigger("e", None);
    assert_eq!(stage.run_state("e"), RunState::Queued);
}

#[test]
fn what_nobody_claims_is_queued_again_twice_and_then_fails() {
    let mut stage = Stage::new("tasks: {load: {bash: l}}");
    stage.trigger("r", None);
    for try_number in 1..=3 {
        let attempt = stage.attempt("r", "load");
        assert_eq!(attempt.try_number, try_number);
        stage.handle(Event::Unclaimed(vec![attempt]));
        assert_eq!(stage.stopped.pop(), Some(attempt));
    }
    assert_eq!(stage.state("load"), Failed);
    let reason = stage.ti("r", "load").reason.clone().unwrap();
    assert!(reason.contains("after 2 more tries"), "{reason}");
}

#[test]
fn a_deadlock_ends_the_run_and_says_so() {
    let yaml = "
tasks:
  list: {bash: l}
  each: {bash: e, depends_on: list, expand: {x: \"{{ ti.xcom_pull('list') }}\"}}
  none: {bash: n, depends_on: each, trigger_rule: all_skipped}
";
    let mut stage = Stage::new(yaml);
    stage.trigger("r", None);
    stage.print("list", json!([1, 2]));
    let instances: Vec<_> = stage.tis.values().filter(|ti| ti.task_id.as_str() == "each").cloned().collect();
    stage.clear(&["list", "each"]);
    stage.print("list", json!([1]));
    stage.end("r", "each", TryResult::Skipped, None, None);
    assert_eq!(stage.tis[&instances[1].key].state, domain::state::TaskState::Removed);
    assert_eq!((stage.run_state("r"), stage.state("none")), (RunState::Failed, UpstreamFailed));
    let reason = stage.ti("r", "none").reason.clone().unwrap();
    assert!(reason.contains("deadlock"), "{reason}");
}
