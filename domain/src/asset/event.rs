//! What a try says of the assets it has made, and the events that follow.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{AliasName, Asset, AssetName, AssetRef, MAX_EVENTS, check_extra, check_group, sanitize};
use crate::{
    dagfile::did_you_mean,
    partition::{Key, Partition},
};

/// What a try says about one event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutletEvent {
    /// The asset; one of the outlets, unless an alias is named.
    pub asset: Asset,
    /// The outlet in whose name it happens, when that is an alias.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<AliasName>,
    /// Whatever consumers want to know of it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
    /// The partition that it is about, when that is another than the run's; says nothing under an alias.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition_key: Option<Key>,
}

/// One event that follows from a success.
#[derive(Debug, Clone, PartialEq)]
pub struct Emission {
    /// What was made.
    pub asset: Asset,
    /// In the name of which aliases.
    pub aliases: Vec<AliasName>,
    /// What the try says about it.
    pub extra: Map<String, Value>,
    /// Which part of the asset it is about.
    pub partition: Option<Partition>,
}

/// The events that follow from a success, in the order of the outlets: one for each asset, or one for each time that the try names
/// it; none for an alias, but one for each asset that the try puts under it. An asset that is put under several aliases with the
/// same extra has one event. Whatever is about no outlet is left out. An event is about the partition that it names, else about that of the
/// run; under an alias always about the latter. Source: Airflow 3.3.2 `models/taskinstance.py:1558`.
#[must_use]
pub fn emissions(outlets: &[AssetRef], told: Vec<OutletEvent>, of_run: Option<&Partition>) -> Vec<Emission> {
    let (under, plain): (Vec<OutletEvent>, Vec<OutletEvent>) =
        told.into_iter().take(MAX_EVENTS).partition(|event| event.alias.is_some());
    let plainly = |asset: &Asset, extra, partition| Emission {
        asset: asset.clone(),
        aliases: Vec::new(),
        extra,
        partition,
    };
    let mut all: Vec<Emission> = Vec::new();
    for asset in outlets.iter().filter_map(AssetRef::asset) {
        let own: Vec<&OutletEvent> = plain.iter().filter(|event| event.asset.name == asset.name).collect();
        if own.is_empty() {
            all.push(plainly(asset, Map::new(), of_run.cloned()));
        }
        all.extend(
            own.into_iter().map(|event| {
                plainly(asset, event.extra.clone(), about(event.partition_key.as_ref(), of_run))
            }),
        );
    }
    let first = all.len();
    for OutletEvent { asset, alias, extra, .. } in under {
        let Some(alias) = alias.filter(|name| outlets.iter().any(|outlet| outlet.alias() == Some(name)))
        else {
            continue;
        };
        let is_same = |known: &&mut Emission| known.asset == asset && known.extra == extra;
        match all[first..].iter_mut().find(is_same) {
            Some(known) if known.aliases.contains(&alias) => {}
            Some(known) => known.aliases.push(alias),
            None => all.push(Emission { asset, aliases: vec![alias], extra, partition: of_run.cloned() }),
        }
    }
    all
}

// The date of the run says nothing of other partitions.
fn about(named: Option<&Key>, of_run: Option<&Partition>) -> Option<Partition> {
    match named.filter(|key| of_run.is_none_or(|run| run.key != **key)) {
        Some(key) => Some(Partition { key: key.clone(), date: None }),
        None => of_run.cloned(),
    }
}

/// Reads what a try left in the file that `$TRADEWIND_ASSET_EVENTS` names: JSON objects one behind the other, or lists of them.
///
/// # Errors
/// Says which of them is wrong, and how; in words for the log of the try.
pub fn parse_events(text: &str, outlets: &[AssetRef]) -> Result<Vec<OutletEvent>, String> {
    let mut events = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        let value = value.map_err(|error| format!("it is not JSON: {error}"))?;
        let all = match value {
            Value::Array(all) => all,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                vec![value]
            }
        };
        for one in all {
            if events.len() == MAX_EVENTS {
                return Err(format!("a try has at most {MAX_EVENTS} asset events"));
            }
            let event = parse_event(one, outlets);
            events.push(event.map_err(|why| format!("event {}: {why}", events.len() + 1))?);
        }
    }
    Ok(events)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    asset: ToldAsset,
    alias: Option<String>,
    #[serde(default)]
    extra: Map<String, Value>,
    partition_key: Option<Key>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ToldAsset {
    Name(String),
    Whole(WholeAsset),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WholeAsset {
    name: Option<String>,
    uri: Option<String>,
    group: Option<String>,
    #[serde(default)]
    extra: Map<String, Value>,
}

fn parse_event(value: Value, outlets: &[AssetRef]) -> Result<OutletEvent, String> {
    let told: Told = serde_json::from_value(value).map_err(|error| {
        format!(
            "{error}; write {{\"asset\": name, \"extra\": {{...}}}}, with \"alias\" when the outlet is one"
        )
    })?;
    check_extra(&told.extra).map_err(|error| error.to_string())?;
    let asset = told.asset.read()?;
    let alias =
        told.alias.map(|name| AliasName::new(&name)).transpose().map_err(|error| error.to_string())?;
    let is_known = outlets.iter().any(|outlet| match &alias {
        Some(alias) => outlet.alias() == Some(alias),
        None => outlet.asset().is_some_and(|outlet| outlet.name == asset.name),
    });
    if is_known {
        return Ok(OutletEvent { asset, alias, extra: told.extra, partition_key: told.partition_key });
    }
    let (kind, name) = match &alias {
        Some(alias) => ("alias", alias.as_str()),
        None => ("asset", asset.name.as_str()),
    };
    let names: Vec<&str> = match &alias {
        Some(_) => outlets.iter().filter_map(AssetRef::alias).map(AliasName::as_str).collect(),
        None => outlets.iter().filter_map(AssetRef::asset).map(|asset| asset.name.as_str()).collect(),
    };
    let hint = did_you_mean(name, names).map(|hint| format!("; {hint}")).unwrap_or_default();
    Err(format!("the {kind} `{name}` is not among the task's outlets{hint}"))
}

impl ToldAsset {
    fn read(self) -> Result<Asset, String> {
        let said = |error: super::Error| error.to_string();
        let WholeAsset { name, uri, group, extra } = match self {
            Self::Name(name) => return AssetName::new(&name).and_then(Asset::bare).map_err(said),
            Self::Whole(whole) => whole,
        };
        let Some(known_by) = name.as_deref().or(uri.as_deref()) else {
            return Err("an asset needs a name or a URI".to_owned());
        };
        let bare = AssetName::new(known_by).and_then(Asset::bare).map_err(said)?;
        let uri = uri.as_deref().map_or(Ok(bare.uri.clone()), sanitize).map_err(said)?;
        let group = group.unwrap_or(bare.group);
        check_group(&group).and_then(|()| check_extra(&extra)).map_err(said)?;
        Ok(Asset { name: bare.name, uri, group, extra })
    }
}
