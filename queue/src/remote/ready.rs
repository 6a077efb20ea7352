//! The ready queue in Redis: one sorted set for each queue, ordered by rank.

use super::Remote;
use crate::ticket::ranks;
use crate::{Error, QueueName, Ready, Ticket};
use redis::{Cmd, Pipeline, RedisResult, Script, Value, from_redis_value};
use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

/// How many members go in one ZADD or ZREM.
const MEMBERS_LIMIT: usize = 1000;
/// How many members go in one pipeline: about 50 ms of Redis's time.
const PUSH_LIMIT: usize = 20_000;
/// How long a failed pop waits before it says so, when it was asked to wait at all.
const FAILURE_PAUSE: Duration = Duration::from_millis(250);

/// Takes the best members over several keys; its file says how.
const CLAIM_SOURCE: &str = include_str!("claim.lua");
static CLAIM: LazyLock<Script> = LazyLock::new(|| Script::new(CLAIM_SOURCE));

/// An entry as Redis gave it.
struct Found {
    /// The place of its queue in the call.
    queue: usize,
    member: Vec<u8>,
    rank: f64,
}

impl Remote {
    pub(crate) async fn push(&self, ready: &[Ready]) -> Result<usize, Error> {
        let ranked: Vec<(u64, &Ready)> = ranks(ready).zip(ready).collect();
        let mut added = 0;
        for batch in ranked.chunks(PUSH_LIMIT) {
            added += self.push_batch(batch).await?;
        }
        Ok(added)
    }

    async fn push_batch(&self, ranked: &[(u64, &Ready)]) -> Result<usize, Error> {
        let mut by_queue: HashMap<&QueueName, Vec<(u64, String)>> = HashMap::new();
        for (rank, entry) in ranked {
            by_queue.entry(&entry.queue).or_default().push((*rank, entry.ticket.member()));
        }
        let mut pipe = Pipeline::new();
        let mut keys = Vec::with_capacity(by_queue.len());
        for (queue, entries) in by_queue {
            let key = self.ready_key(queue);
            for members in entries.chunks(MEMBERS_LIMIT) {
                pipe.cmd("ZADD").arg(&key).arg("NX").arg(members);
            }
            keys.push(key);
        }
        self.count("push tickets", &pipe, &keys).await
    }

    pub(crate) async fn remove(&self, entries: &[(QueueName, Ticket)]) -> Result<usize, Error> {
        let mut by_queue: HashMap<&QueueName, Vec<String>> = HashMap::new();
        for (queue, ticket) in entries {
            by_queue.entry(queue).or_default().push(ticket.member());
        }
        let mut removed = 0;
        for (queue, members) in by_queue {
            let key = self.ready_key(queue);
            for batch in members.chunks(PUSH_LIMIT) {
                let mut pipe = Pipeline::new();
                for members in batch.chunks(MEMBERS_LIMIT) {
                    pipe.cmd("ZREM").arg(&key).arg(members);
                }
                removed += self.count("remove tickets", &pipe, std::slice::from_ref(&key)).await?;
            }
        }
        Ok(removed)
    }

    /// Runs commands that each answer with a number, and adds these up.
    async fn count(&self, action: &'static str, pipe: &Pipeline, keys: &[String]) -> Result<usize, Error> {
        if pipe.is_empty() {
            return Ok(0);
        }
        let counts: Vec<usize> = self.query_or_repair(action, pipe, keys, "zset").await?;
        Ok(counts.into_iter().sum())
    }

    pub(crate) async fn pop(
        &self,
        queues: &[QueueName],
        n: usize,
        wait: Duration,
    ) -> Result<Vec<(QueueName, Ticket)>, Error> {
        let keys: Vec<String> = queues.iter().map(|queue| self.ready_key(queue)).collect();
        match self.pop_members(&keys, n, wait).await {
            Ok(found) => Ok(found.iter().filter_map(|entry| entry.read(queues)).collect()),
            Err(error) => {
                // After a timeout enough time has gone by.
                if !matches!(error, Error::Timeout { .. }) {
                    tokio::time::sleep(wait.min(FAILURE_PAUSE)).await;
                }
                Err(error)
            }
        }
    }

    async fn pop_members(&self, keys: &[String], n: usize, wait: Duration) -> Result<Vec<Found>, Error> {
        let found = self.claim(keys, n).await?;
        if !found.is_empty() || wait.is_zero() {
            return Ok(found);
        }
        let mut found = self.await_members(keys, n, wait).await?;
        found.sort_by(|a, b| {
            let by_member = || a.member.cmp(&b.member).then(a.queue.cmp(&b.queue));
            a.rank.total_cmp(&b.rank).then_with(by_member)
        });
        Ok(found)
    }

    async fn claim(&self, keys: &[String], n: usize) -> Result<Vec<Found>, Error> {
        const ACTION: &str = "pop tickets";
        let mut pipe = Pipeline::new();
        pipe.add_command(claim_command(keys, n));
        let (answer,): (Value,) = match self.query_or_repair(ACTION, &pipe, keys, "zset").await {
            Err(Error::Refused { reason, .. })
                if reason.contains("NoScript") || reason.contains("NOSCRIPT") =>
            {
                let mut load = Pipeline::new();
                load.cmd("SCRIPT").arg("LOAD").arg(CLAIM_SOURCE).ignore();
                self.link.query::<()>("load the claim script", &load).await?;
                self.query_or_repair(ACTION, &pipe, keys, "zset").await?
            }
            answer => answer?,
        };
        read_claim(keys, answer).map_err(|error| Error::from_redis(ACTION, &error))
    }

