//! `tradewind users`

use clap::{Args, Subcommand};
use store::account::Role;

/// `tradewind users`
#[derive(Subcommand)]
pub enum Users {
    /// List accounts.
    List,
    /// Create an account. The password is read from the standard input, unless a link is asked for.
    Create(Create),
    /// Delete an account.
    Delete {
        /// The name it signs in with.
        #[arg(long, short)]
        username: String,
    },
    /// Set a new password, read from the standard input.
    ResetPassword {
        /// The name it signs in with.
        #[arg(long, short)]
        username: String,
        /// How it signs in.
        #[command(flatten)]
        key: Key,
    },
}

/// A new account.
#[derive(Args)]
pub struct Create {
    /// The name it signs in with.
    #[arg(long, short)]
    pub username: String,
    /// `viewer`, `user`, `op` or `admin`.
    #[arg(long, short, default_value = "viewer", ignore_case = true)]
    pub role: Role,
    /// Where its owner gets mail.
    #[arg(long, short, default_value = "")]
    pub email: String,
    /// Its owner's first name.
    #[arg(long, short, default_value = "")]
    pub firstname: String,
    /// Its owner's last name.
    #[arg(long, short, default_value = "")]
    pub lastname: String,
    /// How it signs in.
    #[command(flatten)]
    pub key: Key,
}

/// How an account signs in.
#[derive(Args)]
pub struct Key {
    /// Print a one-time sign-in link instead of reading a password.
    #[arg(long, conflicts_with = "password")]
    pub link: bool,
    /// The password. Other users of this machine can see it: better pipe it in.
    #[arg(long, short)]
    pub password: Option<String>,
}
