//! Where a private server keeps its things:
//!
//! ```text
//! HOME/postgres                data, closed to everybody but the server's account
//! HOME/postgres.log            what the server says; the previous one is postgres.log.old
//! HOME/postgres.lock           held by the Tradewind that runs the server; holds its process id
//! HOME/postgres.databases      the databases that were created so far
//! HOME/postgres.{hba,ident}    who may connect, written at each start
//! HOME/socket                  the server's socket, unless that path is too long for one
//! ```
//!
//! A root user's home folder (`/root`) is closed to the account that runs the server, and the default HOME is in
//! there. The data, log and socket then live in a folder below `/var/lib/tradewind`, and `HOME/postgres` is a link
//! to the data.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::unistd::{User, geteuid};
use sha2::{Digest, Sha256};

use super::account::Account;
use super::conf::PORT;
use super::{Error, failed_to};
use crate::config::make_private_folder;

/// The data folder's name in HOME.
pub(super) const DATA: &str = "postgres";

/// Where the data goes when a root user's HOME cannot be entered by the server's account.
const SYSTEM_FOLDER: &str = "/var/lib/tradewind";

/// The longest path of a socket's folder. The kernel takes 107 bytes for the socket itself (103 on macOS), and
/// `/.s.PGSQL.5432` takes 14 of them.
const LONGEST_SOCKET_FOLDER: usize = 103 - 14;

/// A log larger than this is put aside at the next start, replacing the one put aside before.
const LARGEST_LOG: u64 = 8 * 1024 * 1024;

/// How long a lock may be held that its holder has just let go.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);

/// How much of the end of the log an error shows.
const SHOWN_LOG: u64 = 2048;

/// The folders of one private server.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    home: PathBuf,
    /// Holds the data, log and socket: `home`, or a folder below [`SYSTEM_FOLDER`].
    base: PathBuf,
}

/// Held by the one process that runs a server here. The kernel takes it back when the process ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Folder {
    /// Makes the home if it is missing, and chooses a place in it that `account` can get to.
    pub(super) fn open(home: &Path, account: &Account) -> Result<Folder, Error> {
        let home = std::path::absolute(home).map_err(failed_to("resolving", home))?;
        make_private_folder(&home).map_err(failed_to("making the home folder", &home))?;
        let home = home.canonicalize().map_err(failed_to("resolving", &home))?;
        let base = if account.is_switched() { reachable_base(&home, account)? } else { home.clone() };
        Ok(Folder { home, base })
    }

    /// The server's data folder.
    pub(super) fn data(&self) -> PathBuf {
        self.base.join(DATA)
    }

    /// Where a new data folder is made before it gets its name.
    pub(super) fn unfinished_data(&self) -> PathBuf {
        self.base.join("postgres.new")
    }

    /// The server's log file.
    pub(super) fn log(&self) -> PathBuf {
        self.base.join("postgres.log")
    }

    /// The list of the databases created so far.
    pub(super) fn databases(&self) -> PathBuf {
        self.base.join("postgres.databases")
    }

    /// PostgreSQL's host-based authentication file.
    pub(super) fn hba(&self) -> PathBuf {
        self.base.join("postgres.hba")
    }

    /// PostgreSQL's user name map.
    pub(super) fn ident(&self) -> PathBuf {
        self.base.join("postgres.ident")
    }

    /// Shows people where the data is when it is not in the home. Only a convenience, so failing is no error.
    pub(super) fn link_data(&self) {
        if self.base != self.home
            && let Err(error) = symlink(self.data(), self.home.join(DATA))
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            tracing::debug!(%error, "linking the data folder into the home");
        }
    }

    /// The folder of the server's socket, made if missing: only `account` (and root) may enter it.
    pub(super) fn socket(&self, account: &Account) -> Result<PathBuf, Error> {
        let here = self.base.join("socket");
        let folder = if here.as_os_str().len() <= LONGEST_SOCKET_FOLDER {
            here
        } else {
            PathBuf::from(format!("/tmp/tradewind-{}-{}", geteuid(), short_hash(&self.base)))
        };
        match DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => account.own(&folder)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.check_socket(&folder, account)?
            }
            Err(source) => return Err(failed_to("making", &folder)(source)),
        }
        remove_socket_files(&folder)?;
        Ok(folder)
    }

    /// A folder that was there before: in /tmp anybody could have put one in our way.
    fn check_socket(&self, folder: &Path, account: &Account) -> Result<(), Error> {
        let meta = fs::symlink_metadata(folder).map_err(failed_to("reading", folder))?;
        let private = meta.is_dir() && meta.mode() & 0o077 == 0;
        if private && account.owns(&meta) {
            return Ok(());
        }
        if private && meta.uid() == geteuid().as_raw() {
            return account.own(folder);
        }
        Err(Error::UnsafeSocketFolder { folder: folder.to_owned(), user: account.name.clone() })
    }

    /// Opens the log for appending, putting a large one aside.
    pub(super) fn open_log(&self) -> Result<File, Error> {
        let path = self.log();
        if fs::metadata(&path).is_ok_and(|meta| meta.len() > LARGEST_LOG) {
            let old = self.base.join("postgres.log.old");
            fs::rename(&path, &old).map_err(failed_to("putting aside", &path))?;
        }
        let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
        opened.map_err(failed_to("opening", &path))
    }

    /// The end of what the log gained since it had `begin` bytes.
    pub(super) fn log_since(&self, begin: u64) -> String {
        let read = || -> io::Result<Vec<u8>> {
            let mut file = File::open(self.log())?;
            let end = file.metadata()?.len();
            file.seek(SeekFrom::Start(begin.max(end.saturating_sub(SHOWN_LOG))))?;
            let mut text = Vec::new();
            file.take(SHOWN_LOG).read_to_end(&mut text)?;
            Ok(text)
        };
        read().map_or_else(|error| error.to_string(), |text| String::from_utf8_lossy(&text).trim().to_owned())
    }

    /// Replaces the file `path` of this folder at once, so that nobody sees half of it. `mode` is its permission
    /// bits.
    pub(super) fn write(&self, path: &Path, text: &str, mode: u32) -> Result<(), Error> {
        let draft = path.with_extension("draft");
        let write = || -> io::Result<()> {
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&draft)?;
            file.set_permissions(Permissions::from_mode(mode))?;
            file.write_all(text.as_bytes())?;
            fs::rename(&draft, path)
        };
        write().map_err(failed_to("writing", path))
    }
}

