//! Pages for people, one file each: what it is asked, what it shows, how it answers.

pub(crate) mod audit;
pub(crate) mod connections;
pub(crate) mod dag;
pub(crate) mod dags;
pub(crate) mod error;
pub(crate) mod import_errors;
pub(crate) mod parts;
pub(crate) mod pools;
pub(crate) mod run;
pub(crate) mod sign_in;
pub(crate) mod task;
pub(crate) mod trigger;
pub(crate) mod variables;
