//! Answering questions about why something does not run, out of the memory that decides it.

use domain::engine::obstacle::Question;
use queue::Note;
use tracing::{debug, warn};

use crate::term::Term;

impl Term<'_> {
    /// Answers one question; `null` when its run is not in memory. Whoever asked does not wait long, and looks into the records then.
    pub async fn reply(&self, note: &Note) {
        let question = match serde_json::from_str::<Question>(&note.text) {
            Ok(question) => question,
            Err(error) => return debug!(%error, "a question that cannot be read"),
        };
        let answer = self.engine.answer(&question, self.scheduler.clock.now());
        let sent = match serde_json::to_string(&answer) {
            Ok(text) => self.scheduler.queue.answer(&note.id, text).await,
            Err(error) => return warn!(%error, "an answer that cannot be written"),
        };
        if let Err(error) = sent {
            warn!(%error, task_id = %question.task_id, "cannot answer why it does not run");
        }
    }
}
