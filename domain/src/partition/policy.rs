//! How many of the parts of a whole have to be there. Source: Airflow 3.3.2 `partition_mappers/wait_policy.py`.

use std::num::NonZeroI64;

use serde::{Deserialize, Serialize};

/// When a run about a whole may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Once all parts are there.
    All,
    /// Once so many are there; or, below 0, once no more than that many are missing.
    AtLeast(NonZeroI64),
}

impl Policy {
    /// How many parts it takes of so many.
    #[must_use]
    pub fn needs(self, parts: usize) -> usize {
        match self {
            Self::All => parts,
            Self::AtLeast(count) => {
                let size = usize::try_from(count.get().unsigned_abs()).unwrap_or(usize::MAX);
                if count.get() > 0 { size } else { parts.saturating_sub(size) }
            }
        }
    }

    /// It asks for more parts than there are, so that no run ever begins.
    #[must_use]
    pub fn is_beyond(self, parts: usize) -> bool {
        self.needs(parts) > parts
    }
}
