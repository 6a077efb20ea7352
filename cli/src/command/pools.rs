//! `tradewind pools`

use anyhow::{Context, Result, bail};
use domain::{engine::floor::Policy, id::PoolName};
use queue::Bell;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use store::{
    Store,
    pool::{NewPool, Pool},
};

use super::file;
use crate::{
    args::{Common, records::Pools},
    output, setup,
};

/// Pools read at once.
const PAGE: u32 = 1_000;

#[derive(Serialize)]
struct Row {
    pool: String,
    slots: i32,
    description: Option<String>,
    include_deferred: bool,
    policy: Option<String>,
    running: i64,
    queued: i64,
    scheduled: i64,
    deferred: i64,
    open: Option<i64>,
}

/// Airflow's form of a pool in a file, and the policy, which is Tradewind's own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    slots: i32,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    include_deferred: bool,
    #[serde(default)]
    policy: Option<Policy>,
}

/// Works with pools.
pub async fn run(common: &Common, command: Pools) -> Result<()> {
    let (config, store) = setup::for_command(common).await?;
    match command {
        Pools::List => {
            let rows: Vec<Row> = all(&store).await?.into_iter().map(row).collect();
            return output::list(common.output, &rows);
        }
        Pools::Get { pool } => {
            let found = store.pool(&pool).await?.with_context(|| format!("there is no pool `{pool}`"))?;
            return output::record(common.output, &row(found));
        }
        Pools::Export { file } => return file::write_object(&file, exported(all(&store).await?)),
        Pools::Set { pool, slots, description, include_deferred, policy } => {
            let description = Some(description).filter(|text| !text.is_empty());
            put(&store, &NewPool { name: pool.clone(), slots, description, include_deferred, policy })
                .await?;
            output::say(&format!("The pool {pool} is set."))?;
        }
        Pools::Delete { pool } => {
            if !store.delete_pool(&pool).await? {
                bail!("there is no pool `{pool}`");
            }
            output::say(&format!("The pool {pool} is deleted."))?;
        }
        Pools::Import { file } => {
            let pools = imported(file::read_object(&file)?)?;
            for pool in &pools {
                put(&store, pool).await?;
            }
            output::say(&format!("{} pools imported.", pools.len()))?;
        }
    }
    setup::ring(&config, Bell::Config).await
}

pub(super) async fn all(store: &Store) -> Result<Vec<Pool>> {
    let mut pools = Vec::new();
    loop {
        let offset = u32::try_from(pools.len())?;
        let page = store.pools(PAGE, offset).await?;
        let is_last = page.len() < PAGE as usize;
        pools.extend(page);
        if is_last {
            return Ok(pools);
        }
    }
}

async fn put(store: &Store, pool: &NewPool) -> Result<()> {
    if !store.update_pool(pool).await? {
        store.create_pool(pool).await?;
    }
    Ok(())
}

// Everything is read before anything is written, so that a wrong file changes nothing.
fn imported(pools: Map<String, Value>) -> Result<Vec<NewPool>> {
    let pool = |(name, value): (String, Value)| {
        let written: Written =
            serde_json::from_value(value).with_context(|| format!("the pool `{name}` cannot be read"))?;
        if written.slots < -1 {
            bail!("the pool `{name}` has {} slots: write 0 or more, or -1 for no limit", written.slots);
        }
        Ok(NewPool {
            name: PoolName::new(&name)?,
            slots: u32::try_from(written.slots).ok(),
            description: written.description.filter(|text| !text.is_empty()),
            include_deferred: written.include_deferred,
            policy: written.policy,
        })
    };
    pools.into_iter().map(pool).collect()
}

fn exported(pools: Vec<Pool>) -> Map<String, Value> {
    let form = |pool: Pool| {
        let description = pool.description.unwrap_or_default();
        let mut form = json!({"slots": pool.slots, "description": description, "include_deferred": pool.include_deferred});
        // Left out where there is none, so that Airflow can read the file.
        if let Some(policy) = pool.policy {
            form["policy"] = policy.into();
        }
        (pool.name, form)
    };
    pools.into_iter().map(form).collect()
}

fn row(pool: Pool) -> Row {
    Row {
        open: pool.open(),
        pool: pool.name,
        slots: pool.slots,
        description: pool.description,
        include_deferred: pool.include_deferred,
        policy: pool.policy,
        running: pool.running,
        queued: pool.queued,
        scheduled: pool.scheduled,
        deferred: pool.deferred,
    }
}
