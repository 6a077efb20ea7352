//! One document: one DAG.

use std::rc::Rc;

use chrono_tz::Tz;

use super::{
    Loaded, approval, assets, date, deadline,
    diagnostic::Problem,
    expand::{self, Source},
    fields::Fields,
    graph,
    keys::{DAG, Place},
    names::{self, Pulls},
    node::{At, Entry, Node},
    notices::Notices,
    param,
    reading::Reading,
    schedule,
    settings::{Settings, bounds},
    special,
    tree::{self, Body, Item},
    values,
};
use crate::{
    dag::{Dag, Expand, Group, Task, USUAL_MAPPED},
    id::{DagId, TaskId},
    timetable::{Catchup, Timetable},
};

/// How many runs of a DAG, and how many tasks of one run, may be active unless the file says otherwise (Airflow's defaults).
const MAX_ACTIVE: u32 = 16;
/// Who looks after a DAG that names nobody.
const OWNER: &str = "tradewind";
/// Longest tag, in characters (Airflow's limit).
const MAX_TAG: usize = 100;

/// Reads the document: the DAG and where its id stands; `None` when it has a problem, which has been told.
/// `name` is the DAG's unless it says its own.
pub(super) fn read(node: &Rc<Node>, name: Option<&str>, reading: &mut Reading<'_>) -> Option<(Loaded, At)> {
    let before = reading.report.count();
    if node.map().is_none() {
        let problem =
            Problem::new(node.at, format!("a DAG is a mapping, this document is {}", node.describe()));
        reading.add(problem.hint("start with `dag_id:`, `schedule:` and `tasks:`"));
        return None;
    }
    let fields = Fields::open(node, node.at, "the DAG".into(), Place::Dag, reading)?;
    let dag_id = dag_id(&fields, name, reading);
    let dag = header(&fields, dag_id, reading);
    let most = dag.as_ref().map_or(USUAL_MAPPED, |dag| dag.max_map_length);
    let (tasks, groups) = body(&fields, most, reading);
    if reading.report.count() > before {
        return None;
    }
    let dag = Dag { tasks, groups, ..dag? };
    let at = fields.entry("dag_id").map_or(node.at, |entry| entry.value.at);
    Some((Loaded { dag, line: at.line, column: at.column }, at))
}

fn dag_id(fields: &Fields<'_>, name: Option<&str>, reading: &mut Reading<'_>) -> Option<DagId> {
    if fields.has("dag_id") {
        return fields.get("dag_id", reading, |node| values::name(node));
    }
    let Some(name) = name else {
        reading.add(
            Problem::new(fields.at, "this document needs a `dag_id`")
                .hint("only a file with a single document lends its name to the DAG"),
        );
        return None;
    };
    let named = DagId::new(name).map_err(|error| {
        Problem::new(fields.at, format!("the file's name does not do for a DAG: {error}"))
            .hint("add a `dag_id` or rename the file")
    });
    reading.keep(named)
}

/// Everything but the tasks.
fn header(fields: &Fields<'_>, dag_id: Option<DagId>, reading: &mut Reading<'_>) -> Option<Dag> {
    let timezone = zone(fields, reading);
    // A schedule or date cannot be judged in a zone that is unknown: UTC stands in, the error has been told.
    let zone = timezone.unwrap_or(Tz::UTC);
    let start_date = fields.get("start_date", reading, |node| date::date(node, zone));
    let end_date = fields.get("end_date", reading, |node| date::date(node, zone));
    if let (Some(start), Some(end), Some(entry)) = (start_date, end_date, fields.entry("end_date"))
        && end < start
    {
        reading.add(Problem::new(
            entry.value.at,
            format!("{}: it is before `start_date`", fields.named("end_date")),
        ));
    }
    let limit = |name: &'static str, reading: &mut Reading<'_>| {
        fields.get(name, reading, whole(name)).unwrap_or(MAX_ACTIVE)
    };
    let seed = dag_id.as_ref().map_or("", DagId::as_str);
    assets::describe(fields, reading);
    let schedule::Schedule { times: schedule, assets: asset_condition } =
        schedule::read(fields, zone, seed, reading);
    let catchup = schedule::catchup(fields, reading);
    let max_active_runs =
        schedule::max_active_runs(fields, schedule.as_ref(), limit("max_active_runs", reading), reading);
    let dag = Dag {
        description: fields.get("description", reading, |node| values::text(node)),
        doc: fields.get("doc", reading, |node| values::text(node)),
        schedule: schedule.unwrap_or(Timetable::Null),
        asset_condition,
        partitions: None,
        timezone: zone,
        start_date,
        end_date,
        catchup: catchup.unwrap_or(Catchup::None),
        overlap: schedule::overlap(fields, reading),
        max_active_runs,
        max_active_tasks: limit("max_active_tasks", reading),
        fail_fast: fields.get("fail_fast", reading, |node| values::flag(node)).unwrap_or(false),
        max_consecutive_failed_dag_runs: fields
            .get("max_consecutive_failed_dag_runs", reading, whole("max_consecutive_failed_dag_runs"))
            .unwrap_or(0),
        max_map_length: fields
            .get("max_map_length", reading, whole("max_map_length"))
            .unwrap_or(USUAL_MAPPED),
        dagrun_timeout: fields.get("dagrun_timeout", reading, |node| values::positive_span(node)),
        share: fields.get("share", reading, whole("share")).unwrap_or(1),
        team: fields.get("team", reading, |node| values::name(node)),
        tags: fields.get("tags", reading, |node| values::list(node, tag)).unwrap_or_default(),
        owner: fields.get("owner", reading, |node| values::text(node)).unwrap_or_else(|| OWNER.into()),
        params: param::read(fields, reading),
        is_paused_upon_creation: fields
            .get("is_paused_upon_creation", reading, |node| values::flag(node))
            .unwrap_or(false),
        deadlines: deadline::read(fields, zone, reading),
        alerts: Notices::of_dag(fields, reading).alerts(),
        tasks: Vec::new(),
        groups: Vec::new(),
        python_file: None,
        // Last, so that a bad id does not keep the other fields from being judged.
        dag_id: dag_id?,
    };
    Some(dag)
}

