//! `tradewind variables`

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::{Map, Value, json};
use store::{Store, variable::Variable};

use super::file;
use crate::{
    args::{
        Common,
        records::{ImportVariables, OnExisting, Variables},
    },
    output, setup,
};

/// Variables read at once.
const PAGE: u32 = 500;

#[derive(Serialize)]
struct Row {
    key: String,
    description: Option<String>,
}

/// A variable of a file.
struct New {
    key: String,
    value: String,
    description: Option<String>,
}

/// Works with variables.
pub async fn run(common: &Common, command: Variables) -> Result<()> {
    let (_, store) = setup::for_command(common).await?;
    match command {
        Variables::List => {
            let row = |variable: Variable| Row { key: variable.key, description: variable.description };
            output::list(common.output, &all(&store).await?.into_iter().map(row).collect::<Vec<_>>())
        }
        Variables::Get { key, default, json } => {
            let found = store.variable(&key).await?.map(|variable| variable.value);
            let value = found.or(default).with_context(|| format!("there is no variable `{key}`"))?;
            output::say(&if json { indented(&key, &value)? } else { value })
        }
        Variables::Set { key, value, description, json } => {
            let value = file::text_or_input(value)?;
            if json {
                indented(&key, &value)?;
            }
            store.set_variable(&key, &value, description.as_deref()).await?;
            output::say(&format!("The variable {key} is set."))
        }
        Variables::Delete { key } => {
            if !store.delete_variable(&key).await? {
                bail!("there is no variable `{key}`");
            }
            output::say(&format!("The variable {key} is deleted."))
        }
        Variables::Import(import) => self::import(&store, &import).await,
        Variables::Export { file } => file::write_object(&file, exported(all(&store).await?)),
    }
}

pub(super) async fn all(store: &Store) -> Result<Vec<Variable>> {
    let mut variables = Vec::new();
    loop {
        let (page, total) = store.variables("", PAGE, u32::try_from(variables.len())?).await?;
        let is_last = page.is_empty();
        variables.extend(page);
        if is_last || i64::try_from(variables.len())? >= total {
            return Ok(variables);
        }
    }
}

async fn import(store: &Store, import: &ImportVariables) -> Result<()> {
    let variables: Vec<New> = file::read_object(&import.file)?.into_iter().map(new).collect();
    let mut wanted = Vec::with_capacity(variables.len());
    for variable in variables {
        let exists = import.action_on_existing_key != OnExisting::Overwrite
            && store.variable(&variable.key).await?.is_some();
        match import.action_on_existing_key {
            OnExisting::Fail if exists => {
                bail!("the variable `{}` exists already: nothing was imported", variable.key)
            }
            OnExisting::Skip if exists => output::note(&format!("kept: {}", variable.key)),
            OnExisting::Overwrite | OnExisting::Fail | OnExisting::Skip => wanted.push(variable),
        }
    }
    for variable in &wanted {
        store.set_variable(&variable.key, &variable.value, variable.description.as_deref()).await?;
    }
    output::say(&format!("{} variables imported.", wanted.len()))
}

// Source: Airflow 3.3.2 `cli/commands/variable_command.py`: a value that is no text is kept as JSON.
fn new((key, written): (String, Value)) -> New {
    let (value, description) = match &written {
        Value::Object(map) if map.contains_key("value") => {
            let description = map.get("description").and_then(Value::as_str).map(str::to_owned);
            (map.get("value").cloned().unwrap_or_default(), description)
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => (written, None),
    };
    let value = match value {
        Value::String(text) => text,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    };
    New { key, value, description }
}

fn exported(variables: Vec<Variable>) -> Map<String, Value> {
    let form = |variable: Variable| {
        // Lists and objects are written as such, to be edited; a text that merely looks like a number stays one.
        let decoded = serde_json::from_str(&variable.value)
            .ok()
            .filter(|value: &Value| value.is_object() || value.is_array());
        let value = decoded.unwrap_or(Value::String(variable.value));
        let is_ambiguous = value.get("value").is_some();
        match variable.description {
            None if !is_ambiguous => (variable.key, value),
            description => (variable.key, json!({"value": value, "description": description})),
        }
    };
    variables.into_iter().map(form).collect()
}

fn indented(key: &str, value: &str) -> Result<String> {
    let value: Value =
        serde_json::from_str(value).with_context(|| format!("the value of `{key}` is not JSON"))?;
    Ok(serde_json::to_string_pretty(&value)?)
}
