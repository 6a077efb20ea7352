//! `tradewind schema`

use anyhow::Result;
use domain::dagfile::json_schema;

use crate::output;

/// Prints the JSON Schema of DAG files.
pub fn run() -> Result<()> {
    output::say(&serde_json::to_string_pretty(&json_schema())?)
}
