//! Tests of the whole: the real binary, real servers, a real browser.

mod browser;
mod flights;
mod in_the_browser;
mod nothing_lost;
mod platform;
mod servers;
