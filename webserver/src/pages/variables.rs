//! Variables: list and form.

use actix_web::{HttpResponse, web::Query};
use askama::Template;
use runtime::secret::is_secret_name;
use serde::Deserialize;
use serde_json::json;
use store::variable::Variable;

use super::{
    audit_line, pager,
    parts::{Field, Mood, Pager, Shell},
    visit::{self, Visit},
};
use crate::{
    auth::{Form, Operator},
    error::Error,
    masked::{masked_variable, unmasked_variable},
};

/// Longest value shown in the list, in characters.
const LONGEST_SHOWN: usize = 200;

/// What is asked for.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Params {
    #[serde(default)]
    q: String,
    page: Option<u32>,
    edit: Option<String>,
}

/// What the form holds.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Entry {
    #[serde(default)]
    key: String,
    #[serde(default)]
    value: String,
    #[serde(default)]
    description: String,
    /// Set when an existing variable is changed.
    #[serde(default)]
    existing: bool,
}

/// What the button that deletes holds.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Which {
    key: String,
}

/// The list, or its searched part (`as_variables`).
#[derive(Debug, Template)]
#[template(path = "variables.html", blocks = ["variables"])]
pub(crate) struct VariablesPage {
    pub(crate) shell: Shell,
    pub(crate) q: String,
    pub(crate) rows: Vec<VariableRow>,
    pub(crate) pager: Pager,
    pub(crate) editing: bool,
    pub(crate) problem: Option<String>,
    pub(crate) form: Vec<Field>,
}

/// One variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VariableRow {
    pub(crate) key: String,
    /// `None` for those whose names say that they are secret.
    pub(crate) value: Option<String>,
    pub(crate) description: String,
}

/// Answers.
pub(crate) async fn show(
    visit: Visit,
    _operator: Operator,
    params: Query<Params>,
) -> Result<HttpResponse, Error> {
    let entry = match &params.edit {
        Some(key) => existing(&visit, key).await?,
        None => Entry::default(),
    };
    let page = page(&visit, &params, &entry, None).await?;
    visit.answer(match visit.fragment() {
        Some("variables") => page.as_variables().render(),
        Some(_) | None => page.render(),
    })
}

/// Makes or changes a variable.
pub(crate) async fn save(
    visit: Visit,
    _operator: Operator,
    form: Form<Entry>,
) -> Result<HttpResponse, Error> {
    let Form(entry) = form;
    let key = entry.key.trim();
    let store = &visit.state.store;
    let before = store.variable(key).await?;
    if before.is_some() && !entry.existing {
        let problem = format!("There is a variable `{key}` already: change that one instead.");
        return refuse(&visit, &entry, problem).await;
    }
    // A secret's value is not shown, so an empty field leaves it as it is.
    let value = match before {
        Some(before) if entry.value.is_empty() && is_secret_name(key) => before.value,
        Some(before) => unmasked_variable(entry.value.clone(), &before.value),
        None => entry.value.clone(),
    };
    match store.set_variable(key, &value, Some(entry.description.trim())).await {
        Ok(()) => {}
        Err(store::Error::Invalid(text)) => {
            return refuse(&visit, &entry, format!("It was not kept: {text}.")).await;
        }
        Err(fault) => return Err(fault.into()),
    }
    let event = if entry.existing { "patch_variable" } else { "post_variable" };
    audit_line::write(&visit, event, json!({"key": key})).await?;
    Ok(visit::go("/variables", Mood::Good, &format!("The variable {key} is kept.")))
}

/// Deletes a variable.
pub(crate) async fn delete(
    visit: Visit,
    _operator: Operator,
    form: Form<Which>,
) -> Result<HttpResponse, Error> {
    let key = form.0.key;
    if !visit.state.store.delete_variable(&key).await? {
        return Err(no_such(&key));
    }
    audit_line::write(&visit, "delete_variable", json!({"key": key})).await?;
    Ok(visit::go("/variables", Mood::Good, &format!("The variable {key} is gone.")))
}

async fn existing(visit: &Visit, key: &str) -> Result<Entry, Error> {
    let found = visit.state.store.variable(key).await?.ok_or_else(|| no_such(key))?;
    Ok(Entry {
        value: if is_secret_name(&found.key) {
            String::new()
        } else {
            masked_variable(&found.key, &found.value).into_owned()
        },
        description: found.description.unwrap_or_default(),
        key: found.key,
        existing: true,
    })
}

fn no_such(key: &str) -> Error {
    Error::NotFound(format!("There is no variable `{key}`."))
}

async fn refuse(visit: &Visit, entry: &Entry, problem: String) -> Result<HttpResponse, Error> {
    visit.refuse(page(visit, &Params::default(), entry, Some(problem)).await?.render())
}

async fn page(
    visit: &Visit,
    params: &Params,
    entry: &Entry,
    problem: Option<String>,
) -> Result<VariablesPage, Error> {
    let q = params.q.trim();
    let (found, total) = visit.state.store.variables(q, pager::ROWS, pager::offset(params.page)).await?;
    Ok(VariablesPage {
        shell: visit.shell("variables").await?,
        q: q.to_owned(),
        pager: pager::pager("/variables", &[("q", q)], params.page, found.len(), total),
        rows: found.into_iter().map(row).collect(),
        editing: entry.existing,
        problem,
        form: fields(entry),
    })
}

fn fields(entry: &Entry) -> Vec<Field> {
    let secret = entry.existing && is_secret_name(&entry.key);
    let field = |name: &str, label: &str, kind, value: &str| Field {
        name: name.to_owned(),
        label: label.to_owned(),
        kind,
        value: value.to_owned(),
        ..Field::default()
    };
    vec![
        Field { required: true, fixed: entry.existing, ..field("key", "Key", "text", &entry.key) },
        Field {
            hint: secret.then(|| "It is secret and not shown. Nothing here leaves it as it is.".to_owned()),
            ..field("value", "Value", "textarea", &entry.value)
        },
        field("description", "Description", "text", &entry.description),
    ]
}

fn row(variable: Variable) -> VariableRow {
    let shown = |value: &str| {
        let short: String = value.chars().take(LONGEST_SHOWN).collect();
        if short.len() < value.len() { format!("{short}…") } else { short }
    };
    VariableRow {
        value: (!is_secret_name(&variable.key))
            .then(|| shown(&masked_variable(&variable.key, &variable.value))),
        description: variable.description.unwrap_or_default(),
        key: variable.key,
    }
}
