//! When a failed task tries again.
//!
//! Source: Airflow 3.3.2 `models/taskinstance.py:1224-1290`.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::span::Span;

/// How often a task is tried again, and how long it waits in between.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    /// Retries after the first try.
    pub retries: u32,
    /// The wait before the first retry.
    pub delay: Span,
    /// Each further wait is this many times the one before; 0 and 1 keep the delay constant. Airflow's
    /// `true` is 2.
    pub backoff: f64,
    /// No wait is longer than this.
    pub max_delay: Option<Span>,
}

impl Default for Retry {
    /// No retry, five minutes (Airflow's defaults).
    fn default() -> Self {
        Self { retries: 0, delay: Span::from_secs(300), backoff: 0.0, max_delay: None }
    }
}

/// Airflow's `MAX_RETRY_DELAY`: 24 hours, whatever the backoff says.
pub const MAX_DELAY: Span = Span::from_secs(86_400);

impl Retry {
    /// The moment of the try after `try_number`, which ended at `ended_at`.
    ///
    /// With backoff the wait is `b + jitter`, where b doubles (or whatever the factor is) with each try and the jitter lies
    /// between 0 and b. The jitter is a hash of `seed` and the try, so that the same try always waits equally long.
    #[must_use]
    pub fn next_try_at(&self, try_number: u32, ended_at: DateTime<Utc>, seed: &str) -> DateTime<Utc> {
        ended_at + self.wait(try_number, seed)
    }

    // A factor of 1 is none: Airflow takes it for a constant delay without jitter.
    #[expect(clippy::float_cmp, reason = "exactly the 1 that was written in the file")]
    fn grows(&self) -> bool {
        self.backoff > 0.0 && self.backoff != 1.0
    }

    fn wait(&self, try_number: u32, seed: &str) -> TimeDelta {
        let cap = self.max_delay.map_or(MAX_DELAY, |max| max.min(MAX_DELAY)).as_millis();
        if !self.grows() {
            return Span::from_millis(self.delay.as_millis().min(cap)).delta();
        }
        let exponent = i32::try_from(try_number.saturating_sub(1)).unwrap_or(i32::MAX);
        let base = to_millis(to_float(self.delay.as_millis()) * self.backoff.powi(exponent))
            .clamp(1, MAX_DELAY.as_millis());
        let jitter = hash(seed, try_number) % base;
        Span::from_millis((base + jitter).min(cap)).delta()
    }
}

fn hash(seed: &str, try_number: u32) -> u64 {
    let digest = Sha256::digest(format!("{seed}#{try_number}"));
    digest.iter().take(8).fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

#[expect(clippy::cast_precision_loss, reason = "a span is at most 2^42 ms, far below 2^52")]
const fn to_float(millis: u64) -> f64 {
    millis as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates, and both factors are positive"
)]
const fn to_millis(millis: f64) -> u64 {
    millis as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waited(retry: &Retry, try_number: u32) -> i64 {
        let ended = DateTime::UNIX_EPOCH;
        (retry.next_try_at(try_number, ended, "dag#task#date") - ended).num_milliseconds()
    }

    #[test]
    fn without_backoff_every_wait_is_the_delay() {
        for backoff in [0.0, 1.0] {
            let retry = Retry { retries: 3, delay: Span::from_secs(30), backoff, max_delay: None };
            assert_eq!((waited(&retry, 1), waited(&retry, 3)), (30_000, 30_000));
        }
    }

    #[test]
    fn backoff_doubles_with_jitter_below_the_base_and_is_repeatable() {
        let retry = Retry { retries: 9, delay: Span::from_secs(10), backoff: 2.0, max_delay: None };
        for try_number in 1..8 {
            let base = 10_000 << (try_number - 1);
            let wait = waited(&retry, try_number);
            assert!((base..2 * base).contains(&wait), "try {try_number} waits {wait} ms");
            assert_eq!(wait, waited(&retry, try_number));
        }
        assert_ne!(waited(&retry, 1), retry.wait(1, "another task").num_milliseconds());
    }

    #[test]
    fn the_cap_holds_even_for_absurd_tries() {
        let retry = Retry {
            retries: 9,
            delay: Span::from_secs(10),
            backoff: 2.0,
            max_delay: Some(Span::from_secs(60)),
        };
        assert_eq!(waited(&retry, 40), 60_000);
        let uncapped = Retry { max_delay: None, ..retry };
        assert_eq!(waited(&uncapped, 4_000_000), 86_400_000);
    }
}
