//! `tradewind config`

use anyhow::{Result, bail};
use runtime::config::Listed;
use serde::Serialize;

use crate::{
    args::{Common, Config},
    output, setup,
};

#[derive(Serialize)]
struct Row {
    name: &'static str,
    value: String,
    origin: String,
    variable: &'static str,
}

/// Shows the configuration.
pub fn run(common: &Common, command: &Config) -> Result<()> {
    let listed = setup::command_config(common)?.list();
    match command {
        Config::List => output::list(common.output, &listed.into_iter().map(row).collect::<Vec<_>>()),
        Config::GetValue { name } => {
            let found =
                listed.iter().find(|listed| listed.setting.name == name || listed.setting.variable == name);
            match found {
                Some(listed) => output::say(&listed.value),
                None => {
                    let names: Vec<&str> = listed.iter().map(|listed| listed.setting.name).collect();
                    bail!("there is no setting `{name}`, only {}", names.join(", "))
                }
            }
        }
    }
}

fn row(listed: Listed) -> Row {
    Row {
        name: listed.setting.name,
        value: listed.value,
        origin: listed.origin.to_string(),
        variable: listed.setting.variable,
    }
}
