//! The params of a serialized DAG: `[[name, {default, description, schema}], …]`.

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::{Refused, wrapped};
use crate::dag::Param;

pub(super) fn read(params: Option<&Value>) -> Result<IndexMap<String, Param>, Refused> {
    let params = params.map(wrapped::inner).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    params.iter().map(one).collect()
}

fn one(param: &Value) -> Result<(String, Param), Refused> {
    let wrong = || Refused::new(format!("a param is {param}, which is no pair of a name and what it is"));
    let pair = param.as_array().filter(|pair| pair.len() == 2).ok_or_else(wrong)?;
    let name = pair[0].as_str().ok_or_else(wrong)?;
    let about = wrapped::inner(&pair[1]);
    let default = about.get("default").filter(|default| wrapped::kind(default) != Some("arg_not_set"));
    let schema = about.get("schema").map_or_else(|| Value::Object(Map::new()), wrapped::plain);
    let description = about.get("description").and_then(Value::as_str).map(str::to_owned);
    Ok((name.to_owned(), Param { default: default.map(wrapped::plain), description, schema }))
}
