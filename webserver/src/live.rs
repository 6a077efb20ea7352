//! Telling open pages that something changed: server-sent events. One subscription for the whole process is fanned out.
//!
//! An event carries no data: a page asks again for what it shows. Events that come faster than they can be sent become one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix_web::{
    HttpResponse,
    http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE},
    web::{self, Bytes, Data, Query, ServiceConfig},
};
use futures_util::stream;
use queue::{Bell, BellKind, Queue};
use runtime::shutdown::Shutdown;
use serde::Deserialize;
use tokio::sync::{
    broadcast::{self, error::RecvError},
    watch,
};

use crate::{AppState, auth::Viewer, error::Error};

/// Proxies close connections that say nothing; a comment is sent so often.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// At most one event in this time for each page.
const PACE: Duration = Duration::from_millis(200);
/// Bells kept for a page that is slow; one that misses some is told to look again.
const BACKLOG: usize = 1_024;
/// How long one wait for a bell lasts.
const LISTEN: Duration = Duration::from_secs(30);

/// What a page is about.
#[derive(Debug, Clone, Default, Deserialize)]
struct Topic {
    #[serde(default)]
    dag: String,
    #[serde(default)]
    run: String,
}

/// Passes bells on to everybody in this process who listens. Clones are the same hub.
#[derive(Debug, Clone)]
pub(crate) struct Hub {
    bells: broadcast::Sender<Bell>,
    closed: Arc<watch::Sender<bool>>,
    clients: Arc<AtomicUsize>,
    most: usize,
}

/// A place among the listeners, given back when it is dropped.
struct Seat(Arc<AtomicUsize>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Hub {
    pub(crate) fn new(most: usize) -> Self {
        Self { bells: broadcast::Sender::new(BACKLOG), closed: Arc::default(), clients: Arc::default(), most }
    }

    /// Passes bells on until the server drains; then everybody who listens is sent away.
    pub(crate) async fn listen(self, queue: Queue, shutdown: Shutdown) {
        let mut bells = queue.subscribe(&[BellKind::Changed]).await;
        loop {
            tokio::select! {
                () = shutdown.drain.cancelled() => break,
                bell = bells.next(LISTEN) => {
                    if let Some(bell) = bell {
                        // Nobody may be listening.
                        let _ = self.bells.send(bell);
                    }
                }
            }
        }
        self.closed.send_replace(true);
    }

    /// The bells from now on.
    pub(crate) fn bells(&self) -> broadcast::Receiver<Bell> {
        self.bells.subscribe()
    }

    /// How many pages listen.
    pub(crate) fn clients(&self) -> usize {
        self.clients.load(Ordering::Relaxed)
    }

    fn seat(&self) -> Option<Seat> {
        let taken = self.clients.fetch_add(1, Ordering::Relaxed);
        let seat = Seat(Arc::clone(&self.clients));
        (taken < self.most).then_some(seat)
    }
}

/// `/live?dag=ID&run=ID`, both optional.
pub(crate) fn routes(config: &mut ServiceConfig) {
    config.route("/live", web::get().to(live));
}

async fn live(state: Data<AppState>, _viewer: Viewer, topic: Query<Topic>) -> Result<HttpResponse, Error> {
    let hub = &state.live;
    let seat =
        hub.seat().ok_or(Error::TooMany("too many pages are open; this one is not told about changes"))?;
    let listener = Listener {
        topic: topic.into_inner(),
        bells: hub.bells(),
        closed: hub.closed.subscribe(),
        greeted: false,
        _seat: seat,
    };
    let events = stream::unfold(listener, |mut listener| async move {
        let event = listener.next().await?;
        Some((Ok::<_, actix_web::Error>(Bytes::from_static(event.as_bytes())), listener))
    });
    std::future::ready(Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/event-stream"))
        .insert_header((CACHE_CONTROL, "no-store"))
        // Compressing would hold events back, and so would a proxy that buffers.
        .insert_header((CONTENT_ENCODING, "identity"))
        .insert_header(("x-accel-buffering", "no"))
        .streaming(events)))
    .await
}

