//! The commands about assets.

use clap::{Args, Subcommand};

/// `tradewind assets`
#[derive(Subcommand)]
pub enum Assets {
    /// List assets, or aliases.
    List {
        /// Aliases instead of assets.
        #[arg(long)]
        alias: bool,
    },
    /// Show an asset, or an alias.
    Details {
        /// An alias instead of an asset.
        #[arg(long)]
        alias: bool,
        /// Which.
        #[command(flatten)]
        named: Named,
    },
    /// Start a run of the DAG that makes an asset.
    Materialize {
        /// Which.
        #[command(flatten)]
        named: Named,
    },
}

/// Names an asset.
#[derive(Args)]
#[group(required = true, multiple = true)]
pub struct Named {
    /// Its name.
    #[arg(long)]
    pub name: Option<String>,
    /// Its URI.
    #[arg(long)]
    pub uri: Option<String>,
}