    /// Blocks until one of the keys has a member, takes it, and takes what else is there in the same round trip.
    async fn await_members(&self, keys: &[String], n: usize, wait: Duration) -> Result<Vec<Found>, Error> {
        const ACTION: &str = "wait for tickets";
        let commands = |left: Duration| {
            let mut pipe = Pipeline::new();
            // Zero would wait for ever.
            pipe.cmd("BZPOPMIN").arg(keys).arg(left.as_secs_f64().max(0.001));
            if n > 1 {
                pipe.add_command(claim_command(keys, n - 1));
            }
            // A failure of the second must not lose what the first has taken.
            pipe.ignore_errors();
            pipe
        };
        let answers: Vec<RedisResult<Value>> = self.link.block(ACTION, commands, wait).await?;
        let mut answers = answers.into_iter();
        let first = answers.next().unwrap_or(Ok(Value::Nil)).and_then(|answer| read_first(keys, answer));
        let rest = answers.next().map_or(Ok(Vec::new()), |answer| read_claim(keys, answer?));
        match (first, rest) {
            (Ok(None), Err(error)) | (Err(error), Err(_)) => Err(Error::from_redis(ACTION, &error)),
            (Err(error), Ok(rest)) if rest.is_empty() => Err(Error::from_redis(ACTION, &error)),
            (first, rest) => {
                let mut found = rest.unwrap_or_default();
                found.extend(first.ok().flatten());
                Ok(found)
            }
        }
    }

    pub(crate) async fn depth(&self, queue: &QueueName) -> Result<u64, Error> {
        let key = self.ready_key(queue);
        let mut pipe = Pipeline::new();
        pipe.cmd("ZCARD").arg(&key);
        let (depth,) = self.query_or_repair("count tickets", &pipe, &[key], "zset").await?;
        Ok(depth)
    }

    pub(crate) async fn contains(&self, queue: &QueueName, ticket: Ticket) -> Result<bool, Error> {
        let key = self.ready_key(queue);
        let mut pipe = Pipeline::new();
        pipe.cmd("ZSCORE").arg(&key).arg(ticket.member());
        let (rank,): (Option<f64>,) =
            self.query_or_repair("look for a ticket", &pipe, &[key], "zset").await?;
        Ok(rank.is_some())
    }

    pub(crate) async fn tickets(&self, queue: &QueueName, limit: usize) -> Result<Vec<Ticket>, Error> {
        let key = self.ready_key(queue);
        let mut pipe = Pipeline::new();
        pipe.cmd("ZRANGE").arg(&key).arg(0).arg(limit.saturating_sub(1));
        let (members,): (Vec<Vec<u8>>,) = self.query_or_repair("list tickets", &pipe, &[key], "zset").await?;
        Ok(members.iter().filter_map(|member| read_member(queue, member)).collect())
    }

    pub(crate) async fn clear(&self, queue: &QueueName) -> Result<(), Error> {
        let mut pipe = Pipeline::new();
        pipe.cmd("UNLINK").arg(self.ready_key(queue)).ignore();
        self.link.query("empty a queue", &pipe).await
    }
}

/// Takes up to `n` members. One key needs no script, which is twice as fast, and most workers serve one queue.
fn claim_command(keys: &[String], n: usize) -> Cmd {
    let mut command = Cmd::new();
    match keys {
        [key] => command.arg("ZPOPMIN").arg(key).arg(n),
        _ => command.arg("EVALSHA").arg(CLAIM.get_hash()).arg(keys.len()).arg(keys).arg(n),
    };
    command
}

/// Reads the answer to [`claim_command`] for the same keys.
fn read_claim(keys: &[String], answer: Value) -> RedisResult<Vec<Found>> {
    let found = |(number, member, rank): (usize, Vec<u8>, f64)| Found {
        queue: number.saturating_sub(1),
        member,
        rank,
    };
    if keys.len() == 1 {
        let popped: Vec<(Vec<u8>, f64)> = from_redis_value(answer)?;
        return Ok(popped.into_iter().map(|(member, rank)| found((1, member, rank))).collect());
    }
    let claimed: Vec<(usize, Vec<u8>, f64)> = from_redis_value(answer)?;
    Ok(claimed.into_iter().map(found).collect())
}

/// Reads the answer to BZPOPMIN.
fn read_first(keys: &[String], answer: Value) -> RedisResult<Option<Found>> {
    let popped: Option<(String, Vec<u8>, f64)> = from_redis_value(answer)?;
    Ok(popped.and_then(|(key, member, rank)| {
        let queue = keys.iter().position(|candidate| *candidate == key)?;
        Some(Found { queue, member, rank })
    }))
}

impl Found {
    fn read(&self, queues: &[QueueName]) -> Option<(QueueName, Ticket)> {
        let queue = queues.get(self.queue)?;
        read_member(queue, &self.member).map(|ticket| (queue.clone(), ticket))
    }
}

/// Reads a member; one that is no ticket is somebody's slip, and is dropped.
fn read_member(queue: &QueueName, member: &[u8]) -> Option<Ticket> {
    match String::from_utf8_lossy(member).parse() {
        Ok(ticket) => Some(ticket),
        Err(error) => {
            tracing::warn!(%queue, %error, "dropping an entry of the ready queue");
            None
        }
    }
}
