//! Why an alert was not sent.

use runtime::secret::MASK;

/// Shorter texts are not hidden: they would turn ordinary words into stars.
const SHORTEST_SECRET: usize = 5;

/// What went wrong, and whether trying again may help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    words: String,
    lasting: bool,
}

impl Fault {
    /// It may be over when it is tried again.
    pub(super) const fn passing(words: String) -> Self {
        Self { words, lasting: false }
    }

    /// It will be the same the next time.
    pub(super) const fn lasting(words: String) -> Self {
        Self { words, lasting: true }
    }

    pub(super) const fn is_lasting(&self) -> bool {
        self.lasting
    }

    pub(super) fn into_words(self) -> String {
        self.words
    }

    /// With other words.
    pub(super) fn map(self, change: impl FnOnce(String) -> String) -> Self {
        Self { words: change(self.words), ..self }
    }

    /// With everything hidden that must not be seen.
    pub(super) fn without(mut self, secrets: &[String]) -> Self {
        for secret in secrets.iter().filter(|secret| secret.len() >= SHORTEST_SECRET) {
            self.words = self.words.replace(secret.as_str(), MASK);
        }
        self
    }
}

impl From<store::Error> for Fault {
    fn from(error: store::Error) -> Self {
        Self::passing(error.to_string())
    }
}

/// An error with its causes: the libraries' own texts leave out why.
pub(super) fn in_words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push_str(&format!(": {error}"));
        cause = error.source();
    }
    words
}
