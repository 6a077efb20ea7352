//! Dynamic mapping: mapped groups, nested ones, the forms of a mapping, and what Airflow says of which instances belong together.

use std::ops::Range;

use domain::{
    dag::{Expand, Mapping, relevant},
    engine::record::WorkerRecord,
    intent::{SelectedTask, Selection, Wish},
    outcome::{Outcome, TryResult},
    state::{
        RunState,
        TaskState::{self, Failed, None as Untouched, Queued, Removed, Skipped, Success, UpstreamFailed},
    },
};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{dagfile::dag, stage::Stage};

#[derive(Deserialize)]
struct Relevance {
    groups: Vec<Row>,
}

/// The lengths of the groups around a task, of its own mapping; the same two of a relative; how many groups they share; for each
/// instance of the task those of the relative.
#[derive(Deserialize, Debug)]
struct Row(Vec<usize>, Option<usize>, Vec<usize>, Option<usize>, usize, Vec<Option<Relatives>>);

#[derive(Deserialize, Debug, Clone)]
#[serde(untagged)]
enum Relatives {
    One(usize),
    Several(usize, usize),
}

impl Relatives {
    fn range(&self) -> Range<usize> {
        match *self {
            Self::One(place) => place..place + 1,
            Self::Several(first, end) => first..end,
        }
    }
}

#[test]
fn the_instances_that_belong_together_are_those_of_airflow() {
    let table: Relevance = serde_json::from_str(include_str!("golden/rules/relevance.json")).unwrap();
    let (mut equal, mut on_purpose) = (0, 0);
    for row in &table.groups {
        let Row(groups, own, others, other, common, theirs) = row;
        let count = groups.iter().product::<usize>() * own.unwrap_or(1);
        let further = others[*common..].iter().product::<usize>() * other.unwrap_or(1);
        let cells: usize = groups[..*common].iter().product();
        let all = others.iter().product::<usize>() * other.unwrap_or(1);
        assert_eq!(theirs.len(), count, "{row:?}");
        for (place, theirs) in theirs.iter().enumerate() {
            let ours = relevant(place, count, all, cells);
            let theirs = theirs.as_ref().map_or(0..all, Relatives::range);
            let wanted = place / (count / cells) * further;
            assert_eq!(ours, wanted..wanted + further, "{row:?}");
            if ours == theirs {
                equal += 1;
            } else {
                // Airflow takes the width of the task for that of its relative. In a file that it accepts nothing in a mapped group is
                // mapped itself, and then only an outer task that looks into an inner group finds too few.
                assert!(*common > 0 && further != count / cells, "{row:?}");
                on_purpose += 1;
            }
        }
    }
    assert_eq!((table.groups.len(), equal, on_purpose), (684, 1410, 1260));
}

/// A file with the task `t`, which starts as soon as an instance of `r` has failed that it waits for, and `r`.
fn related(Row(groups, own, others, other, common, _): &Row) -> String {
    let list = |length: &usize| format!("{:?}", (0..*length).collect::<Vec<_>>());
    let nested = |names: &[&str], lengths: &[usize], id: &str, task: String| {
        let around = names.iter().zip(lengths).rev();
        around.fold(format!("{id}: {{{task}}}"), |inside, (name, length)| {
            format!("{name}: {{expand: {{{name}: {}}}, tasks: {{{inside}}}}}", list(length))
        })
    };
    let mapped = |own: &Option<usize>| own.as_ref().map(|own| format!(", expand: {{x: {}}}", list(own)));
    let (own, other) = (mapped(own).unwrap_or_default(), mapped(other).unwrap_or_default());
    let (names, prefix) = (["o", "i"], |depth: usize| ["", "o.", "o.i."][depth]);
    let far = if *common == 0 {
        format!("p.{}r", if others.len() > 1 { "i." } else { "" })
    } else {
        format!("{}r", prefix(others.len()))
    };
    let t = format!("bash: x, trigger_rule: one_failed, depends_on: {far}{own}");
    let r = format!("bash: x{other}");
    let tasks = match (common, groups.len(), others.len()) {
        (0, _, _) => {
            format!("{}, {}", nested(&names, groups, "t", t), nested(&["p", "i"], others, "r", r))
        }
        (1, 2, _) => {
            let inner = nested(&["i"], &groups[1..], "t", t);
            nested(&["o"], groups, "r", format!("{r}}}, {}", inner.strip_suffix('}').unwrap()))
        }
        (1, _, 2) => {
            let inner = nested(&["i"], &others[1..], "r", r);
            nested(&["o"], groups, "t", format!("{t}}}, {}", inner.strip_suffix('}').unwrap()))
        }
        (_, _, _) => nested(&names, groups, "t", format!("{t}}}, r: {{{r}")),
    };
    format!("dag_id: d\nmax_active_tasks: 1000\ntasks: {{{tasks}}}\n")
}

