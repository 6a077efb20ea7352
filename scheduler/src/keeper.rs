//! Keeping the lease: beside everything else that a leader does, so that a long turn does not cost it.

use std::time::Instant;

use store::lease::Candidate;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::warn;

/// The lease is renewed so often in its length.
const RENEWALS: u32 = 4;

/// After a renewal that failed it is tried again sooner: after this part of its length.
const RETRIES: u32 = 20;

/// Renews the lease until it is lost, or until this value is gone: a leader that ends, however that may be, keeps no lease.
pub struct Keeper {
    lost: CancellationToken,
    over: DropGuard,
    task: JoinHandle<Candidate>,
}

impl Keeper {
    /// Starts to keep a lease that was asked for at `granted`.
    pub fn start(candidate: Candidate, granted: Instant) -> Self {
        let (lost, over) = (CancellationToken::new(), CancellationToken::new());
        let task = tokio::spawn(keep(candidate, granted, lost.clone(), over.clone()));
        Self { lost, over: over.drop_guard(), task }
    }

    /// Returns as soon as the lease may be somebody else's.
    pub async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Stops renewing, and gives the candidate back; none when its task died.
    pub async fn stop(self) -> Option<Candidate> {
        drop(self.over);
        self.task.await.inspect_err(|error| warn!(%error, "the keeper of the lease died")).ok()
    }
}

async fn keep(
    mut candidate: Candidate,
    granted: Instant,
    lost: CancellationToken,
    over: CancellationToken,
) -> Candidate {
    // However it ends, a panic included, nobody leads without it.
    let guard = lost.drop_guard();
    if let Some(reason) = renew(&mut candidate, granted, &over).await {
        warn!("{reason}");
    }
    drop(guard);
    candidate
}

/// Returns why the lease is lost, or nothing when it was told to stop. A renewal that has begun is waited for: it must not come
/// after the release.
async fn renew(
    candidate: &mut Candidate,
    granted: Instant,
    over: &CancellationToken,
) -> Option<&'static str> {
    let ttl = candidate.ttl();
    // It counts from the question, not from the answer: the database's clock starts in between.
    let mut good_until = granted + ttl;
    while !over.is_cancelled() {
        let asked = Instant::now();
        let pause = match tokio::time::timeout_at(good_until.into(), candidate.renew()).await {
            Ok(Ok(true)) => {
                good_until = asked + ttl;
                ttl / RENEWALS
            }
            Ok(Ok(false)) => return Some("another process has the lease"),
            Ok(Err(error)) => {
                warn!(%error, "cannot renew the lease");
                ttl / RETRIES
            }
            Err(_) => return Some("the lease has run out"),
        };
        let next = (Instant::now() + pause).min(good_until);
        tokio::select! {
            () = over.cancelled() => {}
            () = tokio::time::sleep_until(next.into()) => {}
        }
    }
    None
}
