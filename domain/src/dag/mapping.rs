//! Dynamic mapping: what a task or a group has an instance for each element of.
//!
//! The mappings of the groups around a task and its own, from the outside in, are its *dimensions*. They make a mixed number of its
//! mapped index: the innermost varies fastest, as Airflow counts. Every dimension has one length in a run.
//!
//! Source: Airflow 3.3.2 `models/xcom_arg.py:149-220` (lengths), `serialization/definitions/mappedoperator.py:500-578` (counts).

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Dag, Group, Task};
use crate::id::TaskId;

/// Most instances one mapped task may be allowed by `max_map_length`.
pub const MAX_MAPPED: usize = 100_000;
/// Most instances of one mapped task unless its DAG says otherwise. Source: Airflow's `[core] max_map_length`.
pub const USUAL_MAPPED: u32 = 1_024;
/// Longest name of a mapped instance, in characters; what is longer is cut off (Airflow's column has as many).
pub const MAX_MAP_NAME: usize = 250;

/// Where the values of a mapping come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expand {
    /// Written in the file.
    List(Vec<Value>),
    /// The elements of a list, or the `[key, value]` pairs of an object, that an upstream task left as an XCom. Of an upstream with
    /// several instances: what each of them left, by mapped index.
    XCom {
        /// The upstream task.
        task_id: TaskId,
        /// The XCom's key, `return_value` unless named.
        key: String,
    },
    /// Side by side: each element is the list of the elements at one place.
    Zip {
        /// What is put side by side.
        of: Vec<Expand>,
        /// What stands for missing elements. Without one the shortest ends it.
        #[serde(default, deserialize_with = "super::given", skip_serializing_if = "Option::is_none")]
        fillvalue: Option<Value>,
    },
    /// One after the other.
    Concat(Vec<Expand>),
}

/// What a task or group is mapped over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mapping<'a> {
    /// Every combination of the elements of several names. The last name varies fastest.
    Product(&'a IndexMap<String, Expand>),
    /// Each element is an object that sets several names.
    Each(&'a Expand),
}

/// One digit of a mapped index: a name and where its values come from, or a list of objects that set names.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Factor<'a> {
    /// The name that is set; `None` when each element names what it sets.
    pub name: Option<&'a str>,
    /// Its values.
    pub source: &'a Expand,
}

impl Expand {
    /// How many elements there are, when `of` tells how many an XCom has.
    ///
    /// # Errors
    /// Those of `of`.
    pub fn length<E>(&self, of: &impl Fn(&TaskId, &str) -> Result<usize, E>) -> Result<usize, E> {
        match self {
            Self::List(list) => Ok(list.len()),
            Self::XCom { task_id, key } => of(task_id, key),
            Self::Zip { of: parts, fillvalue } => {
                let lengths = parts.iter().map(|part| part.length(of)).collect::<Result<Vec<_>, E>>()?;
                let end = if fillvalue.is_some() { lengths.iter().max() } else { lengths.iter().min() };
                Ok(end.copied().unwrap_or(0))
            }
            Self::Concat(parts) => {
                parts.iter().try_fold(0_usize, |sum, part| Ok(sum.saturating_add(part.length(of)?)))
            }
        }
    }

    /// The XComs in it: task and key.
    #[must_use]
    pub fn xcoms(&self) -> Vec<(&TaskId, &str)> {
        match self {
            Self::List(_) => Vec::new(),
            Self::XCom { task_id, key } => vec![(task_id, key)],
            Self::Zip { of: parts, .. } | Self::Concat(parts) => parts.iter().flat_map(Self::xcoms).collect(),
        }
    }
}

impl<'a> Mapping<'a> {
    /// The digits that its place is made of, the one that varies fastest last.
    pub fn factors(self) -> impl Iterator<Item = Factor<'a>> {
        let (named, each) = match self {
            Self::Product(names) => (Some(names), None),
            Self::Each(source) => (None, Some(Factor { name: None, source })),
        };
        let named = named.into_iter().flatten();
        named.map(|(name, source)| Factor { name: Some(name), source }).chain(each)
    }

    /// How many elements it has, when `of` tells how many an XCom has.
    ///
    /// # Errors
    /// Those of `of`.
    pub fn length<E>(self, of: &impl Fn(&TaskId, &str) -> Result<usize, E>) -> Result<usize, E> {
        self.factors()
            .try_fold(1_usize, |product, factor| Ok(product.saturating_mul(factor.source.length(of)?)))
    }

    /// How many elements it has, when all of them are written in the file.
    #[must_use]
    pub fn written_length(self) -> Option<usize> {
        self.length(&|_, _| Err(())).ok()
    }

    /// The XComs in it: task and key.
    pub fn xcoms(self) -> impl Iterator<Item = (&'a TaskId, &'a str)> {
        self.factors().flat_map(|factor| factor.source.xcoms())
    }
}

