//! When assets ask for a run. Source: Airflow 3.3.2 `assets/evaluation.py`.

use serde::{Deserialize, Serialize};

use super::{AliasName, Asset, AssetName};

/// Which assets must have been updated since the last run that assets asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// This one.
    Asset(Asset),
    /// One that an event has put under this alias.
    Alias(AliasName),
    /// At least one of these.
    Any(Vec<Condition>),
    /// All of these.
    All(Vec<Condition>),
}

impl Condition {
    /// Whether it holds, given which leaves do.
    #[must_use]
    pub fn holds(&self, asset: &impl Fn(&AssetName) -> bool, alias: &impl Fn(&AliasName) -> bool) -> bool {
        match self {
            Self::Asset(leaf) => asset(&leaf.name),
            Self::Alias(leaf) => alias(leaf),
            Self::Any(parts) => parts.iter().any(|part| part.holds(asset, alias)),
            Self::All(parts) => parts.iter().all(|part| part.holds(asset, alias)),
        }
    }

    /// The assets that it names, in the order of the file, each once.
    #[must_use]
    pub fn assets(&self) -> Vec<&Asset> {
        let mut found: Vec<&Asset> = Vec::new();
        self.visit(&mut |leaf| {
            if let Self::Asset(asset) = leaf
                && !found.iter().any(|known| known.name == asset.name)
            {
                found.push(asset);
            }
        });
        found
    }

    /// The aliases that it names, in the order of the file, each once.
    #[must_use]
    pub fn aliases(&self) -> Vec<&AliasName> {
        let mut found: Vec<&AliasName> = Vec::new();
        self.visit(&mut |leaf| {
            if let Self::Alias(alias) = leaf
                && !found.contains(&alias)
            {
                found.push(alias);
            }
        });
        found
    }

    /// In short, as lists show it: `a and (b or c)`.
    #[must_use]
    pub fn summary(&self) -> String {
        self.said(false)
    }

    fn said(&self, is_inside: bool) -> String {
        let (parts, word) = match self {
            Self::Asset(asset) => return asset.name.to_string(),
            Self::Alias(alias) => return format!("alias {alias}"),
            Self::Any(parts) => (parts, " or "),
            Self::All(parts) => (parts, " and "),
        };
        let text = parts.iter().map(|part| part.said(parts.len() > 1)).collect::<Vec<_>>().join(word);
        if is_inside && parts.len() > 1 { format!("({text})") } else { text }
    }

    fn visit<'a>(&'a self, act: &mut impl FnMut(&'a Self)) {
        match self {
            Self::Asset(_) | Self::Alias(_) => act(self),
            Self::Any(parts) | Self::All(parts) => parts.iter().for_each(|part| part.visit(act)),
        }
    }
}
