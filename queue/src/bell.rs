//! Doorbells: hints that something changed in PostgreSQL. A bell carries no truth, only where to look.

use crate::hub::Mailbox;
use crate::{ANSWER_LIMIT, Note, QUESTION_LIMIT, Ticket};
use std::sync::Arc;
use std::time::Duration;

/// A hint that something changed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Bell {
    /// The inbox has rows for the engine.
    Engine,
    /// Pools, DAGs or workers changed.
    Config,
    /// An instance has deferred: a trigger waits for a worker.
    Deferral,
    /// Somebody asks a timetable that only a scheduler can run.
    Timetable,
    /// Kill this try now. Every worker hears it; the one that runs the try acts.
    Stop(Ticket),
    /// A run, or a DAG as a whole, looks different now: pages that show it may refresh.
    Changed {
        /// The DAG's id.
        dag_id: String,
        /// The run's id (`run_id`, not its number), or none when the change is not about one run.
        run_id: Option<String>,
    },
    /// Somebody asks whoever leads. [`crate::Queue::ask`] rings it.
    Question(Note),
    /// The answer to a question. [`crate::Queue::answer`] rings it, and the asker alone takes it.
    Answer(Note),
    /// Bells may have been lost: re-read whatever the subscription is about. Made by the subscriber's own side
    /// after a lost connection or when too many different bells wait; it cannot be rung.
    Missed,
}

impl Bell {
    /// The kind under which it is subscribed, or none for [`Bell::Missed`], which every subscriber hears.
    #[must_use]
    pub fn kind(&self) -> Option<BellKind> {
        match self {
            Bell::Engine => Some(BellKind::Engine),
            Bell::Config => Some(BellKind::Config),
            Bell::Deferral => Some(BellKind::Deferral),
            Bell::Timetable => Some(BellKind::Timetable),
            Bell::Stop(_) => Some(BellKind::Stop),
            Bell::Changed { .. } => Some(BellKind::Changed),
            Bell::Question(_) => Some(BellKind::Question),
            Bell::Answer(_) => Some(BellKind::Answer),
            Bell::Missed => None,
        }
    }

    /// What travels on the channel of its kind.
    pub(crate) fn payload(&self) -> String {
        match self {
            Bell::Engine | Bell::Config | Bell::Deferral | Bell::Timetable | Bell::Missed => String::new(),
            Bell::Stop(ticket) => ticket.to_string(),
            Bell::Changed { dag_id, run_id } => serde_json::json!([dag_id, run_id]).to_string(),
            Bell::Question(note) | Bell::Answer(note) => note.payload(),
        }
    }

    /// Reads a payload from the channel of `kind`; none when it is not one of ours.
    pub(crate) fn from_payload(kind: BellKind, payload: &[u8]) -> Option<Bell> {
        match kind {
            BellKind::Engine => Some(Bell::Engine),
            BellKind::Config => Some(Bell::Config),
            BellKind::Deferral => Some(Bell::Deferral),
            BellKind::Timetable => Some(Bell::Timetable),
            BellKind::Stop => std::str::from_utf8(payload).ok()?.parse().ok().map(Bell::Stop),
            BellKind::Changed => {
                let (dag_id, run_id) = serde_json::from_slice(payload).ok()?;
                Some(Bell::Changed { dag_id, run_id })
            }
            BellKind::Question => Note::from_payload(payload, QUESTION_LIMIT).map(Bell::Question),
            BellKind::Answer => Note::from_payload(payload, ANSWER_LIMIT).map(Bell::Answer),
        }
    }
}

/// A kind of bell to subscribe to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BellKind {
    /// [`Bell::Engine`]
    Engine,
    /// [`Bell::Config`]
    Config,
    /// [`Bell::Deferral`]
    Deferral,
    /// [`Bell::Timetable`]
    Timetable,
    /// [`Bell::Stop`]
    Stop,
    /// [`Bell::Changed`]
    Changed,
    /// [`Bell::Question`]
    Question,
    /// [`Bell::Answer`]
    Answer,
}

