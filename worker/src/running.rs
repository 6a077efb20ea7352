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
    places: Mutex<Places>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Places {
    tries: HashMap<TryKey, Stopper>,
    reserved: usize,
}

/// Free places that are kept for what is being claimed. Those that were not used are free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Reserved {
    running: Running,
    places: usize,
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
        Running(Arc::new(Shared { slots, places: Mutex::default(), freed: Notify::new() }))
    }

    /// Waits until one more may run, and reserves as many places as there are.
    pub(crate) async fn reserve(&self) -> Reserved {
        loop {
            let freed = self.0.freed.notified();
            if let Some(reserved) = self.reserve_free() {
                return reserved;
            }
            freed.await;
        }
    }

    fn reserve_free(&self) -> Option<Reserved> {
        let mut places = self.places();
        let free = self.0.slots.saturating_sub(places.tries.len() + places.reserved);
        places.reserved += free;
        (free > 0).then(|| Reserved { running: self.clone(), places: free })
    }

    /// Waits until nothing runs any more.
    pub(crate) async fn wait_empty(&self) {
        loop {
            let freed = self.0.freed.notified();
            tokio::pin!(freed);
            // From here on no end is missed, also one between the look and the wait.
            freed.as_mut().enable();
            if self.places().tries.is_empty() {
                return;
            }
            freed.await;
        }
    }

    /// What is running.
    pub(crate) fn list(&self) -> Vec<TryKey> {
        self.places().tries.keys().copied().collect()
    }

    /// Stops one try, if it is running here.
    pub(crate) fn stop(&self, attempt: TryKey, halt: Halt) {
        if let Some(stopper) = self.places().tries.get(&attempt) {
            stopper.halt(halt);
        }
    }

    /// Stops everything.
    pub(crate) fn stop_all(&self, halt: Halt) {
        self.places().tries.values().for_each(|stopper| stopper.halt(halt));
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.0.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell_freed(&self) {
        self.0.freed.notify_waiters();
        // For a waiter that is between its look and its wait.
        self.0.freed.notify_one();
    }
}

impl Reserved {
    /// How many they are.
    pub(crate) const fn places(&self) -> usize {
        self.places
    }

    /// Gives back all but `most`.
    pub(crate) fn keep(&mut self, most: usize) {
        let given_back = self.places.saturating_sub(most);
        if given_back > 0 {
            self.places -= given_back;
            self.running.places().reserved -= given_back;
            self.running.tell_freed();
        }
    }

    /// Uses one. None when the try is running here already, or no place is left.
    pub(crate) fn take(&mut self, attempt: TryKey, stopper: Stopper) -> Option<Slot> {
        let mut places = self.running.places();
        if self.places == 0 || places.tries.contains_key(&attempt) {
            return None;
        }
        self.places -= 1;
        places.reserved -= 1;
        places.tries.insert(attempt, stopper);
        Some(Slot { running: self.running.clone(), attempt })
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.keep(0);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.running.places().tries.remove(&self.attempt);
        self.running.tell_freed();
    }
}
