//! When runs are due: `schedule`, `catchup` and `overlap`.

mod blackout;
mod calendar;

use chrono_tz::Tz;

use super::{
    assets, date,
    diagnostic::{Problem, alternatives},
    fields::Fields,
    keys::Place,
    node::{At, Node, shown},
    reading::Reading,
    values,
};
use crate::{
    asset::Condition,
    span::Span,
    timetable::{self, Catchup, Composed, Cron, Dates, Every, Interval, Jitter, Overlap, Timetable},
};

/// What the DAG says of all its schedules.
#[derive(Clone, Copy)]
struct Header<'s> {
    zone: Tz,
    /// What jitter follows from: the DAG's id.
    seed: &'s str,
    /// It is about an element of a list, which cannot be a list itself.
    is_element: bool,
}

/// When runs are due, by the clock and by assets.
#[derive(Default)]
pub(super) struct Schedule {
    /// `None` when it has a problem, which has been told.
    pub(super) times: Option<Timetable>,
    pub(super) assets: Option<Condition>,
}

/// Reads `schedule`; none means manual runs only. `seed` is what jitter follows from, the DAG's id.
pub(super) fn read(fields: &Fields<'_>, zone: Tz, seed: &str, reading: &mut Reading<'_>) -> Schedule {
    let never = Schedule { times: Some(Timetable::Null), assets: None };
    let Some(entry) = fields.entry("schedule").filter(|entry| !entry.value.is_null()) else {
        return never;
    };
    let header = Header { zone, seed, is_element: false };
    let owner = fields.named("schedule");
    let has = |key| entry.value.map().is_some_and(|map| map.contains_key(key));
    if !has("assets") && !has("or") {
        return Schedule { times: times(&entry.value, entry.key_at, owner, header, reading), assets: None };
    }
    let Some(fields) = Fields::open(&entry.value, entry.key_at, owner, Place::Schedule, reading) else {
        return Schedule::default();
    };
    for (key, other) in entry.value.map().into_iter().flatten() {
        if !matches!(key.as_str(), "assets" | "or") && Place::Schedule.key(key).is_some() {
            let message = format!("{} has both `assets` and `{}`", fields.owner, shown(key));
            reading.add(
                Problem::new(other.key_at, message).hint("put the times below `or`: {assets: ..., or: ...}"),
            );
        }
    }
    let Some(named) = fields.entry("assets") else {
        reading.add(Problem::new(entry.key_at, format!("{} has `or` but no `assets`", fields.owner)));
        return Schedule::default();
    };
    let assets = assets::condition(&named.value, &fields.named("assets"), reading);
    let times = match fields.entry("or").filter(|or| !or.value.is_null()) {
        Some(or) => times(&or.value, or.key_at, fields.named("or"), header, reading),
        None => Some(Timetable::Null),
    };
    Schedule { times, assets }
}

/// The part of a schedule that goes by the clock.
fn times(
    node: &Node,
    at: At,
    owner: String,
    header: Header<'_>,
    reading: &mut Reading<'_>,
) -> Option<Timetable> {
    if node.list().is_some() {
        let elements = elements(node, &owner, header, reading)?;
        return together(elements, node.at, &owner, reading);
    }
    one(node, at, owner, header, reading)
}

/// A schedule that is no list.
fn one(
    node: &Node,
    at: At,
    owner: String,
    header: Header<'_>,
    reading: &mut Reading<'_>,
) -> Option<Timetable> {
    if node.map().is_some() {
        return mapping(node, at, owner, header, reading);
    }
    reading.keep(written(node, header.zone).map_err(|problem| problem.of(&owner)))
}

fn written(node: &Node, zone: Tz) -> Result<Timetable, Problem> {
    let forms =
        "write a cron expression, a preset such as @daily, {every: 15m}, {at: [2026-12-24T18:00]} or null";
    if node.scalar().is_some_and(|scalar| !scalar.value.is_string()) {
        return Err(Problem::new(node.at, format!("{} is not a schedule", node.describe())).hint(forms));
    }
    if node.list().is_some() {
        return Err(Problem::new(node.at, "this is a list in a list").hint("write all into one list"));
    }
    let text = values::text(node)?;
    match text.trim() {
        "None" | "none" | "null" => Ok(Timetable::Null),
        expression => Timetable::parse(expression, zone).map_err(|error| explain(node, expression, &error)),
    }
}

fn explain(node: &Node, expression: &str, error: &timetable::Error) -> Problem {
    let duration = expression.parse::<Span>().is_ok();
    Problem::new(node.at, error.to_string())
        .maybe(duration.then(|| format!("did you mean {{every: {expression}}}?")))
}

