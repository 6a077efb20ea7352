//! The tasks and groups of a document, in the order of the file.

use std::rc::Rc;

use indexmap::IndexMap;

use super::{
    assets,
    diagnostic::Problem,
    expand::{self, Expansion},
    fields::Fields,
    keys::Place,
    node::{At, Entry, Map, Node, shown},
    operator,
    reading::Reading,
    repeat,
    settings::Settings,
    special, values,
};
use crate::{
    alert::Alerts,
    dag::{Group, MAX_TASKS, Operator, Task, WeightRule},
    id::{PoolName, QueueName, TaskId},
    retry::Retry,
    trigger_rule::TriggerRule,
};

/// A task or group.
pub(super) struct Item {
    /// Its full id.
    pub(super) id: String,
    /// Where its key stands.
    pub(super) at: At,
    /// The group around it, as an index.
    pub(super) parent: Option<usize>,
    /// Groups around it.
    pub(super) depth: usize,
    /// One past the last item inside it; its own index plus one for a task.
    pub(super) end: usize,
    pub(super) body: Body,
    /// The names it says it depends on.
    pub(super) depends_on: Vec<(String, At)>,
    pub(super) expansion: Expansion,
}

pub(super) enum Body {
    /// `None` when it has problems, which have been told.
    Task(Option<Box<Task>>),
    Group(Option<Box<Group>>),
}

impl Item {
    pub(super) const fn is_group(&self) -> bool {
        matches!(self.body, Body::Group(_))
    }

    /// In the words of messages.
    pub(super) fn named(&self) -> String {
        format!("{} `{}`", if self.is_group() { "group" } else { "task" }, shown(&self.id))
    }
}

/// Reads everything below `tasks`.
pub(super) fn read(tasks: &Entry, owner: &str, defaults: &Settings, reading: &mut Reading<'_>) -> Vec<Item> {
    let mut items = Vec::new();
    if let Some(map) = inside(tasks, owner, reading) {
        Reader { items: &mut items, reading }.scope(map, None, defaults);
    }
    items
}

fn inside<'n>(tasks: &'n Entry, owner: &str, reading: &mut Reading<'_>) -> Option<&'n Map> {
    let found = match tasks.value.map() {
        Some(map) if map.is_empty() => {
            Err(Problem::new(tasks.key_at, format!("`tasks` of {owner} is empty")))
        }
        Some(map) => Ok(map),
        None => Err(Problem::new(
            tasks.value.at,
            format!("`tasks` of {owner} must be a mapping of ids to tasks, not {}", tasks.value.describe()),
        )
        .hint("for example {extract: {bash: ./extract.sh}}")),
    };
    reading.keep(found)
}

struct Reader<'r, 'a> {
    items: &'r mut Vec<Item>,
    reading: &'r mut Reading<'a>,
}

impl Reader<'_, '_> {
    fn scope(&mut self, map: &Map, parent: Option<usize>, defaults: &Settings) {
        for (name, entry) in map {
            if self.items.len() >= MAX_TASKS {
                self.reading.add(Problem::new(entry.key_at, format!("a DAG has at most {MAX_TASKS} tasks")));
                return;
            }
            let around = parent.and_then(|index| self.items.get(index));
            let id = around.map_or_else(|| name.clone(), |group| format!("{}.{name}", group.id));
            let depth = around.map_or(0, |group| group.depth + 1);
            let is_group = entry.value.map().is_some_and(|map| map.contains_key("tasks"));
            let item = Item {
                id,
                at: entry.key_at,
                parent,
                depth,
                end: self.items.len() + 1,
                body: if is_group { Body::Group(None) } else { Body::Task(None) },
                depends_on: Vec::new(),
                expansion: Expansion::default(),
            };
            let prefix_is_told = around.is_some_and(|group| matches!(group.body, Body::Group(None)));
            let task_id = self.reading.keep(check_id(name, &item, prefix_is_told)).flatten();
            if is_group {
                self.group(item, task_id, entry, defaults)
            } else {
                self.task(item, task_id, entry, defaults)
            }
        }
    }

    fn group(&mut self, mut item: Item, group_id: Option<TaskId>, entry: &Entry, defaults: &Settings) {
        let index = self.items.len();
        let owner = item.named();
        let Some(fields) =
            Fields::open(&entry.value, entry.key_at, owner.clone(), Place::Group, self.reading)
        else {
            return;
        };
        item.depends_on = depends_on(&fields, self.reading);
        let doc = fields.get("doc", self.reading, |node| values::text(node));
        item.expansion = expand::read(&fields, self.reading);
        let group = |group_id| {
            Box::new(Group { group_id, parent: None, expand: IndexMap::new(), expand_kwargs: None, doc })
        };
        item.body = Body::Group(group_id.map(group));
        self.items.push(item);
        let defaults = Settings::defaults(fields.entry("default_args"), &owner, defaults, self.reading);
        if let Some(map) = fields.entry("tasks").and_then(|tasks| inside(tasks, &owner, self.reading)) {
            self.scope(map, Some(index), &defaults);
        }
        let end = self.items.len();
        if let Some(group) = self.items.get_mut(index) {
            group.end = end;
        }
    }

