//! What the first start brings: somebody who can sign in, and a connection that the examples can use.

use std::time::Duration;

use anyhow::Result;
use store::{
    Store,
    account::{NewAccount, Role},
    connection::Connection,
};

use super::parts::Parts;

const ADMIN: &str = "admin";
/// How long a sign-in link is good for.
pub const LINK_LIFE: Duration = Duration::from_secs(24 * 3600);
/// By this description the connection is known as ours, and follows the private PostgreSQL when its address changes.
const OURS: &str = "The warehouse of this installation's private PostgreSQL";

/// Makes sure that there is somebody who can sign in: `admin`, with the configured password, if there is one.
pub async fn accounts(parts: &Parts) -> Result<()> {
    if !parts.store.accounts(1, 0).await?.is_empty() {
        return Ok(());
    }
    let hash = match parts.config.admin_password.as_ref() {
        Some(password) => Some(webserver::hash_password(password.expose())?),
        None => None,
    };
    let admin = NewAccount {
        username: ADMIN.to_owned(),
        email: String::new(),
        first_name: "Admin".to_owned(),
        last_name: String::new(),
        role: Role::Admin,
    };
    match parts.store.create_account(&admin, hash.as_deref()).await {
        // Several web servers may start at the same time.
        Ok(_) | Err(store::Error::Conflict(_)) => {}
        Err(error) => return Err(error.into()),
    }
    if hash.is_none() {
        tracing::warn!(
            "user admin has no password: sign in with a link from `tradewind users reset-password --username admin --link`"
        );
    }
    Ok(())
}

/// A token that signs the administrator in once.
pub async fn sign_in_token(store: &Store) -> Result<Option<String>> {
    match store.account(ADMIN).await? {
        Some(admin) => Ok(Some(store.create_sign_in_link(admin.id, LINK_LIFE).await?)),
        None => Ok(None),
    }
}

/// Keeps the connection `warehouse` pointing to the private PostgreSQL, unless somebody made it their own.
pub async fn warehouse(store: &Store, url: &str) -> Result<()> {
    let existing = store.connection("warehouse").await?;
    if existing.is_some_and(|stored| stored.connection.description.as_deref() != Some(OURS)) {
        return Ok(());
    }
    let connection =
        Connection { description: Some(OURS.to_owned()), ..Connection::parse("warehouse", url)? };
    Ok(store.set_connection(&connection).await?)
}
