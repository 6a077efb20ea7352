//! What instances leave for triggers and for people, and with what they go on.

use chrono::{DateTime, Utc};

use crate::{
    deferral::{Deferral, Resumption},
    id::{TiKey, TryKey},
};

/// What an instance leaves for a trigger, or for whoever goes on after an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct DeferralRecord {
    /// The try that defers.
    pub attempt: TryKey,
    /// Which deferral of that try it is; see [`crate::wait::Wait::pokes`].
    pub number: u32,
    /// What it leaves.
    pub deferral: Deferral,
    /// When.
    pub at: DateTime<Utc>,
    /// It has taken too long then.
    pub deadline: Option<DateTime<Utc>>,
}

/// With what an instance goes on that has waited for a trigger or for people.
#[derive(Debug, Clone, PartialEq)]
pub struct ResumptionRecord {
    /// The instance.
    pub ti: TiKey,
    /// What wakes it.
    pub resumption: Resumption,
}
