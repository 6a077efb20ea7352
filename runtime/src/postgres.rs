//! The private PostgreSQL of `tradewind standalone` and of tests: a real server that Tradewind initialises in
//! its home folder and runs as a child, reachable only through a Unix socket in a folder of its own.
//!
//! * It ends when this process ends, even on `kill -9` (see `child`).
//! * Started as root, it runs as the user `postgres`, else `nobody` (see `account`).
//! * Only the user who started it (and root) may connect: the socket's folder is closed to everybody else, and
//!   PostgreSQL asks the kernel who is calling (`peer`) instead of trusting whoever reaches the socket.
//!
//! Everything here blocks: call it before the async runtime starts, or through `spawn_blocking`.

mod account;
mod binaries;
mod child;
mod cluster;
mod conf;
mod folder;
mod pidfile;

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use account::Account;
use binaries::Binaries;
use child::{Child, Stop};
use folder::{Folder, Lock};

pub use pidfile::Address;

/// The role that owns everything in the private server. It has no password: the kernel vouches for the caller.
pub const ROLE: &str = "tradewind";

/// The databases that exist after [`PrivatePostgres::start`] unless [`Settings::databases`] says otherwise:
/// Tradewind's own, and the one behind the ready-made connection `warehouse`.
pub const DATABASES: [&str; 2] = ["tradewind", "warehouse"];

/// The oldest PostgreSQL that Tradewind runs on.
pub const OLDEST_MAJOR: u32 = 14;

/// How a private server is run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Tradewind's home folder; the data goes to `postgres` in it. Made if missing.
    pub home: PathBuf,
    /// Databases to have. A name is lower-case letters, digits and `_`, at most 63 bytes.
    pub databases: Vec<String>,
    /// Whether commits reach the disk before they are confirmed. Off is for tests only: a crash of the machine
    /// then destroys the data.
    pub fsync: bool,
    /// The most connections at once.
    pub max_connections: u16,
    /// PostgreSQL's own page cache, in MiB.
    pub shared_buffers_mib: u32,
    /// How long the server may take until it accepts connections; after a crash it first replays its log.
    pub start_timeout: Duration,
}

impl Settings {
    /// Durable settings for a server in `home`.
    pub fn new(home: impl Into<PathBuf>) -> Settings {
        Settings {
            home: home.into(),
            databases: DATABASES.map(str::to_owned).to_vec(),
            fsync: true,
            max_connections: 100,
            shared_buffers_mib: 64,
            start_timeout: Duration::from_secs(120),
        }
    }

    /// Fast settings for a server whose data may be lost: nothing waits for the disk.
    pub fn for_tests(home: impl Into<PathBuf>) -> Settings {
        Settings { fsync: false, ..Settings::new(home) }
    }
}

