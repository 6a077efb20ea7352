//! What other tools call the keys of this format: for people who come from there.

use super::keys::Place;

/// What other tools call a key, for suggestions.
const ELSEWHERE: &[(&str, &str)] = &[
    ("schedule_interval", "schedule"),
    ("timetable", "schedule"),
    ("cron", "schedule"),
    ("id", "dag_id"),
    ("name", "dag_id"),
    ("concurrency", "max_active_tasks"),
    ("timeout", "execution_timeout"),
    ("doc_md", "doc"),
    ("steps", "tasks"),
    ("jobs", "tasks"),
    ("bash_command", "bash"),
    ("command", "bash"),
    ("cmd", "bash"),
    ("run", "bash"),
    ("script", "bash"),
    ("shell", "bash"),
    ("python_callable", "python"),
    ("needs", "depends_on"),
    ("upstream", "depends_on"),
    ("dependencies", "depends_on"),
    ("after", "depends_on"),
    ("environment", "env"),
    ("working_dir", "cwd"),
    ("workdir", "cwd"),
    ("task_concurrency", "max_active_tis_per_dag"),
    ("priority", "priority_weight"),
    ("matrix", "expand"),
    ("foreach", "expand"),
    ("connection", "conn_id"),
    ("statement", "sql"),
    ("query", "sql"),
    ("data", "body"),
    ("json", "body"),
    ("endpoint", "url"),
    ("on_success_callback", "on_success"),
    ("on_failure_callback", "on_failure"),
    ("on_retry_callback", "on_retry"),
    ("on_skipped_callback", "on_skipped"),
    ("recipients", "to"),
    ("respondents", "assigned_users"),
    ("users", "assigned_users"),
    ("response_timeout", "timeout"),
    ("execution_timeout", "timeout"),
    ("options_mapping", "branches"),
    ("question", "subject"),
    ("title", "subject"),
    ("message", "text"),
];

/// What this format calls a key of other tools, where it may stand.
pub(super) fn translated(place: Place, name: &str) -> Option<&'static str> {
    let wanted = |key: &&str| place.key(key).is_some();
    ELSEWHERE.iter().filter(|(theirs, _)| *theirs == name).map(|(_, ours)| *ours).find(wanted)
}