// Reads the number within the bounds that the table of keys gives.
fn whole(name: &'static str) -> impl FnOnce(&Rc<Node>) -> Result<u32, Problem> {
    move |node| {
        let (least, most) = bounds(DAG, name);
        values::whole(node, least, most)
    }
}

fn zone(fields: &Fields<'_>, reading: &mut Reading<'_>) -> Option<Tz> {
    if !fields.has("timezone") {
        return Some(Tz::UTC);
    }
    fields.get("timezone", reading, |node| values::zone(node))
}

fn tag(node: &Node) -> Result<String, Problem> {
    let tag = values::any_text(node)?;
    let length = tag.chars().count();
    if tag.trim().is_empty() {
        return Err(Problem::new(node.at, "a tag is empty"));
    }
    if length > MAX_TAG {
        return Err(Problem::new(
            node.at,
            format!("a tag has at most {MAX_TAG} characters, this one has {length}"),
        ));
    }
    Ok(tag)
}

/// The tasks with their upstreams, and the groups.
fn body(fields: &Fields<'_>, most: u32, reading: &mut Reading<'_>) -> (Vec<Task>, Vec<Group>) {
    let defaults =
        Settings::defaults(fields.entry("default_args"), &fields.owner, &Settings::default(), reading);
    let Some(tasks) = fields.entry("tasks") else {
        if !fields.has_strangers {
            reading.add(Problem::new(fields.at, "the DAG has no `tasks`"));
        }
        return (Vec::new(), Vec::new());
    };
    let items = tree::read(tasks, &fields.owner, &defaults, reading);
    expand::check_lengths(&items, most, reading);
    let (needs, pulls) = names::resolve(&items, reading);
    let upstreams = graph::edges(&items, &needs, reading);
    graph::refuse_cycles(&items, &upstreams, reading);
    approval::check_targets(&items, reading);
    let flag = |entry: &Entry| entry.value.scalar().is_some_and(|scalar| scalar.value == true);
    if fields.entry("fail_fast").is_some_and(flag) {
        special::check_fail_fast(&items, reading);
    }
    assemble(items, &upstreams, &pulls)
}

fn assemble(items: Vec<Item>, upstreams: &graph::Upstreams, pulls: &Pulls) -> (Vec<Task>, Vec<Group>) {
    let ids: Vec<Option<TaskId>> = items.iter().map(tree::task_id).collect();
    let (mut tasks, mut groups) = (Vec::new(), Vec::new());
    for (index, item) in items.into_iter().enumerate() {
        let from =
            |task: &str| pulls.get(&(index, task.to_owned())).and_then(|&to| ids.get(to).cloned().flatten());
        let product = item.expansion.product.into_iter();
        let product = product.filter_map(|(name, source)| Some((name, resolved(source, &from)?))).collect();
        let each = item.expansion.each.and_then(|source| resolved(source, &from));
        match item.body {
            Body::Group(group) => {
                groups.extend(group.map(|group| Group { expand: product, expand_kwargs: each, ..*group }));
            }
            Body::Task(None) => {}
            Body::Task(Some(mut task)) => {
                let upstream = upstreams.get(index).into_iter().flat_map(|upstream| upstream.keys());
                task.upstream = upstream.filter_map(|up| ids.get(*up).cloned().flatten()).collect();
                task.upstream.sort();
                (task.expand, task.expand_kwargs) = (product, each);
                tasks.push(*task);
            }
        }
    }
    (tasks, groups)
}

// A source whose names have become ids; one that is not known has been told.
fn resolved(source: Source, from: &impl Fn(&str) -> Option<TaskId>) -> Option<Expand> {
    let all =
        |parts: Vec<Source>| parts.into_iter().map(|part| resolved(part, from)).collect::<Option<Vec<_>>>();
    Some(match source {
        Source::List(list) => Expand::List(list),
        Source::XCom { task, key, .. } => Expand::XCom { task_id: from(&task)?, key },
        Source::Zip { of, fillvalue } => Expand::Zip { of: all(of)?, fillvalue },
        Source::Concat(parts) => Expand::Concat(all(parts)?),
    })
}
