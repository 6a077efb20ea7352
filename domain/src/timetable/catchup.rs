use serde::{Deserialize, Serialize};

use crate::span::Span;

/// What becomes of ticks that passed while nobody could start them: before the DAG was known, while it was paused, while
/// no scheduler ran. In a DAG file: `false`, `true`, `last`, `{window: 6h}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "Form", try_from = "Form")]
pub enum Catchup {
    /// `false`: Airflow's rule without catch-up, which starts the most recent missed tick and drops the others.
    #[default]
    None,
    /// `true`: every missed tick is made up for, from the start date on.
    All,
    /// `last`: the most recent missed tick is made up for, the others are dropped.
    Last,
    /// `{window: 6h}`: ticks missed for at most this long are made up for, the others are dropped.
    Window(Span),
}

#[derive(Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Form {
    Flag(bool),
    Word(String),
    Table { window: Span },
}

impl From<Catchup> for Form {
    fn from(catchup: Catchup) -> Self {
        match catchup {
            Catchup::None => Self::Flag(false),
            Catchup::All => Self::Flag(true),
            Catchup::Last => Self::Word("last".to_owned()),
            Catchup::Window(window) => Self::Table { window },
        }
    }
}

impl TryFrom<Form> for Catchup {
    type Error = String;

    fn try_from(form: Form) -> Result<Self, String> {
        match form {
            Form::Flag(false) => Ok(Self::None),
            Form::Flag(true) => Ok(Self::All),
            Form::Word(word) if word == "last" => Ok(Self::Last),
            Form::Word(word) => {
                Err(format!("`{word}` is not a catchup: write true, false, last or {{window: 6h}}"))
            }
            Form::Table { window } => Ok(Self::Window(window)),
        }
    }
}
