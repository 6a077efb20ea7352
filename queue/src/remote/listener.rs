//! Hears bells in Redis and rings them in this process. One connection serves all subscriptions.

use crate::bell::{Bell, BellKind, Kinds};
use crate::hub::Hub;
use crate::{CALL_LIMIT, Error};
use futures_util::StreamExt;
use redis::aio::PubSubSink;
use redis::{Client, ErrorKind, Msg, RedisError, RedisResult};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

/// The pause before the first new attempt to connect; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause between attempts to connect. There is no last attempt.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How often a silent connection is checked.
const CHECK_EVERY: Duration = Duration::from_secs(5);

/// The task that holds the connection. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Listener {
    wanted: watch::Sender<Kinds>,
    heard: watch::Receiver<Kinds>,
    task: JoinHandle<()>,
}

impl Listener {
    /// Starts the task; it connects when something is wanted.
    pub(crate) fn spawn(client: Client, channels: [(BellKind, String); 8], hub: Arc<Hub>) -> Listener {
        let (wanted, wanted_by_others) = watch::channel(Kinds::default());
        let (heard_by_task, heard) = watch::channel(Kinds::default());
        let ear = Ear { client, channels, hub, wanted: wanted_by_others, heard: heard_by_task };
        Listener { wanted, heard, task: tokio::spawn(ear.listen()) }
    }

    /// Adds kinds, and waits up to [`CALL_LIMIT`] until they are heard.
    pub(crate) async fn listen_to(&self, kinds: Kinds) {
        self.wanted.send_if_modified(|wanted| {
            let more = wanted.with(kinds);
            std::mem::replace(wanted, more) != more
        });
        let mut heard = self.heard.clone();
        let waited = timeout(CALL_LIMIT, heard.wait_for(|heard| heard.contains(kinds))).await;
        if waited.is_err() {
            tracing::warn!("subscribing to doorbells takes long; Redis may be away");
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What the task works with.
struct Ear {
    client: Client,
    channels: [(BellKind, String); 8],
    hub: Arc<Hub>,
    wanted: watch::Receiver<Kinds>,
    heard: watch::Sender<Kinds>,
}

impl Ear {
    /// Connects again and again, for ever.
    async fn listen(mut self) {
        let mut pause = FIRST_PAUSE;
        let mut is_told = false;
        loop {
            let Err(error) = self.session().await;
            let error = Error::from_redis("listen to the doorbells", &error);
            let was_connected = self.heard.send_replace(Kinds::default()) != Kinds::default();
            if was_connected {
                tracing::warn!(%error, "the doorbell connection broke; connecting again");
                pause = FIRST_PAUSE;
            } else if !is_told {
                tracing::warn!(%error, "no doorbell rings yet; trying again, and looking from time to time meanwhile");
            }
            is_told = true;
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Serves one connection until it breaks.
    async fn session(&mut self) -> RedisResult<Never> {
        if self.wanted.wait_for(|wanted| *wanted != Kinds::default()).await.is_err() {
            // Nobody can want anything any more; the task is about to be aborted.
            return std::future::pending().await;
        }
        let connection = in_time(self.client.get_async_pubsub()).await?;
        let (mut sink, mut messages) = connection.split();
        self.subscribe(&mut sink).await?;
        // Whoever listened before this connection was there may have missed something.
        self.hub.ring(&Bell::Missed);
        let mut checks = interval(CHECK_EVERY);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = messages.next() => self.hear(&message.ok_or_else(broken)?),
                changed = self.wanted.changed() => match changed {
                    Ok(()) => self.subscribe(&mut sink).await?,
                    Err(_) => return std::future::pending().await,
                },
                _ = checks.tick() => in_time(sink.ping::<redis::Value>()).await.map(drop)?,
            }
        }
    }

    /// Subscribes to the channels that are wanted and not heard yet.
    async fn subscribe(&mut self, sink: &mut PubSubSink) -> RedisResult<()> {
        let wanted = *self.wanted.borrow_and_update();
        let missing = wanted.without(*self.heard.borrow());
        let channels: Vec<&str> = self
            .channels
            .iter()
            .filter(|(kind, _)| missing.contains(kind))
            .map(|(_, channel)| channel.as_str())
            .collect();
        if !channels.is_empty() {
            in_time(sink.subscribe(channels)).await?;
        }
        self.heard.send_replace(wanted);
        Ok(())
    }

    fn hear(&self, message: &Msg) {
        let channel = message.get_channel_name();
        let kind = self.channels.iter().find(|(_, name)| name == channel).map(|(kind, _)| *kind);
        match kind.and_then(|kind| Bell::from_payload(kind, message.get_payload_bytes())) {
            Some(bell) => self.hub.ring(&bell),
            None => tracing::warn!(channel, "ignoring a message that is no bell"),
        }
    }
}

/// What a session that only ends by an error returns.
enum Never {}

async fn in_time<T>(call: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    timeout(CALL_LIMIT, call).await.unwrap_or_else(|_| Err(broken()))
}

fn broken() -> RedisError {
    RedisError::from((ErrorKind::Io, "the doorbell connection is silent or closed"))
}
