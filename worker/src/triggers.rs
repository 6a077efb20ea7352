//! Triggers: what deferred tasks wait for, many of them in one Python process, which is Airflow's own trigger runner.
//!
//! [`runner`] is that process, [`held`] what is known here of one trigger, [`said`] what the process tells of them, [`answers`] what it
//! asks for them. Which triggers this worker holds, and for how long, is decided in `life/triggers.rs`. Source: Airflow 3.3.2
//! `jobs/triggerer_job_runner.py` (`TriggerRunnerSupervisor`).

pub(crate) mod answers;
pub(crate) mod held;
pub(crate) mod runner;
pub(crate) mod said;
