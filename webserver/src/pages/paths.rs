//! Addresses of pages. Ids are percent-encoded here and nowhere else.

use std::fmt::Write as _;

/// The page of a DAG.
pub(crate) fn dag(dag_id: &str) -> String {
    format!("/dags/{}", segment(dag_id))
}

/// The page of a run.
pub(crate) fn run(dag_id: &str, run_id: &str) -> String {
    format!("{}/runs/{}", dag(dag_id), segment(run_id))
}

/// The page of a task in a run.
pub(crate) fn task(dag_id: &str, run_id: &str, task_id: &str) -> String {
    format!("{}/tasks/{}", run(dag_id, run_id), segment(task_id))
}

/// The page of one instance of a task; `map_index` below 0 is a task that is not mapped.
pub(crate) fn instance(dag_id: &str, run_id: &str, task_id: &str, map_index: i32) -> String {
    with_instance(&task(dag_id, run_id, task_id), map_index)
}

/// `path` for one instance of a mapped task.
pub(crate) fn with_instance(path: &str, map_index: i32) -> String {
    if map_index < 0 { path.to_owned() } else { format!("{path}?map_index={map_index}") }
}

/// An address with a query; pairs without a value are left out.
pub(crate) fn with_query(path: &str, pairs: &[(&str, &str)]) -> String {
    let mut address = path.to_owned();
    for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        address.push(if address.contains('?') { '&' } else { '?' });
        address.push_str(name);
        address.push('=');
        address.push_str(&segment(value));
    }
    address
}

/// `text` as one segment of a path, or one value of a query.
pub(crate) fn segment(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_cannot_break_out_of_a_path() {
        assert_eq!(dag("a/b?c#d"), "/dags/a%2Fb%3Fc%23d");
        assert_eq!(
            instance("flights", "scheduled__2026-01-01T00:00:00+00:00", "load", 3),
            "/dags/flights/runs/scheduled__2026-01-01T00:00:00%2B00:00/tasks/load?map_index=3"
        );
    }

    #[test]
    fn queries_leave_out_what_is_empty() {
        assert_eq!(
            with_query("/dags", &[("q", ""), ("tag", "a&b"), ("page", "2")]),
            "/dags?tag=a%26b&page=2"
        );
        assert_eq!(with_query("/t?map_index=1", &[("try", "2")]), "/t?map_index=1&try=2");
    }
}
