//! Alerts: what waits to be sent, what was sent, what failed and why; and the button that sends one again.

use actix_web::{HttpResponse, web::Query};
use askama::Template;
use domain::alert::AlertEvent;
use serde::Deserialize;
use serde_json::Value;
use store::view::{
    Page,
    alerts::{Alert, AlertState, Filter},
};

use super::{
    pager,
    parts::{Moment, Mood, Pager, Shell, Tab},
    paths,
    visit::{self, Visit},
    words,
};
use crate::{
    auth::{Form, User},
    error::Error,
};

/// Longest error in the list, in characters.
const LONGEST_ERROR: usize = 400;

/// What is asked for.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Params {
    #[serde(default)]
    dag: String,
    #[serde(default)]
    state: String,
    page: Option<u32>,
}

/// What the button that sends again holds.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Which {
    id: i64,
    back: Option<String>,
}

/// The list, or its live part (`as_alerts`).
#[derive(Debug, Template)]
#[template(path = "alerts.html", blocks = ["alerts"])]
pub(crate) struct AlertsPage {
    pub(crate) shell: Shell,
    pub(crate) dag: String,
    pub(crate) state: String,
    pub(crate) states: Vec<Tab>,
    pub(crate) rows: Vec<AlertRow>,
    pub(crate) pager: Pager,
}

/// One alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AlertRow {
    pub(crate) id: i64,
    pub(crate) when: Moment,
    /// The run, or the task in it.
    pub(crate) on: String,
    pub(crate) href: String,
    /// What happened to it.
    pub(crate) what: &'static str,
    /// By which channel, and where to.
    pub(crate) channel: String,
    pub(crate) target: String,
    /// `waiting`, `sent` or `failed`.
    pub(crate) state: &'static str,
    /// The task state whose sign it is shown with.
    pub(crate) sign: &'static str,
    /// How often it was tried, and what is next.
    pub(crate) progress: String,
    pub(crate) error: Option<String>,
    /// What callbacks wrote.
    pub(crate) log: Option<String>,
    pub(crate) can_resend: bool,
}

/// Answers.
pub(crate) async fn show(visit: Visit, params: Query<Params>) -> Result<HttpResponse, Error> {
    let (dag, state) = (params.dag.trim(), params.state.as_str());
    // A state that does not exist is no condition: the address may be an old one.
    let wanted: Option<AlertState> = state.parse().ok();
    let filter =
        Filter { dag_id: (!dag.is_empty()).then(|| dag.to_owned()), state: wanted, ..Filter::default() };
    let part = Page::new(pager::ROWS, pager::offset(params.page));
    let found = visit.state.store.alerts(&filter, part).await?;
    let state = wanted.map_or("", AlertState::as_str);
    let query = [("dag", dag), ("state", state)];
    let page = AlertsPage {
        shell: visit.shell("alerts").await?,
        dag: dag.to_owned(),
        state: state.to_owned(),
        states: states(dag, wanted),
        pager: pager::pager("/alerts", &query, params.page, found.rows.len(), found.total),
        rows: found.rows.into_iter().map(|alert| row(alert, &visit)).collect(),
    };
    visit.answer(match visit.fragment() {
        Some("alerts") => page.as_alerts().render(),
        Some(_) | None => page.render(),
    })
}

/// Sends an alert again.
pub(crate) async fn send(visit: Visit, user: User, form: Form<Which>) -> Result<HttpResponse, Error> {
    let Form(Which { id, back }) = form;
    let resent = visit.state.store.resend_alert(id, user.name(), visit.now).await?;
    let path = visit::back(back.as_deref(), "/alerts");
    Ok(if resent {
        visit::go(&path, Mood::Good, "The alert is sent again within seconds.")
    } else {
        visit::go(&path, Mood::Warn, "That alert waits to be sent anyway, or is gone.")
    })
}

fn states(dag: &str, current: Option<AlertState>) -> Vec<Tab> {
    let tab = |label: &str, state: Option<AlertState>| Tab {
        label: label.to_owned(),
        href: paths::with_query("/alerts", &[("dag", dag), ("state", state.map_or("", AlertState::as_str))]),
        count: None,
        current: state == current,
    };
    vec![
        tab("All", None),
        tab("Waiting", Some(AlertState::Waiting)),
        tab("Sent", Some(AlertState::Sent)),
        tab("Failed", Some(AlertState::Failed)),
    ]
}

fn row(alert: Alert, visit: &Visit) -> AlertRow {
    let task_id = alert.facts.get("task_id").and_then(Value::as_str);
    let map_index = alert.facts.get("map_index").and_then(Value::as_i64).filter(|index| *index >= 0);
    let run = words::run_name(&alert.run_id, visit.now);
    let task = task_id.map(|id| map_index.map_or_else(|| id.to_owned(), |index| format!("{id} [{index}]")));
    let names: Vec<&str> = [alert.dag_id.as_str(), &run].into_iter().chain(task.as_deref()).collect();
    let (state, sign) = match alert.state {
        AlertState::Waiting => ("waiting", "queued"),
        AlertState::Sent => ("sent", "success"),
        AlertState::Failed => ("failed", "failed"),
    };
    AlertRow {
        id: alert.id,
        when: words::moment(alert.created_at, visit.now),
        on: names.join(" / "),
        href: match task_id {
            Some(task_id) => paths::instance(
                &alert.dag_id,
                &alert.run_id,
                task_id,
                map_index.and_then(|index| i32::try_from(index).ok()).unwrap_or(-1),
            ),
            None => paths::run(&alert.dag_id, &alert.run_id),
        },
        what: what(alert.event),
        state,
        sign,
        progress: progress(&alert, visit),
        error: alert.error.as_deref().map(shortened),
        log: alert.log.filter(|log| !log.is_empty()),
        can_resend: alert.state != AlertState::Waiting,
        channel: alert.channel,
        target: alert.target,
    }
}

const fn what(event: AlertEvent) -> &'static str {
    match event {
        AlertEvent::Success => "succeeded",
        AlertEvent::Failure => "failed",
        AlertEvent::Retry => "is tried again",
        AlertEvent::Skipped => "skipped itself",
        AlertEvent::Deadline => "missed its deadline",
    }
}

fn progress(alert: &Alert, visit: &Visit) -> String {
    let tries = words::plural(i64::from(alert.attempts), "attempt");
    match (alert.state, alert.settled_at) {
        (AlertState::Waiting, _) if alert.attempts == 0 => "is sent at once".to_owned(),
        (AlertState::Waiting, _) => format!("{tries}, next {}", words::ago(alert.next_at, visit.now)),
        (AlertState::Sent | AlertState::Failed, Some(at)) => {
            format!("{tries}, {}", words::ago(at, visit.now))
        }
        (AlertState::Sent | AlertState::Failed, None) => tries,
    }
}

fn shortened(text: &str) -> String {
    let short: String = text.chars().take(LONGEST_ERROR).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}
