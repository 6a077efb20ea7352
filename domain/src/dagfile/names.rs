//! Finds what a name in `depends_on` or in a pulled XCom means.
//!
//! A name is looked for among the siblings first, then in the groups around, then as a full id.

use std::collections::HashMap;

use super::{
    diagnostic::Problem,
    expand::Source,
    node::{At, shown},
    reading::Reading,
    suggest::did_you_mean,
    tree::Item,
};

/// One item needs another one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Need {
    pub(super) from: usize,
    pub(super) to: usize,
    /// Where it is written.
    pub(super) at: At,
}

/// What a mapping pulls from, by item and the name that it wrote.
pub(super) type Pulls = HashMap<(usize, String), usize>;

/// Resolves every name; the ones that mean nothing are told.
pub(super) fn resolve(items: &[Item], reading: &mut Reading<'_>) -> (Vec<Need>, Pulls) {
    let ids = index(items, reading);
    let mut needs = Vec::new();
    let mut pulls = Pulls::new();
    for (from, item) in items.iter().enumerate() {
        for (name, at) in &item.depends_on {
            let found = find(items, &ids, from, name)
                .ok_or_else(|| unknown(items, from, name, *at, reading.is_full()));
            let checked = found.and_then(|to| check(items, from, to, *at));
            needs.extend(reading.keep(checked).map(|to| Need { from, to, at: *at }));
        }
        for (task, at) in item.expansion.sources().flat_map(Source::pulls) {
            let found = find(items, &ids, from, task)
                .ok_or_else(|| unknown(items, from, task, at, reading.is_full()));
            let checked = found
                .and_then(|to| check(items, from, to, at))
                .and_then(|to| task_only(items, to, at))
                .and_then(|to| not_beside(items, from, to, at));
            if let Some(to) = reading.keep(checked) {
                pulls.insert((from, task.to_owned()), to);
                needs.push(Need { from, to, at });
            }
        }
    }
    (needs, pulls)
}

/// Full ids to items; an id that two items share is told.
fn index<'i>(items: &'i [Item], reading: &mut Reading<'_>) -> HashMap<&'i str, usize> {
    let mut ids = HashMap::with_capacity(items.len());
    for (position, item) in items.iter().enumerate() {
        if let Some(first) = ids.insert(item.id.as_str(), position).and_then(|first: usize| items.get(first))
        {
            let message =
                format!("{} has the same id as the {} on line {}", item.named(), kind(first), first.at.line);
            reading.add(Problem::new(item.at, message).hint("ids are unique in a DAG, groups included"));
        }
    }
    ids
}

const fn kind(item: &Item) -> &'static str {
    if item.is_group() { "group" } else { "task" }
}

fn find(items: &[Item], ids: &HashMap<&str, usize>, from: usize, name: &str) -> Option<usize> {
    let mut scope = items.get(from)?.parent;
    while let Some(group) = scope.and_then(|index| items.get(index)) {
        if let Some(found) = ids.get(format!("{}.{name}", group.id).as_str()) {
            return Some(*found);
        }
        scope = group.parent;
    }
    ids.get(name).copied()
}

fn unknown(items: &[Item], from: usize, name: &str, at: At, is_full: bool) -> Problem {
    let owner = items.get(from).map(Item::named).unwrap_or_default();
    let problem =
        Problem::new(at, format!("{owner} depends on `{}`, and there is no such task or group", shown(name)));
    if is_full {
        return problem;
    }
    let prefix = items
        .get(from)
        .and_then(|item| item.parent)
        .and_then(|parent| items.get(parent))
        .map(|group| format!("{}.", group.id));
    let others = || {
        items.iter().enumerate().filter(|(position, _)| *position != from).map(|(_, item)| item.id.as_str())
    };
    let local = others().filter_map(|id| id.strip_prefix(prefix.as_deref()?));
    let nested =
        || others().find(|id| id.rsplit('.').next() == Some(name)).map(|id| format!("did you mean `{id}`?"));
    problem.maybe(did_you_mean(name, local.chain(others())).or_else(nested))
}

fn check(items: &[Item], from: usize, to: usize, at: At) -> Result<usize, Problem> {
    let (Some(item), Some(target)) = (items.get(from), items.get(to)) else {
        return Ok(to);
    };
    if from == to {
        return Err(Problem::new(at, format!("{} depends on itself", item.named())));
    }
    if (to..target.end).contains(&from) {
        return Err(Problem::new(
            at,
            format!("{} cannot depend on {}, which it is part of", item.named(), target.named()),
        ));
    }
    if (from..item.end).contains(&to) {
        return Err(Problem::new(
            at,
            format!("{} cannot depend on {}, which is part of it", item.named(), target.named()),
        ));
    }
    Ok(to)
}

/// Within a mapped group every instance may leave a list of another length, but a mapping has one length in a run.
fn not_beside(items: &[Item], from: usize, to: usize, at: At) -> Result<usize, Problem> {
    let mut around = items.get(from).and_then(|item| item.parent);
    while let Some((index, group)) = around.and_then(|index| Some((index, items.get(index)?))) {
        if !group.expansion.is_empty() && (index..group.end).contains(&to) {
            let (item, target) = (items.get(from).map(Item::named), items.get(to).map(Item::named));
            let (item, target) = (item.unwrap_or_default(), target.unwrap_or_default());
            let message =
                format!("{item} cannot be mapped over {target}: both are in the mapped {}", group.named());
            let hint = "map over a task outside of that group; its elements may be lists themselves";
            return Err(Problem::new(at, message).hint(hint));
        }
        around = group.parent;
    }
    Ok(to)
}

fn task_only(items: &[Item], to: usize, at: At) -> Result<usize, Problem> {
    match items.get(to) {
        Some(group) if group.is_group() => {
            Err(Problem::new(at, format!("{} leaves no XCom, only tasks do", group.named())))
        }
        _ => Ok(to),
    }
}
