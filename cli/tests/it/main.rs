//! Tests of the binary and of the workspace as a whole.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod binary;
mod examples;
mod foreground;
mod history;
mod impostor;
mod migrate;
mod offline;
mod records;
mod rooms;
mod whole;
