//! The backend in Redis.
//!
//! Keys: `PREFIX:ready:QUEUE` (sorted set of tickets), `PREFIX:log:TICKET` (stream), `PREFIX:marker`. Channels:
//! `PREFIX:bell:DATABASE:KIND`, with the database's number because channels do not belong to a database.

mod link;
mod listener;
mod logs;
mod ready;

use crate::bell::{Bell, BellKind, Kinds};
use crate::error::shorten;
use crate::hub::{Hub, Mailbox};
use crate::ticket::fault_of_name;
use crate::{Error, LogId, QueueName};
use link::Link;
use listener::Listener;
use redis::Pipeline;
use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

/// How many commands go in one pipeline: Redis reads them while we send, and a failed one costs little to repeat.
const PIPELINE_LIMIT: usize = 500;

/// A queue in Redis.
#[derive(Debug)]
pub(crate) struct Remote {
    prefix: String,
    link: Link,
    hub: Arc<Hub>,
    listener: OnceLock<Listener>,
}

impl Remote {
    pub(crate) fn new(url: &str, prefix: &str) -> Result<Remote, Error> {
        const PREFIX_LIMIT: usize = 64;
        if let Some(reason) = fault_of_name(prefix, PREFIX_LIMIT) {
            return Err(Error::Prefix { prefix: shorten(prefix), reason });
        }
        Ok(Remote {
            prefix: prefix.to_owned(),
            link: Link::new(url)?,
            hub: Arc::default(),
            listener: OnceLock::new(),
        })
    }

    pub(crate) fn address(&self) -> String {
        self.link.address()
    }

    pub(crate) async fn ping(&self) -> Result<(), Error> {
        let mut pipe = Pipeline::new();
        pipe.cmd("PING").ignore();
        self.link.query("answer a ping", &pipe).await
    }

    pub(crate) async fn marker_present(&self) -> Result<bool, Error> {
        let mut pipe = Pipeline::new();
        pipe.cmd("EXISTS").arg(self.marker_key());
        let (present,) = self.link.query("look for the marker", &pipe).await?;
        Ok(present)
    }

    pub(crate) async fn set_marker(&self) -> Result<(), Error> {
        let mut pipe = Pipeline::new();
        pipe.cmd("SET").arg(self.marker_key()).arg(1).ignore();
        self.link.query("set the marker", &pipe).await
    }

    pub(crate) async fn wipe(&self) -> Result<(), Error> {
        let pattern = format!("{}:*", escape_glob(&self.prefix));
        let mut cursor = 0_u64;
        loop {
            let mut scan = Pipeline::new();
            scan.cmd("SCAN").arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(1000);
            let ((next, keys),): ((u64, Vec<Vec<u8>>),) = self.link.query("list the keys", &scan).await?;
            if !keys.is_empty() {
                let mut unlink = Pipeline::new();
                unlink.cmd("UNLINK").arg(keys).ignore();
                self.link.query::<()>("delete the keys", &unlink).await?;
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }

    pub(crate) async fn ring(&self, bells: &[Bell]) -> Result<(), Error> {
        let mut seen = HashSet::new();
        let fresh: Vec<_> = bells.iter().filter(|bell| seen.insert(*bell)).collect();
        for batch in fresh.chunks(PIPELINE_LIMIT) {
            let mut pipe = Pipeline::with_capacity(batch.len());
            for (bell, kind) in batch.iter().filter_map(|bell| Some((bell, bell.kind()?))) {
                pipe.cmd("PUBLISH").arg(self.channel(kind)).arg(bell.payload()).ignore();
            }
            if !pipe.is_empty() {
                self.link.query::<()>("ring a bell", &pipe).await?;
            }
        }
        Ok(())
    }

    pub(crate) async fn subscribe(&self, kinds: Kinds) -> Arc<Mailbox> {
        let listener = self.listener.get_or_init(|| {
            let channels = BellKind::ALL.map(|kind| (kind, self.channel(kind)));
            Listener::spawn(self.link.client().clone(), channels, Arc::clone(&self.hub))
        });
        // The mailbox opens once the channels are subscribed, so its first bell is a real one. When that takes too
        // long it opens now, and hears `Missed` as soon as they are.
        listener.listen_to(kinds).await;
        self.hub.open(kinds)
    }

    /// Runs a pipeline; when a key turns out to hold a foreign type, moves that key aside and runs it again.
    ///
    /// The keys below our prefix are ours, so a foreign type is somebody's slip. Left alone it would stop a queue
    /// for ever; deleted it would be gone. Only keys that are not of the type `ours` are moved.
    async fn query_or_repair<T: redis::FromRedisValue>(
        &self,
        action: &'static str,
        pipe: &Pipeline,
        keys: &[String],
        ours: &str,
    ) -> Result<T, Error> {
        match self.link.query(action, pipe).await {
            Err(error) if error.is_wrong_type() => {
                self.move_aside(keys, ours).await?;
                self.link.query(action, pipe).await
            }
            answer => answer,
        }
    }

    async fn move_aside(&self, keys: &[String], ours: &str) -> Result<(), Error> {
        for key in keys {
            let mut look = Pipeline::new();
            look.cmd("TYPE").arg(key);
            let (found,): (String,) = self.link.query("look at a key's type", &look).await?;
            if found == ours || found == "none" {
                continue;
            }
            let aside = format!("{}:aside:{key}", self.prefix);
            tracing::warn!(key, found, ours, aside, "a key of ours holds a foreign type; moving it aside");
            let mut rename = Pipeline::new();
            rename.cmd("RENAME").arg(key).arg(&aside).ignore();
            self.link.query::<()>("move a foreign key aside", &rename).await?;
        }
        Ok(())
    }

    fn marker_key(&self) -> String {
        format!("{}:marker", self.prefix)
    }

    fn ready_key(&self, queue: &QueueName) -> String {
        format!("{}:ready:{queue}", self.prefix)
    }

    fn log_key(&self, log: &LogId) -> String {
        format!("{}:log:{log}", self.prefix)
    }

    fn channel(&self, kind: BellKind) -> String {
        format!("{}:bell:{}:{}", self.prefix, self.link.database(), kind.name())
    }
}

/// Takes their meaning from the characters that a SCAN pattern would interpret.
fn escape_glob(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '\\' | '^' | '-') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_escaped() {
        assert_eq!(escape_glob("tw*[a]?"), r"tw\*\[a\]\?");
        assert_eq!(escape_glob("tradewind"), "tradewind");
    }

    #[test]
    fn bad_addresses_are_refused_without_showing_them() {
        for url in ["", "localhost", "http://h:1", "redis://:geheim@h:port/x", "redis://h/notanumber"] {
            let error = Remote::new(url, "tw").unwrap_err();
            assert!(matches!(error, Error::Url { .. }), "{url}: {error:?}");
            assert!(!error.to_string().contains("geheim"), "{error}");
        }
        for prefix in ["", "a\n", &"p".repeat(65)] {
            assert!(
                matches!(Remote::new("redis://localhost", prefix), Err(Error::Prefix { .. })),
                "{prefix}"
            );
        }
    }

    #[test]
    fn the_address_hides_the_password() {
        let remote = Remote::new("redis://me:geheim@queue.example:7000/3", "tw").unwrap();
        assert_eq!(remote.address(), "redis://queue.example:7000/3");
    }
}
