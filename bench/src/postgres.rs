//! A PostgreSQL of the benchmark's own, with the durability it has out of the box: nothing is switched off.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use nix::unistd::{User, geteuid};
use tokio_postgres::{Client, NoTls};

use crate::folder::Folder;
use crate::process::{self, Running};

/// How long `initdb` and the start may take each.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long one connection may take.
const CONNECT: Duration = Duration::from_secs(10);
const ROLE: &str = "bench";

/// A running server on a free port of 127.0.0.1.
pub struct Postgres {
    running: Running,
    port: u16,
    password: String,
}

impl Postgres {
    /// Makes an empty cluster in `folder` and starts it. `programs` is the folder of the server's programs, when it is not one of
    /// the usual ones.
    pub async fn start(folder: &Folder, logs: &Path, programs: Option<&Path>) -> Result<Postgres> {
        let programs = programs.map_or_else(usual_folders, |folder| vec![folder.to_owned()]);
        let initdb = process::find("initdb", &programs)
            .context("there is no initdb: install a PostgreSQL server, or say --postgres DIR")?;
        let server = initdb.with_file_name("postgres");
        let home = folder.private("postgres")?;
        let account = Account::choose()?;
        let password = process::random_password()?;
        let data = initialise(&account, &initdb, &home, &password).await?;
        let port = process::free_port()?;
        let mut command = account.command(&server, &home);
        command.arg("-D").arg(&data);
        for setting in [
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={port}"),
            "unix_socket_directories=".to_owned(),
        ] {
            command.args(["-c", &setting]);
        }
        let running = Running::start("postgres", command, logs, Signal::SIGINT)?;
        let mut postgres = Postgres { running, port, password };
        postgres.wait_until_ready().await?;
        Ok(postgres)
    }

    /// The URL of a database.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{ROLE}:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// The process id of the server.
    pub fn pid(&self) -> i32 {
        self.running.pid()
    }

    /// Creates a database and connects to it.
    pub async fn create(&self, database: &str) -> Result<Client> {
        let client = self.connect("postgres").await?;
        client.batch_execute(&format!("CREATE DATABASE {database}")).await?;
        self.connect(database).await
    }

    /// A new connection.
    pub async fn connect(&self, database: &str) -> Result<Client> {
        let url = self.url(database);
        let connecting = tokio::time::timeout(CONNECT, tokio_postgres::connect(&url, NoTls));
        let (client, connection) = connecting
            .await
            .context("PostgreSQL does not answer")?
            .context("cannot connect to PostgreSQL")?;
        // Ends with its client.
        tokio::spawn(connection);
        Ok(client)
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let began = Instant::now();
        loop {
            self.running.check()?;
            match self.connect("postgres").await {
                Ok(_) => return Ok(()),
                Err(error) if began.elapsed() > PATIENCE => {
                    return Err(error.context("PostgreSQL was not ready in time"));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }
}

/// Who runs the server: PostgreSQL refuses to run as root.
struct Account(Option<User>);

impl Account {
    fn choose() -> Result<Account> {
        if !geteuid().is_root() {
            return Ok(Account(None));
        }
        for name in ["postgres", "nobody"] {
            if let Some(user) = User::from_name(name)? {
                return Ok(Account(Some(user)));
            }
        }
        bail!("started as root, the benchmark needs the user `postgres` or `nobody` to run PostgreSQL")
    }

    /// A command in the folder `home`, without the variables that steer PostgreSQL's programs.
    fn command(&self, program: &Path, home: &Path) -> Command {
        let mut command = Command::new(program);
        let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin"));
        command.env_clear().env("PATH", path).current_dir(home);
        if let Some(user) = &self.0 {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command
    }

    fn own(&self, path: &Path) -> Result<()> {
        if let Some(user) = &self.0 {
            chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
                .with_context(|| format!("cannot give {} to {}", path.display(), user.name))?;
        }
        Ok(())
    }
}

async fn initialise(account: &Account, initdb: &Path, home: &Path, password: &str) -> Result<PathBuf> {
    account.own(home)?;
    let data = home.join("data");
    let file = home.join("password");
    fs::write(&file, password).context("cannot write the password file")?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    account.own(&file)?;
    let mut command = account.command(initdb, home);
    command.arg("-D").arg(&data).arg("--pwfile").arg(&file);
    command.args(["-U", ROLE, "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale"]);
    process::run(command, PATIENCE).await?;
    Ok(data)
}

/// Where distributions put the server's programs, the newest version first.
fn usual_folders() -> Vec<PathBuf> {
    let places = [
        ("/usr/lib/postgresql", "", "bin"),
        ("/usr", "pgsql-", "bin"),
        ("/opt/homebrew/opt", "postgresql", "bin"),
        ("/usr/local/opt", "postgresql", "bin"),
    ];
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for (parent, beginning, below) in places {
        for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let folder = entry.path().join(below);
            if name.starts_with(beginning) && folder.join("initdb").is_file() {
                found.push((version(&name), folder));
            }
        }
    }
    found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    found.into_iter().map(|(_, folder)| folder).collect()
}

fn version(name: &str) -> u32 {
    name.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0)
}
