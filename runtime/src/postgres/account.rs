//! Who runs the server: PostgreSQL refuses to run as root, so root lends it an unprivileged account.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{Gid, Uid, User, geteuid};

use super::Error;

/// The system user the server runs as.
#[derive(Clone, Debug)]
pub(super) struct Account {
    /// Name in the user database.
    pub(super) name: String,
    /// The name of the user who starts Tradewind; `root` when privileges are dropped, else the same as `name`.
    pub(super) caller: String,
    uid: Uid,
    gid: Gid,
    /// Whether this process is root and has to become this user first.
    switch: bool,
}

impl Account {
    /// The caller itself, or for root the first of `postgres` and `nobody` that exists.
    pub(super) fn choose() -> Result<Account, Error> {
        let me = geteuid();
        let caller = lookup(User::from_uid(me))?.ok_or(Error::NamelessUser { uid: me.as_raw() })?;
        if !me.is_root() {
            return Ok(Account {
                name: caller.name.clone(),
                caller: caller.name,
                uid: me,
                gid: caller.gid,
                switch: false,
            });
        }
        for name in ["postgres", "nobody"] {
            if let Some(user) = lookup(User::from_name(name))?.filter(|user| !user.uid.is_root()) {
                return Ok(Account {
                    name: user.name,
                    caller: caller.name,
                    uid: user.uid,
                    gid: user.gid,
                    switch: true,
                });
            }
        }
        Err(Error::NoUnprivilegedUser)
    }

    /// Whether this process is root and runs the server as somebody else.
    pub(super) fn is_switched(&self) -> bool {
        self.switch
    }

    /// A command that runs `program` as this account: from a folder it may be in, and without the variables that
    /// steer PostgreSQL's programs or hold Tradewind's secrets.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = clean_command(program);
        if self.switch {
            command.uid(self.uid.as_raw()).gid(self.gid.as_raw());
        }
        command
    }

    /// Gives `path`, which this process has just made, to this account.
    pub(super) fn own(&self, path: &Path) -> Result<(), Error> {
        if !self.switch {
            return Ok(());
        }
        chown(path, Some(self.uid.as_raw()), Some(self.gid.as_raw()))
            .map_err(super::failed_to("giving away", path))
    }

    /// Whether `meta` is of something that belongs to this account.
    pub(super) fn owns(&self, meta: &fs::Metadata) -> bool {
        meta.uid() == self.uid.as_raw()
    }

    /// The first folder on the way down to `path` (itself included) that this account may not enter. Looks at
    /// permission bits only; `path` must exist.
    pub(super) fn blocked_at(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        let path = path.canonicalize()?;
        let mut way: Vec<&Path> = path.ancestors().collect();
        way.reverse();
        for folder in way {
            if !self.may_enter(&fs::metadata(folder)?) {
                return Ok(Some(folder.to_owned()));
            }
        }
        Ok(None)
    }

    fn may_enter(&self, meta: &fs::Metadata) -> bool {
        let bit = if self.owns(meta) {
            0o100
        } else if meta.gid() == self.gid.as_raw() {
            0o010
        } else {
            0o001
        };
        meta.mode() & bit != 0
    }
}

/// A command for one of PostgreSQL's programs, run as the caller.
pub(super) fn clean_command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("PG") || text.starts_with("TRADEWIND_") || text.starts_with("LC_") {
            command.env_remove(&name);
        }
    }
    // Messages are matched and shown in English; sorting in the databases is fixed when they are initialised.
    command.env("LC_ALL", "C").current_dir("/");
    command
}

fn lookup(found: nix::Result<Option<User>>) -> Result<Option<User>, Error> {
    found.map_err(|errno| Error::Io { doing: "looking up a user".to_owned(), source: errno.into() })
}
