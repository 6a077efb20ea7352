//! Airflow DAG files: read by Airflow's own parser, each in a child of a fork server.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use domain::serialized;
use futures_util::future::{BoxFuture, join_all};
use python::{
    Answers, Environment, Limits, ParseRequest, Parsed, Setup, Zygote,
    message::{Reply, Request},
    parse,
};
use serde_json::Value;
use store::{
    Store,
    dag::{LoadedDag, LoadedFile},
    import_error::NewImportError,
};
use tracing::warn;

use crate::{Scheduler, folder::PythonFile};

/// The name of the DAGs folder as a bundle of Airflow's.
const BUNDLE: &str = "dags";
/// After a fork server that did not start it is tried again so much later.
const PAUSE: Duration = Duration::from_secs(30);
/// Longest line of a traceback that becomes the message of an import error, in characters.
const LONGEST: usize = 500;

/// Reads Python files. The fork server is started with the first one.
pub struct Reader {
    environment: Environment,
    folder: String,
    variables: Vec<(String, String)>,
    store: Store,
    zygote: Option<Zygote>,
    failed: Option<Failed>,
}

/// The fork server could not be started.
struct Failed {
    at: Instant,
    why: String,
    existed: bool,
}

impl Reader {
    /// Nothing is started yet.
    pub fn new(scheduler: &Scheduler) -> Self {
        let environment = scheduler.settings.python.clone();
        let folder = &scheduler.settings.dags_folder;
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.clone());
        let mut variables = inherited();
        variables.extend(environment.variables(&folder, BUNDLE));
        Self {
            variables,
            folder: folder.display().to_string(),
            environment,
            store: scheduler.store.clone(),
            zygote: None,
            failed: None,
        }
    }

    /// There are files that could not be read for want of a fork server, and it may work now.
    pub fn wants_another_try(&self) -> bool {
        let existed = self.environment.exists();
        self.failed
            .as_ref()
            .is_some_and(|failed| failed.existed != existed || failed.at.elapsed() > PAUSE && existed)
    }

    /// Reads some files at the same time.
    pub async fn read(&mut self, files: &[PythonFile]) -> Vec<LoadedFile> {
        if let Err(why) = self.prepare().await {
            return files.iter().map(|file| unread(file, &why)).collect();
        }
        let Some(zygote) = &self.zygote else { return Vec::new() };
        join_all(files.iter().map(|file| self.read_one(zygote, file))).await
    }

    /// A running fork server, or why there is none.
    async fn prepare(&mut self) -> Result<(), String> {
        if self.zygote.as_ref().is_some_and(|zygote| !zygote.is_gone()) {
            return Ok(());
        }
        let existed = self.environment.exists();
        if let Some(failed) =
            self.failed.as_ref().filter(|failed| failed.existed == existed && failed.at.elapsed() < PAUSE)
        {
            return Err(failed.why.clone());
        }
        self.zygote = None;
        let started = self.start().await;
        self.failed =
            started.as_ref().err().map(|why| Failed { at: Instant::now(), why: why.clone(), existed });
        self.zygote = Some(started.inspect_err(|why| warn!("cannot read Airflow DAG files: {why}"))?);
        Ok(())
    }

    async fn start(&self) -> Result<Zygote, String> {
        self.environment.check().await.map_err(|error| error.to_string())?;
        let setup = Setup {
            interpreter: self.environment.interpreter(),
            environment: self.variables.clone(),
            preload: Vec::new(),
        };
        Zygote::start(&setup).await.map_err(|error| error.to_string())
    }

    async fn read_one(&self, zygote: &Zygote, file: &PythonFile) -> LoadedFile {
        let path = file.path.display().to_string();
        let request = ParseRequest {
            file: &path,
            folder: &self.folder,
            bundle: BUNDLE,
            callbacks: &[],
            environment: &self.variables,
        };
        match parse(zygote, &request, Limits::default(), &Records(&self.store)).await {
            Ok(parsed) => loaded(file, parsed),
            Err(failure) => unread(file, &failure.to_string()),
        }
    }
}

/// What Airflow's processes are given of this process's environment: everything but our own settings and secrets. What is no text cannot
/// be handed on.
fn inherited() -> Vec<(String, String)> {
    let texts = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    texts.filter(|(name, _)| !name.starts_with("TRADEWIND_")).collect()
}

/// Variables and connections, while files are read.
struct Records<'a>(&'a Store);

impl Answers for Records<'_> {
    fn answer(&self, asking: Request) -> BoxFuture<'_, Reply> {
        Box::pin(async move {
            let answered = self.look_up(&asking).await;
            answered.unwrap_or_else(|error| Reply::refusal(500, &error.to_string()))
        })
    }
}

