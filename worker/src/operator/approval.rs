//! `approval` where its texts are templates: renders the question. It is put to people by the engine, in the turn that takes in this try's
//! end; from then on no worker has the task.

use domain::approval::Question;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value};

use super::{Done, On, Request, Work};
use crate::template::{Error, Renderer};

/// A rendered question.
pub(crate) struct Asking(Question);

/// Renders a question.
pub(crate) async fn prepare(question: &Question, renderer: &mut Renderer<'_>) -> Result<Asking, Error> {
    let subject = renderer.text("approval.subject", &question.subject).await?;
    let body = match &question.body {
        Some(body) => Some(renderer.text("approval.body", body).await?),
        None => None,
    };
    // A template may end with a line of its own.
    Ok(Asking(Question { subject: subject.trim().to_owned(), body }))
}

impl Work for Asking {
    fn fields(&self) -> Map<String, Value> {
        let mut fields = Map::from_iter([("subject".to_owned(), self.0.subject.clone().into())]);
        fields.extend(self.0.body.clone().map(|body| ("body".to_owned(), body.into())));
        fields
    }

    fn run<'a>(&'a self, on: &'a On<'a>) -> BoxFuture<'a, Done> {
        on.begin(&format!("the question {:?}", self.0.subject));
        let shown = Question {
            subject: on.output.masked(&self.0.subject),
            body: self.0.body.as_deref().map(|body| on.output.masked(body)),
        };
        let done = match shown.check() {
            Ok(()) => Done::deferred(Request::Question(shown)),
            Err(reason) => Done::failed_for_good(reason),
        };
        Box::pin(async { done })
    }
}