/// The schedules of a list, each fit to be put together with others.
fn elements(
    node: &Node,
    owner: &str,
    header: Header<'_>,
    reading: &mut Reading<'_>,
) -> Option<Vec<Timetable>> {
    let before = reading.report.count();
    let Some(list) = node.list() else {
        reading.add(Problem::new(node.at, format!("{owner} must be a list, this is {}", node.describe())));
        return None;
    };
    if list.len() > Composed::MOST {
        let problem = format!("{owner} has {} schedules, at most {} are allowed", list.len(), Composed::MOST);
        reading.add(Problem::new(node.at, problem));
        return None;
    }
    let header = Header { is_element: true, ..header };
    let mut all = Vec::with_capacity(list.len());
    for (index, element) in list.iter().enumerate() {
        let named = format!("element {} of {owner}", index + 1);
        if let Some(timetable) = one(element, element.at, named.clone(), header, reading) {
            let fit = Composed::new(vec![timetable.clone()])
                .map_err(|error| Problem::new(element.at, error.to_string()).of(&named));
            reading.keep(fit);
            all.push(timetable);
        }
    }
    (reading.report.count() == before).then_some(all)
}

fn together(mut all: Vec<Timetable>, at: At, owner: &str, reading: &mut Reading<'_>) -> Option<Timetable> {
    if all.len() == 1 {
        return all.pop();
    }
    let composed = Composed::new(all).map_err(|error| Problem::new(at, error.to_string()).of(owner));
    reading.keep(composed).map(|composed| Timetable::Composed(Box::new(composed)))
}

/// The keys of which a schedule has exactly one.
const KINDS: [&str; 4] = ["cron", "every", "at", "any"];

fn mapping(
    node: &Node,
    at: At,
    owner: String,
    header: Header<'_>,
    reading: &mut Reading<'_>,
) -> Option<Timetable> {
    let before = reading.report.count();
    let fields = Fields::open(node, at, owner, Place::Schedule, reading)?;
    if let Some(entry) = fields.entry("assets").or_else(|| fields.entry("or")) {
        let message = format!("{}: assets stand beside times, not among them", fields.owner);
        reading.add(
            Problem::new(entry.key_at, message).hint("write {assets: ..., or: ...} as the whole schedule"),
        );
        return None;
    }
    let zone = fields.get("timezone", reading, |node| values::zone(node)).unwrap_or(header.zone);
    let header = Header { zone, ..header };
    let calendar = calendar::read(&fields, zone, reading);
    let blackout = blackout::read(&fields, zone, reading);
    let jitter = fields.get("jitter", reading, |node| jitter(node, header.seed));
    let interval = fields.get("data_interval", reading, |node| interval(node)).unwrap_or_default();
    let plain = calendar.is_none() && blackout.is_none() && jitter.is_none();
    if plain && fields.has("every") {
        refuse_zone(&fields, reading);
    }
    let elements = ticks(&fields, at, header, reading)?;
    if reading.report.count() > before {
        return None;
    }
    if plain && interval.is_moment() {
        return together(elements, at, &fields.owner, reading);
    }
    match (elements.as_slice(), interval) {
        ([Timetable::Cron(cron)], Interval::SinceLast) if plain => {
            Some(Timetable::Cron(cron.clone().with_data_interval(true)))
        }
        ([Timetable::Every(every)], Interval::SinceLast) if plain => {
            Some(Timetable::Every(every.with_data_interval(true)))
        }
        _ => {
            let composed = Composed::new(elements)
                .map_err(|error| Problem::new(at, error.to_string()).of(&fields.owner));
            let composed = reading.keep(composed)?.with_calendar(calendar).with_blackout(blackout);
            let composed = composed.with_jitter(jitter).with_data_interval(interval);
            Some(Timetable::Composed(Box::new(composed)))
        }
    }
}

fn refuse_zone(fields: &Fields<'_>, reading: &mut Reading<'_>) {
    if let Some(zone) = fields.entry("timezone") {
        reading.add(
            Problem::new(zone.key_at, format!("{}: `timezone` needs `cron`", fields.owner))
                .hint("a fixed distance is the same in every zone"),
        );
    }
}

