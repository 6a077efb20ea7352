//! Which element of a list an instance of a mapped task works on.

use domain::dag::{Dag, Expand, Factor, Mapping, Task};
use serde_json::Value;
use store::view::task::Instance;

use super::Seen;
use crate::{error::Error, pages::visit::Visit};

/// Longest label, in characters.
const LONGEST: usize = 120;

/// What an instance is called, or else the element it works on as far as that is easily told: `origin = EWR`.
///
/// # Errors
/// Only when the database fails.
pub(super) async fn label(visit: &Visit, seen: &Seen, instance: &Instance) -> Result<Option<String>, Error> {
    if let Some(label) = at_hand(seen, instance) {
        return Ok(Some(label));
    }
    let dag = &*seen.run.version.dag;
    let Some(task) = seen.spec() else { return Ok(None) };
    let factors = factors(dag, task);
    let ([Factor { name, source: Expand::XCom { task_id, key } }], Ok(place)) =
        (factors.as_slice(), u32::try_from(instance.map_index))
    else {
        return Ok(None);
    };
    let is_split = dag.task(task_id.as_str()).is_some_and(|source| dag.needs_expansion(source));
    let (store, run) = (&visit.state.store, seen.run.run.key);
    let value = if is_split {
        store.shown_xcom_at(run, task_id, key, place).await?
    } else {
        store.shown_xcom_element(run, task_id, key, place).await?
    };
    Ok(value.map(|value| named(*name, &value)))
}

/// The same, without asking for anything.
pub(super) fn at_hand(seen: &Seen, instance: &Instance) -> Option<String> {
    let name = instance.rendered_map_index.clone();
    name.or_else(|| written(&seen.run.version.dag, seen.spec()?, instance.map_index))
}

/// The element, when all lists are written in the file. The last list goes round fastest.
fn written(dag: &Dag, task: &Task, index: i32) -> Option<String> {
    let mut rest = usize::try_from(index).ok()?;
    let mut parts = Vec::new();
    for factor in factors(dag, task).iter().rev() {
        let Expand::List(list) = factor.source else { return None };
        let value = list.get(rest % list.len().max(1))?;
        parts.push(named(factor.name, value));
        rest /= list.len();
    }
    parts.reverse();
    (rest == 0 && !parts.is_empty()).then(|| parts.join(", "))
}

fn factors<'a>(dag: &'a Dag, task: &'a Task) -> Vec<Factor<'a>> {
    dag.dimensions(task).into_iter().flat_map(Mapping::factors).collect()
}

fn named(name: Option<&str>, value: &Value) -> String {
    match (name, value) {
        (Some(name), value) => format!("{name} = {}", short(value)),
        (None, Value::Object(names)) => {
            let names: Vec<String> =
                names.iter().map(|(name, value)| format!("{name} = {}", short(value))).collect();
            names.join(", ")
        }
        (None, value) => short(value),
    }
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
        let file = "dag_id: d\ntasks:\n  g:\n    expand_kwargs: [{zone: a, n: 1}, {zone: b}]\n    tasks:\n      a:\n        \
                    expand: {origin: [EWR, JFK], month: [1, 2, 3]}\n        bash: \"true\"\n";
        let parsed = dagfile::parse(file.as_bytes(), "d.yaml", &|_| Err(String::new()));
        let dag = &parsed.dags[0].dag;
        let written = |index| written(dag, &dag.tasks[0], index);
        assert_eq!(written(0).as_deref(), Some("zone = a, n = 1, origin = EWR, month = 1"));
        assert_eq!(written(2).as_deref(), Some("zone = a, n = 1, origin = EWR, month = 3"));
        assert_eq!(written(9).as_deref(), Some("zone = b, origin = JFK, month = 1"));
        assert_eq!(written(12), None);
        assert_eq!(written(-1), None);
    }
}
