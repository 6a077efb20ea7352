//! The secret key of an installation: sessions, tokens and stored secrets are protected with keys derived from it.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::config::Config;
use crate::secret::Secret;

/// A key's size in bytes.
pub const SIZE: usize = 32;

/// The longest key file that is read, in bytes.
const LONGEST_FILE: u64 = 4096;

/// 32 bytes that only this installation knows. Printing it shows `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey([u8; SIZE]);

/// Why there is no secret key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key file could not be read or made.
    #[error("{doing} the secret key {}: {source}", .file.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The key file holds something else. It is not replaced: what was protected with the old key would be lost.
    #[error(
        "{} does not hold a secret key (32 bytes in base64): restore it, or set TRADEWIND_SECRET_KEY", .file.display()
    )]
    Malformed {
        /// The file.
        file: PathBuf,
    },
    /// Others can read the key file.
    #[error("{} can be read by others: run `chmod 600 {}`", .file.display(), .file.display())]
    Exposed {
        /// The file.
        file: PathBuf,
    },
}

impl SecretKey {
    /// The configured key, else the one in the home's `secret.key`, which is made the first time. Processes that
    /// start together agree on one.
    pub fn open(config: &Config) -> Result<SecretKey, Error> {
        match &*config.secret_key {
            Some(secret) => Ok(SecretKey::from_secret(secret)),
            None => SecretKey::from_file(&config.home.secret_key_file()),
        }
    }

    /// The key a text stands for: the bytes themselves when it is 32 bytes in base64, else its hash.
    pub fn from_secret(secret: &Secret) -> SecretKey {
        decode(secret.expose()).unwrap_or_else(|| SecretKey(Sha256::digest(secret.expose()).into()))
    }

    /// The key in `file`, which is made with a random one if it is missing.
    pub fn from_file(file: &Path) -> Result<SecretKey, Error> {
        match read(file) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                make(file).map_err(|source| Error::Io { doing: "making", file: file.to_owned(), source })?;
                read(file)
            }
            read => read,
        }
    }

    /// A key for one purpose (HMAC-SHA-256 of its name), so that no two purposes share a key. The name is part of
    /// what is protected with it: changing one makes what exists unreadable.
    pub fn derive(&self, purpose: &str) -> [u8; SIZE] {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key of any length");
        mac.update(purpose.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(crate::secret::MASK)
    }
}

fn decode(text: &str) -> Option<SecretKey> {
    STANDARD.decode(text.trim()).ok()?.try_into().ok().map(SecretKey)
}

fn read(file: &Path) -> Result<SecretKey, Error> {
    let failed = |source| Error::Io { doing: "reading", file: file.to_owned(), source };
    let meta = fs::metadata(file).map_err(failed)?;
    if meta.mode() & 0o077 != 0 {
        return Err(Error::Exposed { file: file.to_owned() });
    }
    let text =
        if meta.len() > LONGEST_FILE { String::new() } else { fs::read_to_string(file).map_err(failed)? };
    decode(&text).ok_or_else(|| Error::Malformed { file: file.to_owned() })
}

/// Writes a new key under another name and links it to `file`, which fails when somebody else was faster: then
/// theirs is the key.
fn make(file: &Path) -> io::Result<()> {
    let mut key = [0_u8; SIZE];
    rand::fill(&mut key);
    let draft = file.with_extension(format!("draft-{:016x}", rand::random::<u64>()));
    let written =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).and_then(|mut out| {
            writeln!(out, "{}", STANDARD.encode(key))?;
            out.sync_all()
        });
    let linked = written.and_then(|()| match fs::hard_link(&draft, file) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    });
    // The draft is only left over when it could not be removed; the link, not the draft, is the key.
    let _ = fs::remove_file(&draft);
    linked
}
