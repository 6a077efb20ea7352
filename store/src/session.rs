//! Sessions and one-time sign-in links. Only hashes of their tokens are kept: a stolen backup signs nobody in.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{BigInt, Binary, Double, Timestamptz},
};
use diesel_async::RunQueryDsl;
use sha2::{Digest, Sha256};

use crate::{
    Error, Store,
    account::{Account, AccountRow},
    hot::hot_query,
};

/// A session that is being used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Whose it is.
    pub account: Account,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}

impl Store {
    /// Begins a session and returns its token, which is not kept.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the account was deleted.
    pub async fn create_session(&self, account_id: i64, ttl: Duration) -> Result<String, Error> {
        let token = new_token();
        let query = Create { hash: &hash(&token), account_id: &account_id, seconds: &ttl.as_secs_f64() };
        let mut conn = self.conn().await?;
        query.execute(&mut conn).await?;
        Ok(token)
    }

    /// The session of a token, unless it ran out or its account is no longer active.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn session(&self, token: &str) -> Result<Option<Session>, Error> {
        let mut conn = self.conn().await?;
        let row: Option<Row> = Find { hash: &hash(token) }.get_result(&mut conn).await.optional()?;
        Ok(row.map(|row| Session {
            account: row.account.into(),
            created_at: row.session_created_at,
            expires_at: row.session_expires_at,
        }))
    }

    /// Ends a session.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn delete_session(&self, token: &str) -> Result<(), Error> {
        let mut conn = self.conn().await?;
        Delete { hash: &hash(token) }.execute(&mut conn).await?;
        Ok(())
    }

    /// Ends all sessions of an account, for example because its password was changed.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn delete_sessions_of(&self, account_id: i64) -> Result<(), Error> {
        let mut conn = self.conn().await?;
        DeleteOf { account_id: &account_id }.execute(&mut conn).await?;
        Ok(())
    }

    /// Makes a link token that signs an account in once, within `ttl`.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the account was deleted.
    pub async fn create_sign_in_link(&self, account_id: i64, ttl: Duration) -> Result<String, Error> {
        let token = new_token();
        let query = CreateLink { hash: &hash(&token), account_id: &account_id, seconds: &ttl.as_secs_f64() };
        let mut conn = self.conn().await?;
        query.execute(&mut conn).await?;
        Ok(token)
    }

    /// Uses a sign-in link up: of several callers at the same time one gets the account.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn use_sign_in_link(&self, token: &str) -> Result<Option<Account>, Error> {
        let mut conn = self.conn().await?;
        let row: Option<AccountRow> =
            UseLink { hash: &hash(token) }.get_result(&mut conn).await.optional()?;
        Ok(row.map(Account::from))
    }

    /// Deletes sessions and links that ran out, and says how many.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn forget_expired_sessions(&self) -> Result<usize, Error> {
        let mut conn = self.conn().await?;
        Ok(ForgetSessions {}.execute(&mut conn).await? + ForgetLinks {}.execute(&mut conn).await?)
    }
}

/// 256 random bits.
fn new_token() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// Tokens are random, so a plain hash is enough.
fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token).to_vec()
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(embed)]
    account: AccountRow,
    #[diesel(sql_type = Timestamptz)]
    session_created_at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    session_expires_at: DateTime<Utc>,
}

hot_query! {
    Create { hash: Vec<u8> => Binary, account_id: i64 => BigInt, seconds: f64 => Double }
    "INSERT INTO session (token_hash, account_id, expires_at) VALUES ($1, $2, now() + make_interval(secs => $3))"
}

hot_query! {
    Find { hash: Vec<u8> => Binary }
    "SELECT a.*, coalesce(a.locked_until > now(), false) AS is_locked, s.created_at AS session_created_at,
            s.expires_at AS session_expires_at
     FROM session s JOIN account a ON a.id = s.account_id
     WHERE s.token_hash = $1 AND s.expires_at > now() AND a.is_active"
}

hot_query! {
    Delete { hash: Vec<u8> => Binary }
    "DELETE FROM session WHERE token_hash = $1"
}

hot_query! {
    DeleteOf { account_id: i64 => BigInt }
    "DELETE FROM session WHERE account_id = $1"
}

hot_query! {
    CreateLink { hash: Vec<u8> => Binary, account_id: i64 => BigInt, seconds: f64 => Double }
    "INSERT INTO sign_in_link (token_hash, account_id, expires_at) VALUES ($1, $2, now() + make_interval(secs => $3))"
}

hot_query! {
    UseLink { hash: Vec<u8> => Binary }
    "WITH used AS (DELETE FROM sign_in_link WHERE token_hash = $1 RETURNING account_id, expires_at)
     SELECT a.*, coalesce(a.locked_until > now(), false) AS is_locked
     FROM used u JOIN account a ON a.id = u.account_id WHERE u.expires_at > now() AND a.is_active"
}

hot_query! {
    ForgetSessions {}
    "DELETE FROM session WHERE expires_at <= now()"
}

hot_query! {
    ForgetLinks {}
    "DELETE FROM sign_in_link WHERE expires_at <= now()"
}
