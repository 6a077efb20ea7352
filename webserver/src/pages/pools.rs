//! Pools: list and form.

use actix_web::{HttpResponse, web::Query};
use askama::Template;
use domain::{engine::floor::Policy, id::PoolName};
use queue::Bell;
use serde::Deserialize;
use serde_json::json;
use store::pool::{DEFAULT, NewPool, Pool};

use super::{
    audit_line,
    parts::{Choice, Field, Mood, Shell},
    visit::{self, Visit},
};
use crate::{
    auth::{Form, Operator},
    error::Error,
};

/// Most pools shown.
const MOST: u32 = 500;
/// Longest description, in characters.
const LONGEST_DESCRIPTION: usize = 1_000;

/// What is asked for.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Params {
    edit: Option<String>,
}

/// What the form holds.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Entry {
    #[serde(default)]
    name: String,
    #[serde(default)]
    slots: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    include_deferred: bool,
    /// Empty for the installation's.
    #[serde(default)]
    policy: String,
    /// Set when an existing pool is changed.
    #[serde(default)]
    existing: bool,
}

/// What the button that deletes holds.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Which {
    name: String,
}

/// The list, or its live part (`as_pools`).
#[derive(Debug, Template)]
#[template(path = "pools.html", blocks = ["pools"])]
pub(crate) struct PoolsPage {
    pub(crate) shell: Shell,
    pub(crate) rows: Vec<PoolRow>,
    pub(crate) editing: bool,
    pub(crate) problem: Option<String>,
    pub(crate) form: Vec<Field>,
}

/// One pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PoolRow {
    pub(crate) name: String,
    pub(crate) description: String,
    /// A number, or `unlimited`.
    pub(crate) slots: String,
    /// Who goes first; nothing where the installation's policy says it.
    pub(crate) policy: Option<String>,
    pub(crate) running: i64,
    pub(crate) queued: i64,
    /// Slots that tasks wait for.
    pub(crate) waiting: i64,
    /// Percent of the slots.
    pub(crate) running_width: i64,
    /// Percent of the slots.
    pub(crate) queued_width: i64,
    /// The default pool cannot be deleted.
    pub(crate) removable: bool,
}

/// What is wrong with a form, as far as it can be told before the store is asked.
#[derive(Debug, Clone, Default)]
struct Wrong {
    name: Option<String>,
    slots: Option<String>,
    policy: Option<String>,
    description: Option<String>,
    other: Option<String>,
}

/// Answers.
pub(crate) async fn show(visit: Visit, params: Query<Params>) -> Result<HttpResponse, Error> {
    let entry = match &params.edit {
        Some(name) => existing(&visit, name).await?,
        None => Entry::default(),
    };
    let page = page(&visit, &entry, Wrong::default()).await?;
    visit.answer(match visit.fragment() {
        Some("pools") => page.as_pools().render(),
        Some(_) | None => page.render(),
    })
}

/// Makes or changes a pool.
pub(crate) async fn save(
    visit: Visit,
    _operator: Operator,
    form: Form<Entry>,
) -> Result<HttpResponse, Error> {
    let Form(entry) = form;
    let pool = match read(&entry) {
        Ok(pool) => pool,
        Err(wrong) => return visit.refuse(page(&visit, &entry, wrong).await?.render()),
    };
    let store = &visit.state.store;
    let (event, text) = if entry.existing {
        if !store.update_pool(&pool).await? {
            return Err(no_such(&entry.name));
        }
        ("patch_pool", format!("The pool {} is changed.", pool.name))
    } else {
        match store.create_pool(&pool).await {
            Ok(()) => ("post_pool", format!("The pool {} is there.", pool.name)),
            Err(store::Error::Conflict(text)) => {
                let wrong = Wrong { other: Some(format!("It was not made: {text}.")), ..Wrong::default() };
                return visit.refuse(page(&visit, &entry, wrong).await?.render());
            }
            Err(fault) => return Err(fault.into()),
        }
    };
    audit_line::write(&visit, event, json!({"name": pool.name, "slots": pool.slots, "policy": pool.policy}))
        .await?;
    tell_scheduler(&visit).await;
    Ok(visit::go("/pools", Mood::Good, &text))
}

/// Deletes a pool.
pub(crate) async fn delete(
    visit: Visit,
    _operator: Operator,
    form: Form<Which>,
) -> Result<HttpResponse, Error> {
    let name = PoolName::new(&form.0.name)?;
    if !visit.state.store.delete_pool(&name).await? {
        return Err(no_such(&form.0.name));
    }
    audit_line::write(&visit, "delete_pool", json!({"name": name})).await?;
    tell_scheduler(&visit).await;
    Ok(visit::go("/pools", Mood::Good, &format!("The pool {name} is gone.")))
}

async fn existing(visit: &Visit, name: &str) -> Result<Entry, Error> {
    let found = visit.state.store.pool(&PoolName::new(name)?).await?;
    let pool = found.ok_or_else(|| no_such(name))?;
    Ok(Entry {
        slots: if pool.slots < 0 { String::new() } else { pool.slots.to_string() },
        description: pool.description.unwrap_or_default(),
        include_deferred: pool.include_deferred,
        policy: pool.policy.unwrap_or_default(),
        name: pool.name,
        existing: true,
    })
}

fn no_such(name: &str) -> Error {
    Error::NotFound(format!("There is no pool `{name}`."))
}

