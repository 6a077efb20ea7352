//! The tree of task groups.

use std::collections::HashMap;

use serde_json::Value;

use super::{Refused, expansion, fields::Fields, wrapped};
use crate::{dag::Group, id::TaskId};

/// How deep groups may be nested.
const MAX_DEPTH: usize = 50;

/// The innermost group of each task.
pub(super) type Members = HashMap<String, TaskId>;

/// The groups, outer before inner, and who is in them.
pub(super) fn read(dag: &Fields<'_>) -> Result<(Vec<Group>, Members), Refused> {
    let (mut groups, mut members) = (Vec::new(), Members::new());
    if let Some(root) = dag.get("task_group") {
        walk(root, None, 0, &mut groups, &mut members)?;
    }
    Ok((groups, members))
}

fn walk(
    group: &Value,
    id: Option<&TaskId>,
    depth: usize,
    groups: &mut Vec<Group>,
    members: &mut Members,
) -> Result<(), Refused> {
    if depth > MAX_DEPTH {
        return Err(Refused::new(format!("its task groups are nested deeper than {MAX_DEPTH}")));
    }
    let children = wrapped::inner(group).get("children").and_then(Value::as_object);
    for (name, child) in children.into_iter().flatten() {
        let parts = child.as_array().map_or(&[][..], Vec::as_slice);
        match parts {
            [kind, _] if kind == "operator" => {
                members.extend(id.map(|id| (name.clone(), id.clone())));
            }
            [kind, inner] if kind == "taskgroup" => {
                let group_id = TaskId::new(name).map_err(|error| Refused::new(error.to_string()))?;
                groups.push(Group { parent: untold(id, &group_id), ..one(&group_id, inner)? });
                walk(inner, Some(&group_id), depth + 1, groups, members)?;
            }
            _ => {
                return Err(Refused::new(format!(
                    "`{name}` is in a task group, but is neither a task nor a group"
                )));
            }
        }
    }
    Ok(())
}

/// The group around another, if that one's id does not tell: ids within a group need not begin with its own (`prefix_group_id`).
fn untold(around: Option<&TaskId>, group_id: &TaskId) -> Option<TaskId> {
    let is_told = |around: &TaskId| {
        group_id.as_str().rsplit_once('.').is_some_and(|(prefix, _)| prefix == around.as_str())
    };
    around.filter(|around| !is_told(around)).cloned()
}

fn one(group_id: &TaskId, group: &Value) -> Result<Group, Refused> {
    let group = wrapped::inner(group);
    let mapping = match group.get("expand_input") {
        Some(input) => expansion::read(input)?,
        None => expansion::Mapped::default(),
    };
    let texts = ["doc_md", "tooltip"].into_iter().filter_map(|name| group.get(name)?.as_str());
    Ok(Group {
        group_id: group_id.clone(),
        parent: None,
        expand: mapping.expand,
        expand_kwargs: mapping.expand_kwargs,
        doc: texts.into_iter().find(|text| !text.is_empty()).map(str::to_owned),
    })
}