struct Listener {
    topic: Topic,
    bells: broadcast::Receiver<Bell>,
    closed: watch::Receiver<bool>,
    greeted: bool,
    _seat: Seat,
}

impl Listener {
    async fn next(&mut self) -> Option<&'static str> {
        if !self.greeted {
            self.greeted = true;
            return Some("retry: 2000\n\n: hello\n\n");
        }
        if *self.closed.borrow() {
            return None;
        }
        tokio::select! {
            _ = self.closed.changed() => None,
            () = tokio::time::sleep(HEARTBEAT) => Some(": still here\n\n"),
            heard = heard(&mut self.bells, &self.topic) => {
                heard?;
                tokio::time::sleep(PACE).await;
                self.settle();
                Some("event: change\ndata: {}\n\n")
            }
        }
    }

    // What rang meanwhile is told by the same event.
    fn settle(&mut self) {
        while !matches!(
            self.bells.try_recv(),
            Err(broadcast::error::TryRecvError::Empty | broadcast::error::TryRecvError::Closed)
        ) {}
    }
}

/// Waits for a bell about the topic; `None` when no bell will ring any more.
async fn heard(bells: &mut broadcast::Receiver<Bell>, topic: &Topic) -> Option<()> {
    loop {
        match bells.recv().await {
            Ok(bell) if topic.is_about(&bell) => return Some(()),
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return Some(()),
            Err(RecvError::Closed) => return None,
        }
    }
}

impl Topic {
    fn is_about(&self, bell: &Bell) -> bool {
        match bell {
            Bell::Changed { dag_id, run_id } => {
                let is_dag = self.dag.is_empty() || self.dag == *dag_id;
                let is_run = self.run.is_empty() || run_id.as_ref().is_none_or(|run_id| self.run == *run_id);
                is_dag && is_run
            }
            Bell::Missed => true,
            Bell::Engine
            | Bell::Config
            | Bell::Deferral
            | Bell::Timetable
            | Bell::Stop(_)
            | Bell::Question(_)
            | Bell::Answer(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bell(dag: &str, run: Option<&str>) -> Bell {
        Bell::Changed { dag_id: dag.to_owned(), run_id: run.map(str::to_owned) }
    }

    #[test]
    fn a_page_hears_what_it_is_about() {
        let topic = |dag: &str, run: &str| Topic { dag: dag.to_owned(), run: run.to_owned() };
        assert!(topic("", "").is_about(&bell("a", Some("r"))));
        assert!(topic("a", "").is_about(&bell("a", Some("r"))));
        assert!(!topic("b", "").is_about(&bell("a", Some("r"))));
        assert!(topic("a", "r").is_about(&bell("a", None)));
        assert!(!topic("a", "s").is_about(&bell("a", Some("r"))));
        assert!(topic("b", "s").is_about(&Bell::Missed));
    }

    #[tokio::test]
    async fn many_bells_become_one_event() {
        let hub = Hub::new(1);
        let seat = hub.seat().unwrap();
        let mut listener = Listener {
            topic: Topic::default(),
            bells: hub.bells(),
            closed: hub.closed.subscribe(),
            greeted: true,
            _seat: seat,
        };
        for _ in 0..BACKLOG * 2 {
            hub.bells.send(bell("a", None)).unwrap();
        }
        assert_eq!(listener.next().await, Some("event: change\ndata: {}\n\n"));
        assert!(listener.bells.is_empty());
        hub.closed.send_replace(true);
        assert_eq!(listener.next().await, None);
    }

    #[test]
    fn places_are_bounded_and_given_back() {
        let hub = Hub::new(1);
        let first = hub.seat();
        assert!(first.is_some() && hub.seat().is_none());
        drop(first);
        assert_eq!(hub.clients(), 0);
        assert!(hub.seat().is_some());
    }
}
