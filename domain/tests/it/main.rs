//! Tests of the laws through their public face.

mod chance;
mod dagfile;
mod dagfile_broken;
mod dagfile_params;
mod dagfile_schema;
mod dagfile_wild;
mod simulation;
mod timetable;
mod world;
