//! What a DAG waits for whose runs are asked for by assets: of a partitioned one, the partition that has waited for the longest time.

use std::collections::BTreeSet;

use domain::{
    asset::{AliasName, AssetName, Condition},
    dag::Dag,
    partition::Mappers,
};
use store::view::{assets::OldestPartition, dags::Line};

use super::{AssetLeaf, AssetWait};
use crate::{error::Error, pages::visit::Visit};

/// What a DAG waits for; `None` when that is no assets.
///
/// # Errors
/// Only when the database fails.
pub(super) async fn asset_wait(visit: &Visit, line: &Line, dag: &Dag) -> Result<Option<AssetWait>, Error> {
    let Some(condition) = &dag.asset_condition else { return Ok(None) };
    let store = &visit.state.store;
    let waiting = store.waiting_for_assets(&line.dag_id).await?;
    let Some(mappers) = dag.mappers() else {
        let leaves = leaves(condition, |asset| waiting.has(asset), |alias| waiting.has_under(alias));
        return Ok(Some(wait(leaves, None, waiting.unmade)));
    };
    let oldest = store.oldest_partition(&line.dag_id).await?;
    let has = |asset: &AssetName| oldest.as_ref().is_some_and(|oldest| has_enough(oldest, mappers, asset));
    let leaves = leaves(condition, has, |alias: &AliasName| waiting.assets_under(alias).any(has));
    Ok(Some(wait(leaves, oldest.as_ref(), waiting.unmade)))
}

fn leaves(
    condition: &Condition,
    has: impl Fn(&AssetName) -> bool,
    has_under: impl Fn(&AliasName) -> bool,
) -> Vec<AssetLeaf> {
    let leaf = |name: String, is_ready: bool| AssetLeaf { name, is_ready };
    let assets = condition.assets().into_iter().map(|asset| leaf(asset.name.to_string(), has(&asset.name)));
    let aliases = condition.aliases().into_iter();
    assets.chain(aliases.map(|alias| leaf(format!("alias {alias}"), has_under(alias)))).collect()
}

/// Whether the partition has heard everything of an asset that it waits for.
fn has_enough(oldest: &OldestPartition, mappers: &Mappers, asset: &AssetName) -> bool {
    let Some(told) = oldest.told.get(asset) else { return false };
    let Ok(wanted) = mappers.wanted(asset, &oldest.key) else { return false };
    let counted: BTreeSet<_> = told.iter().filter(|key| wanted.counts(key)).cloned().collect();
    wanted.has_enough(&counted)
}

fn wait(leaves: Vec<AssetLeaf>, oldest: Option<&OldestPartition>, unmade: Vec<String>) -> AssetWait {
    let ready = leaves.iter().filter(|leaf| leaf.is_ready).count();
    let noun = if leaves.len() == 1 { "asset" } else { "assets" };
    let missing: Vec<&str> =
        leaves.iter().filter(|leaf| !leaf.is_ready).map(|leaf| leaf.name.as_str()).collect();
    let lacking = format!("not updated yet: {}", missing.join(", "));
    let count = format!("{ready} of {} {noun} ready", leaves.len());
    let (progress, title) = match oldest {
        None => (count, lacking),
        Some(oldest) => {
            let others = match oldest.total - 1 {
                0 => String::new(),
                1 => "; 1 other partition waits".to_owned(),
                others => format!("; {others} other partitions wait"),
            };
            (format!("{}: {count}", oldest.key), format!("{lacking}{others}"))
        }
    };
    AssetWait { progress, title, leaves, unmade }
}
