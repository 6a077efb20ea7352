//! The header `Idempotency-Key`: a program that does not know whether its request arrived sends it again, and gets the same run.

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use domain::{
    id::{DagId, RunId},
    intent::Trigger,
};
use store::view::{api_dag::DagRow, api_run::RunRow};

use super::{names, trigger::NewRun};
use crate::{AppState, error::Error};

/// The header. Source: the IETF's draft `draft-ietf-httpapi-idempotency-key-header`.
const HEADER: &str = "Idempotency-Key";
/// Most characters of a key.
const LONGEST: usize = 200;

/// A key that came with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key(String);

/// The key of a request, if it has one.
pub(super) struct Sent(pub(super) Option<Key>);

/// What a key stands for so far.
pub(super) struct Kept {
    /// The run, when it exists already.
    pub(super) run: Option<RunRow>,
    /// The name that was given for the key before, when it was used.
    pub(super) name: Option<RunId>,
    /// What is asked for, as text.
    body: String,
}

impl FromRequest for Sent {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let value = request.headers().get(HEADER).map(|value| value.to_str().unwrap_or_default());
        ready(value.map(Key::parse).transpose().map(Self))
    }
}

impl Key {
    fn parse(text: &str) -> Result<Self, Error> {
        if text.is_empty() || text.len() > LONGEST || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::Invalid(format!(
                "the {HEADER} must have 1 to {LONGEST} characters, all of them visible ASCII"
            )));
        }
        Ok(Self(text.to_owned()))
    }

    /// What the key stands for. A run that it was given for, but that does not exist yet, is asked for again by the same name.
    ///
    /// # Errors
    /// [`Error::Conflict`] when something else was asked for with it.
    pub(super) async fn open(&self, state: &AppState, row: &DagRow, new: &mut NewRun) -> Result<Kept, Error> {
        let dag_id = DagId::new(&row.dag_id)?;
        let body = serde_json::to_string(new).map_err(|fault| Error::Invalid(fault.to_string()))?;
        let Some(known) = state.store.trigger_key(&dag_id, &self.0, &body).await? else {
            return Ok(Kept { run: None, name: None, body });
        };
        if !known.is_same {
            return Err(self.reused());
        }
        let run = match names::run(state, &row.dag_id, known.run_id.as_str()).await {
            Ok(run) => Some(run),
            Err(Error::NotFound(_)) => None,
            Err(fault) => return Err(fault),
        };
        new.dag_run_id = Some(known.run_id.to_string());
        Ok(Kept { run, name: Some(known.run_id), body })
    }

    /// Lets the key stand for a run, and says for which it does: somebody else may have been faster.
    ///
    /// # Errors
    /// [`Error::Conflict`] when that one asked for something else.
    pub(super) async fn keep(
        &self,
        state: &AppState,
        trigger: &Trigger,
        kept: &Kept,
    ) -> Result<RunId, Error> {
        let key = state.store.keep_trigger_key(&trigger.dag_id, &self.0, &kept.body, &trigger.run_id).await?;
        if key.is_same { Ok(key.run_id) } else { Err(self.reused()) }
    }

    fn reused(&self) -> Error {
        Error::Conflict(format!("the {HEADER} `{}` was used for another request", self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_short_and_visible() {
        assert!(Key::parse("a-1:b").is_ok());
        for text in ["", "a b", "\u{fc}", &"x".repeat(201)] {
            assert!(Key::parse(text).is_err(), "{text}");
        }
    }
}