#[test]
fn an_instance_waits_for_those_that_belong_to_it_and_no_others() {
    let table: Relevance = serde_json::from_str(include_str!("golden/rules/relevance.json")).unwrap();
    let mut files = std::collections::BTreeSet::new();
    for row in &table.groups {
        let Row(groups, own, others, other, common, _) = row;
        let yaml = related(row);
        if !files.insert(yaml.clone()) {
            continue;
        }
        let mut stage = begun(&yaml);
        let id = |name: &str| {
            let ids = stage.tis.values().map(|ti| ti.task_id.to_string());
            ids.into_iter().find(|id| id.ends_with(name)).unwrap()
        };
        let (t, r) = (id(".t"), id(".r"));
        let count = groups.iter().product::<usize>() * own.unwrap_or(1);
        let all = others.iter().product::<usize>() * other.unwrap_or(1);
        let cells: usize = groups[..*common].iter().product();
        assert_eq!((stage.all(&t).len(), stage.all(&r).len()), (count, all), "{yaml}");
        let mut wanted = vec![Untouched; count];
        for failed in 0..all {
            stage.end_at(&r, failed as i32, TryResult::FailedForGood, None);
            let concerned = (0..count).filter(|&place| relevant(place, count, all, cells).contains(&failed));
            concerned.for_each(|place| wanted[place] = Queued);
            assert_eq!(stage.all(&t), wanted, "{yaml} {failed}");
        }
        assert_eq!(stage.all(&t), vec![Queued; count], "{yaml}");
    }
    assert!(files.len() > 100, "{}", files.len());
}

