//! The key of a partition, and what a run has of it.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::MAX_KEY;

/// So many characters of a key are part of a run's id.
const LEGIBLE: usize = 120;

/// Why a text cannot be the key of a partition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Nothing can be seen of it.
    #[error("a partition key cannot be empty")]
    Empty,
    /// Longer than [`MAX_KEY`].
    #[error("a partition key has at most {MAX_KEY} characters, this one has {0}")]
    TooLong(usize),
    /// A character that nobody can see.
    #[error("a partition key cannot contain the character {0:?}")]
    Control(char),
}

/// Names a partition of an asset or of a DAG. Source of the limits: Airflow 3.3.2 `serialization/definitions/dag.py`,
/// `validate_partition_key`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

impl Key {
    /// Checks the text.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn new(text: &str) -> Result<Self, KeyError> {
        if text.trim().is_empty() {
            return Err(KeyError::Empty);
        }
        let length = text.chars().count();
        if length > MAX_KEY {
            return Err(KeyError::TooLong(length));
        }
        match text.chars().find(|c| c.is_control()) {
            Some(found) => Err(KeyError::Control(found)),
            None => Ok(Self(text.into())),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As it can be part of a run's id: short, and without what no id contains.
    #[must_use]
    pub fn in_run_id(&self) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || "_-~:+.".contains(c) { c } else { '_' };
        self.0.chars().take(LEGIBLE).map(plain).collect::<String>().replace("..", "__")
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::new(text)
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(from)?).map_err(de::Error::custom)
    }
}

/// What a run, or an event of an asset, is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its name.
    pub key: Key,
    /// The moment that it begins with, when it is a stretch of time and somebody knows.
    pub date: Option<DateTime<Utc>>,
}
