//! Stopping a try from outside: by whom, and a signal that its operator waits for.

use std::sync::Arc;

use tokio::sync::watch;

/// Who stops a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Halt {
    /// The engine: a person or a limit asked for it, and the record says so already.
    Engine,
    /// This worker is shutting down; the try goes back to the queue.
    Drain,
    /// The worker's lease was lost; the try belongs to nobody here any more.
    LeaseLost,
    /// The person at the terminal.
    Person,
}

impl Halt {
    /// Why, for the log.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Halt::Engine => "stopped on request",
            Halt::Drain => "stopped because the worker is shutting down; it will be started again",
            Halt::LeaseLost => {
                "stopped because the worker lost its lease; it will be started again elsewhere"
            }
            Halt::Person => "stopped by you",
        }
    }
}

/// The side that stops. The first reason given stays.
#[derive(Debug, Clone)]
pub(crate) struct Stopper(Arc<watch::Sender<Option<Halt>>>);

/// The side that is stopped.
#[derive(Debug, Clone)]
pub(crate) struct StopSignal(watch::Receiver<Option<Halt>>);

/// A connected pair.
pub(crate) fn pair() -> (Stopper, StopSignal) {
    let (stopper, signal) = watch::channel(None);
    (Stopper(Arc::new(stopper)), StopSignal(signal))
}

impl Stopper {
    /// Stops the try.
    pub(crate) fn halt(&self, halt: Halt) {
        self.0.send_if_modified(|now| {
            let first = now.is_none();
            if first {
                *now = Some(halt);
            }
            first
        });
    }
}

impl StopSignal {
    /// Why it was stopped, if it was.
    pub(crate) fn now(&self) -> Option<Halt> {
        *self.0.borrow()
    }

    /// Waits until it is stopped; for ever when nobody can any more.
    pub(crate) async fn halted(&self) -> Halt {
        let mut signal = self.0.clone();
        let halt = signal.wait_for(Option::is_some).await.ok().and_then(|halt| *halt);
        match halt {
            Some(halt) => halt,
            None => std::future::pending().await,
        }
    }
}
