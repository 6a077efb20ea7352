//! The form that starts a run, made from the DAG's params.

use actix_web::{
    HttpResponse,
    web::{Path, Query},
};
use askama::Template;
use chrono::{DateTime, Utc};
use domain::{
    dag::Dag,
    id::DagId,
    intent::{Trigger, Wish},
    partition::Key,
};
use serde::Deserialize;

use super::{
    dag::{Seen, crumb, set_paused},
    form::{self, Sent, Wrong},
    parts::{Crumb, Field, Mood, Shell},
    paths,
    visit::{self, Visit},
};
use crate::{
    api::trigger::{NewRun, plan},
    auth::{Form, User},
    error::Error,
    wish::{self, Outcome},
};

/// What is asked for: values for the form, as a link may carry them.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Params {
    /// JSON with the values of an earlier run, for example.
    #[serde(default)]
    conf: String,
}

/// The form.
#[derive(Debug, Template)]
#[template(path = "trigger.html")]
pub(crate) struct TriggerPage {
    pub(crate) shell: Shell,
    pub(crate) crumbs: Vec<Crumb>,
    pub(crate) dag_id: String,
    pub(crate) description: String,
    pub(crate) paused: bool,
    pub(crate) problem: Option<String>,
    pub(crate) fields: Vec<Field>,
    pub(crate) advanced: Advanced,
    pub(crate) back: String,
}

/// Fields that are rarely needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Advanced {
    /// Shown open when one of them has an error or a value of its own.
    pub(crate) open: bool,
    pub(crate) fields: Vec<Field>,
}

/// Shows the form.
pub(crate) async fn show(
    visit: Visit,
    _user: User,
    dag_id: Path<String>,
    params: Query<Params>,
) -> Result<HttpResponse, Error> {
    let seen = Seen::find(&visit, &dag_id).await?;
    let given = (!params.conf.is_empty()).then(|| Sent(vec![("conf".to_owned(), params.conf.clone())]));
    let page = page(&visit, &seen, None, given.as_ref(), &Wrong::new(), None).await?;
    visit.answer(page.render())
}

/// Starts the run.
pub(crate) async fn start(
    visit: Visit,
    user: User,
    dag_id: Path<String>,
    form: Form<Vec<(String, String)>>,
) -> Result<HttpResponse, Error> {
    let seen = Seen::find(&visit, &dag_id).await?;
    let sent = Sent(form.0);
    let refuse = async |wrong: Wrong, problem: Option<String>| {
        let page = page(&visit, &seen, Some(&sent), None, &wrong, problem).await?;
        visit.refuse(page.render())
    };
    let new = match read(&seen, &sent) {
        Ok(new) => new,
        Err(wrong) => return refuse(wrong, Some("Some values do not fit; see below.".to_owned())).await,
    };
    let trigger = match planned(&visit, &seen, new).await {
        Ok(trigger) => trigger,
        Err(Error::Invalid(text) | Error::Conflict(text)) => {
            return refuse(Wrong::new(), Some(capital(&text))).await;
        }
        Err(fault) => return Err(fault),
    };
    if seen.line.is_paused && sent.text("unpause").is_some() {
        set_paused(&visit.state, &user, &seen.line.dag_id, false).await?;
    }
    let run_id = trigger.run_id.clone();
    let dag = seen.line.dag_id.as_str();
    Ok(match wish::ask(&visit.state, user.name(), Wish::Trigger(trigger)).await? {
        Outcome::Done => {
            visit::go(&paths::run(dag, run_id.as_str()), Mood::Good, &format!("{dag} has a new run."))
        }
        Outcome::Refused(reason) => return refuse(Wrong::new(), Some(capital(&reason))).await,
        Outcome::Pending => visit::go(&paths::dag(dag), Mood::Warn, wish::PENDING),
    })
}

async fn planned(visit: &Visit, seen: &Seen, new: NewRun) -> Result<Trigger, Error> {
    let id: &DagId = &seen.line.dag_id;
    let row = visit.state.store.api_dag(id).await?;
    let row = row.ok_or_else(|| Error::NotFound(format!("There is no DAG `{id}`.")))?;
    plan(&visit.state, &row, new, false).await
}

