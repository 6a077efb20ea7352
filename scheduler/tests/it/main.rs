//! The scheduler with a real database.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod alerts;
mod assets;
mod folder;
mod house;
mod leading;
mod waiting;
