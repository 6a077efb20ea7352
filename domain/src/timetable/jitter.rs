use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::Error;
use crate::span::Span;

/// A delay of every start, so that DAGs with the same schedule do not all start in the same second.
///
/// It is as long for every run of a DAG, a whole number of seconds below `within`, and follows from the seed alone, so
/// that the distance of two runs and their order stay what they were, on every machine and after every restart. Only
/// `run_after` moves: logical dates, data intervals and what a run is called are those of the tick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Form")]
pub struct Jitter {
    within: Span,
    seed: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    within: Span,
    seed: String,
}

impl TryFrom<Form> for Jitter {
    type Error = Error;

    fn try_from(Form { within, seed }: Form) -> Result<Self, Error> {
        Self::new(within, &seed)
    }
}

impl Jitter {
    /// The shortest stretch to spread over: a second.
    pub const MIN: Span = Span::from_secs(1);

    /// A delay below `within` that follows from `seed`, for which the loader takes the DAG's id.
    ///
    /// # Errors
    /// [`Error::Jitter`] for less than [`Jitter::MIN`].
    pub fn new(within: Span, seed: &str) -> Result<Self, Error> {
        if within < Self::MIN {
            return Err(Error::Jitter(within));
        }
        Ok(Self { within, seed: seed.to_owned() })
    }

    /// The bound of the delay.
    #[must_use]
    pub const fn within(&self) -> Span {
        self.within
    }

    /// The delay itself.
    #[must_use]
    pub fn delay(&self) -> TimeDelta {
        let digest = Sha256::digest(self.seed.as_bytes());
        let number = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        Span::from_secs(number % (self.within.as_millis() / 1000).max(1)).delta()
    }
}