// The scheduler looks by itself after a while, so a bell that cannot be rung is no failure.
async fn tell_scheduler(visit: &Visit) {
    if let Err(error) = visit.state.queue.ring(Bell::Config).await {
        tracing::debug!(%error, "the scheduler could not be told about a pool");
    }
}

fn read(entry: &Entry) -> Result<NewPool, Wrong> {
    let mut wrong = Wrong::default();
    let name = PoolName::new(entry.name.trim()).map_err(|error| wrong.name = Some(format!("{error}."))).ok();
    let slots = slots(&entry.slots).map_err(|error| wrong.slots = Some(error)).ok();
    let policy = policy(&entry.policy).map_err(|error| wrong.policy = Some(error)).ok();
    let description = entry.description.trim();
    if description.chars().count() > LONGEST_DESCRIPTION {
        wrong.description = Some(format!("At most {LONGEST_DESCRIPTION} characters."));
        return Err(wrong);
    }
    let (Some(name), Some(slots), Some(policy)) = (name, slots, policy) else {
        return Err(wrong);
    };
    let description = (!description.is_empty()).then(|| description.to_owned());
    Ok(NewPool { name, slots, description, include_deferred: entry.include_deferred, policy })
}

/// A number of slots; nothing, or Airflow's -1, is without limit.
fn slots(text: &str) -> Result<Option<u32>, String> {
    match text.trim() {
        "" | "-1" => Ok(None),
        text => {
            let slots = text.parse::<i32>().ok().and_then(|slots| u32::try_from(slots).ok());
            slots
                .map(Some)
                .ok_or_else(|| format!("A whole number of 0 or more, or nothing for no limit, not `{text}`."))
        }
    }
}

/// Nothing leaves the order to the installation.
fn policy(text: &str) -> Result<Option<Policy>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error: domain::engine::floor::UnknownPolicy| format!("{error}."))
}

/// What a person chooses from: each policy with what it does.
fn policies() -> Vec<Choice> {
    let own = Policy::ALL.into_iter().map(|policy| Choice {
        value: policy.name().to_owned(),
        label: format!("{policy}: {}", effect(policy)),
    });
    let usual = Choice { value: String::new(), label: "as the whole installation".to_owned() };
    std::iter::once(usual).chain(own).collect()
}

const fn effect(policy: Policy) -> &'static str {
    match policy {
        Policy::Fifo => "first come, first served",
        Policy::Priority => "higher priority first, then the older run (as Airflow)",
        Policy::Shortest => "what took the shortest time so far first",
        Policy::Longest => "what took the longest time so far first",
        Policy::FifoShortest => "first come, first served; the shortest of what came together",
        Policy::CriticalPath => "what has the longest way to the end of its run first",
    }
}

async fn page(visit: &Visit, entry: &Entry, wrong: Wrong) -> Result<PoolsPage, Error> {
    let pools = visit.state.store.pools(MOST, 0).await?;
    Ok(PoolsPage {
        shell: visit.shell("pools").await?,
        rows: pools.into_iter().map(row).collect(),
        editing: entry.existing,
        form: fields(entry, &wrong),
        problem: wrong.other,
    })
}

fn fields(entry: &Entry, wrong: &Wrong) -> Vec<Field> {
    let field = |name: &str, label: &str, value: &str, error: &Option<String>| Field {
        name: name.to_owned(),
        label: label.to_owned(),
        kind: "text",
        value: value.to_owned(),
        error: error.clone(),
        ..Field::default()
    };
    vec![
        Field { required: true, fixed: entry.existing, ..field("name", "Name", &entry.name, &wrong.name) },
        Field {
            kind: "number",
            hint: Some("Nothing for no limit.".to_owned()),
            ..field("slots", "Slots", &entry.slots, &wrong.slots)
        },
        Field {
            kind: "choice",
            choices: policies(),
            hint: Some("Who goes first among those that wait for the pool.".to_owned()),
            ..field("policy", "Order", &entry.policy, &wrong.policy)
        },
        field("description", "Description", &entry.description, &wrong.description),
        Field {
            kind: "checkbox",
            hint: Some("Tasks that wait for an event count too.".to_owned()),
            ..field("include_deferred", "Count deferred tasks", &entry.include_deferred.to_string(), &None)
        },
    ]
}

fn row(pool: Pool) -> PoolRow {
    let all = i64::from(pool.slots);
    let part = |slots: i64| {
        if all > 0 { (slots * 100 / all).clamp(0, 100) } else { 0 }
    };
    PoolRow {
        slots: if pool.slots < 0 { "unlimited".to_owned() } else { pool.slots.to_string() },
        running: pool.running,
        queued: pool.queued,
        waiting: pool.scheduled,
        running_width: part(pool.running),
        queued_width: part(pool.queued),
        removable: pool.name != DEFAULT,
        policy: pool.policy,
        description: pool.description.unwrap_or_default(),
        name: pool.name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_a_number_or_without_limit() {
        assert_eq!(slots(" 4 "), Ok(Some(4)));
        assert_eq!(slots(""), Ok(None));
        assert_eq!(slots("-1"), Ok(None));
        assert!(slots("-2").is_err() && slots("many").is_err() && slots("4294967295").is_err());
    }

    #[test]
    fn every_field_says_what_is_wrong_with_it() {
        let text = str::to_owned;
        let entry =
            Entry { name: text("a b"), slots: text("x"), policy: text("shortes"), ..Entry::default() };
        let wrong = read(&entry).unwrap_err();
        assert!(wrong.name.is_some() && wrong.slots.is_some());
        assert!(wrong.policy.is_some_and(|text| text.contains("did you mean `shortest`")));
    }
}