fn read(seen: &Seen, sent: &Sent) -> Result<NewRun, Wrong> {
    let conf = form::conf(&seen.version.dag.params, sent)?;
    let one = |name: &str, text: &str| Wrong::from([(name.to_owned(), text.to_owned())]);
    let logical_date =
        match sent.text("logical_date") {
            None => None,
            Some(text) => Some(form::read_local(text).ok_or_else(|| {
                one("logical_date", "This is not a date and time, such as 2026-01-31T06:00.")
            })?),
        };
    let key = sent.text("partition_key").map(Key::new).transpose();
    let partition = key.map_err(|error| error.to_string()).and_then(|key| {
        let partition = key.map(|key| seen.version.dag.partition_of(key)).transpose();
        partition.map_err(|error| error.to_string())
    });
    if let Err(error) = partition {
        return Err(one("partition_key", &format!("{}.", capital(&error))));
    }
    if let Some(Err(error)) = sent.text("run_id").map(domain::id::RunId::new) {
        return Err(one("run_id", &format!("{}.", capital(&error.to_string()))));
    }
    Ok(NewRun {
        dag_run_id: sent.text("run_id").map(str::to_owned),
        logical_date: Some(logical_date),
        conf: Some(conf),
        note: sent.text("note").map(str::to_owned),
        partition_key: sent.text("partition_key").map(str::to_owned),
        ..NewRun::default()
    })
}

async fn page(
    visit: &Visit,
    seen: &Seen,
    sent: Option<&Sent>,
    given: Option<&Sent>,
    wrong: &Wrong,
    problem: Option<String>,
) -> Result<TriggerPage, Error> {
    let dag_id = seen.line.dag_id.as_str();
    let href = paths::dag(dag_id);
    // A date whose data interval nobody knows would be refused.
    let date = seen.version.dag.schedule.listed().is_none().then_some(visit.now);
    Ok(TriggerPage {
        shell: visit.shell("dags").await?,
        crumbs: vec![crumb("DAGs", Some("/dags")), crumb(dag_id, Some(&href)), crumb("Run", None)],
        dag_id: dag_id.to_owned(),
        description: seen.line.description.clone().unwrap_or_default(),
        paused: seen.line.is_paused,
        problem,
        fields: partition_field(&seen.version.dag, sent, wrong)
            .into_iter()
            .chain(form::fields(&seen.version.dag.params, sent, wrong))
            .collect(),
        advanced: advanced(sent.or(given), wrong, date),
        back: href,
    })
}

fn partition_field(dag: &Dag, sent: Option<&Sent>, wrong: &Wrong) -> Option<Field> {
    dag.partitions.as_ref().map(|_| Field {
        name: "partition_key".to_owned(),
        label: "Partition".to_owned(),
        kind: "text",
        value: sent.and_then(|sent| sent.text("partition_key")).unwrap_or_default().to_owned(),
        hint: Some(
            "What the run is about; the events of its tasks are about it, too. It may be empty.".to_owned(),
        ),
        error: wrong.get("partition_key").cloned(),
        ..Field::default()
    })
}

fn advanced(sent: Option<&Sent>, wrong: &Wrong, date: Option<DateTime<Utc>>) -> Advanced {
    let value = |name: &str| sent.and_then(|sent| sent.text(name)).unwrap_or_default().to_owned();
    let field = |name: &str, label: &str, kind, hint: &str| Field {
        name: name.to_owned(),
        label: label.to_owned(),
        kind,
        value: value(name),
        hint: Some(hint.to_owned()),
        error: wrong.get(name).cloned(),
        ..Field::default()
    };
    let mut logical_date = field(
        "logical_date",
        "Logical date",
        "datetime-local",
        "In UTC. Templates such as {{ ds }} are made from it.",
    );
    if let Some(date) = date
        && sent.is_none_or(|sent| sent.0.iter().all(|(name, _)| name != "logical_date"))
    {
        logical_date.value = date.format("%Y-%m-%dT%H:%M:%S").to_string();
    }
    let fields = vec![
        logical_date,
        field("run_id", "Run id", "text", "Made from the time when empty."),
        field("note", "Note", "text", "Shown with the run."),
        field("conf", "More, as JSON", "json", "An object; its values go before those above."),
    ];
    let open = ["run_id", "note", "conf"].iter().any(|name| !value(name).is_empty())
        || fields.iter().any(|field| field.error.is_some());
    Advanced { open, fields }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}
