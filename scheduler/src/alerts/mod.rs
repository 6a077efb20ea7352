//! Sending alerts. It is no part of a turn: whatever a receiver does, nothing waits for it but other alerts for the same place.
//!
//! Every scheduler sends, the leader and its standbys alike: a claim in the records keeps two from sending the same alert. An alert whose
//! sender dies is due again when the claim runs out, so a receiver may rarely hear of something twice, never not at all.

mod callback;
mod deadline;
mod fault;
mod mail;
mod post;
mod text;

use std::{collections::HashMap, sync::Arc, time::Duration};

use runtime::shutdown::Shutdown;
use store::{
    Store,
    alert::{ClaimedAlert, Message, Settled},
};
use tokio::{
    sync::Notify,
    task::{Id, JoinSet},
};
use tracing::{info, warn};

use self::{callback::Called, fault::Fault};
use crate::bridge::Bridge;
use domain::alert::{Facts, Notification};

/// Most alerts on their way at the same time.
const MOST_AT_ONCE: usize = 32;

/// No more are begun for a place while so many are on their way to it. One that does not answer so leaves room for the others.
const MOST_TO_ONE_PLACE: usize = 4;

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(15);

/// How long callbacks may take. Source: Airflow's `[dag_processor] dag_file_processor_timeout`.
const CALL: Duration = Duration::from_secs(50);

/// How long it may take in all to have them called: a fork server may have to be started first.
const CALLING: Duration = Duration::from_secs(70);

/// How long a claim holds: longer than an attempt and its record take.
const CLAIM: Duration = Duration::from_secs(90);

/// How often an alert is tried before it is given up.
const MOST_ATTEMPTS: u32 = 8;

/// The wait after the first attempt; each further one is three times as long, up to [`LONGEST_WAIT`]: two hours in all.
const FIRST_WAIT: Duration = Duration::from_secs(10);

/// No wait is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// How often the records are looked at even if nobody says that there is something to send.
const POLL: Duration = Duration::from_secs(2);

/// How long what is on its way may take to arrive when the process ends.
const GRACE: Duration = Duration::from_secs(3);

/// What every alert is sent with.
#[derive(Clone)]
pub struct Office {
    store: Store,
    /// What runs callbacks.
    bridge: Arc<Bridge>,
    /// What links begin with.
    base_url: Arc<str>,
}

impl Office {
    /// Without a base, links are paths.
    pub fn new(store: Store, base_url: Option<&str>, bridge: Arc<Bridge>) -> Self {
        Self { store, bridge, base_url: base_url.unwrap_or_default().into() }
    }
}

