//! Which element of a list an instance of a mapped task works on.

use domain::dag::{Expand, Task};
use serde_json::Value;

use super::Seen;
use crate::{error::Error, pages::visit::Visit};

/// Longest label, in characters.
const LONGEST: usize = 120;

/// The element of instance `index`, as far as it is easily told: `origin = EWR`.
///
/// # Errors
/// Only when the database fails.
pub(super) async fn label(visit: &Visit, seen: &Seen, index: i32) -> Result<Option<String>, Error> {
    let Some(task) = seen.spec() else { return Ok(None) };
    if let Some(label) = written(task, index) {
        return Ok(Some(label));
    }
    let Some((name, Expand::XCom { task_id, key })) =
        task.expand.iter().next().filter(|_| task.expand.len() == 1)
    else {
        return Ok(None);
    };
    let Ok(place) = u32::try_from(index) else {
        return Ok(None);
    };
    let value = visit.state.store.xcom_element(seen.run.run.key, task_id, -1, key, place).await?;
    Ok(value.map(|value| format!("{name} = {}", short(&value))))
}

/// The element, when all lists are written in the file. The last list goes round fastest.
pub(super) fn written(task: &Task, index: i32) -> Option<String> {
    let mut rest = usize::try_from(index).ok()?;
    let mut parts = Vec::new();
    for (name, expand) in task.expand.iter().rev() {
        let Expand::List(list) = expand else { return None };
        let value = list.get(rest % list.len().max(1))?;
        parts.push(format!("{name} = {}", short(value)));
        rest /= list.len();
    }
    parts.reverse();
    (rest == 0 && !parts.is_empty()).then(|| parts.join(", "))
}

fn short(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    };
    let short: String = text.chars().take(LONGEST).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}

#[cfg(test)]
mod tests {
    use domain::dagfile;

    use super::written;

    #[test]
    fn elements_are_numbered_with_the_last_list_fastest() {
        let file = "dag_id: d\ntasks:\n  a:\n    expand: {origin: [EWR, JFK], month: [1, 2, 3]}\n    bash: \"true\"\n";
        let parsed = dagfile::parse(file.as_bytes(), "d.yaml", &|_| Err(String::new()));
        let task = &parsed.dags[0].dag.tasks[0];
        assert_eq!(written(task, 0).as_deref(), Some("origin = EWR, month = 1"));
        assert_eq!(written(task, 2).as_deref(), Some("origin = EWR, month = 3"));
        assert_eq!(written(task, 3).as_deref(), Some("origin = JFK, month = 1"));
        assert_eq!(written(task, 6), None);
        assert_eq!(written(task, -1), None);
    }
}