    fn task(&mut self, mut item: Item, task_id: Option<TaskId>, entry: &Entry, defaults: &Settings) {
        if let Some(fields) = self.open_task(&item, entry) {
            item.depends_on = depends_on(&fields, self.reading);
            item.expansion = expand::read(&fields, self.reading);
            let template = fields.get("map_index_template", self.reading, |node| values::text(node));
            let settings = Settings::read(&fields, self.reading).over(defaults);
            let special = special::read(&fields, self.reading);
            let doc = fields.get("doc", self.reading, |node| values::text(node));
            let outlets = assets::refs(&fields, "outlets", self.reading);
            let inlets = assets::refs(&fields, "inlets", self.reading);
            let operator = operator::read(&fields, self.reading);
            let repeat = repeat::read(&fields, operator.as_ref(), self.reading);
            let group = item
                .parent
                .and_then(|index| self.items.get(index))
                .and_then(|group| TaskId::new(&group.id).ok());
            if let (Some(task_id), Some(operator)) = (task_id, operator) {
                let mut task = bare_task(task_id, group, operator, doc);
                task.map_index_template = template;
                task.repeat = repeat;
                (task.outlets, task.inlets) = (outlets, inlets);
                settings.apply(&mut task);
                special::apply(&special, &fields, &mut task, self.reading);
                item.body = Body::Task(Some(Box::new(task)));
            }
        }
        self.items.push(item);
    }

    fn open_task<'n>(&mut self, item: &Item, entry: &'n Entry) -> Option<Fields<'n>> {
        let owner = item.named();
        if let Some(scalar) = entry.value.scalar() {
            let problem = Problem::new(
                entry.value.at,
                format!("{owner} must be a mapping, this is {}", entry.value.describe()),
            );
            let hint = if entry.value.is_null() {
                "give it something to do, for example `bash: ./run.sh`".to_owned()
            } else {
                format!("for a shell script write `bash: {}`", shown(&scalar.text))
            };
            self.reading.add(problem.hint(hint));
            return None;
        }
        Fields::open(&entry.value, entry.key_at, owner, Place::Task, self.reading)
    }
}

fn bare_task(task_id: TaskId, group: Option<TaskId>, operator: Operator, doc: Option<String>) -> Task {
    Task {
        task_id,
        group,
        operator,
        upstream: Vec::new(),
        trigger_rule: TriggerRule::default(),
        setup: false,
        teardown: None,
        depends_on_past: false,
        wait_for_downstream: false,
        wait_for_past_depends_before_skipping: false,
        retry: Retry::default(),
        repeat: None,
        execution_timeout: None,
        pool: PoolName::default_pool(),
        pool_slots: 1,
        queue: QueueName::default_queue(),
        priority_weight: 1,
        weight_rule: WeightRule::default(),
        max_active_tis_per_dag: None,
        max_active_tis_per_dagrun: None,
        do_xcom_push: true,
        expand: IndexMap::new(),
        expand_kwargs: None,
        map_index_template: None,
        env: IndexMap::new(),
        cwd: None,
        owner: None,
        alerts: Alerts::default(),
        outlets: Vec::new(),
        inlets: Vec::new(),
        doc,
    }
}

/// Airflow allows dots in the ids of tasks but not of groups, where they separate the levels.
fn check_id(name: &str, item: &Item, prefix_is_told: bool) -> Result<Option<TaskId>, Problem> {
    let problem = |message: String| Problem::new(item.at, message);
    TaskId::new(name).map_err(|error| problem(error.to_string()))?;
    if item.is_group() && name.contains('.') {
        return Err(problem(format!(
            "`{}` is not a group id: dots separate the levels of groups",
            shown(name)
        )));
    }
    match TaskId::new(&item.id) {
        Ok(id) => Ok(Some(id)),
        Err(_) if prefix_is_told => Ok(None),
        Err(error) => Err(problem(error.to_string())),
    }
}

fn depends_on(fields: &Fields<'_>, reading: &mut Reading<'_>) -> Vec<(String, At)> {
    let one = |node: &Node| values::any_text(node).map(|name| (name, node.at));
    let read = |node: &Rc<Node>| {
        if node.list().is_some() {
            return values::list(node, one);
        }
        match node.map() {
            Some(_) => Err(Problem::new(node.at, "this must be the id of a task, or a list of ids")),
            None => one(node).map(|name| vec![name]),
        }
    };
    fields.get("depends_on", reading, read).unwrap_or_default()
}

/// The id of a task that has no problems.
pub(super) fn task_id(item: &Item) -> Option<TaskId> {
    match &item.body {
        Body::Task(task) => task.as_ref().map(|task| task.task_id.clone()),
        Body::Group(_) => None,
    }
}