impl BellKind {
    /// Every kind.
    pub const ALL: [BellKind; 8] = [
        BellKind::Engine,
        BellKind::Config,
        BellKind::Deferral,
        BellKind::Timetable,
        BellKind::Stop,
        BellKind::Changed,
        BellKind::Question,
        BellKind::Answer,
    ];

    /// The last part of its channel's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            BellKind::Engine => "engine",
            BellKind::Config => "config",
            BellKind::Deferral => "deferral",
            BellKind::Timetable => "timetable",
            BellKind::Stop => "stop",
            BellKind::Changed => "changed",
            BellKind::Question => "question",
            BellKind::Answer => "answer",
        }
    }
}

/// A set of kinds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Kinds(u8);

impl Kinds {
    pub(crate) fn of(kinds: &[BellKind]) -> Kinds {
        Kinds(kinds.iter().fold(0, |set, kind| set | bit(*kind)))
    }

    pub(crate) fn has(self, kind: BellKind) -> bool {
        self.0 & bit(kind) != 0
    }

    pub(crate) fn with(self, other: Kinds) -> Kinds {
        Kinds(self.0 | other.0)
    }

    pub(crate) fn contains(self, other: Kinds) -> bool {
        self.0 & other.0 == other.0
    }

    /// The kinds in this set that are not in `other`.
    pub(crate) fn without(self, other: Kinds) -> Vec<BellKind> {
        BellKind::ALL.into_iter().filter(|kind| self.has(*kind) && !other.has(*kind)).collect()
    }
}

fn bit(kind: BellKind) -> u8 {
    match kind {
        BellKind::Engine => 1,
        BellKind::Config => 2,
        BellKind::Stop => 4,
        BellKind::Deferral => 64,
        BellKind::Changed => 8,
        BellKind::Question => 16,
        BellKind::Answer => 32,
        BellKind::Timetable => 128,
    }
}

/// A subscription: the bells that rang and were not yet taken, each different bell once.
///
/// It lives as long as this value; a lost connection is repaired behind it and shows as [`Bell::Missed`].
#[derive(Debug)]
pub struct Bells {
    mailbox: Arc<Mailbox>,
    /// Keeps the connection alive that fills the mailbox.
    _queue: crate::Queue,
}

impl Bells {
    pub(crate) fn new(mailbox: Arc<Mailbox>, queue: crate::Queue) -> Bells {
        Bells { mailbox, _queue: queue }
    }

    /// The next bell, waiting up to `timeout` for one; none when it stayed silent.
    ///
    /// Cancel-safe: a dropped call takes nothing. Bells that rang many times since the last call come once.
    pub async fn next(&mut self, timeout: Duration) -> Option<Bell> {
        tokio::time::timeout(timeout, self.mailbox.take()).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bells_survive_the_wire() {
        let bells = [
            Bell::Engine,
            Bell::Config,
            Bell::Deferral,
            Bell::Stop(Ticket { run: 9, index: 2, try_number: 3 }),
            Bell::Changed { dag_id: "a:b \"c\"".into(), run_id: Some("manual__2026".into()) },
            Bell::Changed { dag_id: "ü".into(), run_id: None },
            Bell::Question(Note { id: "1".into(), text: "why?".into() }),
            Bell::Answer(Note { id: "1".into(), text: "{\"a\": 1}".into() }),
        ];
        for bell in bells {
            let kind = bell.kind().unwrap();
            assert_eq!(Bell::from_payload(kind, bell.payload().as_bytes()), Some(bell));
        }
    }

    #[test]
    fn foreign_payloads_are_no_bells() {
        assert_eq!(Bell::from_payload(BellKind::Stop, b"now"), None);
        assert_eq!(Bell::from_payload(BellKind::Stop, b"\xff"), None);
        assert_eq!(Bell::from_payload(BellKind::Changed, b"{\"dag\":1}"), None);
    }

    #[test]
    fn sets_of_kinds() {
        let some = Kinds::of(&[BellKind::Engine, BellKind::Stop]);
        assert!(some.has(BellKind::Stop) && !some.has(BellKind::Config));
        assert!(some.with(Kinds::of(&[BellKind::Config])).contains(some));
        assert_eq!(some.without(Kinds::of(&[BellKind::Stop])), [BellKind::Engine]);
    }
}
