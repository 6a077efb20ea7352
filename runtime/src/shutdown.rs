//! Ending a process in two steps: first drain, then stop.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Tells every part of a process to end. Clones are the same handle.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    /// Cancelled when the process should take on nothing new and end what it has begun.
    pub drain: CancellationToken,
    /// Cancelled when the process should drop everything and end at once. Then `drain` is cancelled too.
    pub now: CancellationToken,
}

impl Shutdown {
    /// A handle that nobody has used yet and no signal reaches.
    pub fn new() -> Shutdown {
        Shutdown::default()
    }

    /// A handle that SIGTERM and SIGINT (Ctrl-C) reach: the first drains, the second stops at once. Must be called
    /// in a Tokio runtime.
    pub fn on_signals() -> io::Result<Shutdown> {
        let shutdown = Shutdown::new();
        let [terminate, interrupt] = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
        tokio::spawn(shutdown.clone().follow(terminate?, interrupt?));
        Ok(shutdown)
    }

    /// Begins the next step: drain, or if that has begun, stop at once.
    pub fn advance(&self) {
        if self.drain.is_cancelled() { self.stop() } else { self.drain.cancel() }
    }

    /// Stops at once.
    pub fn stop(&self) {
        self.drain.cancel();
        self.now.cancel();
    }

    async fn follow(self, mut terminate: Signal, mut interrupt: Signal) {
        while !self.now.is_cancelled() {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
                () = self.now.cancelled() => return,
            };
            self.advance();
            if self.now.is_cancelled() {
                tracing::warn!(signal = name, "stopping at once");
            } else {
                tracing::info!(signal = name, "draining; a second signal stops at once");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use nix::sys::signal::{Signal, raise};
    use tokio::time::timeout;

    use super::*;

    #[test]
    fn first_drain_then_stop() {
        let shutdown = Shutdown::new();
        let part = shutdown.clone();
        shutdown.advance();
        assert!(part.drain.is_cancelled() && !part.now.is_cancelled());
        shutdown.advance();
        assert!(part.now.is_cancelled());
    }

    #[test]
    fn stopping_drains_too() {
        let shutdown = Shutdown::new();
        shutdown.stop();
        assert!(shutdown.drain.is_cancelled() && shutdown.now.is_cancelled());
    }

    #[tokio::test]
    async fn signals_do_the_same() {
        let shutdown = Shutdown::on_signals().unwrap();
        raise(Signal::SIGTERM).unwrap();
        timeout(Duration::from_secs(10), shutdown.drain.cancelled()).await.unwrap();
        assert!(!shutdown.now.is_cancelled());
        raise(Signal::SIGINT).unwrap();
        timeout(Duration::from_secs(10), shutdown.now.cancelled()).await.unwrap();
    }
}
