//! Tests of the whole: the real binary, real servers, a real browser.

mod flights;
mod nothing_lost;
mod platform;
mod servers;
