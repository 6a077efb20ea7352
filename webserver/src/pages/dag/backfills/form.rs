//! The form that starts a backfill: its fields, and what was sent with them.

use std::collections::HashMap;

use chrono::{DateTime, Days, Utc};
use domain::{
    backfill::{MOST_ACTIVE, Order, Reprocess, USUAL_ACTIVE},
    id::DagId,
};
use serde_json::{Map, Value};

use crate::{
    api::query::moment,
    pages::parts::{Choice, Field},
};

/// How many days the form proposes.
const DAYS: Days = Days::new(7);

/// Everything that the form was sent with.
#[derive(Debug, Clone, Default)]
pub(super) struct Sent(pub(super) Vec<(String, String)>);

impl Sent {
    /// The first value of a field, trimmed; nothing when it is empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let value = self.0.iter().find(|(field, _)| field == name).map(|(_, value)| value.trim());
        value.filter(|value| !value.is_empty())
    }
}

/// What is wrong with a form, by field.
pub(super) type Wrong = HashMap<String, String>;

/// What is asked for.
///
/// # Errors
/// What is wrong with which fields.
pub(super) fn order(dag_id: &DagId, sent: &Sent) -> Result<Order, Wrong> {
    let mut wrong = Wrong::new();
    let mut date = |name: &str| {
        sent.text(name).and_then(moment).unwrap_or_else(|| {
            let text = "This is not a date and time, such as 2026-01-31T06:00.";
            wrong.insert(name.to_owned(), text.to_owned());
            DateTime::UNIX_EPOCH
        })
    };
    let (from, to) = (date("from_date"), date("to_date"));
    let active = sent.text("max_active_runs").map_or(Some(USUAL_ACTIVE), |text| text.parse().ok());
    let max_active_runs = active.filter(|active| (1..=MOST_ACTIVE).contains(active)).unwrap_or_else(|| {
        wrong.insert("max_active_runs".to_owned(), format!("This is not a number from 1 to {MOST_ACTIVE}."));
        1
    });
    let reprocess = sent.text("reprocess_behavior").map_or(Ok(Reprocess::None), str::parse);
    let reprocess = reprocess.unwrap_or_else(|fault: domain::backfill::UnknownReprocess| {
        wrong.insert("reprocess_behavior".to_owned(), format!("{fault}."));
        Reprocess::None
    });
    let conf = sent.text("dag_run_conf").map(conf).transpose().unwrap_or_else(|fault| {
        wrong.insert("dag_run_conf".to_owned(), fault);
        None
    });
    if !wrong.is_empty() {
        return Err(wrong);
    }
    Ok(Order {
        dag_id: dag_id.clone(),
        from,
        to,
        run_backwards: sent.text("run_backwards").is_some(),
        max_active_runs,
        reprocess,
        conf,
        run_on_latest_version: true,
    })
}

fn conf(text: &str) -> Result<Map<String, Value>, String> {
    match serde_json::from_str(text) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err("This must be a JSON object, such as {\"day\": \"2026-01-31\"}.".to_owned()),
        Err(error) => Err(format!("This is not JSON: {error}.")),
    }
}

/// The fields: filled with what was sent, or with the last days.
pub(super) fn fields(sent: Option<&Sent>, wrong: &Wrong, now: DateTime<Utc>) -> Vec<Field> {
    let local = |at: DateTime<Utc>| at.format("%Y-%m-%dT00:00").to_string();
    let from = local(now.checked_sub_days(DAYS).unwrap_or(now));
    let field = |name: &str, label: &str, kind, usual: &str, hint: &str| Field {
        name: name.to_owned(),
        label: label.to_owned(),
        kind,
        value: match sent {
            Some(sent) => sent.text(name).unwrap_or_default().to_owned(),
            None => usual.to_owned(),
        },
        hint: Some(hint.to_owned()),
        error: wrong.get(name).cloned(),
        ..Field::default()
    };
    vec![
        Field {
            required: true,
            ..field("from_date", "First logical date", "datetime-local", &from, "In UTC, itself included.")
        },
        Field {
            required: true,
            ..field("to_date", "Last logical date", "datetime-local", &local(now), "In UTC, itself included.")
        },
        field(
            "max_active_runs",
            "Runs at a time",
            "number",
            &USUAL_ACTIVE.to_string(),
            "They do not count against the DAG's own max_active_runs.",
        ),
        Field {
            choices: choices(),
            ..field(
                "reprocess_behavior",
                "Runs that exist",
                "choice",
                "none",
                "Active ones are always left alone.",
            )
        },
        field(
            "run_backwards",
            "The latest date first",
            "checkbox",
            "",
            "Not for tasks with depends_on_past.",
        ),
        field(
            "dag_run_conf",
            "Params, as JSON",
            "json",
            "",
            "An object for every run; empty for the defaults.",
        ),
    ]
}

fn choices() -> Vec<Choice> {
    let label = |value: Reprocess| match value {
        Reprocess::None => "are left alone",
        Reprocess::Failed => "run again if they failed",
        Reprocess::Completed => "run again",
    };
    let choice = |value: Reprocess| Choice { value: value.to_string(), label: label(value).to_owned() };
    Reprocess::ALL.into_iter().map(choice).collect()
}
