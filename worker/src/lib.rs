//! The worker: claims tries, runs them as real processes, streams their output, and reports how they ended.
//!
//! A try goes through this crate from top to bottom: `life` claims it, `attempt` renders its templates (`template`) and has
//! its operator (`operator`) do the work, mostly as a process (`process`) whose output (`output`) is shown live and kept;
//! `report` tells the records. The `warden` sees to it that nothing goes on when the worker is killed.
//!
//! What must never be in here: SQL and Redis commands of the platform, decisions about runs and tasks (the engine's), and
//! anything that the scheduler or the web server would have to know.

mod asked;
mod assignment;
mod attempt;
mod backend;
mod environment;
mod error;
mod foreground;
mod life;
mod operator;
mod output;
mod place;
mod process;
mod records;
mod report;
mod running;
mod settings;
mod station;
mod stop;
mod template;
mod triggers;
mod versions;
pub mod warden;

pub use assignment::{Assignment, Run};
pub use backend::{Backend, MemoryBackend, Previous, Unavailable, elements_of};
pub use error::Error;
pub use foreground::{Echo, Finished, render_task, run_once};
pub use life::run;
pub use records::Records;
pub use settings::{DRAIN_TIMEOUT, GRACE, LOG_LIMIT, Overrides, Settings};
