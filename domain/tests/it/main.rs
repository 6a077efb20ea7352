//! Tests of the laws through their public face.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod alerts;
mod assets;
mod backfilling;
mod backfills;
mod chance;
mod consuming;
mod control;
mod dagfile;
mod dagfile_assets;
mod dagfile_broken;
mod dagfile_params;
mod dagfile_schema;
mod dagfile_wild;
mod guide;
mod inspect;
mod laws;
mod makespan;
mod mapping;
mod mishaps;
mod oracle;
mod others;
mod overlap;
mod policies;
mod rest;
mod rules_airflow;
mod shares;
mod simulation;
mod soak;
mod stage;
mod states;
mod story;
mod timetable;
mod timetable_airflow;
mod timetable_composed;
mod timetable_dagfile;
mod timetable_law;
mod timetable_model;
mod truth;
mod waits;
mod why;
mod world;
