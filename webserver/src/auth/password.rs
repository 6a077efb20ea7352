//! Passwords. Hashing one is slow on purpose, so it happens beside the request threads and a few at a time.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::sync::Semaphore;

use crate::error::Error as RequestError;

/// Most bytes of a password: more would only cost time.
pub(crate) const MAX_LENGTH: usize = 256;
/// Fewest characters of a new password.
const MIN_LENGTH: usize = 8;
/// Each takes 19 MiB and a tenth of a second or so.
const AT_ONCE: usize = 2;
/// A sign-in that waits longer for its turn is turned away.
const LONGEST_WAIT: Duration = Duration::from_secs(8);

/// Why a password was not hashed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is too short or too long.
    #[error("a password has 8 characters to 256 bytes")]
    Length,
    /// The system gave no random bytes or no memory.
    #[error("the password cannot be hashed: {0}")]
    Hash(String),
}

/// The hash of a new password (Argon2id with a random salt), as the store keeps it. Takes about a tenth of a second.
///
/// # Errors
/// [`Error::Length`] when it is shorter than 8 characters or longer than 256 bytes.
pub fn hash_password(password: &str) -> Result<String, Error> {
    if password.chars().count() < MIN_LENGTH || password.len() > MAX_LENGTH {
        return Err(Error::Length);
    }
    hash(password)
}

/// Checks passwords, a few at a time.
#[derive(Debug, Clone)]
pub(crate) struct Passwords(Arc<Semaphore>);

impl Default for Passwords {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Passwords {
    /// Whether the password belongs to the hash. Without a hash the answer is no and takes as long, so that nobody can tell
    /// by the time whether an account exists.
    ///
    /// # Errors
    /// [`RequestError::TooMany`] when too many others wait.
    pub(crate) async fn check(&self, password: String, hash: Option<String>) -> Result<bool, RequestError> {
        let busy = RequestError::TooMany("too many people sign in right now; try again in a moment");
        let permit = tokio::time::timeout(LONGEST_WAIT, Arc::clone(&self.0).acquire_owned()).await;
        let Ok(Ok(permit)) = permit else { return Err(busy) };
        let checked = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            is_password(&password, hash.as_deref())
        });
        checked.await.map_err(|fault| RequestError::Internal(fault.to_string()))
    }
}

fn is_password(password: &str, hash: Option<&str>) -> bool {
    let known = hash.is_some() && password.len() <= MAX_LENGTH;
    let hash = hash.map(str::to_owned).or_else(|| nobodys().clone());
    let Some(parsed) = hash.as_deref().and_then(|hash| PasswordHash::new(hash).ok()) else {
        return false;
    };
    let shortened = password.as_bytes().get(..MAX_LENGTH).unwrap_or(password.as_bytes());
    let matches = Argon2::default().verify_password(shortened, &parsed).is_ok();
    matches && known
}

/// The hash that is checked where there is none.
fn nobodys() -> &'static Option<String> {
    static NOBODYS: OnceLock<Option<String>> = OnceLock::new();
    NOBODYS.get_or_init(|| hash(&format!("{:032x}", rand::random::<u128>())).ok())
}

fn hash(password: &str) -> Result<String, Error> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string()).map_err(|error| Error::Hash(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_again_and_no_other() {
        let hash = hash_password("correct horse").unwrap();
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        assert!(is_password("correct horse", Some(&hash)));
        assert!(!is_password("correct horse ", Some(&hash)));
        assert!(!is_password("correct horse", None));
        assert!(!is_password("correct horse", Some("not a hash")));
        assert!(!is_password(&"x".repeat(MAX_LENGTH + 1), Some(&hash)));
    }

    #[test]
    fn the_length_has_limits() {
        for password in ["", "1234567", &"x".repeat(257)] {
            assert!(matches!(hash_password(password), Err(Error::Length)));
        }
    }
}