/// Why the private server could not be run. Each text says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no usable server on this machine.
    #[error(
        "no PostgreSQL server was found on PATH or in the usual places ({}). {} Or give the URL of a running \
         server with --database-url or TRADEWIND_DATABASE_URL.",
        binaries::USUAL_PLACES, binaries::how_to_install(*.wanted)
    )]
    NotInstalled {
        /// The major version that is needed, when only one will do.
        wanted: Option<u32>,
    },
    /// There are servers, but none new enough.
    #[error(
        "PostgreSQL {found} in {} is too old: Tradewind needs {OLDEST_MAJOR} or newer. {}",
        .folder.display(), binaries::how_to_install(None)
    )]
    TooOld {
        /// The newest major version found.
        found: u32,
        /// Where it is.
        folder: PathBuf,
    },
    /// The data was written by a major version that is not installed.
    #[error(
        "the data in {} was written by PostgreSQL {data}, and this machine only has PostgreSQL {}, which cannot \
         read it. {} Or carry the data over with pg_upgrade or pg_dump; to begin with empty databases instead, \
         move that folder away.",
        .folder.display(), join(.installed), binaries::how_to_install(Some(*.data))
    )]
    OtherMajor {
        /// The data folder.
        folder: PathBuf,
        /// The major version that wrote it.
        data: u32,
        /// The major versions that are installed.
        installed: Vec<u32>,
    },
    /// Another Tradewind uses this home.
    #[error(
        "another Tradewind{} already runs its PostgreSQL in {}: stop it first, or choose another home with \
         --home or TRADEWIND_HOME",
        .pid.map(|pid| format!(" (process {pid})")).unwrap_or_default(), .home.display()
    )]
    AlreadyRunning {
        /// The home in question.
        home: PathBuf,
        /// The process that holds it, when it could be read.
        pid: Option<i32>,
    },
    /// A server without a Tradewind above it uses the data.
    #[error(
        "a PostgreSQL server (process {pid}) that Tradewind did not start is running on {}: stop it with \
         `kill -INT {pid}` and start again",
        .folder.display()
    )]
    ForeignServer {
        /// The data folder.
        folder: PathBuf,
        /// The server's process.
        pid: i32,
    },
    /// The unprivileged user cannot get to the data.
    #[error(
        "started as root, Tradewind runs PostgreSQL as the user `{user}`, who may not enter {}: allow it with \
         `chmod o+x {}`, or choose another home with --home or TRADEWIND_HOME (for example /var/lib/tradewind)",
        .blocked.display(), .blocked.display()
    )]
    Unreachable {
        /// Who would run the server.
        user: String,
        /// The folder that keeps them out.
        blocked: PathBuf,
    },
    /// PostgreSQL refuses to run under a user id without a name.
    #[error(
        "PostgreSQL needs the user id {uid} to have a name: add it to /etc/passwd, or start Tradewind as another \
         user"
    )]
    NamelessUser {
        /// The user id.
        uid: u32,
    },
    /// Root without anybody to run the server as.
    #[error(
        "started as root, Tradewind needs the user `postgres` or `nobody` to run PostgreSQL, and there is neither"
    )]
    NoUnprivilegedUser,
    /// Somebody else's folder is in the way of the socket.
    #[error(
        "{} is not a folder of {user} alone, so PostgreSQL's socket cannot be put there: remove it, or choose a \
         home with a shorter path",
        .folder.display()
    )]
    UnsafeSocketFolder {
        /// The folder.
        folder: PathBuf,
        /// Who it must belong to.
        user: String,
    },
    /// The name of a database is not one.
    #[error(
        "`{name}` cannot be a database: use lower-case letters, digits and _, beginning with a letter, up to 63"
    )]
    DatabaseName {
        /// The name given.
        name: String,
    },
    /// One of PostgreSQL's programs failed.
    #[error("{program} failed ({status}): {output}")]
    Program {
        /// Which one.
        program: String,
        /// How it ended.
        status: String,
        /// The end of what it printed.
        output: String,
    },
    /// The server ended before it was ready.
    #[error("PostgreSQL did not start ({status}); the end of {}:\n{output}", .log.display())]
    Died {
        /// How it ended.
        status: String,
        /// Its log file.
        log: PathBuf,
        /// The end of its log.
        output: String,
    },
    /// The server took too long.
    #[error("PostgreSQL was not ready after {} s; see {}", .waited.as_secs(), .log.display())]
    NotReady {
        /// How long was waited.
        waited: Duration,
        /// Its log file.
        log: PathBuf,
    },
    /// The server did not end when told to.
    #[error("PostgreSQL (process {pid}) did not stop")]
    NotStopped {
        /// The server's process.
        pid: i32,
    },
    /// The operating system refused something.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done, with the path.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
}

/// A running private server. Dropping it stops the server, and so does the end of the process in whatever way.
#[derive(Debug)]
pub struct PrivatePostgres {
    child: Child,
    address: Address,
    binaries: Binaries,
    folder: Folder,
    _lock: Lock,
}

impl PrivatePostgres {
    /// Starts the server of `settings.home`, initialising it first when there is none, and returns when it
    /// accepts connections and has the databases. Takes about 0.1 s; 1 s more the first time.
    pub fn start(settings: &Settings) -> Result<PrivatePostgres, Error> {
        let names: Vec<&str> = settings.databases.iter().map(String::as_str).collect();
        names.iter().try_for_each(|name| check_database_name(name))?;
        let account = Account::choose()?;
        let folder = Folder::open(&settings.home, &account)?;
        let lock = Lock::take(&folder)?;
        let binaries = cluster::prepare(&folder, &account, settings.fsync)?;
        pidfile::settle(&folder.data())?;

        let socket = folder.socket(&account)?;
        conf::write_access(&folder, &account)?;
        let mut command = account.command(&binaries.postgres());
        command.arg("-D").arg(folder.data()).args(conf::arguments(settings, &folder, &socket));
        let child = run(command, &folder, settings.start_timeout)?;
        let address = Address { socket_folder: socket, port: conf::PORT, pid: child.pid() };
        let postgres = PrivatePostgres { child, address, binaries, folder, _lock: lock };
        postgres.create_missing(&names)?;
        tracing::debug!(pid = postgres.pid(), data = %postgres.data_folder().display(), "PostgreSQL is ready");
        Ok(postgres)
    }

