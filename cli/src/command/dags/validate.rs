//! `tradewind dags validate`

use std::{path::Path, process::ExitCode};

use anyhow::Result;
use domain::dagfile::{Diagnostic, Parsed};
use serde::Serialize;

use crate::{
    args::{Common, Output},
    dagfiles, output,
};

#[derive(Serialize)]
struct Checked {
    file: String,
    dags: Vec<String>,
    errors: Vec<Diagnostic>,
}

/// Checks DAG files and prints what is wrong with them, as compilers do.
pub fn run(common: &Common, files: &[String]) -> Result<ExitCode> {
    let mut checked = Vec::new();
    for name in files {
        for file in dagfiles::files(Path::new(name))? {
            checked.push(check(&file));
        }
    }
    find_repeated(&mut checked);
    match common.output {
        Output::Json | Output::Yaml => output::list(common.output, &checked)?,
        Output::Table | Output::Plain => checked.iter().try_for_each(tell)?,
    }
    let is_good = checked.iter().all(|file| file.errors.is_empty());
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn check(file: &Path) -> Checked {
    let Parsed { dags, errors, .. } = dagfiles::read_meant(file);
    Checked {
        file: file.display().to_string(),
        dags: dags.into_iter().map(|loaded| loaded.dag.dag_id.to_string()).collect(),
        errors,
    }
}

// Within one file the reader finds them; between files the scheduler would refuse the later one.
fn find_repeated(checked: &mut [Checked]) {
    let mut owners = std::collections::HashMap::new();
    for file in checked {
        for dag_id in &file.dags {
            match owners.get(dag_id) {
                Some(owner) if *owner != file.file => {
                    let message = format!("the DAG `{dag_id}` is defined in {owner} too");
                    file.errors.push(dagfiles::problem(Path::new(&file.file), message));
                }
                Some(_) => {}
                None => drop(owners.insert(dag_id.clone(), file.file.clone())),
            }
        }
    }
}

fn tell(checked: &Checked) -> Result<()> {
    if !checked.errors.is_empty() {
        output::note(&format!("error: {}", dagfiles::report(&checked.file, &checked.errors)));
        return Ok(());
    }
    output::say(&format!("{}: ok ({})", checked.file, checked.dags.join(", ")))
}
