//! The fields of one mapping: unknown keys are told when it is opened, each value is read by name.

use std::rc::Rc;

use super::{
    diagnostic::Problem,
    elsewhere,
    keys::Place,
    later,
    node::{At, Entry, Map, Node, shown},
    reading::Reading,
    suggest::closest,
};

pub(super) struct Fields<'n> {
    /// In the words of messages: "task `extract`".
    pub(super) owner: String,
    /// Where the mapping, or the key it belongs to, stands.
    pub(super) at: At,
    place: Place,
    map: &'n Map,
    /// It has keys that mean nothing here.
    pub(super) has_strangers: bool,
}

/// A setting that was given, perhaps as `null`.
pub(super) type Given<T> = Option<Option<T>>;

impl<'n> Fields<'n> {
    /// Opens `node`, which must be a mapping.
    pub(super) fn open(
        node: &'n Node,
        at: At,
        owner: String,
        place: Place,
        reading: &mut Reading<'_>,
    ) -> Option<Self> {
        let Some(map) = node.map() else {
            reading.add(Problem::new(
                node.at,
                format!("{owner} must be a mapping, this is {}", node.describe()),
            ));
            return None;
        };
        let mut fields = Self { owner, at, place, map, has_strangers: false };
        for (name, entry) in map {
            if let Some(problem) = fields.refuse(name, entry, reading.is_full()) {
                fields.has_strangers = true;
                reading.add(problem);
            }
        }
        Some(fields)
    }

    pub(super) fn entry(&self, name: &str) -> Option<&'n Entry> {
        self.map.get(name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    /// The value, if there is one and it can be read.
    pub(super) fn get<T>(
        &self,
        name: &'static str,
        reading: &mut Reading<'_>,
        read: impl FnOnce(&Rc<Node>) -> Result<T, Problem>,
    ) -> Option<T> {
        self.given(name, reading, read).flatten()
    }

    /// The same, keeping `null` apart from a key that was left out.
    pub(super) fn given<T>(
        &self,
        name: &'static str,
        reading: &mut Reading<'_>,
        read: impl FnOnce(&Rc<Node>) -> Result<T, Problem>,
    ) -> Given<T> {
        let entry = self.map.get(name)?;
        if entry.value.is_null() && self.place.key(name).is_some_and(|key| key.nullable) {
            return Some(None);
        }
        let value = reading.keep(read(&entry.value).map_err(|problem| problem.of(&self.named(name))));
        value.map(Some)
    }

    /// A key of this mapping, in the words of messages.
    pub(super) fn named(&self, name: &str) -> String {
        format!("`{name}` of {}", self.owner)
    }

    fn refuse(&self, name: &str, entry: &Entry, is_full: bool) -> Option<Problem> {
        if self.place.key(name).is_some() || (self.place == Place::Dag && name.starts_with("x-")) {
            return None;
        }
        let quoted = shown(name);
        if later::is_later(self.place, name) {
            let message = format!("{}: `{quoted}` is not supported by this version", self.owner);
            return Some(Problem::new(entry.key_at, message));
        }
        let problem = Problem::new(entry.key_at, format!("unknown key `{quoted}` in {}", self.owner));
        Some(if is_full { problem } else { problem.maybe(self.suggestion(name)) })
    }

    fn suggestion(&self, name: &str) -> Option<String> {
        let near = |place: Place| closest(name, place.keys().map(|key| key.name));
        if let Some(ours) = elsewhere::translated(self.place, name).or_else(|| near(self.place)) {
            return Some(format!("did you mean `{ours}`?"));
        }
        match self.place {
            Place::Dag | Place::Group if Place::Defaults.key(name).is_some() => {
                Some(format!("put `{name}` into a task, or into `default_args` for all tasks"))
            }
            Place::Group if name == "repeat" => Some(
                "a group cannot be repeated: repeat a task in it, or start a DAG of its own from a loop"
                    .into(),
            ),
            Place::Group if Place::Task.key(name).is_some() => {
                Some("a task with `tasks` in it is a group: it runs nothing itself".into())
            }
            Place::Task | Place::Defaults if Place::Dag.key(name).is_some() => {
                Some(format!("`{name}` belongs to the DAG, at the left margin of the file"))
            }
            Place::Defaults if Place::Task.key(name).is_some() => {
                Some(format!("`{name}` belongs to a single task"))
            }
            Place::Dag if Place::Task.key(name).is_some() => {
                Some(format!("`{name}` belongs to a task, below `tasks`"))
            }
            Place::Dag
            | Place::Task
            | Place::Defaults
            | Place::Group
            | Place::Python
            | Place::Sql
            | Place::Http
            | Place::Branch
            | Place::ShortCircuit
            | Place::Teardown
            | Place::WaitFor
            | Place::Expect
            | Place::TriggerDag
            | Place::Approval
            | Place::Repeat
            | Place::Deadline
            | Place::Source
            | Place::Asset
            | Place::AssetBody
            | Place::Condition
            | Place::Schedule
            | Place::Calendar
            | Place::Blackout
            | Place::Catchup
            | Place::Notification
            | Place::Webhook
            | Place::Slack
            | Place::Email => None,
        }
    }
}
