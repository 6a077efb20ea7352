//! The store: everything that Tradewind keeps for good, in PostgreSQL. The only crate that knows SQL.
//!
//! One file for each table, with functions named by what they are for; `view/` has one read model for each page. The
//! statements that run for every task are values with a static query id ([`hot`](mod@hot)), so that they are prepared once.
//!
//! What must never be in here: Redis, HTTP, the file system, a decision of the engine, and the machine's clock: where the
//! time matters between processes (leases), it is the database's.

mod asset;
mod backfill;
mod cipher;
mod claim;
mod column;
mod commit;
mod connect;
mod dag_run;
mod error;
mod hot;
mod migrate;
mod partition;
mod snapshot;
mod sweep;
mod task_duration;
mod transaction;

pub mod account;
pub mod adhoc;
pub mod airflow;
pub mod alert;
pub mod arrival;
pub mod asked;
pub mod clean;
pub mod connection;
pub mod dag;
pub mod dag_version;
pub mod deferral;
pub mod event_log;
pub mod history;
pub mod import_error;
pub mod inbox;
pub mod job;
pub mod lease;
pub mod masked_xcom;
pub mod pool;
pub mod rendered;
pub mod session;
pub mod task_try;
pub mod timetable_question;
pub mod trigger_key;
pub mod variable;
pub mod view;
pub mod xcom;

pub use claim::{Claimed, PreviousSuccess, Resumed};
pub use connect::{Settings, Store};
pub use error::Error;
pub use inbox::InboxId;
pub use lease::LeaderProof;
pub use snapshot::Snapshot;
