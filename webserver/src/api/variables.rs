//! Variables. The values of those whose key names a secret are never shown.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use serde::Deserialize;
use serde_json::{Value, json};
use store::variable::Variable;

use super::{
    batch::given,
    query::Query,
    settings::{self, Mask},
};
use crate::{
    AppState,
    auth::Operator,
    body::Body,
    error::Error,
    masked::{masked_variable, unmasked_variable},
};

/// A variable as it is sent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sent {
    key: String,
    value: Value,
    #[serde(default, deserialize_with = "given")]
    description: Option<Option<String>>,
    #[serde(default, rename = "team_name")]
    _team_name: Option<String>,
}

pub(super) async fn list(
    state: Data<AppState>,
    _operator: Operator,
    query: Query,
) -> Result<HttpResponse, Error> {
    let (rows, _) = state.store.variables("", settings::MOST, 0).await?;
    let rows: Vec<Value> = rows.iter().map(shape).collect();
    let filters = ["variable_key_pattern", "variable_key_prefix_pattern"];
    Ok(HttpResponse::Ok().json(settings::page(&query, "variables", "key", rows, filters)?))
}

pub(super) async fn get(
    state: Data<AppState>,
    _operator: Operator,
    key: Path<String>,
) -> Result<HttpResponse, Error> {
    Ok(HttpResponse::Ok().json(shape(&find(&state, &key).await?)))
}

pub(super) async fn create(
    state: Data<AppState>,
    operator: Operator,
    body: Body<Sent>,
) -> Result<HttpResponse, Error> {
    let sent = body.0;
    if state.store.variable(&sent.key).await?.is_some() {
        return Err(Error::Conflict(format!("The Variable with key: `{}` already exists", sent.key)));
    }
    let description = sent.description.flatten();
    state.store.set_variable(&sent.key, &text(sent.value), description.as_deref()).await?;
    settings::record(&state, operator.name(), "post_variable", &sent.key).await?;
    Ok(HttpResponse::Created().json(shape(&find(&state, &sent.key).await?)))
}

pub(super) async fn patch(
    state: Data<AppState>,
    operator: Operator,
    key: Path<String>,
    query: Query,
    body: Body<Sent>,
) -> Result<HttpResponse, Error> {
    let (mask, sent) = (Mask::of(&query), body.0);
    if sent.key != key.as_str() {
        let fault = "Invalid body, key from request body doesn't match uri parameter";
        return Err(Error::Invalid(fault.to_owned()));
    }
    let known = find(&state, &key).await?;
    let value =
        if mask.has("value") { unmasked_variable(text(sent.value), &known.value) } else { known.value };
    let description = sent.description.filter(|_| mask.has("description")).unwrap_or(known.description);
    state.store.set_variable(&key, &value, Some(description.as_deref().unwrap_or_default())).await?;
    settings::record(&state, operator.name(), "patch_variable", &key).await?;
    Ok(HttpResponse::Ok().json(shape(&find(&state, &key).await?)))
}

pub(super) async fn delete(
    state: Data<AppState>,
    operator: Operator,
    key: Path<String>,
) -> Result<HttpResponse, Error> {
    if !state.store.delete_variable(&key).await? {
        return Err(missing(&key));
    }
    settings::record(&state, operator.name(), "delete_variable", &key).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn find(state: &AppState, key: &str) -> Result<Variable, Error> {
    state.store.variable(key).await?.ok_or_else(|| missing(key))
}

fn missing(key: &str) -> Error {
    Error::NotFound(format!("The Variable with key: `{key}` was not found"))
}

/// `VariableResponse`
fn shape(variable: &Variable) -> Value {
    let value = masked_variable(&variable.key, &variable.value);
    let description = variable.description.as_deref().filter(|text| !text.is_empty());
    json!({"key": variable.key, "value": value, "description": description, "is_encrypted": true, "team_name": null})
}

/// A text as it is, anything else as JSON.
fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    }
}
