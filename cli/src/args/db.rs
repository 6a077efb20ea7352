//! `tradewind db`

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use domain::span::Span;

use super::value::moment;

/// `tradewind db`
#[derive(Subcommand)]
pub enum Db {
    /// Create or upgrade the tables.
    Migrate,
    /// Check that the database answers and its tables are current.
    Check,
    /// Delete the history of runs that ended long ago.
    Clean(Clean),
    /// Delete everything.
    Reset {
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
    },
    /// Open psql.
    Shell,
}

/// Which history is deleted.
#[derive(Args)]
pub struct Clean {
    /// What ended longer ago than this.
    #[arg(long, default_value = "90d")]
    pub older_than: Span,
    /// What ended before this moment.
    #[arg(long, value_parser = moment, conflicts_with = "older_than")]
    pub clean_before_timestamp: Option<DateTime<Utc>>,
    /// Only say how much that is.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask.
    #[arg(long, short)]
    pub yes: bool,
}
