//! The scheduler with a real database.

mod folder;
mod house;
mod leading;