const GROUP: &str = "
dag_id: d
max_active_tasks: 100
tasks:
  list: {bash: x}
  g:
    expand: {file: \"{{ ti.xcom_pull('list') }}\"}
    tasks:
      a: {bash: x}
      b: {bash: x, depends_on: a}
  after: {bash: x, depends_on: g}
  idle: {bash: x}
";

impl Stage {
    fn all(&self, task_id: &str) -> Vec<TaskState> {
        let run = self.run("r").key;
        let mut tis: Vec<_> =
            self.tis.values().filter(|ti| ti.key.run == run && ti.task_id.as_str() == task_id).collect();
        tis.sort_by_key(|ti| ti.map_index);
        tis.iter().map(|ti| ti.state).collect()
    }

    fn end_at(&mut self, task_id: &str, at: i32, result: TryResult, value: Option<Value>) {
        let run = self.run("r").key;
        let is_it = |ti: &&domain::engine::record::TiRecord| {
            ti.key.run == run && ti.task_id.as_str() == task_id && ti.map_index == at
        };
        let ti = self.tis.values().find(is_it).unwrap();
        assert_eq!(ti.state, Queued, "{task_id}[{at}]");
        let outcome = Outcome {
            attempt: domain::id::TryKey { ti: ti.key, try_number: ti.try_number },
            result,
            started_at: self.now,
            ended_at: self.now,
            worker: Uuid::nil(),
            exit_code: None,
            reason: None,
            rendered_map_index: value.as_ref().map(|value| format!("name of {value}")),
            asset_events: Vec::new(),
            pokes: None,
            trigger: None,
            question: None,
            deferral: None,
            resume_at: None,
            xcoms: value.into_iter().map(|value| ("return_value".to_owned(), value)).collect(),
        };
        self.handle(domain::engine::event::Event::Outcome(Box::new(outcome)));
    }

    fn succeed_at(&mut self, task_id: &str, at: i32) {
        self.end_at(task_id, at, TryResult::Success, None);
    }
}

fn begun(yaml: &str) -> Stage {
    let mut stage = Stage::new(yaml);
    stage.trigger("r", None);
    stage
}

#[test]
fn within_a_mapped_group_each_element_goes_its_own_way() {
    let mut stage = begun(GROUP);
    assert_eq!(stage.all("g.a"), [Untouched]);
    stage.print("list", json!(["x", "y", "z"]));
    assert_eq!((stage.all("g.a"), stage.all("g.b")), (vec![Queued; 3], vec![Untouched; 3]));
    stage.succeed_at("g.a", 1);
    assert_eq!(stage.all("g.b"), [Untouched, Queued, Untouched]);
    stage.end_at("g.a", 0, TryResult::FailedForGood, None);
    stage.end_at("g.a", 2, TryResult::Skipped, None);
    assert_eq!(stage.all("g.b"), [UpstreamFailed, Queued, Skipped]);
    assert_eq!(stage.all("after"), [UpstreamFailed]);
    stage.succeed_at("g.b", 1);
    stage.succeed("idle");
    assert_eq!(stage.run_state("r"), RunState::Failed);
}

#[test]
fn what_is_outside_waits_for_every_element() {
    let mut stage = begun(GROUP);
    stage.print("list", json!({"x": 1, "y": 2}));
    stage.succeed_at("g.a", 0);
    stage.succeed_at("g.a", 1);
    stage.succeed_at("g.b", 1);
    assert_eq!(stage.all("after"), [Untouched]);
    stage.succeed_at("g.b", 0);
    assert_eq!(stage.all("after"), [Queued]);
}

#[test]
fn an_empty_list_skips_a_group_and_a_failure_before_it_ends_it() {
    let mut stage = begun(GROUP);
    stage.print("list", json!([]));
    assert_eq!(
        (stage.all("g.a"), stage.all("g.b"), stage.all("after")),
        (vec![Skipped], vec![Skipped], vec![Skipped])
    );
    let mut stage = begun(GROUP);
    stage.fail("list");
    assert_eq!((stage.all("g.a"), stage.all("g.b")), (vec![UpstreamFailed], vec![UpstreamFailed]));
    let mut stage = begun(&GROUP.replace("dag_id: d\n", "dag_id: d\nmax_map_length: 2\n"));
    stage.print("list", json!([1, 2, 3]));
    assert_eq!(stage.all("g.a"), [UpstreamFailed]);
    assert!(stage.ti("r", "g.a").reason.as_ref().unwrap().contains("max_map_length of 2"));
}

#[test]
fn a_group_that_runs_again_has_as_many_elements_as_there_are_then() {
    let mut stage = begun(GROUP);
    stage.print("list", json!([1, 2, 3]));
    for at in 0..3 {
        stage.succeed_at("g.a", at);
        stage.succeed_at("g.b", at);
    }
    stage.succeed("after");
    stage.clear(&["list", "g.a", "g.b"]);
    stage.print("list", json!([1, 2]));
    assert_eq!(
        (stage.all("g.a"), stage.all("g.b")),
        (vec![Queued, Queued, Removed], vec![Untouched, Untouched, Removed])
    );
    stage.clear(&["list"]);
    stage.succeed_at("g.a", 0);
    assert_eq!(stage.all("g.b"), [Untouched, Untouched, Removed]);
    stage.print("list", json!([1, 2, 3, 4]));
    assert_eq!(stage.all("g.a"), [Success, Queued, Queued, Queued]);
    assert_eq!(stage.all("g.b"), [Queued, Untouched, Untouched, Untouched]);
}

#[test]
fn instances_that_no_element_can_be_told_for_count_for_every_element() {
    let mut stage = begun(
        "
dag_id: d
max_active_tasks: 100
max_map_length: 5
tasks:
  list: {bash: x}
  g:
    expand: {x: [1, 2]}
    tasks:
      a: {bash: x, expand: {z: \"{{ ti.xcom_pull('list') }}\"}}
      b: {bash: x, depends_on: a}
  idle: {bash: x}
",
    );
    stage.print("list", json!([1, 2]));
    (0..4).for_each(|at| stage.succeed_at("g.a", at));
    let again = |stage: &mut Stage| {
        let tasks = [("list", None), ("g.a", Some(3)), ("g.b", None)];
        let chosen = |(id, map_index): (&str, _)| SelectedTask { task_id: id.parse().unwrap(), map_index };
        let selection = Selection { tasks: tasks.map(chosen).to_vec(), ..stage.selection("r", &[]) };
        stage.ask(Wish::Clear(domain::intent::Clear { selection, only_failed: false }));
    };
    again(&mut stage);
    stage.print("list", json!([1, 2, 3]));
    assert_eq!(stage.all("g.a"), [Success, Success, Success, UpstreamFailed]);
    assert_eq!(stage.all("g.b"), [UpstreamFailed; 2]);
    again(&mut stage);
    stage.print("list", json!([3, 4]));
    assert_eq!(stage.all("g.a"), [Success, Success, Success, Queued]);
    assert_eq!(stage.all("g.b"), [Queued, Untouched]);
}

#[test]
fn inner_groups_count_within_outer_ones() {
    let mut stage = begun(
        "
dag_id: d
max_active_tasks: 100
tasks:
  o:
    expand: {x: [1, 2]}
    tasks:
      first: {bash: x}
      i:
        expand: {y: [1, 2, 3]}
        depends_on: first
        tasks:
          a: {bash: x}
          b: {bash: x, depends_on: a, expand: {z: [1, 2]}}
      last: {bash: x, depends_on: i}
",
    );
    assert_eq!((stage.all("o.i.a").len(), stage.all("o.i.b").len(), stage.all("o.last").len()), (6, 12, 2));
    stage.succeed_at("o.first", 1);
    assert_eq!(stage.all("o.i.a"), [Untouched, Untouched, Untouched, Queued, Queued, Queued]);
    stage.succeed_at("o.i.a", 4);
    let started: Vec<usize> = (0..12).filter(|&at| stage.all("o.i.b")[at] == Queued).collect();
    assert_eq!(started, [8, 9]);
    for at in [3, 5] {
        stage.succeed_at("o.i.a", at);
    }
    (6..11).for_each(|at| stage.succeed_at("o.i.b", at));
    assert_eq!(stage.all("o.last"), [Untouched, Untouched]);
    stage.succeed_at("o.i.b", 11);
    assert_eq!(stage.all("o.last"), [Untouched, Queued]);
}

#[test]
fn a_branch_in_a_mapped_group_chooses_for_its_own_element() {
    let mut stage = begun(
        "
dag_id: d
tasks:
  g:
    expand: {x: [1, 2]}
    tasks:
      choose: {branch: {bash: x}}
      a: {bash: x, depends_on: choose}
      b: {bash: x, depends_on: choose}
  after: {bash: x, depends_on: g, trigger_rule: none_failed_min_one_success}
",
    );
    stage.end_at("g.choose", 1, TryResult::Success, Some(json!("g.a")));
    assert_eq!((stage.all("g.a"), stage.all("g.b")), (vec![Untouched, Queued], vec![Untouched, Skipped]));
    stage.end_at("g.choose", 0, TryResult::Success, Some(json!("g.b")));
    assert_eq!((stage.all("g.a"), stage.all("g.b")), (vec![Skipped, Queued], vec![Queued, Skipped]));
    stage.succeed_at("g.a", 1);
    stage.succeed_at("g.b", 0);
    assert_eq!(stage.all("after"), [Queued]);
}

#[test]
fn an_instance_is_called_what_its_try_says_until_it_is_cleared() {
    let mut stage = begun(
        "dag_id: d\ntasks: {a: {bash: x, expand: {x: [1, 2]}, map_index_template: '{{ x }}'}, idle: {bash: x}}",
    );
    stage.end_at("a", 1, TryResult::Success, Some(json!(7)));
    let name =
        |stage: &Stage| stage.tis.values().find(|ti| ti.map_index == 1).unwrap().rendered_map_index.clone();
    assert_eq!(name(&stage).as_deref(), Some("name of 7"));
    stage.clear(&["a"]);
    assert_eq!(name(&stage), None);
}

#[test]
fn an_instance_is_cleared_by_its_index() {
    let mut stage = begun(GROUP);
    stage.print("list", json!([1, 2]));
    stage.end_at("g.a", 0, TryResult::FailedForGood, None);
    stage.end_at("g.a", 1, TryResult::FailedForGood, None);
    assert_eq!(stage.all("g.b"), [UpstreamFailed; 2]);
    let tasks = ["g.a", "g.b"].map(|id| SelectedTask { task_id: id.parse().unwrap(), map_index: Some(1) });
    let selection = Selection { tasks: tasks.to_vec(), ..stage.selection("r", &[]) };
    stage.ask(Wish::Clear(domain::intent::Clear { selection, only_failed: false }));
    assert_eq!((stage.all("g.a"), stage.all("g.b")), (vec![Failed, Queued], vec![UpstreamFailed, Untouched]));
}

#[test]
fn what_is_ready_is_taken_back_when_its_element_or_the_list_runs_again() {
    for cleared in ["g.a", "list"] {
        let mut stage = begun(&GROUP.replace(" 100\n", " 1\n"));
        stage.print("list", json!([1, 2]));
        stage.succeed_at("g.a", 0);
        assert_eq!(stage.all("g.b"), [TaskState::Scheduled, Untouched]);
        let map_index = (cleared == "g.a").then_some(0);
        let tasks = vec![SelectedTask { task_id: cleared.parse().unwrap(), map_index }];
        let selection = Selection { tasks, ..stage.selection("r", &[]) };
        stage.ask(Wish::Clear(domain::intent::Clear { selection, only_failed: false }));
        assert_eq!((stage.all("g.a")[1], stage.all("g.b")), (Queued, vec![Untouched; 2]), "{cleared}");
    }
}

#[test]
fn every_form_of_a_mapping_is_read() {
    let dag = dag("
dag_id: d
tasks:
  list: {bash: x}
  zip: {bash: x, expand: {p: {zip: [[1, 2], \"{{ ti.xcom_pull('list') }}\"], fillvalue: null}}}
  all: {bash: x, expand_kwargs: {concat: [[{a: 1}], \"{{ ti.xcom_pull('list', key='k') }}\"]}}
  g:
    expand_kwargs: [{a: 1, b: 2}, {a: 3}]
    tasks:
      h:
        expand: {x: \"{{ ti.xcom_pull('list') }}\"}
        tasks:
          t: {bash: x, expand: {y: [1, 2, 3]}, map_index_template: '{{ a }}-{{ x }}-{{ y }}'}
");
    let task = |id: &str| dag.task(id).unwrap();
    let Expand::Zip { of, fillvalue: Some(Value::Null) } = &task("zip").expand["p"] else { panic!("no zip") };
    assert_eq!(of.len(), 2);
    let xcoms: Vec<_> = task("all").mapping().unwrap().xcoms().map(|(_, key)| key).collect();
    assert_eq!((xcoms, task("all").upstream.len()), (vec!["k"], 1));
    let deep = task("g.h.t");
    let dimensions = dag.dimensions(deep);
    assert!(matches!(dimensions[..], [Mapping::Each(_), Mapping::Product(_), Mapping::Product(_)]));
    assert_eq!(deep.upstream.iter().map(|id| id.as_str()).collect::<Vec<_>>(), ["list"]);
    let lengths: Vec<usize> =
        dimensions.iter().map(|mapping| mapping.length(&|_, _| Ok::<usize, ()>(5)).unwrap()).collect();
    assert_eq!(lengths, [2, 5, 3]);
}

/// Ten thousand instances in a chain of two within a mapped group, and one behind all of them: everything that happens costs what it
/// touches, so that the whole takes moments also without optimisation.
#[test]
fn ten_thousand_elements_cost_what_they_touch() {
    const MANY: i32 = 10_000;
    let yaml =
        GROUP.replace("dag_id: d\n", "dag_id: d\nmax_map_length: 10000\n").replace(" 100\n", " 100000\n");
    let mut stage = begun(&yaml);
    let queues = vec![domain::id::QueueName::default_queue()];
    let worker = WorkerRecord { id: Uuid::nil(), queues, slots: 100_000 };
    stage.handle(domain::engine::event::Event::Workers(vec![worker]));
    stage.print("list", (0..MANY).collect::<Vec<_>>());
    for task_id in ["g.a", "g.b"] {
        let tries: Vec<_> = stage
            .tis
            .values()
            .filter(|ti| ti.task_id.as_str() == task_id)
            .map(|ti| domain::id::TryKey { ti: ti.key, try_number: 1 })
            .collect();
        assert_eq!(tries.len(), MANY as usize);
        for attempt in tries {
            let outcome = Outcome {
                attempt,
                result: TryResult::Success,
                started_at: stage.now,
                ended_at: stage.now,
                worker: Uuid::nil(),
                exit_code: None,
                reason: None,
                rendered_map_index: None,
                asset_events: Vec::new(),
                pokes: None,
                trigger: None,
                question: None,
                deferral: None,
                resume_at: None,
                xcoms: indexmap::IndexMap::new(),
            };
            stage.engine.handle(domain::engine::event::Event::Outcome(Box::new(outcome)), stage.now);
        }
        stage.poll();
    }
    assert_eq!(stage.all("after"), [Queued]);
    stage.clear(&["g.a", "g.b"]);
    assert_eq!(stage.all("g.b"), vec![Untouched; MANY as usize]);
}
