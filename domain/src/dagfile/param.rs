//! `params`: what a run may be given.

use std::{collections::HashMap, rc::Rc};

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::{
    diagnostic::{Problem, alternatives},
    fields::Fields,
    node::{At, Node, shown},
    reading::Reading,
    suggest::did_you_mean,
    values,
};
use crate::{dag::Param, params};

/// Most params of one DAG.
const MAX_PARAMS: usize = 200;

/// Keywords of JSON Schema 2020-12, and those that Airflow's forms understand beside them.
pub(super) const KEYWORDS: &[&str] = &[
    "type",
    "default",
    "description",
    "title",
    "enum",
    "const",
    "format",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "items",
    "prefixItems",
    "contains",
    "minContains",
    "maxContains",
    "minItems",
    "maxItems",
    "uniqueItems",
    "unevaluatedItems",
    "properties",
    "patternProperties",
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
    "required",
    "dependentRequired",
    "dependentSchemas",
    "minProperties",
    "maxProperties",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "$ref",
    "$defs",
    "$schema",
    "$id",
    "$comment",
    "$anchor",
    "section",
    "values_display",
    "description_md",
];

pub(super) fn read(fields: &Fields<'_>, reading: &mut Reading<'_>) -> IndexMap<String, Param> {
    let mut params = IndexMap::new();
    let Some(entry) = fields.entry("params").filter(|entry| !entry.value.is_null()) else {
        return params;
    };
    let owner = fields.named("params");
    let Some(map) = entry.value.map() else {
        let message = format!(
            "{owner} must be a mapping of names to defaults or schemas, not {}",
            entry.value.describe()
        );
        reading.add(Problem::new(entry.value.at, message));
        return params;
    };
    if map.len() > MAX_PARAMS {
        reading.add(Problem::new(entry.key_at, format!("{owner}: a DAG has at most {MAX_PARAMS} params")));
        return params;
    }
    let mut spelt = HashMap::new();
    for (name, entry) in map {
        let checked = check_name(name, entry.key_at, &mut spelt).and_then(|()| one(&entry.value));
        if let Some(param) =
            reading.keep(checked.map_err(|problem| problem.of(&format!("param `{}`", shown(name)))))
        {
            params.insert(name.clone(), param);
        }
    }
    params
}

/// A param becomes a template variable and, in capitals, a part of an environment variable's name.
fn check_name(name: &str, at: At, spelt: &mut HashMap<String, String>) -> Result<(), Problem> {
    if !values::is_identifier(name) {
        return Err(Problem::new(at, "a name has only letters, digits and `_`, and no digit first"));
    }
    match spelt.insert(name.to_ascii_uppercase(), name.to_owned()) {
        Some(other) => Err(Problem::new(at, format!("it differs from `{}` only in capitals", shown(&other)))),
        None => Ok(()),
    }
}

/// A mapping is a JSON Schema, anything else a default that accepts every value.
fn one(node: &Rc<Node>) -> Result<Param, Problem> {
    let Some(map) = node.map() else {
        return Ok(Param {
            default: Some(node.json()),
            description: None,
            schema: Value::Object(Map::new()),
        });
    };
    for (keyword, entry) in map {
        if !KEYWORDS.contains(&keyword.as_str()) && !keyword.starts_with("x-") {
            let problem =
                Problem::new(entry.key_at, format!("`{}` is not a keyword of JSON Schema", shown(keyword)));
            let default = "to make this mapping the default, write {default: {...}}";
            return Err(problem.hint(default).maybe(did_you_mean(keyword, KEYWORDS.iter().copied())));
        }
    }
    let description = map.get("description").map(|entry| values::text(&entry.value)).transpose()?;
    let default = map.get("default").map(|entry| entry.value.json());
    let mut schema = Map::new();
    for (keyword, entry) in map {
        if !matches!(keyword.as_str(), "description" | "default") {
            schema.insert(keyword.clone(), entry.value.json());
        }
    }
    let schema = Value::Object(schema);
    let check = params::Check::new(&schema).map_err(|error| no_schema(node, &schema, &error))?;
    if let (Some(default), Some(entry)) = (&default, map.get("default")) {
        check.value(default).map_err(|(pointer, why)| {
            Problem::new(entry.value.place_of(&pointer), format!("the default {why}"))
        })?;
    }
    Ok(Param { default, description, schema })
}

fn no_schema(node: &Node, schema: &Value, error: &params::SchemaError) -> Problem {
    const TYPES: [&str; 7] = ["string", "integer", "number", "boolean", "array", "object", "null"];
    let at = node.place_of(&error.pointer);
    match schema.pointer(&error.pointer) {
        Some(Value::String(name)) if error.pointer.ends_with("/type") => {
            let problem = Problem::new(at, format!("`{}` is not a type of JSON Schema", shown(name)));
            problem.hint(format!("use {}", alternatives(TYPES, "or"))).maybe(did_you_mean(name, TYPES))
        }
        _ => Problem::new(
            at,
            format!("not a JSON Schema: {}", error.message.chars().take(200).collect::<String>()),
        ),
    }
}
