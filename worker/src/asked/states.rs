//! What a task keeps for itself, and what tasks and triggers keep of assets.

use chrono::{DateTime, Utc};
use domain::asset::{Asset, sanitize};
use python::message::{Reply, StateRequest};
use serde_json::Value;
use store::Store;
use store::asked::{AssetKeeper, StateOf};

use super::{Asker, only_tasks};
use crate::backend::Unavailable;

/// By what an asset is named.
enum Named {
    Name(String),
    Uri(String),
}

impl Asker<'_> {
    /// The answer to a question about what is kept, of a task or of an asset.
    ///
    /// # Errors
    /// When the records cannot be read or written for a while.
    pub(crate) async fn of_states(&self, asking: StateRequest) -> Result<Reply, Unavailable> {
        use Named::{Name, Uri};
        match asking {
            StateRequest::GetTaskStateStore { key } => self.task_state(&key).await,
            StateRequest::SetTaskStateStore { key, value, expires_at } => {
                self.keep_state(&key, &value, expires_at).await
            }
            StateRequest::DeleteTaskStateStore { key } => self.forget_state(Some(key)).await,
            StateRequest::ClearTaskStateStore => self.forget_state(None).await,
            StateRequest::GetAssetStateStoreByName { name, key } => self.asset_state(Name(name), &key).await,
            StateRequest::GetAssetStateStoreByUri { uri, key } => self.asset_state(Uri(uri), &key).await,
            StateRequest::SetAssetStateStoreByName { name, key, value } => {
                self.keep_asset_state(Name(name), &key, &value).await
            }
            StateRequest::SetAssetStateStoreByUri { uri, key, value } => {
                self.keep_asset_state(Uri(uri), &key, &value).await
            }
            StateRequest::DeleteAssetStateStoreByName { name, key } => {
                self.forget_asset_state(Name(name), Some(key)).await
            }
            StateRequest::DeleteAssetStateStoreByUri { uri, key } => {
                self.forget_asset_state(Uri(uri), Some(key)).await
            }
            StateRequest::ClearAssetStateStoreByName { name } => {
                self.forget_asset_state(Name(name), None).await
            }
            StateRequest::ClearAssetStateStoreByUri { uri } => self.forget_asset_state(Uri(uri), None).await,
        }
    }

    fn own(&self) -> Option<StateOf<'_>> {
        self.task.map(|on| StateOf {
            run: on.attempt.ti.run,
            task_id: on.task().task_id.as_str(),
            map_index: on.map_index,
        })
    }

    fn keeper(&self) -> Option<AssetKeeper<'_>> {
        self.task.map(|on| AssetKeeper {
            dag_id: on.dag.dag_id.as_str(),
            run_id: on.run.run_id.as_str(),
            task_id: on.task().task_id.as_str(),
            map_index: on.map_index,
        })
    }

    async fn task_state(&self, key: &str) -> Result<Reply, Unavailable> {
        let Some(own) = self.own() else { return Ok(only_tasks()) };
        let find = |store: Store| async move { store.task_state(own, key).await };
        Ok(Reply::task_state(key, self.records()?.ask("the state", key, find).await?))
    }

    async fn keep_state(
        &self,
        key: &str,
        value: &Value,
        expires_at: Option<DateTime<Utc>>,
    ) -> Result<Reply, Unavailable> {
        let Some(own) = self.own() else { return Ok(only_tasks()) };
        let keep = |store: Store| async move { store.keep_task_state(own, key, value, expires_at).await };
        self.records()?.ask("the state", key, keep).await?;
        Ok(Reply::done())
    }

    async fn forget_state(&self, key: Option<String>) -> Result<Reply, Unavailable> {
        let (Some(own), key) = (self.own(), key.as_deref()) else { return Ok(only_tasks()) };
        let forget = |store: Store| async move { store.forget_task_state(own, key).await };
        self.records()?.ask("the state", key.unwrap_or_default(), forget).await?;
        Ok(Reply::done())
    }

    /// The name of an asset that some DAG file has.
    async fn known(&self, named: Named) -> Result<Result<String, Reply>, Unavailable> {
        let (found, said) = match named {
            Named::Name(name) => {
                let name = name.as_str();
                let find = |store: Store| async move { store.asset_named(name).await };
                (self.records()?.ask("the asset", name, find).await?, format!("name='{name}'"))
            }
            Named::Uri(uri) => (self.asset_at(&uri).await?, format!("uri='{uri}'")),
        };
        let missing = || Reply::refusal(404, &format!("Asset with {said} not found"));
        Ok(found.map(|asset| asset.name.to_string()).ok_or_else(missing))
    }

    /// The asset with a URI, however that is written.
    ///
    /// # Errors
    /// When the records cannot be read for a while.
    pub(crate) async fn asset_at(&self, uri: &str) -> Result<Option<Asset>, Unavailable> {
        let wanted = sanitize(uri).unwrap_or_else(|_| uri.to_owned());
        let wanted = wanted.as_str();
        let find = |store: Store| async move { store.asset_at(wanted).await };
        self.records()?.ask("the asset", uri, find).await
    }

    async fn asset_state(&self, named: Named, key: &str) -> Result<Reply, Unavailable> {
        // Airflow says the same of an asset and of a key that do not exist.
        let Ok(asset) = self.known(named).await? else { return Ok(Reply::asset_state(key, None)) };
        let asset = asset.as_str();
        let find = |store: Store| async move { store.asset_state(asset, key).await };
        Ok(Reply::asset_state(key, self.records()?.ask("the state of", asset, find).await?))
    }

    async fn keep_asset_state(&self, named: Named, key: &str, value: &Value) -> Result<Reply, Unavailable> {
        let asset = match self.known(named).await? {
            Ok(asset) => asset,
            Err(missing) => return Ok(missing),
        };
        let (asset, by) = (asset.as_str(), self.keeper());
        let keep = |store: Store| async move { store.keep_asset_state(asset, key, value, by).await };
        self.records()?.ask("the state of", asset, keep).await?;
        Ok(Reply::done())
    }

    async fn forget_asset_state(&self, named: Named, key: Option<String>) -> Result<Reply, Unavailable> {
        let asset = match self.known(named).await? {
            Ok(asset) => asset,
            Err(missing) => return Ok(missing),
        };
        let (asset, key) = (asset.as_str(), key.as_deref());
        let forget = |store: Store| async move { store.forget_asset_state(asset, key).await };
        self.records()?.ask("the state of", asset, forget).await?;
        Ok(Reply::done())
    }
}
