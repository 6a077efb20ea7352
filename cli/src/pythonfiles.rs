//! Airflow DAG files on this machine, for commands that need no server: read by Airflow's own parser.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use domain::{
    dagfile::{Diagnostic, Loaded, Parsed},
    serialized::{self, places},
};
use futures_util::future::{BoxFuture, ready};
use python::{
    Answers, Environment, Old, ParseRequest, Setup, Zygote,
    message::{Reply, Request},
    parse,
};
use tokio::sync::OnceCell;

use crate::{args::Common, setup};

/// The name of the DAGs folder as a bundle of Airflow's.
const BUNDLE: &str = "dags";

/// What came of a DAG file.
pub struct Read {
    /// Its DAGs, and what is wrong with it.
    pub parsed: Parsed,
    /// What it uses of older versions of Airflow.
    pub notices: Vec<String>,
    /// The folder that its modules are looked for in. Absolute.
    pub root: PathBuf,
}

/// Reads Python files. The configuration is read and the fork server started with the first one.
pub struct Reader<'a> {
    common: &'a Common,
    ground: OnceCell<Result<Ground, String>>,
}

struct Ground {
    environment: Environment,
    dags_folder: PathBuf,
    zygote: Zygote,
}

impl<'a> Reader<'a> {
    /// Nothing is started yet.
    pub const fn new(common: &'a Common) -> Self {
        Self { common, ground: OnceCell::const_new() }
    }

    /// Reads a file.
    pub async fn read(&self, path: &Path) -> Read {
        let name = path.to_string_lossy().into_owned();
        let own = absolute(path).parent().map(Path::to_path_buf).unwrap_or_default();
        let bad = |why: &str| Read {
            parsed: Parsed { dags: Vec::new(), errors: vec![places::problem(&name, why)], files: Vec::new() },
            notices: Vec::new(),
            root: own.clone(),
        };
        let source = match fs::read(path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => return bad(&format!("the file cannot be read: {error}")),
        };
        let ground = match self.ground.get_or_init(|| self.prepare()).await {
            Ok(ground) => ground,
            Err(why) => return bad(why),
        };
        // The DAGs folder if it is below that, as for a scheduler.
        let dags_folder = absolute(&ground.dags_folder);
        let root = if absolute(path).starts_with(&dags_folder) { dags_folder } else { own.clone() };
        match ground.parse(path, &root).await {
            Ok(parsed) => loaded(&parsed, path, root, &source),
            Err(why) => bad(&why),
        }
    }

    async fn prepare(&self) -> Result<Ground, String> {
        let config = setup::config(&setup::flags(self.common)).map_err(|error| format!("{error:#}"))?;
        let (environment, dags_folder) = (setup::python(&config), config.dags_folder.to_path_buf());
        environment.check().await.map_err(|error| error.to_string())?;
        let setup = Setup {
            interpreter: environment.interpreter(),
            environment: variables(&environment, &dags_folder),
            preload: Vec::new(),
        };
        let zygote = Zygote::start(&setup).await.map_err(|error| error.to_string())?;
        Ok(Ground { environment, dags_folder, zygote })
    }
}

impl Ground {
    async fn parse(&self, path: &Path, root: &Path) -> Result<python::Parsed, String> {
        let environment = variables(&self.environment, root);
        let request = ParseRequest {
            file: &absolute(path).display().to_string(),
            folder: &root.display().to_string(),
            bundle: BUNDLE,
            last_runs: &BTreeMap::new(),
            callbacks: &[],
            question: None,
            deadline: None,
            environment: &environment,
        };
        let parsed = parse(&self.zygote, &request, self.environment.limits(), &NoRecords).await;
        parsed.map_err(|failure| failure.to_string())
    }
}

/// The environment of Airflow's processes: that of this one without our own settings and secrets, and what Airflow must find in it.
fn variables(environment: &Environment, root: &Path) -> Vec<(String, String)> {
    let texts = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let inherited = texts.filter(|(name, _)| !name.starts_with("TRADEWIND_"));
    inherited.chain(environment.variables(root, BUNDLE)).collect()
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

fn loaded(parsed: &python::Parsed, path: &Path, root: PathBuf, source: &str) -> Read {
    let name = path.to_string_lossy();
    let below = absolute(path);
    let below = below.strip_prefix(&root).unwrap_or(&below).to_string_lossy();
    let mut dags = Vec::with_capacity(parsed.dags.len());
    let mut errors: Vec<Diagnostic> =
        parsed.errors.values().map(|trace| places::of_traceback(trace, &name)).collect();
    for written in &parsed.dags {
        match serialized::read(written, &below) {
            Ok(dag) => {
                let (line, column) = places::of_dag(written, source);
                dags.push(Loaded { dag, line, column });
            }
            Err(refused) => errors.push(places::problem(&name, &refused.to_string())),
        }
    }
    if dags.is_empty() && errors.is_empty() {
        errors.push(places::problem(&name, "there is no DAG in this file"));
    }
    let notice = |Old { line, text, .. }: &Old| format!("line {line}: {text}");
    Read {
        parsed: Parsed { dags, errors, files: Vec::new() },
        notices: parsed.old.iter().map(notice).collect(),
        root,
    }
}

/// There are no records here. What the environment gives (`AIRFLOW_VAR_...`, `AIRFLOW_CONN_...`), Airflow finds itself.
struct NoRecords;

impl Answers for NoRecords {
    fn answer(&self, asking: Request) -> BoxFuture<'_, Reply> {
        Box::pin(ready(match asking {
            Request::GetVariable { key } => Reply::variable(&key, None),
            Request::GetConnection { conn_id } => Reply::connection(&conn_id, None),
            Request::GetVariableKeys { .. } => Reply::variable_keys(&[], 0),
            Request::PutVariable { .. } | Request::DeleteVariable { .. } => {
                Reply::refusal(403, "variables cannot be changed while a DAG file is read")
            }
            Request::MaskSecret { .. } | Request::DagFileParsingResult { .. } => Reply::noted(),
        }))
    }
}
