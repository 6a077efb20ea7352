//! The bridge to Airflow DAG files: Airflow's own task runner and DAG parser, unmodified from PyPI, as children of ours.
//!
//! A [`Zygote`] is a Python process that has imported Airflow once and forks a child for each task or file, which takes milliseconds
//! where a fresh interpreter takes seconds. A child speaks Airflow's supervisor protocol on its standard input: it sends a
//! [request](message::Request), it gets exactly one answer. What the answers are is for whoever runs the child to say.
//!
//! Never in here: what a DAG or a task instance means to Tradewind, SQL, Redis.

mod channel;
mod ending;
mod environment;
mod frame;
pub mod log;
pub mod message;
mod packet;
mod parse;
mod zygote;

pub use channel::{Channel, Fault};
pub use ending::Ending;
pub use environment::{AIRFLOW, Environment, Found, KNOWN, Unfit};
pub use frame::{MAX_FRAME, Malformed};
pub use parse::{Answers, Failure, Limits, Old, Parsed, Request as ParseRequest, Touched, parse};
pub use zygote::{Child, DagFile, Error, Launch, Setup, Target, Zygote};
