//! `tradewind dags validate`

use std::{collections::HashSet, path::Path, process::ExitCode};

use anyhow::Result;
use domain::{
    asset::{AliasName, AssetName, AssetRef},
    dag::Dag,
    dagfile::{Diagnostic, Parsed},
};
use serde::Serialize;

use crate::{
    args::{Common, Output},
    dagfiles, output,
    pythonfiles::{Read, Reader},
};

#[derive(Serialize)]
struct Checked {
    file: String,
    dags: Vec<String>,
    errors: Vec<Diagnostic>,
    /// What may be meant so, and may not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notices: Vec<String>,
    #[serde(skip)]
    read: Vec<Dag>,
}

/// Checks DAG files and prints what is wrong with them, as compilers do.
pub async fn run(common: &Common, files: &[String]) -> Result<ExitCode> {
    let python = Reader::new(common);
    let mut checked = Vec::new();
    for name in files {
        for file in dagfiles::files(Path::new(name))? {
            checked.push(check(&python, &file).await);
        }
    }
    find_repeated(&mut checked);
    find_unmade(&mut checked);
    match common.output {
        Output::Json | Output::Yaml => output::list(common.output, &checked)?,
        Output::Table | Output::Plain => checked.iter().try_for_each(tell)?,
    }
    let is_good = checked.iter().all(|file| file.errors.is_empty());
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn check(python: &Reader<'_>, file: &Path) -> Checked {
    let Read { parsed, notices, .. } = dagfiles::read_meant(python, file).await;
    let Parsed { dags, errors, .. } = parsed;
    Checked {
        file: file.display().to_string(),
        dags: dags.iter().map(|loaded| loaded.dag.dag_id.to_string()).collect(),
        errors,
        notices,
        read: dags.into_iter().map(|loaded| loaded.dag).collect(),
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

// Another program may update an asset, or a DAG in a file that is not looked at.
fn find_unmade(checked: &mut [Checked]) {
    let tasks = checked.iter().flat_map(|file| &file.read).flat_map(|dag| &dag.tasks);
    let outlets: Vec<AssetRef> = tasks.flat_map(|task| task.outlets.clone()).collect();
    let assets: HashSet<&AssetName> =
        outlets.iter().filter_map(AssetRef::asset).map(|asset| &asset.name).collect();
    let aliases: HashSet<&AliasName> = outlets.iter().filter_map(AssetRef::alias).collect();
    for file in checked {
        for (dag, condition) in file.read.iter().filter_map(|dag| Some((dag, dag.asset_condition.as_ref()?)))
        {
            let unmade = condition.assets().into_iter().filter(|asset| !assets.contains(&asset.name));
            let unmade = unmade.map(|asset| format!("the asset `{}`", asset.name));
            let empty = condition.aliases().into_iter().filter(|alias| !aliases.contains(alias));
            let empty = empty.map(|alias| format!("the alias `{alias}`"));
            let told = unmade.chain(empty).map(|what| {
                format!("the DAG `{}` waits for {what}, and no task in these files makes it", dag.dag_id)
            });
            file.notices.extend(told);
        }
    }
}

fn tell(checked: &Checked) -> Result<()> {
    for notice in &checked.notices {
        output::note(&format!("notice: {}: {notice}", checked.file));
    }
    if !checked.errors.is_empty() {
        output::note(&format!("error: {}", dagfiles::report(&checked.file, &checked.errors)));
        return Ok(());
    }
    output::say(&format!("{}: ok ({})", checked.file, checked.dags.join(", ")))
}