    /// The URL of `database`, as tokio-postgres and psql understand it: the host is the percent-encoded folder
    /// of the socket.
    pub fn url(&self, database: &str) -> String {
        self.address.url(database)
    }

    /// Where the server listens.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The server's process id.
    pub fn pid(&self) -> i32 {
        self.address.pid
    }

    /// The folder with the server's data.
    pub fn data_folder(&self) -> PathBuf {
        self.folder.data()
    }

    /// Creates `name`, owned by [`ROLE`]; it is no error when it already exists.
    pub fn create_database(&self, name: &str) -> Result<(), Error> {
        check_database_name(name)?;
        cluster::create_database(&self.binaries, &self.address, name)
    }

    /// Returns when the server has ended, whoever ended it, with how it ended in words. Meant for a process that
    /// cannot go on without its database.
    pub async fn exited(&self) -> String {
        self.child.exited().await
    }

    /// Stops the server: open connections are cut, all data is on disk afterwards.
    ///
    /// Waits up to 35 s, then kills it and reports that.
    pub fn stop(self) -> Result<(), Error> {
        self.child.stop()
    }

    fn create_missing(&self, names: &[&str]) -> Result<(), Error> {
        let known = cluster::known_databases(&self.folder);
        let missing: Vec<&str> =
            names.iter().copied().filter(|name| !known.iter().any(|k| k == name)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        missing.iter().try_for_each(|name| cluster::create_database(&self.binaries, &self.address, name))?;
        cluster::remember_databases(&self.folder, known.iter().map(String::as_str).chain(missing))
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        if let Err(error) = self.child.stop() {
            tracing::error!(%error, "stopping the private PostgreSQL");
        }
    }
}

/// The address of the private server that some process runs in `home` right now, if any. For commands that want
/// to talk to the database of a running `standalone`.
pub fn find_running(home: &Path) -> Result<Option<Address>, Error> {
    pidfile::find_running(&home.join(folder::DATA))
}

/// Starts the server and waits until it accepts connections.
fn run(mut command: Command, folder: &Folder, timeout: Duration) -> Result<Child, Error> {
    let log = folder.open_log()?;
    let begin = log.metadata().map_or(0, |meta| meta.len());
    let copy = log
        .try_clone()
        .map_err(|source| Error::Io { doing: "opening PostgreSQL's log".to_owned(), source })?;
    command.stdin(Stdio::null()).stdout(copy).stderr(log);
    let child = Child::spawn(command)
        .map_err(|source| Error::Io { doing: "starting PostgreSQL".to_owned(), source })?;
    match pidfile::wait_ready(&folder.data(), &child, timeout) {
        pidfile::Readiness::Ready => Ok(child),
        pidfile::Readiness::Exited(status) => {
            Err(Error::Died { status, output: folder.log_since(begin), log: folder.log() })
        }
        pidfile::Readiness::TimedOut => {
            child.signal(Stop::Immediate);
            Err(Error::NotReady { waited: timeout, log: folder.log() })
        }
    }
}

/// Refuses what would need quoting, or would be cut to another name by PostgreSQL.
fn check_database_name(name: &str) -> Result<(), Error> {
    let ok = name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if ok { Ok(()) } else { Err(Error::DatabaseName { name: name.to_owned() }) }
}

fn join(versions: &[u32]) -> String {
    versions.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}

/// Names what was being done when the operating system refused.
fn failed_to<'a>(doing: &'a str, path: &'a Path) -> impl FnOnce(io::Error) -> Error + 'a {
    move |source| Error::Io { doing: format!("{doing} {}", path.display()), source }
}
