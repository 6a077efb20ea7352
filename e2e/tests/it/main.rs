//! Tests of the whole: the real binary, real servers, a real browser.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod browser;
mod flights;
mod in_the_browser;
mod nothing_lost;
mod platform;
mod servers;
