//! The environment variables of this process, as a value that tests can make up.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fmt;

use super::{Error, setting};

/// What our variables begin with.
const PREFIX: &str = "TRADEWIND_";

/// Variables that a task's environment carries. They are seen here when a task runs `tradewind`, and are no
/// settings. Those that end in `_` are beginnings.
const TASK_VARIABLES: [&str; 17] = [
    "TRADEWIND_DAG_ID",
    "TRADEWIND_TASK_ID",
    "TRADEWIND_RUN_ID",
    "TRADEWIND_MAP_INDEX",
    "TRADEWIND_TRY_NUMBER",
    "TRADEWIND_LOGICAL_DATE",
    "TRADEWIND_DATA_INTERVAL_START",
    "TRADEWIND_DATA_INTERVAL_END",
    "TRADEWIND_OUTPUT",
    "TRADEWIND_ARTIFACTS",
    "TRADEWIND_PARAM_",
    "TRADEWIND_DAG_DIR",
    // What a worker reads by itself: connections, variables and the interpreter of its tasks.
    "TRADEWIND_PYTHON",
    "TRADEWIND_CONN_",
    "TRADEWIND_VAR_",
    // Marks that a worker puts on its processes.
    "TRADEWIND_WORKER_ID",
    "TRADEWIND_WARDEN_OF",
];

/// The furthest a name may be from a known one to be taken for a misspelling of it, in edits.
const FURTHEST_GUESS: usize = 3;

/// Environment variables by name.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, OsString>);

/// A variable that begins with `TRADEWIND_` and means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The variable.
    pub variable: String,
    /// The known one that was probably meant.
    pub meant: Option<&'static str>,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is set but is not a setting of Tradewind", self.variable)?;
        match self.meant {
            Some(meant) => write!(f, "; did you mean {meant}?"),
            None => write!(f, "; `tradewind config list` shows them all"),
        }
    }
}

impl Environment {
    /// Those of this process.
    pub fn process() -> Environment {
        let ours = env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        Environment(ours.filter(|(name, _)| name == "HOME" || name.starts_with(PREFIX)).collect())
    }

    /// Made-up ones.
    pub fn of<const N: usize>(variables: [(&str, &str); N]) -> Environment {
        Environment(variables.map(|(name, value)| (name.to_owned(), OsString::from(value))).into())
    }

    /// The value of `name` as it is.
    pub(super) fn get(&self, name: &str) -> Option<&OsString> {
        self.0.get(name).filter(|value| !value.is_empty())
    }

    /// The value of `name`, which must be text.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Error> {
        let Some(value) = self.0.get(name) else {
            return Ok(None);
        };
        value.to_str().map(Some).ok_or_else(|| Error::NotText { variable: name.to_owned() })
    }

    /// The variables that look like ours but are not.
    pub(super) fn warnings(&self) -> Vec<Warning> {
        let unknown = self.0.keys().filter(|name| name.starts_with(PREFIX) && !is_known(name));
        unknown.map(|name| Warning { variable: name.clone(), meant: closest(name) }).collect()
    }
}

/// Only names: the values may be secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

fn is_known(name: &str) -> bool {
    let of_task = |known: &str| name == known || (known.ends_with('_') && name.starts_with(known));
    setting::all().iter().any(|setting| setting.variable == name)
        || TASK_VARIABLES.iter().any(|known| of_task(known))
}

fn closest(name: &str) -> Option<&'static str> {
    let known = setting::all().into_iter().map(|setting| setting.variable);
    let (distance, meant) = known.map(|known| (strsim::damerau_levenshtein(name, known), known)).min()?;
    (distance <= FURTHEST_GUESS).then_some(meant)
}