/// Sends alerts until told to stop; `due` tells when there are new ones.
pub async fn deliver(office: Office, due: Arc<Notify>, shutdown: Shutdown) {
    let mut post = Post { office, sending: JoinSet::new(), places: HashMap::new() };
    while !shutdown.drain.is_cancelled() {
        if let Err(error) = post.fill().await {
            warn!(%error, "cannot read which alerts are due");
            pause(&shutdown, POLL).await;
        }
        tokio::select! {
            () = shutdown.drain.cancelled() => {}
            Some(ended) = post.sending.join_next_with_id() => post.free(ended),
            () = due.notified() => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
    let rest = async { while post.sending.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, rest).await.is_err() {
        info!("some alerts are still on their way; they are sent again when their claims run out");
    }
}

async fn pause(shutdown: &Shutdown, time: Duration) {
    tokio::select! {
        () = shutdown.drain.cancelled() => {}
        () = tokio::time::sleep(time) => {}
    }
}

/// What is on its way, and where to.
struct Post {
    office: Office,
    sending: JoinSet<()>,
    places: HashMap<Id, String>,
}

impl Post {
    /// Begins to send what is due, as far as there is room.
    async fn fill(&mut self) -> Result<(), store::Error> {
        while self.sending.len() < MOST_AT_ONCE {
            let room = (MOST_AT_ONCE - self.sending.len()).min(MOST_TO_ONE_PLACE);
            let claimed = self.office.store.claim_alerts(&self.busy(), room, CLAIM).await?;
            let is_last = claimed.len() < room;
            for alert in claimed {
                let place = alert.target.clone();
                let task = self.sending.spawn(send(self.office.clone(), alert));
                self.places.insert(task.id(), place);
            }
            if is_last {
                break;
            }
        }
        Ok(())
    }

    fn busy(&self) -> Vec<String> {
        let mut counts: HashMap<&String, usize> = HashMap::new();
        for place in self.places.values() {
            *counts.entry(place).or_default() += 1;
        }
        counts.retain(|_, count| *count >= MOST_TO_ONE_PLACE);
        counts.into_keys().cloned().collect()
    }

    fn free(&mut self, ended: Result<(Id, ()), tokio::task::JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => {
                warn!(%error, "an alert was not sent because of a fault in this program");
                error.id()
            }
        };
        self.places.remove(&id);
    }
}

/// Sends one alert and records what became of it.
async fn send(office: Office, alert: ClaimedAlert) {
    let sent = match &alert.message {
        Message::Known(notification, facts) => {
            let patience = patience(notification);
            let attempt = tokio::time::timeout(patience, carry(&office, &alert, notification, facts)).await;
            attempt
                .unwrap_or_else(|_| Err(Fault::passing(format!("no answer within {} s", patience.as_secs()))))
        }
        Message::Unreadable(error) => Err(Fault::lasting(format!("the alert cannot be read: {error}"))),
    };
    let settled = settled(sent, alert.attempts);
    let (id, place) = (alert.id, alert.target.as_str());
    match &settled {
        Settled::Sent => info!(id, place, "alert sent"),
        Settled::Again { error, .. } => {
            warn!(id, place, error, attempts = alert.attempts, "alert not sent yet")
        }
        Settled::Failed { error } => warn!(id, place, error, attempts = alert.attempts, "alert given up"),
    }
    if let Err(error) = office.store.settle_alert(alert.id, alert.claim, &settled).await {
        warn!(id, %error, "cannot record what became of an alert; it may be sent again");
    }
}

const fn patience(notification: &Notification) -> Duration {
    match notification {
        Notification::Callback | Notification::DeadlineCallback { .. } => CALLING,
        Notification::Webhook { .. } | Notification::Slack { .. } | Notification::Email { .. } => ATTEMPT,
    }
}

/// Keeps what callbacks wrote.
async fn keep(office: &Office, alert: &ClaimedAlert, called: Called) -> Result<(), Fault> {
    if let Err(error) = office.store.log_alert(alert.id, alert.claim, &called.log).await {
        warn!(id = alert.id, %error, "cannot keep what a callback wrote");
    }
    called.result
}

async fn carry(
    office: &Office,
    alert: &ClaimedAlert,
    notification: &Notification,
    facts: &Facts,
) -> Result<(), Fault> {
    let (store, words) = (&office.store, text::Words::new(facts, &office.base_url));
    match notification {
        Notification::Webhook { url, conn_id, headers, body } => {
            let place = post::Place::find(store, url.as_deref(), conn_id.as_deref(), headers).await?;
            place.webhook(body.as_ref(), &words).await
        }
        Notification::Slack { url, conn_id, text } => {
            let place = post::Place::find_slack(store, url.as_deref(), conn_id.as_deref()).await?;
            place.slack(text.as_deref(), &words).await
        }
        Notification::Email { conn_id, to, subject, body } => {
            let letter = mail::Letter { to, subject: subject.as_deref(), body: body.as_deref() };
            mail::send(store, conn_id, &letter, &words).await
        }
        Notification::Callback => {
            keep(office, alert, callback::call(store, &office.bridge, facts, CALL).await).await
        }
        Notification::DeadlineCallback { id, callback } => {
            let called = deadline::call(store, &office.bridge, facts, (*id, callback), CALL).await;
            keep(office, alert, called).await
        }
    }
}

fn settled(sent: Result<(), Fault>, attempts: u32) -> Settled {
    match sent {
        Ok(()) => Settled::Sent,
        Err(fault) if fault.is_lasting() || attempts >= MOST_ATTEMPTS => {
            Settled::Failed { error: fault.into_words() }
        }
        Err(fault) => Settled::Again { after: wait_after(attempts), error: fault.into_words() },
    }
}

fn wait_after(attempts: u32) -> Duration {
    let factor = 3_u32.saturating_pow(attempts.saturating_sub(1));
    FIRST_WAIT.saturating_mul(factor).min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_end() {
        let waits: Vec<u64> = (1..MOST_ATTEMPTS).map(|n| wait_after(n).as_secs()).collect();
        assert_eq!(waits, [10, 30, 90, 270, 810, 2430, 3600]);
        assert_eq!(wait_after(u32::MAX), LONGEST_WAIT);
    }

    #[test]
    fn what_may_pass_is_tried_again_but_not_for_ever() {
        let passing = || Err(Fault::passing("busy".to_owned()));
        let again = Settled::Again { after: Duration::from_secs(10), error: "busy".to_owned() };
        assert_eq!(settled(passing(), 1), again);
        assert_eq!(settled(passing(), MOST_ATTEMPTS), Settled::Failed { error: "busy".to_owned() });
        let lasting = Err(Fault::lasting("gone".to_owned()));
        assert_eq!(settled(lasting, 1), Settled::Failed { error: "gone".to_owned() });
        assert_eq!(settled(Ok(()), 1), Settled::Sent);
    }
}