/// Whatever has the ticks.
fn ticks(
    fields: &Fields<'_>,
    at: At,
    header: Header<'_>,
    reading: &mut Reading<'_>,
) -> Option<Vec<Timetable>> {
    let mut given = KINDS.iter().filter(|kind| fields.has(kind));
    let (first, second) = (given.next(), given.next());
    if let (Some(first), Some(entry)) = (first, second.and_then(|second| fields.entry(second))) {
        let second = second.copied().unwrap_or_default();
        let problem = format!("{} has both `{first}` and `{second}`", fields.owner);
        reading.add(Problem::new(entry.key_at, problem).hint("keep one; several schedules are a list"));
        return None;
    }
    let zone = header.zone;
    match first.copied() {
        Some("cron") => {
            fields.get("cron", reading, |node| cron(node, zone)).map(|cron| vec![Timetable::Cron(cron)])
        }
        Some("every") => {
            fields.get("every", reading, |node| every(node)).map(|every| vec![Timetable::Every(every)])
        }
        Some("at") => {
            fields.get("at", reading, |node| dates(node, zone)).map(|dates| vec![Timetable::Dates(dates)])
        }
        Some(_) => {
            let entry = fields.entry("any")?;
            if header.is_element {
                let problem = format!("{}: a list in a list", fields.named("any"));
                reading.add(Problem::new(entry.key_at, problem).hint("write all into one list"));
                return None;
            }
            let all = elements(&entry.value, &fields.named("any"), header, reading)?;
            if all.is_empty() {
                reading.add(Problem::new(entry.value.at, format!("{} is empty", fields.named("any"))));
            }
            Some(all)
        }
        None => {
            if !fields.has_strangers {
                reading
                    .add(Problem::new(at, format!("{} needs {}", fields.owner, alternatives(KINDS, "or"))));
            }
            None
        }
    }
}

fn cron(node: &Node, zone: Tz) -> Result<Cron, Problem> {
    let text = values::text(node)?;
    Cron::parse(text.trim(), zone).map_err(|error| explain(node, text.trim(), &error))
}

fn every(node: &Node) -> Result<Every, Problem> {
    Every::new(values::span(node)?).map_err(|error| Problem::new(node.at, error.to_string()))
}

fn dates(node: &Node, zone: Tz) -> Result<Dates, Problem> {
    let moments = values::list(node, |node| date::date(node, zone))?;
    Dates::new(moments).map_err(|error| Problem::new(node.at, error.to_string()))
}

fn jitter(node: &Node, seed: &str) -> Result<Jitter, Problem> {
    Jitter::new(values::span(node)?, seed).map_err(|error| Problem::new(node.at, error.to_string()))
}

fn interval(node: &Node) -> Result<Interval, Problem> {
    match values::flag(node) {
        Ok(true) => Ok(Interval::SinceLast),
        Ok(false) => Ok(Interval::Moment),
        Err(problem) => match values::positive_span(node) {
            Ok(length) => Ok(Interval::Length(length)),
            Err(_) if problem.hint.is_some() => Err(problem),
            Err(_) => {
                let found = node.describe();
                Err(Problem::new(
                    node.at,
                    format!("this must be true, false or a length such as 1d, not {found}"),
                ))
            }
        },
    }
}

/// Reads `catchup`; only the most recent missed run is made up for unless it says otherwise.
pub(super) fn catchup(fields: &Fields<'_>, reading: &mut Reading<'_>) -> Option<Catchup> {
    let Some(entry) = fields.entry("catchup") else {
        return Some(Catchup::None);
    };
    let owner = fields.named("catchup");
    if entry.value.map().is_some() {
        let fields = Fields::open(&entry.value, entry.key_at, owner, Place::Catchup, reading)?;
        if !fields.has("window") && !fields.has_strangers {
            reading.add(
                Problem::new(entry.key_at, format!("{} needs a `window`", fields.owner))
                    .hint("for example {window: 6h}"),
            );
        }
        return fields.get("window", reading, |node| values::positive_span(node)).map(Catchup::Window);
    }
    let last = entry.value.scalar().is_some_and(|scalar| scalar.text == "last");
    if last {
        return Some(Catchup::Last);
    }
    let read = values::flag(&entry.value).map(|all| if all { Catchup::All } else { Catchup::None });
    let wanted = |_| {
        Problem::new(
            entry.value.at,
            format!("{owner} must be true, false, last or {{window: 6h}}, not {}", entry.value.describe()),
        )
    };
    reading.keep(read.map_err(wanted))
}

/// Reads `overlap`.
pub(super) fn overlap(fields: &Fields<'_>, reading: &mut Reading<'_>) -> Overlap {
    let choices = Overlap::ALL.iter().map(|overlap| (overlap.as_str(), *overlap));
    let read = |node: &std::rc::Rc<Node>| values::one_of(node, "rule for overlapping runs", choices);
    fields.get("overlap", reading, read).unwrap_or_default()
}

/// `max_active_runs`, which is 1 for a DAG whose next run begins when the last one has ended.
pub(super) fn max_active_runs(
    fields: &Fields<'_>,
    schedule: Option<&Timetable>,
    given: u32,
    reading: &mut Reading<'_>,
) -> u32 {
    if schedule != Some(&Timetable::Continuous) {
        return given;
    }
    if let Some(entry) = fields.entry("max_active_runs").filter(|_| given != 1) {
        let problem = format!("{} must be 1 when `schedule` is @continuous", fields.named("max_active_runs"));
        reading.add(
            Problem::new(entry.value.at, problem)
                .hint("remove it: the next run begins as soon as the last one has ended"),
        );
    }
    1
}
