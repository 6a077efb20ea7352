//! The only room that knows Redis: the ready queue, doorbells, questions to the leader and live logs, and an in-process twin of each.
//!
//! Nothing in here is truth. Anything may vanish at any moment, may come twice, or may be late: PostgreSQL decides.
//! A ticket that is popped and then lost is pushed again by the scheduler's sweep, a ticket delivered twice is
//! claimed once, a bell that is lost is replaced by [`Bell::Missed`] or by the next poll, and the live log is only
//! a view on what the worker also keeps.
//!
//! The ready queue keeps the order in which the scheduler released tries, and knows no priorities. Who goes next is
//! decided at the release, by fair share, policy and priority together. An order by priority in here would undo
//! that: the DAG with the largest weights would pass everybody else each time. It would gain next to nothing: so
//! little is released ahead of free slots that what comes behind it waits about a quarter of a second longer.
//!
//! Never in here: SQL, decisions about runs and tasks, anything that must survive a restart.
//!
//! No call hangs: each is answered within [`CALL_LIMIT`], a waiting one within its own timeout and that, and while
//! Redis is away each gives an [`Error`] and the next one tries to connect again. Calls need a Tokio runtime.

mod bell;
mod error;
mod hub;
mod live;
mod memory;
mod question;
mod remote;
mod ticket;

pub use bell::{Bell, BellKind, Bells};
pub use error::Error;
pub use live::{ABANDONED_LOG_KEPT, FINISHED_LOG_KEPT, LOG_CAP, LiveChunk, LogId};
pub use question::{ANSWER_LIMIT, Note, QUESTION_LIMIT};
pub use ticket::{QueueName, Ready, Ticket};

use bell::Kinds;
use bytes::Bytes;
use memory::Memory;
use remote::Remote;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The longest that a call without a timeout of its own takes, also when Redis is away or hangs.
pub const CALL_LIMIT: Duration = Duration::from_secs(2);
/// The longest wait of one [`Queue::pop`] or [`Queue::wait`]; longer ones are cut to it.
pub const WAIT_LIMIT: Duration = Duration::from_secs(60);
/// The most tickets that one [`Queue::pop`] or [`Queue::tickets`] returns.
pub const BATCH_LIMIT: usize = 1000;
/// The most queues that one [`Queue::pop`] may name.
pub const QUEUES_LIMIT: usize = 256;

/// A handle on the queue; clones share one connection.
#[derive(Debug, Clone)]
pub struct Queue {
    backend: Backend,
}

#[derive(Debug, Clone)]
enum Backend {
    Memory(Arc<Memory>),
    Redis(Arc<Remote>),
}

impl Queue {
    /// A queue inside this process; its clones see the same entries, other processes do not.
    #[must_use]
    pub fn memory() -> Queue {
        Queue { backend: Backend::Memory(Arc::default()) }
    }

    /// A queue in the Redis (6.2 or newer) at `url`, all its keys and channels beginning with `prefix` and a colon.
    ///
    /// It connects at the first call, so Redis may be away now; [`Queue::ping`] tells.
    ///
    /// # Errors
    /// [`Error::Url`] when the URL cannot be read, [`Error::Prefix`] when the prefix is empty, longer than 64 bytes
    /// or has control characters.
    pub fn redis(url: &str, prefix: &str) -> Result<Queue, Error> {
        Ok(Queue { backend: Backend::Redis(Arc::new(Remote::new(url, prefix)?)) })
    }

    /// Where the queue is, for logs and pages: `memory`, or Redis's address and database, never a password.
    #[must_use]
    pub fn address(&self) -> String {
        match &self.backend {
            Backend::Memory(_) => "memory".to_owned(),
            Backend::Redis(remote) => remote.address(),
        }
    }

    /// Checks that the queue answers.
    ///
    /// # Errors
    /// When Redis is away, too slow or refuses us.
    pub async fn ping(&self) -> Result<(), Error> {
        match &self.backend {
            Backend::Memory(_) => Ok(()),
            Backend::Redis(remote) => remote.ping().await,
        }
    }

    /// Whether the marker is there. When it is not, everything else is gone too (FLUSHALL, a restart without a
    /// dump): push again what PostgreSQL says is queued, then [`Queue::set_marker`].
    ///
    /// # Errors
    /// When Redis is away, too slow or refuses us.
    pub async fn marker_present(&self) -> Result<bool, Error> {
        match &self.backend {
            Backend::Memory(memory) => Ok(memory.marker_present()),
            Backend::Redis(remote) => remote.marker_present().await,
        }
    }

    /// Sets the marker that [`Queue::marker_present`] looks for.
    ///
    /// # Errors
    /// When Redis is away, too slow or refuses us.
    pub async fn set_marker(&self) -> Result<(), Error> {
        match &self.backend {
            Backend::Memory(memory) => {
                memory.set_marker();
                Ok(())
            }
            Backend::Redis(remote) => remote.set_marker().await,
        }
    }

