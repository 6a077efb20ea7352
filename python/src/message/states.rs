//! What tasks keep for themselves, and what they keep of assets.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Reply, missing};

/// What a task asks of a state store.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type")]
pub enum StateRequest {
    /// What the instance keeps under a key.
    GetTaskStateStore {
        /// The key.
        key: String,
    },
    /// Keeps something for the instance.
    SetTaskStateStore {
        /// The key.
        key: String,
        /// The value.
        value: Value,
        /// Nobody wants it any more then.
        #[serde(default)]
        expires_at: Option<DateTime<Utc>>,
    },
    /// Forgets what the instance keeps under a key.
    DeleteTaskStateStore {
        /// The key.
        key: String,
    },
    /// Forgets all that the instance keeps.
    ClearTaskStateStore,
    /// What is kept of an asset under a key.
    GetAssetStateStoreByName {
        /// The asset's name.
        name: String,
        /// The key.
        key: String,
    },
    /// The same, by the asset's URI.
    GetAssetStateStoreByUri {
        /// The asset's URI.
        uri: String,
        /// The key.
        key: String,
    },
    /// Keeps something of an asset.
    SetAssetStateStoreByName {
        /// The asset's name.
        name: String,
        /// The key.
        key: String,
        /// The value.
        value: Value,
    },
    /// The same, by the asset's URI.
    SetAssetStateStoreByUri {
        /// The asset's URI.
        uri: String,
        /// The key.
        key: String,
        /// The value.
        value: Value,
    },
    /// Forgets what is kept of an asset under a key.
    DeleteAssetStateStoreByName {
        /// The asset's name.
        name: String,
        /// The key.
        key: String,
    },
    /// The same, by the asset's URI.
    DeleteAssetStateStoreByUri {
        /// The asset's URI.
        uri: String,
        /// The key.
        key: String,
    },
    /// Forgets all that is kept of an asset.
    ClearAssetStateStoreByName {
        /// The asset's name.
        name: String,
    },
    /// The same, by the asset's URI.
    ClearAssetStateStoreByUri {
        /// The asset's URI.
        uri: String,
    },
}

impl Reply {
    /// What the instance keeps under a key.
    #[must_use]
    pub fn task_state(key: &str, value: Option<Value>) -> Self {
        Self::Body(match value {
            Some(value) => json!({"type": "TaskStateStoreResult", "value": value}),
            None => missing("TASK_STORE_NOT_FOUND", &json!({"key": key})),
        })
    }

    /// What is kept of an asset under a key.
    #[must_use]
    pub fn asset_state(key: &str, value: Option<Value>) -> Self {
        Self::Body(match value {
            Some(value) => json!({"type": "AssetStateStoreResult", "value": value}),
            None => missing("ASSET_STORE_NOT_FOUND", &json!({"key": key})),
        })
    }
}
