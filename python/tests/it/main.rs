//! Real Python, real Airflow: skipped, and said so, where there is no environment with it (`TRADEWIND_TEST_PYTHON` names one).

mod airflow;
mod ground;
mod parsing;
mod serving;
