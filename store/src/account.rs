//! Accounts of people and programs. Passwords are hashed by the callers; only the hash comes here.

use std::{fmt, str::FromStr, time::Duration};

use chrono::{DateTime, Utc};
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{BigInt, Bool, Double, Integer, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;

use crate::{
    Error, Store,
    column::{Parsed, int},
    hot::hot_query,
};

/// What an account may do; each may do what the ones before may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Look at DAGs, runs and logs.
    Viewer,
    /// Trigger, clear, mark, pause.
    User,
    /// Variables, connections, pools.
    Op,
    /// Accounts, and everything else.
    Admin,
}

impl Role {
    /// Every role, from least to most.
    pub const ALL: &'static [Self] = &[Self::Viewer, Self::User, Self::Op, Self::Admin];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::User => "user",
            Self::Op => "op",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let known = Self::ALL.iter().find(|role| role.as_str().eq_ignore_ascii_case(text)).copied();
        known.ok_or_else(|| Error::Invalid(format!("`{text}` is not a role: use viewer, user, op or admin")))
    }
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its number.
    pub id: i64,
    /// The name it signs in with.
    pub username: String,
    /// Where its owner gets mail.
    pub email: String,
    /// Its owner's first name.
    pub first_name: String,
    /// Its owner's last name.
    pub last_name: String,
    /// What it may do.
    pub role: Role,
    /// It may sign in.
    pub is_active: bool,
    /// It may not sign in for a while, because it failed too often.
    pub is_locked: bool,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// What a new account is to be, or an existing one is to become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAccount {
    /// The name it signs in with, 1 to 250 characters.
    pub username: String,
    /// Where its owner gets mail.
    pub email: String,
    /// Its owner's first name.
    pub first_name: String,
    /// Its owner's last name.
    pub last_name: String,
    /// What it may do.
    pub role: Role,
}

/// What is needed to check a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The account.
    pub account: Account,
    /// The hash of its password; without one it signs in by link only.
    pub password_hash: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("account", &self.account).finish_non_exhaustive()
    }
}

impl Store {
    /// Adds an account.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the name is taken, [`Error::Invalid`] when it is empty or too long.
    pub async fn create_account(
        &self,
        new: &NewAccount,
        password_hash: Option<&str>,
    ) -> Result<Account, Error> {
        check(new)?;
        let password_hash = password_hash.map(str::to_owned);
        let query = Insert {
            username: &new.username,
            email: &new.email,
            first_name: &new.first_name,
            last_name: &new.last_name,
            role: new.role.as_str(),
            password_hash: &password_hash,
        };
        let mut conn = self.conn().await?;
        let row: Option<AccountRow> = query.get_result(&mut conn).await.optional()?;
        row.map(Account::from)
            .ok_or_else(|| Error::Conflict(format!("the user `{}` already exists", new.username)))
    }

    /// The account of a name.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn account(&self, username: &str) -> Result<Option<Account>, Error> {
        Ok(self.credentials(username).await?.map(|credentials| credentials.account))
    }

    /// The account of a name with the hash of its password.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn credentials(&self, username: &str) -> Result<Option<Credentials>, Error> {
        let mut conn = self.conn().await?;
        let row: Option<CredentialsRow> = Find { username }.get_result(&mut conn).await.optional()?;
        Ok(row.map(|row| Credentials { account: row.account.into(), password_hash: row.password_hash }))
    }

    /// All accounts by name, at most `limit` from `offset` on.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn accounts(&self, limit: u32, offset: u32) -> Result<Vec<Account>, Error> {
        let mut conn = self.conn().await?;
        let query = List { limit: &i64::from(limit), offset: &i64::from(offset) };
        let rows: Vec<AccountRow> = query.load(&mut conn).await?;
        Ok(rows.into_iter().map(Account::from).collect())
    }

    /// Changes everything but the name and the password. False when there is no such account.
    ///
    /// # Errors
    /// [`Error::Conflict`] when no active admin would be left.
    pub async fn update_account(&self, account: &NewAccount, is_active: bool) -> Result<bool, Error> {
        let is_admin = is_active && account.role == Role::Admin;
        let mut transaction = self.begin().await?;
        if !is_admin {
            keep_an_admin(&mut transaction, &account.username).await?;
        }
        let query = Update {
            username: &account.username,
            email: &account.email,
            first_name: &account.first_name,
            last_name: &account.last_name,
            role: account.role.as_str(),
            is_active: &is_active,
        };
        let updated = query.execute(&mut transaction).await?;
        transaction.commit().await?;
        Ok(updated == 1)
    }

    /// Sets the hash of the password, unlocks the account and ends its sessions. False when there is no such account.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn set_password(&self, username: &str, password_hash: &str) -> Result<bool, Error> {
        let mut conn = self.conn().await?;
        let query = SetPassword { username, password_hash };
        let Some(row) = query.get_result::<Id>(&mut conn).await.optional()? else {
            return Ok(false);
        };
        self.delete_sessions_of(row.id).await?;
        Ok(true)
    }

    /// Deletes an account with its sessions. False when there is none of that name.
    ///
    /// # Errors
    /// [`Error::Conflict`] when no active admin would be left.
    pub async fn delete_account(&self, username: &str) -> Result<bool, Error> {
        let mut transaction = self.begin().await?;
        keep_an_admin(&mut transaction, username).await?;
        let deleted = Delete { username }.execute(&mut transaction).await?;
        transaction.commit().await?;
        Ok(deleted == 1)
    }

    /// Counts a failed sign-in; after `most` in a row the account is locked for `lock`.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn sign_in_failed(&self, account_id: i64, most: u32, lock: Duration) -> Result<(), Error> {
        let mut conn = self.conn().await?;
        Failed { id: &account_id, most: &int(most), seconds: &lock.as_secs_f64() }.execute(&mut conn).await?;
        Ok(())
    }

    /// Forgets failed sign-ins.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn sign_in_succeeded(&self, account_id: i64) -> Result<(), Error> {
        let mut conn = self.conn().await?;
        Succeeded { id: &account_id }.execute(&mut conn).await?;
        Ok(())
    }
}

