//! Assets, and what a task says of those that it has made.

use domain::asset::{AliasName, Asset, AssetName, MAX_EVENTS, OutletEvent, check_extra, sanitize};
use domain::partition::Key;
use python::message::{AssetRequest, Events, Reply, ToldEvent};
use serde_json::{Value, json};
use store::Store;
use store::asked::{AskedEvent, EventFilter, EventsOf};

use super::Answers;
use crate::backend::Unavailable;

impl Answers<'_> {
    pub(super) async fn of_assets(&self, asking: AssetRequest) -> Result<Reply, Unavailable> {
        match asking {
            AssetRequest::GetAssetByName { name } => {
                let name = name.as_str();
                let find = |store: Store| async move { store.asset_named(name).await };
                let found = self.records()?.ask("the asset", name, find).await?;
                Ok(Reply::asset(found.as_ref().map(shape), &json!({"name": name})))
            }
            AssetRequest::GetAssetByUri { uri } => {
                let found = self.asker().asset_at(&uri).await?;
                Ok(Reply::asset(found.as_ref().map(shape), &json!({"uri": uri})))
            }
            AssetRequest::GetAssetsByAlias { alias_name } => {
                let alias = alias_name.as_str();
                let find = |store: Store| async move { store.assets_under(alias).await };
                let found = self.records()?.ask("the alias", alias, find).await?;
                Ok(Reply::assets(found.iter().map(shape).collect()))
            }
            AssetRequest::GetAssetEventByAsset { name: None, uri: None, .. } => {
                Ok(Reply::refusal(400, "name and uri cannot both be None"))
            }
            AssetRequest::GetAssetEventByAsset { name, uri, which } => {
                let uri = uri.map(|uri| sanitize(&uri).unwrap_or(uri));
                self.events(EventsOf::Asset { name, uri }, which).await
            }
            AssetRequest::GetAssetEventByAssetAlias { alias_name, which } => {
                self.events(EventsOf::Alias(alias_name), which).await
            }
            AssetRequest::ValidateInletsAndOutlets => self.inactive().await,
        }
    }

    async fn events(&self, of: EventsOf, which: Events) -> Result<Reply, Unavailable> {
        let filter = EventFilter {
            of,
            after: which.after,
            before: which.before,
            ascending: which.ascending,
            limit: which.limit.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0),
        };
        let filter = &filter;
        let find = |store: Store| async move { store.events_of(filter).await };
        let name = match &filter.of {
            EventsOf::Asset { name, uri } => name.as_deref().or(uri.as_deref()).unwrap_or_default(),
            EventsOf::Alias(alias) => alias,
        };
        let found = self.records()?.ask("the events of", name, find).await?;
        Ok(Reply::asset_events(found.iter().map(event).collect()))
    }

    /// Those of the task's assets that are not active.
    async fn inactive(&self) -> Result<Reply, Unavailable> {
        let task = self.on.assignment.task();
        let assets: Vec<&Asset> =
            task.inlets.iter().chain(&task.outlets).filter_map(|named| named.asset()).collect();
        if assets.is_empty() {
            return Ok(Reply::inactive_assets(Vec::new()));
        }
        let find = |store: Store| {
            let names: Vec<&str> = assets.iter().map(|asset| asset.name.as_str()).collect();
            async move { store.inactive_assets(&names).await }
        };
        let gone = self.records()?.ask("the assets of", task.task_id.as_str(), find).await?;
        let mut lost: Vec<&&Asset> =
            assets.iter().filter(|asset| gone.iter().any(|name| name == asset.name.as_str())).collect();
        lost.dedup_by_key(|asset| &asset.name);
        let profile = |asset: &&&Asset| json!({"name": asset.name, "uri": asset.uri, "type": "Asset"});
        Ok(Reply::inactive_assets(lost.iter().map(profile).collect()))
    }

    /// What a task says of the assets that it has made.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(super) fn made(told: Vec<ToldEvent>) -> Result<Vec<OutletEvent>, String> {
        if told.len() > MAX_EVENTS {
            return Err(format!("a try has at most {MAX_EVENTS} asset events, not {}", told.len()));
        }
        told.into_iter().map(outlet_event).collect()
    }
}

fn outlet_event(told: ToldEvent) -> Result<OutletEvent, String> {
    let said = |error: domain::asset::Error| error.to_string();
    let bare = AssetName::new(&told.dest_asset_key.name).and_then(Asset::bare).map_err(said)?;
    let uri = sanitize(&told.dest_asset_key.uri).map_err(said)?;
    let (extra, described) = (told.extra.unwrap_or_default(), told.dest_asset_extra.unwrap_or_default());
    check_extra(&extra).and_then(|()| check_extra(&described)).map_err(said)?;
    let alias = told.source_alias_name.map(|name| AliasName::new(&name)).transpose().map_err(said)?;
    let partition_key = told.partition_key.map(|key| Key::new(&key)).transpose();
    let partition_key = partition_key.map_err(|error| error.to_string())?;
    Ok(OutletEvent { asset: Asset { uri, extra: described, ..bare }, alias, extra, partition_key })
}

/// An asset in Airflow's form (`AssetResponse`).
fn shape(asset: &Asset) -> Value {
    json!({"name": asset.name, "uri": asset.uri, "group": asset.group, "extra": asset.extra})
}

/// An event in Airflow's form (`AssetEventResponse`).
fn event(event: &AskedEvent) -> Value {
    json!({
        "id": event.id, "timestamp": event.at, "extra": event.extra(), "asset": shape(&event.asset()),
        "created_dagruns": event.runs(), "source_task_id": event.source_task_id,
        "source_dag_id": event.source_dag_id, "source_run_id": event.source_run_id,
        "source_map_index": event.source_map_index, "partition_key": event.partition_key,
    })
}

#[cfg(test)]
mod tests {
    use python::message::AssetKey;
    use serde_json::Map;

    use super::*;

    fn told(name: &str, uri: &str, alias: Option<&str>) -> ToldEvent {
        ToldEvent {
            dest_asset_key: AssetKey { name: name.to_owned(), uri: uri.to_owned() },
            source_alias_name: alias.map(str::to_owned),
            dest_asset_extra: Some(Map::from_iter([("owner".to_owned(), json!("ann"))])),
            extra: Some(Map::from_iter([("rows".to_owned(), json!(7))])),
            partition_key: None,
        }
    }

    #[test]
    fn what_a_task_says_of_an_asset_is_an_outlet_event() {
        let event = outlet_event(told("orders", "s3://Shop/orders", Some("files"))).unwrap();
        assert_eq!((event.asset.name.as_str(), event.alias.unwrap().as_str()), ("orders", "files"));
        assert_eq!((&event.extra["rows"], &event.asset.extra["owner"]), (&json!(7), &json!("ann")));
        let part = |key: &str| ToldEvent { partition_key: Some(key.to_owned()), ..told("a", "a", None) };
        assert_eq!(outlet_event(part("us")).unwrap().partition_key.unwrap().as_str(), "us");
        assert!(outlet_event(part(" ")).unwrap_err().contains("cannot be empty"));
        assert!(outlet_event(told("", "x", None)).is_err());
        assert!(outlet_event(told("a", "airflow://x", None)).is_err());
        let mut long = told("a", "a", None);
        long.extra = Some(Map::from_iter([("x".to_owned(), json!("x".repeat(1 << 20)))]));
        assert!(outlet_event(long).unwrap_err().contains("bytes"));
    }
}
