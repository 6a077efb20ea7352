//! Tests of the laws through their public face.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod chance;
mod dagfile;
mod dagfile_broken;
mod dagfile_params;
mod dagfile_schema;
mod dagfile_wild;
mod simulation;
mod timetable;
mod timetable_airflow;
mod timetable_law;
mod world;
