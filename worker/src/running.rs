//! The tries that are running here, and how many more may.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::id::TryKey;
use tokio::sync::Notify;

use crate::stop::{Halt, Stopper};

/// The tries that are running here.
#[derive(Debug, Clone)]
pub(crate) struct Running(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    slots: usize,
    tries: Mutex<HashMap<TryKey, Stopper>>,
    freed: Notify,
}

/// A place among them; free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    running: Running,
    attempt: TryKey,
}

impl Running {
    /// None yet, at most `slots`.
    pub(crate) fn new(slots: usize) -> Running {
        Running(Arc::new(Shared { slots, tries: Mutex::default(), freed: Notify::new() }))
    }

    /// Takes a place. None when the try is running here already.
    pub(crate) fn take(&self, attempt: TryKey, stopper: Stopper) -> Option<Slot> {
        let mut tries = self.tries();
        if tries.contains_key(&attempt) {
            return None;
        }
        tries.insert(attempt, stopper);
        Some(Slot { running: self.clone(), attempt })
    }

    /// How many more may run.
    pub(crate) fn free(&self) -> usize {
        self.0.slots.saturating_sub(self.tries().len())
    }

    /// Waits until one more may run, and says how many may.
    pub(crate) async fn wait_free(&self) -> usize {
        loop {
            let freed = self.0.freed.notified();
            let free = self.free();
            if free > 0 {
                return free;
            }
            freed.await;
        }
    }

    /// Waits until nothing runs any more.
    pub(crate) async fn wait_empty(&self) {
        loop {
            let freed = self.0.freed.notified();
            tokio::pin!(freed);
            // From here on no end is missed, also one between the look and the wait.
            freed.as_mut().enable();
            if self.tries().is_empty() {
                return;
            }
            freed.await;
        }
    }

    /// What is running.
    pub(crate) fn list(&self) -> Vec<TryKey> {
        self.tries().keys().copied().collect()
    }

    /// Stops one try, if it is running here.
    pub(crate) fn stop(&self, attempt: TryKey, halt: Halt) {
        if let Some(stopper) = self.tries().get(&attempt) {
            stopper.halt(halt);
        }
    }

    /// Stops everything.
    pub(crate) fn stop_all(&self, halt: Halt) {
        self.tries().values().for_each(|stopper| stopper.halt(halt));
    }

    fn tries(&self) -> MutexGuard<'_, HashMap<TryKey, Stopper>> {
        self.0.tries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.running.tries().remove(&self.attempt);
        self.running.0.freed.notify_waiters();
        // For a waiter that is between its look and its wait.
        self.running.0.freed.notify_one();
    }
}
