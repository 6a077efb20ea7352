//! Partitions that wait for assets, as the engine starts from them.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Array, Nullable, Text, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    asset::AssetName,
    engine::record::{Begun, DagRecord, Pending},
    id::DagId,
    partition::{Key, Partition},
};

use crate::{Error, column::Parsed, hot::hot_query};

/// A partition from its two columns.
pub(crate) fn partition(key: Option<Parsed<Key>>, date: Option<DateTime<Utc>>) -> Option<Partition> {
    Some(Partition { key: key?.0, date })
}

/// Adds to DAGs what waits in them, and what that has heard of.
pub(crate) async fn fill(conn: &mut AsyncPgConnection, dags: &mut [DagRecord]) -> Result<(), Error> {
    let divided = |dag: &&DagRecord| dag.dag.partitions.is_some();
    let ids: Vec<String> = dags.iter().filter(divided).map(|dag| dag.dag.dag_id.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let waiting: Vec<WaitingRow> = Waiting { dag_id: &ids }.load(conn).await?;
    let heard: Vec<HeardRow> = Heard { dag_id: &ids }.load(conn).await?;
    let mut dags: HashMap<DagId, &mut DagRecord> =
        dags.iter_mut().map(|dag| (dag.dag.dag_id.clone(), dag)).collect();
    for row in waiting {
        if let Some(dag) = dags.get_mut(&row.dag_id.0) {
            let begun = Begun { since: row.since, date: row.partition_date, mappers: row.mappers };
            let pending = Pending { begun, seen: Default::default() };
            dag.assets.pending.insert(row.partition_key.0, pending);
        }
    }
    for row in heard {
        let dag = dags.get_mut(&row.dag_id.0);
        if let Some(pending) = dag.and_then(|dag| dag.assets.pending.get_mut(&row.partition_key.0)) {
            pending.seen.entry(row.asset.0).or_default().insert(row.told.0);
        }
    }
    Ok(())
}

#[derive(QueryableByName)]
struct WaitingRow {
    #[diesel(sql_type = Text)]
    dag_id: Parsed<DagId>,
    #[diesel(sql_type = Text)]
    partition_key: Parsed<Key>,
    #[diesel(sql_type = Timestamptz)]
    since: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    partition_date: Option<DateTime<Utc>>,
    #[diesel(sql_type = Text)]
    mappers: String,
}

#[derive(QueryableByName)]
struct HeardRow {
    #[diesel(sql_type = Text)]
    dag_id: Parsed<DagId>,
    #[diesel(sql_type = Text)]
    partition_key: Parsed<Key>,
    #[diesel(sql_type = Text)]
    asset: Parsed<AssetName>,
    #[diesel(sql_type = Text)]
    told: Parsed<Key>,
}

hot_query! {
    Waiting { dag_id: [&'a str] => Array<Text> }
    "SELECT * FROM partition_queue WHERE dag_id = ANY($1)"
}

hot_query! {
    Heard { dag_id: [&'a str] => Array<Text> }
    "SELECT DISTINCT h.dag_id, h.partition_key, a.name AS asset, e.partition_key AS told
     FROM partition_event h JOIN asset_event e ON e.id = h.event_id JOIN asset a ON a.id = e.asset_id
     WHERE h.dag_id = ANY($1) AND e.partition_key IS NOT NULL"
}
