//! Assets: data that tasks make and that DAGs wait for. Source: Airflow 3.3.2 `sdk/definitions/asset`, `assets/evaluation.py`.
//!
//! An asset is known by its name alone, in all DAGs. Its URI, group and extra say more about it; a DAG file that says nothing of
//! them means the same asset. (Airflow tells assets of one name and different URIs apart and lets only one of them be active.)
//! An alias is a name for assets that nobody knows before a task has run: its events say which they are.

mod condition;
mod event;
mod uri;

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value};

pub use self::{
    condition::Condition,
    event::{Emission, OutletEvent, emissions, parse_events},
    uri::sanitize,
};

/// Longest name, URI or group, in characters (Airflow's limit).
pub const MAX_NAME: usize = 1_500;
/// Longest name in bytes of UTF-8, so that it fits into an index.
pub const MAX_NAME_BYTES: usize = 2_600;
/// Most outlets or inlets of one task, and most assets and aliases of one condition.
pub const MAX_LISTED: usize = 100;
/// Most levels of `any` and `all` in a condition.
pub const MAX_DEPTH: usize = 10;
/// Longest `extra` of an asset or of one of its events, in bytes of JSON.
pub const MAX_EXTRA_BYTES: usize = 16 << 10;
/// Most events of one try.
pub const MAX_EVENTS: usize = 1_000;
/// The group of an asset that names none (Airflow's name).
pub const USUAL_GROUP: &str = "asset";

/// Why a text cannot be a name, URI or group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing was written.
    #[error("the {0} of an asset cannot be empty")]
    Empty(&'static str),
    /// Longer than [`MAX_NAME`] or [`MAX_NAME_BYTES`].
    #[error(
        "the {0} of an asset has at most {MAX_NAME} characters and {MAX_NAME_BYTES} bytes, this one has {1} characters"
    )]
    TooLong(&'static str, usize),
    /// A character that nobody can see.
    #[error("the {0} of an asset cannot contain the character {1:?}")]
    Control(&'static str, char),
    /// Airflow gives it a meaning of its own.
    #[error("an asset cannot be called `{0}`")]
    Prohibited(String),
    /// Airflow keeps it for itself.
    #[error("the scheme `airflow` is reserved")]
    ReservedScheme,
    /// `extra` is larger than [`MAX_EXTRA_BYTES`].
    #[error("`extra` has at most {MAX_EXTRA_BYTES} bytes as JSON, this one has {0}")]
    ExtraTooLong(usize),
}

fn check(what: &'static str, text: &str) -> Result<(), Error> {
    if text.trim().is_empty() {
        return Err(Error::Empty(what));
    }
    let length = text.chars().count();
    if length > MAX_NAME || text.len() > MAX_NAME_BYTES {
        return Err(Error::TooLong(what, length));
    }
    match text.chars().find(|c| c.is_control()) {
        Some(found) => Err(Error::Control(what, found)),
        None => Ok(()),
    }
}

/// Checks the group of an asset.
///
/// # Errors
/// When it is empty, too long or not plain text.
pub fn check_group(text: &str) -> Result<(), Error> {
    check("group", text)
}

/// Checks the size of an `extra`.
///
/// # Errors
/// [`Error::ExtraTooLong`].
pub fn check_extra(extra: &Map<String, Value>) -> Result<(), Error> {
    let length = serde_json::to_vec(extra).map_or(usize::MAX, |json| json.len());
    if length > MAX_EXTRA_BYTES { Err(Error::ExtraTooLong(length)) } else { Ok(()) }
}

macro_rules! asset_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the text.
            ///
            /// # Errors
            /// Says what is wrong with it.
            pub fn new(text: &str) -> Result<Self, Error> {
                check("name", text)?;
                if matches!(text, "self" | "context") {
                    return Err(Error::Prohibited(text.to_owned()));
                }
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

        impl FromStr for $name {
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

asset_name!(
    /// Names an asset, in all DAGs.
    AssetName
);
asset_name!(
    /// Names an alias: assets that are only known once a task has run.
    AliasName
);

/// Data that tasks make.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asset {
    /// What it is known by.
    pub name: AssetName,
    /// Where it is; its name when nobody says.
    pub uri: String,
    /// What kind of thing it is, for people.
    #[serde(default = "usual_group", skip_serializing_if = "is_usual_group")]
    pub group: String,
    /// Whatever else people want to know of it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
}

impl Asset {
    /// The asset of that name, of which nothing else is said.
    ///
    /// # Errors
    /// [`Error::ReservedScheme`]: the name is its URI as well.
    pub fn bare(name: AssetName) -> Result<Self, Error> {
        let uri = sanitize(name.as_str())?;
        Ok(Self { name, uri, group: usual_group(), extra: Map::new() })
    }

    /// Nothing is said of it but its name: it is whatever others say it is.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        let usual = sanitize(self.name.as_str()).is_ok_and(|uri| uri == self.uri);
        usual && self.extra.is_empty() && is_usual_group(&self.group)
    }
}

fn usual_group() -> String {
    USUAL_GROUP.to_owned()
}

fn is_usual_group(group: &str) -> bool {
    group == USUAL_GROUP
}

/// The number of an asset event: later events have higher ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(pub i64);

/// What a task makes or reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AssetRef {
    /// Assets that only the task itself can name.
    Alias {
        /// What they are known by before.
        alias: AliasName,
    },
    /// An asset.
    Asset(Asset),
}

impl AssetRef {
    /// The asset, if it is one.
    #[must_use]
    pub const fn asset(&self) -> Option<&Asset> {
        match self {
            Self::Asset(asset) => Some(asset),
            Self::Alias { .. } => None,
        }
    }

    /// The alias, if it is one.
    #[must_use]
    pub const fn alias(&self) -> Option<&AliasName> {
        match self {
            Self::Alias { alias } => Some(alias),
            Self::Asset(_) => None,
        }
    }
}
