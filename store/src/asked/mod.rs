//! What running tasks ask of the records, and what they keep there for themselves: other runs and their tasks, assets and
//! what happened to them, states. Every list has a limit, and says when there is more.

mod assets;
mod leaving;
mod runs;
mod states;
mod tis;
mod triggers;

pub use self::{
    assets::{AskedEvent, EventFilter, EventsOf},
    leaving::{Left, XComAt},
    runs::{AskedDag, AskedRun, RunFilter},
    states::{AssetKeeper, MOST_KEYS, StateOf},
    tis::{AskedTi, Breadcrumb, TiFilter, TiState},
};

use crate::Error;

/// Most rows of one answer.
pub const MOST: usize = 10_000;

/// The rows, unless there are more than are ever answered: a part of them would be taken for all.
fn all_of<T>(rows: Vec<T>, what: &str) -> Result<Vec<T>, Error> {
    if rows.len() > MOST {
        return Err(Error::Invalid(format!("there are more than {MOST} {what}: ask for fewer")));
    }
    Ok(rows)
}

/// The limit of a statement that finds out whether there are more than [`MOST`].
const ONE_MORE: i64 = MOST as i64 + 1;
