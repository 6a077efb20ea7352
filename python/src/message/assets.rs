//! Questions about assets, and what a task says of those that it has made.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Reply, missing};

/// What a task asks about assets.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type")]
pub enum AssetRequest {
    /// An asset by its name.
    GetAssetByName {
        /// The name.
        name: String,
    },
    /// An asset by its URI.
    GetAssetByUri {
        /// The URI.
        uri: String,
    },
    /// The assets that were put under an alias.
    GetAssetsByAlias {
        /// The alias.
        alias_name: String,
    },
    /// What happened to an asset.
    GetAssetEventByAsset {
        /// Its name,
        #[serde(default)]
        name: Option<String>,
        /// its URI, or both.
        #[serde(default)]
        uri: Option<String>,
        /// Which.
        #[serde(flatten)]
        which: Events,
    },
    /// What happened in the name of an alias.
    GetAssetEventByAssetAlias {
        /// The alias.
        alias_name: String,
        /// Which.
        #[serde(flatten)]
        which: Events,
    },
    /// Which of the task's assets are not there any more.
    ValidateInletsAndOutlets,
}

/// Which events are meant.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Events {
    /// Not before.
    #[serde(default)]
    pub after: Option<DateTime<Utc>>,
    /// Not after.
    #[serde(default)]
    pub before: Option<DateTime<Utc>>,
    /// At most so many.
    #[serde(default)]
    pub limit: Option<u64>,
    /// The oldest first, or the newest.
    #[serde(default = "yes")]
    pub ascending: bool,
}

const fn yes() -> bool {
    true
}

/// What a task says of an asset that it has made.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ToldEvent {
    /// The asset.
    pub dest_asset_key: AssetKey,
    /// The outlet in whose name it happens, when that is an alias.
    #[serde(default)]
    pub source_alias_name: Option<String>,
    /// What else is to be known of the asset, when an alias names it.
    #[serde(default)]
    pub dest_asset_extra: Option<Map<String, Value>>,
    /// Whatever consumers want to know of it.
    #[serde(default)]
    pub extra: Option<Map<String, Value>>,
    /// The part of the asset that was made.
    #[serde(default)]
    pub partition_key: Option<String>,
}

/// What an asset is known by.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AssetKey {
    /// Its name.
    pub name: String,
    /// Its URI.
    pub uri: String,
}

impl Reply {
    /// An asset in Airflow's form (`AssetResponse`); `asked` is what it was asked for by.
    #[must_use]
    pub fn asset(asset: Option<Value>, asked: &Value) -> Self {
        Self::Body(match asset {
            Some(mut asset) => {
                asset["type"] = json!("AssetResult");
                asset
            }
            None => missing("ASSET_NOT_FOUND", asked),
        })
    }

    /// Assets in Airflow's form.
    #[must_use]
    pub fn assets(mut assets: Vec<Value>) -> Self {
        assets.iter_mut().for_each(|asset| asset["type"] = json!("AssetResult"));
        Self::Body(json!({"type": "AssetsByAliasResult", "assets": assets}))
    }

    /// Events in Airflow's form (`AssetEventResponse`).
    #[must_use]
    pub fn asset_events(events: Vec<Value>) -> Self {
        Self::Body(json!({"type": "AssetEventsResult", "asset_events": events}))
    }

    /// Those of a task's assets that are not there any more, each in Airflow's form (`AssetProfile`).
    #[must_use]
    pub fn inactive_assets(assets: Vec<Value>) -> Self {
        Self::Body(json!({"type": "InactiveAssetsResult", "inactive_assets": assets}))
    }
}
