//! Questions to whoever leads: asked over one bell and answered over another.
//!
//! An answer is a view of what PostgreSQL says, like everything here: it may be lost or late, and then the asker goes on
//! without it. Any number may ask; whoever hears a question and knows the answer gives it, and only the asker takes it.

use crate::{Bell, BellKind, Error, Queue, WAIT_LIMIT};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// The longest question, in bytes.
pub const QUESTION_LIMIT: usize = 4 * 1024;
/// The longest answer, in bytes.
pub const ANSWER_LIMIT: usize = 64 * 1024;
/// The longest name of a question, in bytes.
const ID_LIMIT: usize = 64;

/// A question, or the answer to the question of the same name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Note {
    /// The name of the question, which no other one has.
    pub id: String,
    /// What is asked or answered.
    pub text: String,
}

impl Note {
    /// What travels on a channel.
    pub(crate) fn payload(&self) -> String {
        serde_json::json!([self.id, self.text]).to_string()
    }

    /// Reads what travelled; none when it is not one of ours, or longer than one may be.
    pub(crate) fn from_payload(payload: &[u8], limit: usize) -> Option<Note> {
        let (id, text): (String, String) = serde_json::from_slice(payload).ok()?;
        (id.len() <= ID_LIMIT && text.len() <= limit).then_some(Note { id, text })
    }
}

impl Queue {
    /// Asks whoever hears [`Bell::Question`], and waits up to `patience` (at most [`WAIT_LIMIT`]) for the answer. None when
    /// nobody answered in that time.
    ///
    /// # Errors
    /// [`Error::TooLong`] over [`QUESTION_LIMIT`], or when Redis is away, too slow or refuses us.
    pub async fn ask(&self, question: &str, patience: Duration) -> Result<Option<String>, Error> {
        check_length("question", question, QUESTION_LIMIT)?;
        let deadline = Instant::now() + patience.min(WAIT_LIMIT);
        let id = fresh_id();
        // Subscribed before it is asked, so that the answer is heard however fast it comes.
        let mut bells = self.subscribe(&[BellKind::Answer]).await;
        self.ring(Bell::Question(Note { id: id.clone(), text: question.to_owned() })).await?;
        while let Some(bell) = bells.next(deadline.saturating_duration_since(Instant::now())).await {
            match bell {
                Bell::Answer(note) if note.id == id => return Ok(Some(note.text)),
                // An answer to somebody else. After a lost connection ours may still come.
                Bell::Answer(_) | Bell::Missed => {}
                Bell::Engine
                | Bell::Config
                | Bell::Deferral
                | Bell::Timetable
                | Bell::Stop(_)
                | Bell::Changed { .. }
                | Bell::Question(_) => {}
            }
        }
        Ok(None)
    }

    /// Answers a question that was heard as [`Bell::Question`].
    ///
    /// # Errors
    /// [`Error::TooLong`] over [`ANSWER_LIMIT`], or when Redis is away, too slow or refuses us.
    pub async fn answer(&self, id: &str, text: String) -> Result<(), Error> {
        check_length("answer", &text, ANSWER_LIMIT)?;
        self.ring(Bell::Answer(Note { id: id.to_owned(), text })).await
    }
}

fn check_length(what: &'static str, text: &str, limit: usize) -> Result<(), Error> {
    let length = text.len();
    if length > limit { Err(Error::TooLong { what, length, limit }) } else { Ok(()) }
}

/// A name that nobody else gives: the hasher is seeded by the system in every process, the count goes up within one.
fn fresh_id() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let random = RandomState::new();
    format!("{:016x}{:016x}", random.hash_one(count), random.hash_one((count, std::process::id())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ() {
        let names: std::collections::HashSet<String> = (0..1000).map(|_| fresh_id()).collect();
        assert_eq!(names.len(), 1000);
        assert!(names.iter().all(|name| name.len() <= ID_LIMIT));
    }

    #[test]
    fn notes_survive_the_wire_and_have_limits() {
        let note = Note { id: "7".into(), text: "ü \"x\"\n".into() };
        assert_eq!(Note::from_payload(note.payload().as_bytes(), 10), Some(note));
        assert_eq!(Note::from_payload(br#"["7","too long"]"#, 7), None);
        assert_eq!(Note::from_payload(format!("[\"{}\",\"\"]", "7".repeat(65)).as_bytes(), 7), None);
        assert_eq!(Note::from_payload(b"7", 7), None);
    }
}
