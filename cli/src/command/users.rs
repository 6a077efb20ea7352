//! `tradewind users`

use std::{
    io::{self, BufRead, IsTerminal, Read, Write},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use chrono::{DateTime, Utc};
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use runtime::config::Config;
use serde::Serialize;
use store::{
    Store,
    account::{Account, NewAccount},
};

use crate::{
    args::{
        Common,
        users::{Create, Key, Users},
    },
    output, setup,
};

/// How long a sign-in link is good for.
const LINK_LIFE: Duration = Duration::from_secs(24 * 3600);
/// Accounts read at once.
const PAGE: u32 = 1_000;
/// Most bytes of a line with a password.
const LONGEST_LINE: u64 = 4096;

#[derive(Serialize)]
struct Row {
    username: String,
    role: &'static str,
    email: String,
    first_name: String,
    last_name: String,
    is_active: bool,
    is_locked: bool,
    created_at: DateTime<Utc>,
}

/// Works with accounts.
pub async fn run(common: &Common, command: Users) -> Result<()> {
    let (config, store) = setup::for_command(common).await?;
    match command {
        Users::List => {
            output::list(common.output, &all(&store).await?.into_iter().map(row).collect::<Vec<_>>())
        }
        Users::Create(create) => self::create(&config, &store, create).await,
        Users::Delete { username } => {
            if !store.delete_account(&username).await? {
                bail!(none(&username));
            }
            output::say(&format!("The user {username} is deleted."))
        }
        Users::ResetPassword { username, key } => reset(&config, &store, &username, key).await,
    }
}

async fn create(config: &Config, store: &Store, create: Create) -> Result<()> {
    let new = NewAccount {
        username: create.username,
        email: create.email,
        first_name: create.firstname,
        last_name: create.lastname,
        role: create.role,
    };
    if store.account(&new.username).await?.is_some() {
        bail!("the user `{}` exists already", new.username);
    }
    let link = create.key.link;
    let hash = if link { None } else { Some(webserver::hash_password(&password(create.key)?)?) };
    let account = store.create_account(&new, hash.as_deref()).await?;
    output::say(&format!("The user {} with the role {} is created.", account.username, account.role))?;
    if link { print_link(config, store, &account).await } else { Ok(()) }
}

async fn reset(config: &Config, store: &Store, username: &str, key: Key) -> Result<()> {
    let account = store.account(username).await?.with_context(|| none(username))?;
    if key.link {
        return print_link(config, store, &account).await;
    }
    let hash = webserver::hash_password(&password(key)?)?;
    if !store.set_password(username, &hash).await? {
        bail!(none(username));
    }
    output::say(&format!("The user {username} has a new password, and is signed out everywhere."))
}

async fn print_link(config: &Config, store: &Store, account: &Account) -> Result<()> {
    let token = store.create_sign_in_link(account.id, LINK_LIFE).await?;
    let host = match config.host.as_str() {
        "0.0.0.0" | "::" => "127.0.0.1".to_owned(),
        host if host.contains(':') => format!("[{host}]"),
        host => host.to_owned(),
    };
    output::note(
        "This link signs in once, within a day. Put the web server's own address in, if it has another:",
    );
    output::say(&format!("http://{host}:{}/auth/link/{token}", config.port.get()))
}

async fn all(store: &Store) -> Result<Vec<Account>> {
    let mut accounts = Vec::new();
    loop {
        let page = store.accounts(PAGE, u32::try_from(accounts.len())?).await?;
        let is_last = page.len() < PAGE as usize;
        accounts.extend(page);
        if is_last {
            return Ok(accounts);
        }
    }
}

fn password(key: Key) -> Result<String> {
    if let Some(password) = key.password {
        output::note(
            "warning: other users of this machine can see a password among the arguments; pipe it in instead",
        );
        return Ok(password);
    }
    if !io::stdin().is_terminal() {
        return read_line();
    }
    let _silence = Silence::begin()?;
    let password = ask("Password: ")?;
    if ask("Once more: ")? != password {
        bail!("the two are not the same: nothing was changed");
    }
    Ok(password)
}

fn ask(prompt: &str) -> Result<String> {
    write!(io::stderr(), "{prompt}")?;
    let line = read_line();
    output::note("");
    line
}

fn read_line() -> Result<String> {
    let mut line = String::new();
    let read = io::stdin().lock().take(LONGEST_LINE).read_line(&mut line);
    if read.context("cannot read the password")? == 0 {
        bail!("no password: write it to the standard input, or ask for a link with --link");
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// While it lives, the terminal does not show what is typed.
struct Silence(Termios);

impl Silence {
    fn begin() -> Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(io::stdin(), SetArg::TCSANOW, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // A terminal that is gone needs no repair.
        let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &self.0);
    }
}

fn row(account: Account) -> Row {
    Row {
        username: account.username,
        role: account.role.as_str(),
        email: account.email,
        first_name: account.first_name,
        last_name: account.last_name,
        is_active: account.is_active,
        is_locked: account.is_locked,
        created_at: account.created_at,
    }
}

fn none(username: &str) -> String {
    format!("there is no user `{username}`")
}