    /// Forgets everything: all queues, all logs, the marker. Other prefixes of the same Redis stay untouched.
    ///
    /// # Errors
    /// When Redis is away, too slow or refuses us; part of it may be forgotten then.
    pub async fn wipe(&self) -> Result<(), Error> {
        match &self.backend {
            Backend::Memory(memory) => {
                memory.wipe();
                Ok(())
            }
            Backend::Redis(remote) => remote.wipe().await,
        }
    }
}

/// The ready queue: what workers may start now, in the order of release, over all queues of a worker.
///
/// Entries of different pushes that have the same rank leave in the order of their tickets' numbers.
impl Queue {
    /// Adds entries, in one pipeline, and returns how many were new. A ticket that already waits in its queue
    /// keeps its place, so pushing twice is harmless; one that was lost comes back to where it stood.
    ///
    /// Entries of one push leave in the order in which they are given: give them in the order of their release.
    ///
    /// # Errors
    /// When Redis is away, too slow or refuses us; some of the entries may be in then.
    pub async fn push(&self, ready: &[Ready]) -> Result<usize, Error> {
        match &self.backend {
            Backend::Memory(memory) => Ok(memory.push(ready)),
            Backend::Redis(remote) => remote.push(ready).await,
        }
    }

    /// Takes the first `n` (at most [`BATCH_LIMIT`]) entries over all `queues`, in order. When there is none, waits
    /// up to `wait` (at most [`WAIT_LIMIT`]) for the first; an empty answer means that none came.
    ///
    /// With no queues or no room (`n` = 0) it waits the time out, so that a loop around it does not spin; for the
    /// same reason it waits up to a quarter of a second before it reports an error, unless `wait` is shorter.
    ///
    /// Dropping the call while it waits takes nothing, as its connection closes with it. Dropped just when tickets
    /// arrive, it can lose these; the scheduler's sweep, which compares the queue with PostgreSQL, pushes them again.
    ///
    /// # Errors
    /// [`Error::TooManyQueues`] over [`QUEUES_LIMIT`], or when Redis is away, too slow or refuses us.
    pub async fn pop(
        &self,
        queues: &[QueueName],
        n: usize,
        wait: Duration,
    ) -> Result<Vec<(QueueName, Ticket)>, Error> {
        if queues.len() > QUEUES_LIMIT {
            return Err(Error::TooManyQueues { count: queues.len(), limit: QUEUES_LIMIT });
        }
        let wait = wait.min(WAIT_LIMIT);
        let queues = distinct(queues);
        if queues.is_empty() || n == 0 {
            tokio::time::sleep(wait).await;
            return Ok(Vec::new());
        }
        let n = n.min(BATCH_LIMIT);
        match &self.backend {
            Backend::Memory(memory) => Ok(memory.pop(&queues, n, wait).await),
            Backend::Redis(remote) => remote.pop(&queues, n, wait).await,
        }
    }

    /// Takes entries out, wherever they stand, and returns how many were there.
    ///
    /// # Errors
    /// When Redis is away, too slow or refuses us; some of the entries may be out then.
    pub async fn remove(&self, entries: &[(QueueName, Ticket)]) -> Result<usize, Error> {
        match &self.backend {
            Backend::Memory(memory) => Ok(memory.remove(entries)),
            Backend::Redis(remote) => remote.remove(entries).await,
        }
    }

    /// How many entries wait in a queue.
    ///
    /// # Errors
    /// When Redis is away, too slow or refuses us.
    pub async fn depth(&self, queue: &QueueName) -> Result<u64, Error> {
        match &self.backend {
            Backend::Memory(memory) => Ok(memory.depth(queue)),
            Backend::Redis(remote) => remote.depth(queue).await,
        }
    }

    /// Whether a ticket waits in a queue.
    ///
    /// # Errors
    /// When Redis is away, too slow or refuses us.
    pub async fn contains(&self, queue: &QueueName, ticket: Ticket) -> Result<bool, Error> {
        match &self.backend {
            Backend::Memory(memory) => Ok(memory.contains(queue, ticket)),
            Backend::Redis(remote) => remote.contains(queue, ticket).await,
        }
    }

    /// The first `limit` (at most [`BATCH_LIMIT`]) tickets of a queue, in order, without taking them.
    ///
    /// # Errors
    /// When Redis is away, too slow or refuses us.
    pub async fn tickets(&self, queue: &QueueName, limit: usize) -> Result<Vec<Ticket>, Error> {
        let limit = limit.min(BATCH_LIMIT);
        if limit == 0 {
            return Ok(Vec::new());
        }
        match &self.backend {
            Backend::Memory(memory) => Ok(memory.tickets(queue, limit)),
            Backend::Redis(remote) => remote.tickets(queue, limit).await,
        }
    }

