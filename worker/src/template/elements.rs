//! Which elements an instance of a mapped task has, and which instances of another task share them.
//!
//! Only what is needed is asked for: one element, and lengths where several lists make up the mapped index.

use std::ops::Range;

use domain::dag::{Expand, Factor, Mapping, Task};
use minijinja::Error;
use serde_json::Value as Json;

use super::lookups::{Lookups, wrong};
use crate::assignment::Assignment;

/// The values that this instance is mapped over, by name: those of the groups around its task first.
///
/// # Errors
/// When something has still to be asked, or an element is gone or sets no names.
pub(super) fn elements(assignment: &Assignment, lookups: &Lookups) -> Result<Vec<(String, Json)>, Error> {
    let task = assignment.task();
    let dimensions = assignment.dag.dimensions(task);
    let factors: Vec<Factor<'_>> = dimensions.into_iter().flat_map(Mapping::factors).collect();
    let asked = Asked { assignment, lookups };
    let mut rest = usize::try_from(assignment.map_index).unwrap_or(0);
    let mut found = Vec::new();
    // The last one goes round fastest; the first one has all the rest, so that its length is not needed.
    for (number, factor) in factors.iter().enumerate().rev() {
        let place = if number == 0 {
            rest
        } else {
            let length = asked.length(factor.source)?.max(1);
            let place = rest % length;
            rest /= length;
            place
        };
        found.push(asked.named(factor, place)?);
    }
    found.reverse();
    Ok(found.into_iter().flatten().collect())
}

/// The instances of another task that share the elements of this one's mapped groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Counterparts {
    /// They have no mapped group in common.
    All,
    /// There is one for each instance of this task.
    One(usize),
    /// That one is mapped further.
    Several(Range<usize>),
}

/// Which instances of `other` belong to this one.
///
/// # Errors
/// When the length of something has still to be asked.
pub(super) fn counterparts(
    assignment: &Assignment,
    other: &Task,
    lookups: &Lookups,
) -> Result<Counterparts, Error> {
    let (dag, own) = (&assignment.dag, assignment.task());
    let common = dag.mapped_groups(own).into_iter().zip(dag.mapped_groups(other));
    let common = common.take_while(|(one, other)| one == other).count();
    let Some(place) = usize::try_from(assignment.map_index).ok().filter(|_| common > 0) else {
        return Ok(Counterparts::All);
    };
    let asked = Asked { assignment, lookups };
    let width = |task: &Task| {
        let further = dag.dimensions(task).into_iter().skip(common).flat_map(Mapping::factors);
        further.map(|factor| asked.length(factor.source)).product::<Result<usize, Error>>()
    };
    let cell = place / width(own)?.max(1);
    if dag.dimensions(other).len() == common {
        return Ok(Counterparts::One(cell));
    }
    let width = width(other)?;
    Ok(Counterparts::Several(cell * width..(cell + 1) * width))
}

struct Asked<'a> {
    assignment: &'a Assignment,
    lookups: &'a Lookups,
}

impl Asked<'_> {
    fn length(&self, source: &Expand) -> Result<usize, Error> {
        source.length(&|task_id, key| {
            self.lookups.length(task_id.as_str(), key, self.is_split(task_id.as_str()))
        })
    }

    fn element(&self, source: &Expand, place: usize) -> Result<Option<Json>, Error> {
        match source {
            Expand::List(list) => Ok(list.get(place).cloned()),
            Expand::XCom { task_id, key } => {
                let is_split = self.is_split(task_id.as_str());
                self.lookups.element(task_id.as_str(), key, place, is_split)
            }
            Expand::Zip { of, fillvalue } => {
                if place >= self.length(source)? {
                    return Ok(None);
                }
                let fill = || fillvalue.clone().unwrap_or(Json::Null);
                let parts = of.iter().map(|part| Ok(self.element(part, place)?.unwrap_or_else(fill)));
                parts.collect::<Result<Vec<_>, Error>>().map(|parts| Some(Json::Array(parts)))
            }
            Expand::Concat(parts) => {
                let mut rest = place;
                for part in parts {
                    let length = self.length(part)?;
                    if rest < length {
                        return self.element(part, rest);
                    }
                    rest -= length;
                }
                Ok(None)
            }
        }
    }

    fn named(&self, factor: &Factor<'_>, place: usize) -> Result<Vec<(String, Json)>, Error> {
        let name = factor.name.unwrap_or("expand_kwargs");
        let gone = || {
            wrong(format!(
                "`{name}` has no such element any more: the list that this task is mapped over has changed"
            ))
        };
        let value = self.element(factor.source, place)?.ok_or_else(gone)?;
        match (factor.name, value) {
            (Some(name), value) => Ok(vec![(name.to_owned(), value)]),
            (None, Json::Object(names)) => Ok(names.into_iter().collect()),
            (None, other) => {
                let shown: String = other.to_string().chars().take(80).collect();
                Err(wrong(format!(
                    "`expand_kwargs`: element {place} must be a mapping of names, not {shown}"
                )))
            }
        }
    }

    fn is_split(&self, task_id: &str) -> bool {
        needs_expansion(self.assignment, task_id)
    }
}

/// Whether the task has an instance for each element of something.
pub(super) fn needs_expansion(assignment: &Assignment, task_id: &str) -> bool {
    assignment.dag.task(task_id).is_some_and(|task| assignment.dag.needs_expansion(task))
}
