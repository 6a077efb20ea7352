//! Tests of the binary and of the workspace as a whole.

mod binary;
mod examples;
mod foreground;
mod impostor;
mod offline;
mod records;
mod rooms;
mod whole;
