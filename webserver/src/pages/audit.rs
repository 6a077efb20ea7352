//! The audit log.

use actix_web::{HttpResponse, web::Query};
use askama::Template;
use serde::Deserialize;
use serde_json::Value;
use store::view::{
    Page,
    event_log::{Filter, Line},
};

use super::{
    pager,
    parts::{Moment, Pager, Shell},
    paths,
    visit::Visit,
    words,
};
use crate::error::Error;

/// Longest details in the list, in characters.
const LONGEST_DETAILS: usize = 300;

/// What is asked for.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Params {
    #[serde(default)]
    dag: String,
    #[serde(default)]
    user: String,
    page: Option<u32>,
}

/// The list, or its searched part (`as_audit`).
#[derive(Debug, Template)]
#[template(path = "audit.html", blocks = ["audit"])]
pub(crate) struct AuditPage {
    pub(crate) shell: Shell,
    pub(crate) dag: String,
    pub(crate) user: String,
    pub(crate) rows: Vec<AuditRow>,
    pub(crate) pager: Pager,
}

/// One action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AuditRow {
    pub(crate) id: i64,
    pub(crate) when: Moment,
    pub(crate) who: String,
    pub(crate) what: String,
    /// Whether the engine refused it.
    pub(crate) refused: bool,
    /// The DAG, run or task.
    pub(crate) on: String,
    pub(crate) href: Option<String>,
    pub(crate) details: String,
}

/// Answers.
pub(crate) async fn show(visit: Visit, params: Query<Params>) -> Result<HttpResponse, Error> {
    let (dag, user) = (params.dag.trim(), params.user.trim());
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let filter = Filter { dag_id: some(dag), owner: some(user), ..Filter::default() };
    let part = Page::new(pager::ROWS, pager::offset(params.page));
    let found = visit.state.store.event_lines(&filter, part).await?;
    let page = AuditPage {
        shell: visit.shell("audit").await?,
        dag: dag.to_owned(),
        user: user.to_owned(),
        pager: pager::pager(
            "/audit",
            &[("dag", dag), ("user", user)],
            params.page,
            found.rows.len(),
            found.total,
        ),
        rows: found.rows.into_iter().map(|line| row(line, &visit)).collect(),
    };
    visit.answer(match visit.fragment() {
        Some("audit") => page.as_audit().render(),
        Some(_) | None => page.render(),
    })
}

fn row(line: Line, visit: &Visit) -> AuditRow {
    let run = line.run_id.as_deref().map(|run_id| words::run_name(run_id, visit.now));
    let names = [line.dag_id.as_deref(), run.as_deref(), line.task_id.as_deref()];
    let names: Vec<&str> = names.into_iter().flatten().collect();
    let is_deleted = line.event.starts_with("delete_");
    let extra = line.extra.unwrap_or(Value::Null);
    AuditRow {
        id: line.id,
        when: words::moment(line.at, visit.now),
        what: line.event.replace('_', " "),
        refused: extra.get("result").is_some_and(|result| result == "refused"),
        on: names.join(" / "),
        href: href(line.dag_id.as_deref(), line.run_id.as_deref(), line.task_id.as_deref())
            .filter(|_| !is_deleted),
        details: details(&extra),
        who: line.owner,
    }
}

fn href(dag: Option<&str>, run: Option<&str>, task: Option<&str>) -> Option<String> {
    Some(match (dag?, run, task) {
        (dag, Some(run), Some(task)) => paths::task(dag, run, task),
        (dag, Some(run), None) => paths::run(dag, run),
        (dag, None, _) => paths::dag(dag),
    })
}

/// The reason of a refusal, else what was asked for without the names that stand in the line anyway.
fn details(extra: &Value) -> String {
    if let Some(reason) = extra.get("reason").and_then(Value::as_str) {
        return shortened(reason);
    }
    let wish = extra.get("wish").unwrap_or(extra);
    let Some(fields) = wish.as_object() else {
        return String::new();
    };
    let named = ["wish", "dag_id", "run_id", "by", "run_after", "data_interval"];
    let told = fields.iter().filter(|(name, value)| !named.contains(&name.as_str()) && !is_nothing(value));
    let told: Vec<String> = told.map(|(name, value)| format!("{name}: {}", plain(value))).collect();
    shortened(&told.join(", "))
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Number(_) => false,
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    }
}

fn shortened(text: &str) -> String {
    let short: String = text.chars().take(LONGEST_DETAILS).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::details;

    #[test]
    fn details_leave_out_what_stands_in_the_line() {
        let extra = json!({"wish": {"wish": "clear", "dag_id": "a", "only_failed": true, "tasks": []}, "result": "done"});
        assert_eq!(details(&extra), "only_failed: true");
        assert_eq!(details(&json!({"is_paused": true})), "is_paused: true");
    }

    #[test]
    fn refusals_say_why() {
        assert_eq!(
            details(&json!({"wish": {}, "result": "refused", "reason": "no such run"})),
            "no such run"
        );
    }
}