    /// Empties a queue.
    ///
    /// # Errors
    /// When Redis is away, too slow or refuses us.
    pub async fn clear(&self, queue: &QueueName) -> Result<(), Error> {
        match &self.backend {
            Backend::Memory(memory) => {
                memory.clear(queue);
                Ok(())
            }
            Backend::Redis(remote) => remote.clear(queue).await,
        }
    }
}

/// Doorbells: hints that something changed, heard by whoever is subscribed at that moment.
impl Queue {
    /// Rings one bell.
    ///
    /// # Errors
    /// When Redis is away, too slow or refuses us; nobody may have heard it then.
    pub async fn ring(&self, bell: Bell) -> Result<(), Error> {
        self.ring_all(&[bell]).await
    }

    /// Rings many bells in one pipeline, equal ones once. [`Bell::Missed`] is left out: only the subscriber's own
    /// side knows when bells were missed.
    ///
    /// # Errors
    /// When Redis is away, too slow or refuses us; some of the bells may have been heard then.
    pub async fn ring_all(&self, bells: &[Bell]) -> Result<(), Error> {
        match &self.backend {
            Backend::Memory(memory) => {
                memory.ring(bells);
                Ok(())
            }
            Backend::Redis(remote) => remote.ring(bells).await,
        }
    }

    /// Subscribes to some kinds of bells: every bell of these kinds that rings from now on is heard.
    ///
    /// All subscriptions of a process share one connection, so a browser tab each is affordable. When Redis is away,
    /// the call returns within [`CALL_LIMIT`] all the same, and [`Bell::Missed`] comes once the connection is there.
    pub async fn subscribe(&self, kinds: &[BellKind]) -> Bells {
        let kinds = Kinds::of(kinds);
        let mailbox = match &self.backend {
            Backend::Memory(memory) => memory.subscribe(kinds),
            Backend::Redis(remote) => remote.subscribe(kinds).await,
        };
        Bells::new(mailbox, self.clone())
    }
}

/// Live logs: the newest output of running tries, at most about [`LOG_CAP`] bytes of each.
impl Queue {
    /// Appends pieces of output, each with the offset of its first byte in the whole log of its try, in one pipeline.
    ///
    /// A piece that does not go beyond what is there is dropped, so appending twice is harmless; so is everything
    /// after [`Queue::finish`]. Offsets may jump forward; readers see a gap as trimmed bytes.
    ///
    /// # Errors
    /// When Redis is away, too slow or refuses us; some of the pieces may be in then. There is no need to append
    /// them again: the whole log goes to log storage anyway.
    pub async fn append(&self, pieces: &[(LogId, u64, Bytes)]) -> Result<(), Error> {
        match &self.backend {
            Backend::Memory(memory) => {
                memory.append(pieces);
                Ok(())
            }
            Backend::Redis(remote) => remote.append(pieces).await,
        }
    }

    /// Reads up to `max` bytes (1 to 1 MiB) from an offset. A log that does not exist reads as empty and not ended.
    ///
    /// # Errors
    /// When Redis is away, too slow or refuses us.
    pub async fn read(&self, log: &LogId, from_byte: u64, max: usize) -> Result<LiveChunk, Error> {
        match &self.backend {
            Backend::Memory(memory) => Ok(memory.read(log, from_byte, max)),
            Backend::Redis(remote) => remote.read(log, from_byte, max).await,
        }
    }

    /// Waits up to `timeout` (at most [`WAIT_LIMIT`]) until there is something to read at or after an offset, be it
    /// bytes or the end of the log, and returns whether there is.
    ///
    /// In Redis this asks again every 50 to 200 ms over the shared connection, instead of one blocked connection for
    /// each reader: a thousand open pages cost about five thousand small commands a second, a tenth of what one
    /// Redis serves, and no connection.
    ///
    /// # Errors
    /// When Redis is away, too slow or refuses us.
    pub async fn wait(&self, log: &LogId, from_byte: u64, timeout: Duration) -> Result<bool, Error> {
        let timeout = timeout.min(WAIT_LIMIT);
        match &self.backend {
            Backend::Memory(memory) => Ok(memory.wait(log, from_byte, timeout).await),
            Backend::Redis(remote) => remote.wait(log, from_byte, timeout).await,
        }
    }

    /// Marks the end of a log; it is forgotten [`FINISHED_LOG_KEPT`] later.
    ///
    /// # Errors
    /// When Redis is away, too slow or refuses us.
    pub async fn finish(&self, log: &LogId) -> Result<(), Error> {
        match &self.backend {
            Backend::Memory(memory) => {
                memory.finish(log);
                Ok(())
            }
            Backend::Redis(remote) => remote.finish(log).await,
        }
    }
}

/// The names in their order, each once.
fn distinct(queues: &[QueueName]) -> Vec<QueueName> {
    let mut seen = std::collections::HashSet::new();
    queues.iter().filter(|queue| seen.insert(*queue)).cloned().collect()
}

/// Locks a mutex. Nothing here panics while holding one, and a hint store has no state worth giving up for.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
