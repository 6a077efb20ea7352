//! Assets of serialized DAGs: what tasks make and read, and what DAGs wait for. Source: Airflow 3.3.2 `serialization/encoders.py`.

use serde_json::Value;

use super::{Refused, wrapped};
use crate::asset::{self, AliasName, Asset, AssetName, AssetRef, Condition, MAX_DEPTH, MAX_LISTED};

/// The outlets or inlets of a task. What is no asset, such as another task, says nothing to the engine.
pub(super) fn listed(values: &[Value]) -> Result<Vec<AssetRef>, Refused> {
    if values.len() > MAX_LISTED {
        return Err(Refused::new(format!(
            "it lists {} assets; at most {MAX_LISTED} are allowed",
            values.len()
        )));
    }
    let of = |value: &Value| match wrapped::kind(value) {
        Some("asset" | "asset_ref") => Some(asset(value).map(AssetRef::Asset)),
        Some("asset_alias") => Some(alias(value).map(|alias| AssetRef::Alias { alias })),
        Some(_) | None => None,
    };
    values.iter().filter_map(of).collect()
}

/// A condition over assets.
pub(super) fn condition(value: &Value, depth: usize) -> Result<Condition, Refused> {
    if depth > MAX_DEPTH {
        return Err(Refused::new(format!("its condition over assets is nested deeper than {MAX_DEPTH}")));
    }
    let parts = || -> Result<Vec<Condition>, Refused> {
        let objects = wrapped::inner(value).get("objects").map(wrapped::inner).and_then(Value::as_array);
        objects.ok_or_else(|| unknown(value))?.iter().map(|part| condition(part, depth + 1)).collect()
    };
    match wrapped::kind(value) {
        Some("asset" | "asset_ref") => Ok(Condition::Asset(asset(value)?)),
        Some("asset_alias") => Ok(Condition::Alias(alias(value)?)),
        Some("asset_any") => Ok(Condition::Any(parts()?)),
        Some("asset_all") => Ok(Condition::All(parts()?)),
        Some(_) | None => Err(unknown(value)),
    }
}

fn asset(value: &Value) -> Result<Asset, Refused> {
    let said = wrapped::inner(value);
    let text = |name: &str| said.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let name =
        text("name").ok_or_else(|| Refused::new("it names an asset by its URI alone; give its name"))?;
    let bare = Asset::bare(AssetName::new(name).map_err(wrong)?).map_err(wrong)?;
    let extra = said.get("extra").map(wrapped::plain).and_then(|extra| extra.as_object().cloned());
    let asset = Asset {
        uri: text("uri").map(asset::sanitize).transpose().map_err(wrong)?.unwrap_or(bare.uri),
        group: text("group").map_or(bare.group, str::to_owned),
        extra: extra.unwrap_or_default(),
        name: bare.name,
    };
    asset::check_group(&asset.group).map_err(wrong)?;
    asset::check_extra(&asset.extra).map_err(wrong)?;
    Ok(asset)
}

fn alias(value: &Value) -> Result<AliasName, Refused> {
    let name = wrapped::inner(value).get("name").and_then(Value::as_str).unwrap_or_default();
    AliasName::new(name).map_err(wrong)
}

fn wrong(error: asset::Error) -> Refused {
    Refused::new(error.to_string())
}

fn unknown(value: &Value) -> Refused {
    let shown: String = value.to_string().chars().take(200).collect();
    Refused::new(format!("its condition over assets has something unknown in it: {shown}"))
}
