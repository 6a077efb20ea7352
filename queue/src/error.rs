//! What can go wrong when talking to the queue. Nothing here is fatal: the queue holds no truth.

use redis::{ErrorKind, RedisError};

/// Why a call to the queue did not succeed.
///
/// A caller that gets one of these goes on with what PostgreSQL says and tries again later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The Redis URL cannot be used. The URL itself is not repeated, because it may carry a password.
    #[error(
        "the Redis URL cannot be used: {reason} (expected redis://[user:password@]host[:port][/database])"
    )]
    Url {
        /// What is wrong with it.
        reason: String,
    },
    /// The key prefix is empty, too long or has characters that keys must not have.
    #[error("the Redis key prefix {prefix:?} cannot be used: {reason}")]
    Prefix {
        /// The refused prefix, shortened.
        prefix: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A queue name is empty, too long or has control characters.
    #[error("the queue name {name:?} cannot be used: {reason}")]
    QueueName {
        /// The refused name, shortened.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A text is not a ticket (`run:index:try`).
    #[error("{text:?} is not a ticket: expected three numbers, run:index:try")]
    Ticket {
        /// The refused text, shortened.
        text: String,
    },
    /// A call names more queues than one call may.
    #[error("{count} queues in one call; at most {limit} are allowed")]
    TooManyQueues {
        /// How many were given.
        count: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// A question or an answer is longer than one may be.
    #[error("the {what} has {length} bytes; at most {limit} are carried")]
    TooLong {
        /// Which of the two.
        what: &'static str,
        /// How long it is.
        length: usize,
        /// How long it may be.
        limit: usize,
    },
    /// Redis gave no answer in time.
    #[error("Redis did not answer in time to {action}")]
    Timeout {
        /// What was asked of it.
        action: &'static str,
    },
    /// Redis cannot be reached, or the connection broke.
    #[error("Redis cannot be reached to {action}: {reason}")]
    Unreachable {
        /// What was asked of it.
        action: &'static str,
        /// The system's words.
        reason: String,
    },
    /// Redis does not know us. Only somebody who corrects the URL can change that.
    #[error(
        "Redis does not let us in to {action}: the user name or the password in its URL is wrong or missing \
         (redis://user:password@host:port/number, in TRADEWIND_REDIS_URL or --redis-url)"
    )]
    LockedOut {
        /// What was asked of it.
        action: &'static str,
    },
    /// Redis answered with another error: a missing permission, full memory, a key of a foreign type.
    #[error("Redis refused to {action}: {reason}")]
    Refused {
        /// What was asked of it.
        action: &'static str,
        /// Redis's words.
        reason: String,
    },
}

impl Error {
    /// Sorts an error of the Redis client into ours.
    pub(crate) fn from_redis(action: &'static str, error: &RedisError) -> Error {
        if error.is_timeout() {
            return Error::Timeout { action };
        }
        if error.is_io_error() {
            return Error::Unreachable { action, reason: error.to_string() };
        }
        let reason = error.to_string();
        // Inside a pipeline the code is wrapped in other words.
        if error.kind() == ErrorKind::AuthenticationFailed || reason.contains("NOAUTH") {
            return Error::LockedOut { action };
        }
        Error::Refused { action, reason }
    }

    /// Whether Redis refused because a key holds another type than ours.
    ///
    /// The words are searched, because inside a pipeline or a script the code is wrapped in other words.
    pub(crate) fn is_wrong_type(&self) -> bool {
        match self {
            Error::Refused { reason, .. } => reason.contains("WRONGTYPE"),
            Error::Url { .. }
            | Error::Prefix { .. }
            | Error::QueueName { .. }
            | Error::Ticket { .. }
            | Error::TooManyQueues { .. }
            | Error::TooLong { .. }
            | Error::Timeout { .. }
            | Error::LockedOut { .. }
            | Error::Unreachable { .. } => false,
        }
    }
}

/// The beginning of a text from outside, for an error message or a log line.
pub(crate) fn shorten(text: &str) -> String {
    const LIMIT: usize = 60;
    if text.chars().count() <= LIMIT {
        return text.to_owned();
    }
    text.chars().take(LIMIT).chain("...".chars()).collect()
}