fn mapping<'a>(product: &'a IndexMap<String, Expand>, each: Option<&'a Expand>) -> Option<Mapping<'a>> {
    match each {
        Some(each) => Some(Mapping::Each(each)),
        None => (!product.is_empty()).then_some(Mapping::Product(product)),
    }
}

impl Task {
    /// What it is mapped over itself, beside the groups around it.
    #[must_use]
    pub fn mapping(&self) -> Option<Mapping<'_>> {
        mapping(&self.expand, self.expand_kwargs.as_ref())
    }

    /// It has one instance for each element of something, also when the groups around it are not mapped (Airflow's `is_mapped`).
    #[must_use]
    pub fn is_mapped(&self) -> bool {
        self.mapping().is_some()
    }
}

impl Group {
    /// What it is mapped over.
    #[must_use]
    pub fn mapping(&self) -> Option<Mapping<'_>> {
        mapping(&self.expand, self.expand_kwargs.as_ref())
    }
}

impl Dag {
    /// The mapped groups around a task, by their place in [`Dag::groups`], the outermost first.
    #[must_use]
    pub fn mapped_groups(&self, task: &Task) -> Vec<usize> {
        let Some(innermost) = task.group.as_ref().map(TaskId::as_str) else { return Vec::new() };
        if self.groups.iter().all(|group| group.mapping().is_none()) {
            return Vec::new();
        }
        let mapped = |id: &str| {
            self.groups.iter().position(|group| group.group_id.as_str() == id && group.mapping().is_some())
        };
        let mut found: Vec<usize> = self.with_those_around(innermost).filter_map(mapped).collect();
        found.reverse();
        found
    }

    /// Everything that decides how many instances a task has: the mappings of the groups around it, the outermost first, then its own.
    #[must_use]
    pub fn dimensions<'a>(&'a self, task: &'a Task) -> Vec<Mapping<'a>> {
        let around = self.mapped_groups(task).into_iter().filter_map(|number| self.groups[number].mapping());
        around.chain(task.mapping()).collect()
    }

    /// It has one instance for each element of something, its own or of a group around it (Airflow's `needs_expansion`).
    #[must_use]
    pub fn needs_expansion(&self, task: &Task) -> bool {
        task.is_mapped() || !self.mapped_groups(task).is_empty()
    }
}

/// The instances of a relative that belong to one instance of a task, where both share a mapped group; from the outside in.
///
/// `cells` is how many elements the common groups have together, `own` and `other` how many instances the task and its relative
/// have in all. With nothing in common everything belongs to everybody, which is `0..other` by the same law of one cell.
///
/// Source: Airflow 3.3.2 `models/taskinstance.py:2411`. There the width of the range is the task's own; here it is that of
/// the relative, so that none of its instances is missed. They differ where Airflow refuses the file, and between a task of a
/// mapped group and one of a mapped group inside that.
#[must_use]
pub fn relevant(place: usize, own: usize, other: usize, cells: usize) -> std::ops::Range<usize> {
    let cell = cell_of(place, own, cells);
    let width = other / cells.max(1);
    cell * width..(cell + 1) * width
}

/// In which of the `cells` of the groups that it shares with others the instance at `place` of `count` lies.
#[must_use]
pub fn cell_of(place: usize, count: usize, cells: usize) -> usize {
    let width = count.checked_div(cells).unwrap_or(1).max(1);
    place / width
}

/// A limit that was left out of an older normal form.
pub(super) const fn usual_length() -> u32 {
    USUAL_MAPPED
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(super) const fn is_usual_length(length: &u32) -> bool {
    *length == USUAL_MAPPED
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn list(length: usize) -> Expand {
        Expand::List(vec![json!(0); length])
    }

    #[test]
    fn lengths_add_up_as_in_airflow() {
        let of = |_: &TaskId, key: &str| if key == "three" { Ok(3) } else { Err("unknown") };
        let three = Expand::XCom { task_id: TaskId::new("a").unwrap(), key: "three".into() };
        let zip = |fillvalue| Expand::Zip { of: vec![list(2), three.clone(), list(5)], fillvalue };
        assert_eq!(zip(None).length(&of), Ok(2));
        assert_eq!(zip(Some(Value::Null)).length(&of), Ok(5));
        assert_eq!(Expand::Concat(vec![list(2), three.clone(), list(0)]).length(&of), Ok(5));
        let product: IndexMap<String, Expand> = [("x".into(), three), ("y".into(), list(4))].into();
        assert_eq!(Mapping::Product(&product).length(&of), Ok(12));
        assert_eq!(Mapping::Product(&product).written_length(), None);
        assert_eq!(Mapping::Each(&list(7)).written_length(), Some(7));
    }

    #[test]
    fn a_fill_value_of_null_is_one() {
        let zip = Expand::Zip { of: vec![list(1)], fillvalue: Some(Value::Null) };
        let read: Expand = serde_json::from_str(&serde_json::to_string(&zip).unwrap()).unwrap();
        assert_eq!(read, zip);
    }
}
