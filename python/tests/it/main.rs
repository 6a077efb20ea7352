//! Real Python, real Airflow: skipped, and said so, where there is no environment with it (`TRADEWIND_TEST_PYTHON` names one).

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod airflow;
mod asking;
mod compat;
mod ground;
mod parsing;
mod plugins;
mod serving;
