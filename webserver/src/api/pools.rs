//! Pools of slots.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use domain::{
    engine::floor::{Policy, UnknownPolicy},
    id::PoolName,
};
use serde::Deserialize;
use serde_json::Value;
use store::pool::{DEFAULT, NewPool, Pool};

use super::{
    batch::given,
    dags::{ring, wrong},
    query::Query,
    settings::{self, Mask},
    shape,
};
use crate::{
    AppState,
    auth::{Operator, Viewer},
    body::Body,
    error::Error,
};

/// A new pool.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct New {
    name: String,
    slots: i64,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    include_deferred: bool,
    /// Tradewind's own: the order among those that wait; null leaves it to the installation.
    #[serde(default)]
    policy: Option<String>,
    #[serde(default, rename = "team_name")]
    _team_name: Option<String>,
}

/// What a pool is to become.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Patch {
    #[serde(default, alias = "name")]
    pool: Option<String>,
    #[serde(default)]
    slots: Option<i64>,
    #[serde(default, deserialize_with = "given")]
    description: Option<Option<String>>,
    #[serde(default)]
    include_deferred: Option<bool>,
    #[serde(default, deserialize_with = "given")]
    policy: Option<Option<String>>,
    #[serde(default, rename = "team_name")]
    _team_name: Option<String>,
}

pub(super) async fn list(
    state: Data<AppState>,
    _viewer: Viewer,
    query: Query,
) -> Result<HttpResponse, Error> {
    let rows: Vec<Value> = state.store.pools(settings::MOST, 0).await?.iter().map(shape::pool).collect();
    let filters = ["pool_name_pattern", "pool_name_prefix_pattern"];
    Ok(HttpResponse::Ok().json(settings::page(&query, "pools", "name", rows, filters)?))
}

pub(super) async fn get(
    state: Data<AppState>,
    _viewer: Viewer,
    name: Path<String>,
) -> Result<HttpResponse, Error> {
    let pool = find(&state, &name).await?;
    Ok(HttpResponse::Ok().json(shape::pool(&pool)))
}

pub(super) async fn create(
    state: Data<AppState>,
    operator: Operator,
    body: Body<New>,
) -> Result<HttpResponse, Error> {
    let New { name, slots, description, include_deferred, policy, .. } = body.0;
    let policy = policy.as_deref().map(policy_of).transpose()?;
    let name = PoolName::new(&name).map_err(|fault| wrong("name", fault.to_string(), name.into()))?;
    let pool = NewPool { name, slots: number_of(slots)?, description, include_deferred, policy };
    state.store.create_pool(&pool).await?;
    done(&state, &operator, "post_pool", pool.name.as_str()).await?;
    let pool = find(&state, pool.name.as_str()).await?;
    Ok(HttpResponse::Created().json(shape::pool(&pool)))
}

pub(super) async fn patch(
    state: Data<AppState>,
    operator: Operator,
    name: Path<String>,
    query: Query,
    body: Body<Patch>,
) -> Result<HttpResponse, Error> {
    let (mask, body) = (Mask::of(&query), body.0);
    let known = find(&state, &name).await?;
    if body.pool.as_ref().is_some_and(|pool| pool != name.as_str()) {
        return Err(Error::Invalid(
            "Invalid body, pool name from request body doesn't match uri parameter".to_owned(),
        ));
    }
    let description = body.description.filter(|_| mask.has("description"));
    if name.as_str() == DEFAULT && description.as_ref().is_some_and(|text| *text != known.description) {
        return Err(Error::Invalid(
            "Only slots and included_deferred can be modified on Default Pool".to_owned(),
        ));
    }
    let slots = body.slots.filter(|_| mask.has("slots")).unwrap_or(known.slots.into());
    let policy = body.policy.filter(|_| mask.has("policy")).unwrap_or(known.policy);
    let pool = NewPool {
        name: PoolName::new(&known.name)?,
        slots: number_of(slots)?,
        description: description.unwrap_or(known.description),
        include_deferred: body
            .include_deferred
            .filter(|_| mask.has("include_deferred"))
            .unwrap_or(known.include_deferred),
        policy: policy.as_deref().map(policy_of).transpose()?,
    };
    state.store.update_pool(&pool).await?;
    done(&state, &operator, "patch_pool", &name).await?;
    Ok(HttpResponse::Ok().json(shape::pool(&find(&state, &name).await?)))
}

pub(super) async fn delete(
    state: Data<AppState>,
    operator: Operator,
    name: Path<String>,
) -> Result<HttpResponse, Error> {
    if name.as_str() == DEFAULT {
        return Err(Error::Invalid("Default Pool can't be deleted".to_owned()));
    }
    let pool = find(&state, &name).await?;
    state.store.delete_pool(&PoolName::new(&pool.name)?).await?;
    done(&state, &operator, "delete_pool", &name).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn find(state: &AppState, name: &str) -> Result<Pool, Error> {
    let missing = || Error::NotFound(format!("The Pool with name: `{name}` was not found"));
    let Ok(name) = PoolName::new(name) else {
        return Err(missing());
    };
    state.store.pool(&name).await?.ok_or_else(missing)
}

async fn done(state: &AppState, operator: &Operator, event: &'static str, name: &str) -> Result<(), Error> {
    ring(state).await;
    settings::record(state, operator.name(), event, name).await
}

fn policy_of(name: &str) -> Result<Policy, Error> {
    name.parse().map_err(|fault: UnknownPolicy| wrong("policy", fault.to_string(), name.into()))
}

/// -1 is without limit.
fn number_of(slots: i64) -> Result<Option<u32>, Error> {
    match (slots, u32::try_from(slots)) {
        (-1, _) => Ok(None),
        (_, Ok(slots)) if i32::try_from(slots).is_ok() => Ok(Some(slots)),
        _ => Err(wrong(
            "slots",
            "Input should be -1 (without limit) or a number of slots up to 2147483647",
            slots.into(),
        )),
    }
}