impl Lock {
    /// Takes the lock of `folder`, or says who has it.
    pub(super) fn take(folder: &Folder) -> Result<Lock, Error> {
        let path = folder.home.join("postgres.lock");
        let opened =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut file = opened.map_err(failed_to("opening", &path))?;
        if !try_lock(&file).map_err(failed_to("locking", &path))? {
            let mut text = String::new();
            let read = (&mut file).take(32).read_to_string(&mut text);
            let pid = read.ok().and_then(|_| text.trim().parse().ok());
            return Err(Error::AlreadyRunning { home: folder.home.clone(), pid });
        }
        let write = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        write.map_err(failed_to("writing", &path))?;
        Ok(Lock { _file: file })
    }
}

/// The folder for the data of a server whose account is not the caller (who is root).
fn reachable_base(home: &Path, account: &Account) -> Result<PathBuf, Error> {
    let look = |path: &Path| account.blocked_at(path).map_err(failed_to("reading the permissions of", path));
    let Some(mut blocked) = look(home)? else {
        return Ok(home.to_owned());
    };
    if blocked == home {
        // The home itself is Tradewind's own: letting others pass through it shows them nothing.
        let mode = fs::metadata(home).map_err(failed_to("reading", home))?.mode() | 0o001;
        fs::set_permissions(home, Permissions::from_mode(mode)).map_err(failed_to("opening", home))?;
        match look(home)? {
            None => return Ok(home.to_owned()),
            Some(folder) => blocked = folder,
        }
    }
    if !is_in_own_home(home) {
        return Err(Error::Unreachable { user: account.name.clone(), blocked });
    }
    let name = home.to_string_lossy().trim_start_matches('/').replace('/', "-");
    let name: String = name.chars().take(100).collect();
    let base = Path::new(SYSTEM_FOLDER).join(format!("{name}-{}", short_hash(home)));
    make_private_folder(&base).map_err(failed_to("making", &base))?;
    match look(&base)? {
        None => Ok(base),
        Some(blocked) => Err(Error::Unreachable { user: account.name.clone(), blocked }),
    }
}

/// Removes what a server that was killed left in its socket's folder. Nobody uses it: the lock is held and no other
/// server runs on the data. PostgreSQL would not dare to when the process id in there belongs to something else now.
fn remove_socket_files(folder: &Path) -> Result<(), Error> {
    for name in [format!(".s.PGSQL.{PORT}"), format!(".s.PGSQL.{PORT}.lock")] {
        let path = folder.join(name);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(failed_to("removing the stale", &path)(source));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn is_in_own_home(path: &Path) -> bool {
    let own = User::from_uid(geteuid()).ok().flatten().and_then(|user| user.dir.canonicalize().ok());
    own.is_some_and(|own| own != Path::new("/") && path.starts_with(own))
}

/// Whether the lock was free. A process that was just forked from its last holder keeps it for a moment, until it
/// becomes another program.
fn try_lock(file: &File) -> io::Result<bool> {
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return Ok(false),
            Err(TryLockError::WouldBlock) => sleep(Duration::from_millis(10)),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// Tells apart folders of the same name.
fn short_hash(path: &Path) -> String {
    let digest = Sha256::digest(path.as_os_str().as_bytes());
    digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}
