//! Spreads bells inside one process: each subscriber has a mailbox in which equal bells fall into one.

use crate::bell::{Bell, Kinds};
use crate::held;
use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, Weak};
use tokio::sync::Notify;

/// How many different bells wait in one mailbox before they are replaced by one [`Bell::Missed`].
const MAILBOX_LIMIT: usize = 1024;

/// The mailboxes of this process. A mailbox leaves when its subscriber is dropped.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    mailboxes: Mutex<Vec<Weak<Mailbox>>>,
}

impl Hub {
    /// A new mailbox that hears `kinds` from now on.
    pub(crate) fn open(&self, kinds: Kinds) -> Arc<Mailbox> {
        let mailbox = Arc::new(Mailbox { kinds, waiting: Mutex::default(), arrived: Notify::new() });
        held(&self.mailboxes).push(Arc::downgrade(&mailbox));
        mailbox
    }

    /// Puts a bell into every mailbox that subscribed to its kind; [`Bell::Missed`] into all.
    pub(crate) fn ring(&self, bell: &Bell) {
        held(&self.mailboxes).retain(|weak| {
            let Some(mailbox) = weak.upgrade() else {
                return false;
            };
            if bell.kind().is_none_or(|kind| mailbox.kinds.has(kind)) {
                mailbox.put(bell);
            }
            true
        });
    }
}

/// Where the bells of one subscriber wait.
#[derive(Debug)]
pub(crate) struct Mailbox {
    kinds: Kinds,
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

/// Bells in the order of their first ring, each once.
#[derive(Debug, Default)]
struct Waiting {
    order: VecDeque<Bell>,
    known: HashSet<Bell>,
}

impl Mailbox {
    /// Takes the oldest bell, waiting for one.
    pub(crate) async fn take(&self) -> Bell {
        loop {
            if let Some(bell) = held(&self.waiting).pop() {
                return bell;
            }
            // A bell put between the look and the wait leaves a permit behind, so it is not slept through.
            self.arrived.notified().await;
        }
    }

    fn put(&self, bell: &Bell) {
        held(&self.waiting).push(bell);
        self.arrived.notify_one();
    }
}

impl Waiting {
    fn pop(&mut self) -> Option<Bell> {
        let bell = self.order.pop_front()?;
        self.known.remove(&bell);
        Some(bell)
    }

    fn push(&mut self, bell: &Bell) {
        if self.known.contains(bell) {
            return;
        }
        if self.order.len() < MAILBOX_LIMIT {
            self.known.insert(bell.clone());
            self.order.push_back(bell.clone());
            return;
        }
        self.order.clear();
        self.known.clear();
        self.push(&Bell::Missed);
    }
}
