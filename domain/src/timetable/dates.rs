use chrono::{DateTime, Utc};

use super::error::Error;

/// A run at each of some listed moments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dates {
    /// In order, each once, at least one.
    moments: Vec<DateTime<Utc>>,
}

impl Dates {
    /// Most moments that may be listed.
    pub const MOST: usize = 1_000;

    /// Runs at `moments`, in whatever order they are given; one that is repeated counts once.
    ///
    /// # Errors
    /// [`Error::Count`] for none, or more than [`Dates::MOST`].
    pub fn new(mut moments: Vec<DateTime<Utc>>) -> Result<Self, Error> {
        Error::check_count("dates", moments.len(), 1, Self::MOST)?;
        moments.sort_unstable();
        moments.dedup();
        Ok(Self { moments })
    }

    /// The moments, oldest first.
    #[must_use]
    pub fn moments(&self) -> &[DateTime<Utc>] {
        &self.moments
    }

    pub(super) fn next_after(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.moments.get(self.moments.partition_point(|listed| *listed <= moment)).copied()
    }

    pub(super) fn previous_before(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let before = self.moments.partition_point(|listed| *listed < moment);
        self.moments.get(before.checked_sub(1)?).copied()
    }
}