fn check(new: &NewAccount) -> Result<(), Error> {
    let length = new.username.chars().count();
    if length == 0 || length > 250 {
        return Err(Error::Invalid(format!("a user name has 1 to 250 characters, this one has {length}")));
    }
    let texts = [&new.username, &new.email, &new.first_name, &new.last_name];
    if texts.iter().any(|text| text.chars().any(char::is_control) || text.len() > 1_000) {
        return Err(Error::Invalid("names and the mail address are one short line each".to_owned()));
    }
    Ok(())
}

/// Locks the admins, so that two of them cannot delete each other at the same time.
async fn keep_an_admin(conn: &mut diesel_async::AsyncPgConnection, without: &str) -> Result<(), Error> {
    let admins: Vec<Admin> = LockAdmins {}.load(conn).await?;
    if admins.iter().any(|row| row.username == without) && admins.len() == 1 {
        return Err(Error::Conflict(format!("`{without}` is the last active admin: make another one first")));
    }
    Ok(())
}

#[derive(QueryableByName)]
pub(crate) struct AccountRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    username: String,
    #[diesel(sql_type = Text)]
    email: String,
    #[diesel(sql_type = Text)]
    first_name: String,
    #[diesel(sql_type = Text)]
    last_name: String,
    #[diesel(sql_type = Text)]
    role: Parsed<Role>,
    #[diesel(sql_type = Bool)]
    is_active: bool,
    #[diesel(sql_type = Bool)]
    is_locked: bool,
    #[diesel(sql_type = Timestamptz)]
    created_at: DateTime<Utc>,
}

impl From<AccountRow> for Account {
    fn from(row: AccountRow) -> Self {
        Self {
            id: row.id,
            username: row.username,
            email: row.email,
            first_name: row.first_name,
            last_name: row.last_name,
            role: row.role.0,
            is_active: row.is_active,
            is_locked: row.is_locked,
            created_at: row.created_at,
        }
    }
}

#[derive(QueryableByName)]
struct CredentialsRow {
    #[diesel(embed)]
    account: AccountRow,
    #[diesel(sql_type = Nullable<Text>)]
    password_hash: Option<String>,
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

#[derive(QueryableByName)]
struct Admin {
    #[diesel(sql_type = Text)]
    username: String,
}

hot_query! {
    Insert {
        username: str => Text,
        email: str => Text,
        first_name: str => Text,
        last_name: str => Text,
        role: str => Text,
        password_hash: Option<String> => Nullable<Text>,
    }
    "INSERT INTO account (username, email, first_name, last_name, role, password_hash)
     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (username) DO NOTHING RETURNING *, false AS is_locked"
}

hot_query! {
    Find { username: str => Text }
    "SELECT *, coalesce(locked_until > now(), false) AS is_locked FROM account WHERE username = $1"
}

hot_query! {
    List { limit: i64 => BigInt, offset: i64 => BigInt }
    "SELECT *, coalesce(locked_until > now(), false) AS is_locked FROM account ORDER BY username LIMIT $1 OFFSET $2"
}

hot_query! {
    Update {
        username: str => Text,
        email: str => Text,
        first_name: str => Text,
        last_name: str => Text,
        role: str => Text,
        is_active: bool => Bool,
    }
    "UPDATE account SET email = $2, first_name = $3, last_name = $4, role = $5, is_active = $6 WHERE username = $1"
}

hot_query! {
    SetPassword { username: str => Text, password_hash: str => Text }
    "UPDATE account SET password_hash = $2, failed_sign_ins = 0, locked_until = NULL WHERE username = $1 RETURNING id"
}

hot_query! {
    Delete { username: str => Text }
    "DELETE FROM account WHERE username = $1"
}

hot_query! {
    LockAdmins {}
    "SELECT username FROM account WHERE role = 'admin' AND is_active ORDER BY id FOR UPDATE"
}

hot_query! {
    Failed { id: i64 => BigInt, most: i32 => Integer, seconds: f64 => Double }
    "UPDATE account
     SET failed_sign_ins = CASE WHEN failed_sign_ins + 1 >= $2 THEN 0 ELSE failed_sign_ins + 1 END,
         locked_until = CASE
             WHEN failed_sign_ins + 1 >= $2 THEN now() + make_interval(secs => $3) ELSE locked_until
         END
     WHERE id = $1"
}

hot_query! {
    Succeeded { id: i64 => BigInt }
    "UPDATE account SET failed_sign_ins = 0, locked_until = NULL WHERE id = $1"
}
