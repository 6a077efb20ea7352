//! Tokens of the API: signed statements of who somebody is, good for a day, and no longer than the password they were given
//! for.

use actix_web::{HttpResponse, web::Data};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::account::Account;

use super::sign_in;
use crate::{AppState, body::Body, error::Error};

/// Longest token that is looked at, in bytes.
const LONGEST: usize = 2_048;

/// What a token says.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    /// Whose it is.
    sub: String,
    /// From when on it is good, in seconds since 1970.
    iat: i64,
    /// Until when.
    exp: i64,
    /// Changes with the password.
    pwd: String,
}

/// Name and password.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    username: String,
    password: String,
}

/// Gives a token for name and password.
pub(super) async fn create(state: Data<AppState>, entry: Body<Entry>) -> Result<HttpResponse, Error> {
    let Body(entry) = entry;
    let Some(account) = sign_in::check(&state, &entry.username, entry.password).await? else {
        return Err(Error::NotSignedIn("Invalid credentials"));
    };
    let hash = state.store.credentials(&account.username).await?.and_then(|found| found.password_hash);
    let now = state.clock.now().timestamp();
    let lifetime = i64::try_from(state.settings.token_lifetime.as_secs()).unwrap_or(i64::MAX);
    let claims = Claims {
        sub: account.username,
        iat: now,
        exp: now.saturating_add(lifetime),
        pwd: state.keys.password_mark(hash.as_deref()),
    };
    let key = EncodingKey::from_secret(&state.keys.tokens);
    let token = jsonwebtoken::encode(&Header::new(Algorithm::HS512), &claims, &key)
        .map_err(|fault| Error::Internal(fault.to_string()))?;
    Ok(HttpResponse::Created().json(json!({"access_token": token})))
}

/// The account that a token was given to, if it is still as it was then.
pub(super) async fn account(state: &AppState, token: &str) -> Result<Account, Error> {
    let claims = read(state, token).ok_or(Error::NotSignedIn("Invalid JWT token"))?;
    let found = state.store.credentials(&claims.sub).await?.filter(|found| found.account.is_active);
    let found = found.filter(|found| state.keys.password_mark(found.password_hash.as_deref()) == claims.pwd);
    found.map(|found| found.account).ok_or(Error::NotSignedIn("Invalid JWT token"))
}

fn read(state: &AppState, token: &str) -> Option<Claims> {
    if token.len() > LONGEST {
        return None;
    }
    let mut validation = Validation::new(Algorithm::HS512);
    // By our own clock, below.
    validation.validate_exp = false;
    let key = DecodingKey::from_secret(&state.keys.tokens);
    let claims = jsonwebtoken::decode::<Claims>(token, &key, &validation).ok()?.claims;
    let now = state.clock.now().timestamp();
    (claims.iat <= now + 60 && now < claims.exp).then_some(claims)
}