impl Records<'_> {
    async fn look_up(&self, asking: &Request) -> Result<Reply, store::Error> {
        Ok(match asking {
            Request::GetVariable { key } => {
                let found = self.0.variable(key).await?;
                Reply::variable(key, found.as_ref().map(|variable| variable.value.as_str()))
            }
            Request::GetConnection { conn_id } => {
                let form = self.0.connection(conn_id).await?.map(|found| found.connection.json());
                Reply::connection(conn_id, form.as_ref())
            }
            Request::GetVariableKeys { prefix, limit, offset } => {
                let (limit, offset) = (limit.unwrap_or(1000), offset.unwrap_or(0));
                let number = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
                let prefix = prefix.as_deref().unwrap_or_default();
                let (keys, total) = self.0.variable_keys(prefix, number(limit), number(offset)).await?;
                Reply::variable_keys(&keys, usize::try_from(total).unwrap_or(usize::MAX))
            }
            Request::PutVariable { key, .. } | Request::DeleteVariable { key } => {
                Reply::refusal(403, &format!("the variable {key} cannot be changed while a DAG file is read"))
            }
            // Nothing that a file prints while it is read is kept, but for the end of it when it breaks down.
            Request::MaskSecret { .. } | Request::DagFileParsingResult { .. } => Reply::noted(),
        })
    }
}

fn loaded(file: &PythonFile, parsed: Parsed) -> LoadedFile {
    let mut dags = Vec::with_capacity(parsed.dags.len());
    let mut errors: Vec<NewImportError> =
        parsed.errors.into_values().map(|trace| of_traceback(&trace, &file.file)).collect();
    for serialized in &parsed.dags {
        match serialized::read(serialized, &file.file) {
            Ok(dag) => {
                dags.push(LoadedDag {
                    dag: Arc::new(dag),
                    source: file.source.clone(),
                    place: place(serialized, &file.source),
                });
            }
            Err(refused) => errors.push(error(refused.to_string(), None)),
        }
    }
    LoadedFile { file: file.file.clone(), dags, errors }
}

fn unread(file: &PythonFile, why: &str) -> LoadedFile {
    LoadedFile { file: file.file.clone(), dags: Vec::new(), errors: vec![error(why.to_owned(), None)] }
}

fn error(message: String, snippet: Option<String>) -> NewImportError {
    NewImportError { line: Some(1), column: Some(1), message, hint: None, snippet }
}

/// The last line of a traceback says what is wrong, the last place in the file says where.
fn of_traceback(trace: &str, file: &str) -> NewImportError {
    let last = trace.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it cannot be imported");
    let name = file.rsplit('/').next().unwrap_or(file);
    let line = trace.lines().rev().find_map(|line| {
        let (path, rest) = line.trim().strip_prefix("File \"")?.split_once("\", line ")?;
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        path.ends_with(name).then(|| digits.parse().ok()).flatten()
    });
    NewImportError {
        line: Some(line.unwrap_or(1)),
        ..error(last.chars().take(LONGEST).collect(), Some(trace.trim_end().to_owned()))
    }
}

/// Where the id of a DAG stands in its file, if it is written there as a text.
fn place(serialized: &Value, source: &str) -> (u32, u32) {
    let id = serialized["dag"]["dag_id"].as_str().unwrap_or_default();
    let found = source.lines().enumerate().find_map(|(number, line)| {
        let at = ['"', '\''].into_iter().find_map(|quote| line.find(&format!("{quote}{id}{quote}")))?;
        Some((number, line[..at].chars().count()))
    });
    let number = |number: usize| u32::try_from(number + 1).unwrap_or(1);
    found.map_or((1, 1), |(line, column)| (number(line), number(column)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_traceback_tells_what_and_where() {
        let trace = "Traceback (most recent call last):\n  File \"/x/importer.py\", line 9, in load\n    run()\n  \
                     File \"/dags/team/bad.py\", line 12, in <module>\n    1 / 0\nZeroDivisionError: division by zero\n";
        let error = of_traceback(trace, "team/bad.py");
        assert_eq!((error.line, error.message.as_str()), (Some(12), "ZeroDivisionError: division by zero"));
        assert!(error.snippet.unwrap().contains("most recent call last"));
        assert_eq!(of_traceback("", "bad.py").line, Some(1));
    }

    #[test]
    fn a_dag_is_placed_where_its_id_is_written() {
        let dag = json!({"dag": {"dag_id": "sales"}});
        assert_eq!(place(&dag, "import x\nwith DAG('sales') as d:\n"), (2, 10));
        assert_eq!(place(&dag, "# none\n"), (1, 1));
    }
}
