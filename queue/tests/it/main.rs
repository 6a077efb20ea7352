//! The queue's tests: one suite that both backends pass, and what only Redis can do to us.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod bells;
mod logs;
mod model;
mod outage;
mod questions;
mod ready;
mod server;
mod slips;

use std::time::Duration;

/// Longer than anything here takes; a test that waits for it has failed.
const LONG: Duration = Duration::from_secs(20);
/// Long enough to notice something that should not happen.
const SHORT: Duration = Duration::from_millis(60);

/// Runs each of these functions, which take a `Queue`, over both backends.
macro_rules! conformance {
    ($($case:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test]
            async fn $case() {
                super::$case(queue::Queue::memory()).await;
            })+
        }
        mod redis {
            $(#[tokio::test]
            async fn $case() {
                let server = crate::server::Server::start();
                super::$case(server.queue()).await;
            })+
        }
    };
}
pub(crate) use conformance;
