//! Names and keys. A name is checked once, when it is made; everything behind it may trust it.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

/// Longest DAG id, task id, run id, pool or queue name, in characters (Airflow's `ID_LEN`).
pub const MAX_LEN: usize = 250;

/// Why a text cannot be an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing was written.
    #[error("a {kind} cannot be empty")]
    Empty {
        /// What the text was meant to name.
        kind: &'static str,
    },
    /// Longer than [`MAX_LEN`].
    #[error("a {kind} has at most {MAX_LEN} characters, this one has {length}")]
    TooLong {
        /// What the text was meant to name.
        kind: &'static str,
        /// Its length in characters.
        length: usize,
    },
    /// A character that is not allowed.
    #[error("`{text}` is not a {kind}: {found:?} is not allowed, use {allowed}")]
    Character {
        /// What the text was meant to name.
        kind: &'static str,
        /// The text, shortened when long.
        text: String,
        /// The first offending character.
        found: char,
        /// The allowed ones, in words.
        allowed: &'static str,
    },
    /// `..` could climb out of a folder wherever an id becomes part of a path.
    #[error("`{text}` is not a {kind}: it must not contain `..`")]
    Dots {
        /// What the text was meant to name.
        kind: &'static str,
        /// The text, shortened when long.
        text: String,
    },
}

fn check(kind: &'static str, text: &str, ok: fn(char) -> bool, allowed: &'static str) -> Result<(), Error> {
    let length = text.chars().count();
    let shown = || text.chars().take(60).collect::<String>();
    if length == 0 {
        return Err(Error::Empty { kind });
    }
    if length > MAX_LEN {
        return Err(Error::TooLong { kind, length });
    }
    if let Some(found) = text.chars().find(|&c| !ok(c)) {
        return Err(Error::Character { kind, text: shown(), found, allowed });
    }
    if text.contains("..") || text == "." {
        return Err(Error::Dots { kind, text: shown() });
    }
    Ok(())
}

// Airflow's KEY_REGEX is `^[\w.-]+$`, where `\w` is any letter of any script.
fn key_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '-')
}

// Airflow's `[scheduler] allowed_run_id_pattern`.
fn run_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '~' | ':' | '+')
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $ok:ident, $allowed:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the text.
            ///
            /// # Errors
            /// Says which character, length or shape is wrong.
            pub fn new(text: &str) -> Result<Self, Error> {
                check($kind, text, $ok, $allowed)?;
                Ok(Self(text.into()))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = Error;
            fn from_str(text: &str) -> Result<Self, Error> {
                Self::new(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = String::deserialize(from)?;
                Self::new(&text).map_err(de::Error::custom)
            }
        }
    };
}

name!(/// Names a DAG.
    DagId, "DAG id", key_char, "letters, digits, `_`, `-` and `.`");
name!(/// Names a task within its DAG; a task of a group carries the group's id and a dot in front.
    TaskId, "task id", key_char, "letters, digits, `_`, `-` and `.`");
name!(/// Names a run within its DAG, for example `scheduled__2026-01-01T00:00:00+00:00`.
    RunId, "run id", run_char, "letters, digits and `_ - . ~ : +`");
name!(/// Names a pool of slots.
    PoolName, "pool name", key_char, "letters, digits, `_`, `-` and `.`");
name!(/// Names a queue that workers listen to.
    QueueName, "queue name", key_char, "letters, digits, `_`, `-` and `.`");
name!(/// Names a team whose DAGs share one account.
    TeamName, "team name", key_char, "letters, digits, `_`, `-` and `.`");

impl PoolName {
    /// The pool of every task that names none (Airflow's name).
    #[must_use]
    pub fn default_pool() -> Self {
        Self("default_pool".into())
    }
}

impl QueueName {
    /// The queue of every task that names none (Airflow's name).
    #[must_use]
    pub fn default_queue() -> Self {
        Self("default".into())
    }
}

/// The key of a run in the records, given by the engine and never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunKey(pub i64);

/// The key of a task instance: its run, and its number within the run in the order of creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TiKey {
    /// The run it belongs to.
    pub run: RunKey,
    /// Its number within the run.
    pub index: u32,
}

/// One try of one task instance: what the queue carries and what fences a worker's report.
///
/// A report or claim whose try number is not the record's current one changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TryKey {
    /// The task instance.
    pub ti: TiKey,
    /// Counts from 1; goes up with every new try, also with one that replaces a lost try.
    pub try_number: u32,
}

impl fmt::Display for TryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.ti.run.0, self.ti.index, self.try_number)
    }
}

/// Tells names apart that are made of other things than chance.
pub(crate) fn short_digest(text: &str) -> String {
    Sha256::digest(text).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}
