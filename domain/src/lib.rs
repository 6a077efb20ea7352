//! The laws of Tradewind: what a DAG is, which states exist, when a run is due and what may start next.
//!
//! Nothing here performs IO, asks the time, spawns, awaits or knows SQL: `now` is an argument and every
//! decision is returned as a value. That is what lets the engine be tested by simulation.

pub mod alert;
pub mod approval;
pub mod asset;
pub mod backfill;
pub mod dag;
pub mod dagfile;
pub mod deadline;
pub mod deferral;
pub mod engine;
pub mod id;
pub mod ignore;
pub mod intent;
pub mod outcome;
pub mod params;
pub mod partition;
pub mod repeat;
pub mod retry;
pub mod serialized;
pub mod span;
pub mod state;
pub mod timetable;
pub mod trigger_rule;
pub mod wait;
