//! The bridge to Airflow: the fork server of a scheduler, whose children read DAG files and run callbacks in them, and the answers to what
//! these ask.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use domain::timetable::asked::{Answer, Question};
use futures_util::future::BoxFuture;
use python::{
    Answers, Environment, Failure, Limits, ParseRequest, Parsed, Setup, Zygote,
    message::{Reply, Request},
    parse,
};
use runtime::{
    mask::{Masker, secrets_in_json, secrets_of_variable},
    secret::is_secret_name,
};
use serde_json::Value;
use store::Store;
use tokio::sync::Mutex as Lock;
use tracing::warn;

/// The name of the DAGs folder as a bundle of Airflow's.
pub const BUNDLE: &str = "dags";
/// After a fork server that did not start it is tried again so much later.
const PAUSE: Duration = Duration::from_secs(30);

/// What a timetable may take that is asked: a little more than it gives its program itself (`python/bridge/plugins.py`).
const ASKING: Limits = Limits { time: Duration::from_secs(8), memory: Some(2 << 30), output: 8 << 10 };

/// The last runs by schedule of DAGs, as [`ParseRequest::last_runs`] has them.
pub type LastRuns = BTreeMap<String, [i64; 3]>;

static NO_RUNS: LastRuns = LastRuns::new();

/// A fork server, which is started when it is needed first.
pub struct Bridge {
    environment: Environment,
    folder: String,
    variables: Vec<(String, String)>,
    state: Lock<State>,
}

#[derive(Default)]
struct State {
    zygote: Option<Arc<Zygote>>,
    failed: Option<Failed>,
}

/// The fork server could not be started.
struct Failed {
    at: Instant,
    why: String,
    existed: bool,
}

/// What is done in a file instead of telling its DAGs.
#[derive(Debug, Clone, Copy)]
pub enum Work<'a> {
    /// Callbacks are run, in the form of Airflow's `CallbackRequest`.
    Callbacks(&'a Value),
    /// The callback of a deadline is run, as [`ParseRequest::deadline`] has it.
    Deadline(&'a Value),
}

impl Bridge {
    /// Nothing is started yet.
    pub fn new(environment: &Environment, dags_folder: &Path) -> Self {
        let folder = std::path::absolute(dags_folder).unwrap_or_else(|_| dags_folder.to_path_buf());
        let mut variables = inherited();
        variables.extend(environment.variables(&folder, BUNDLE));
        Self {
            environment: environment.clone(),
            folder: folder.display().to_string(),
            variables,
            state: Lock::default(),
        }
    }

    /// Whether there may be a fork server, where there was none.
    pub async fn may_work(&self) -> bool {
        let existed = self.environment.exists();
        let state = self.state.lock().await;
        let failed = state.failed.as_ref();
        failed.is_none_or(|failed| failed.existed != existed || failed.at.elapsed() > PAUSE && existed)
    }

    /// A fork server that lives.
    ///
    /// # Errors
    /// Why there is none, for people.
    pub async fn zygote(&self) -> Result<Arc<Zygote>, String> {
        let mut state = self.state.lock().await;
        if let Some(zygote) = state.zygote.as_ref().filter(|zygote| !zygote.is_gone()) {
            return Ok(Arc::clone(zygote));
        }
        let existed = self.environment.exists();
        let recently = |failed: &&Failed| failed.existed == existed && failed.at.elapsed() < PAUSE;
        if let Some(failed) = state.failed.as_ref().filter(recently) {
            return Err(failed.why.clone());
        }
        state.zygote = None;
        let started = self.start().await;
        state.failed =
            started.as_ref().err().map(|why| Failed { at: Instant::now(), why: why.clone(), existed });
        let zygote = Arc::new(started.inspect_err(|why| warn!("cannot read Airflow DAG files: {why}"))?);
        state.zygote = Some(Arc::clone(&zygote));
        Ok(zygote)
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

    /// Reads a file. Timetables that plugins bring are told of the last runs of its DAGs.
    ///
    /// # Errors
    /// As [`parse`].
    pub async fn read(
        &self,
        zygote: &Zygote,
        file: &str,
        last_runs: &LastRuns,
        records: &Records<'_>,
    ) -> Result<Parsed, Failure> {
        let request = ParseRequest { last_runs, ..self.request(file, &[]) };
        parse(zygote, &request, self.environment.limits(), records).await
    }

    /// Asks a timetable that a plugin brings.
    ///
    /// # Errors
    /// Why there is no answer, for people.
    pub async fn ask(&self, question: &Question, store: &Store) -> Result<Answer, String> {
        let zygote = self.zygote().await?;
        let question = serde_json::to_value(question).map_err(|error| error.to_string())?;
        let records = Records::of(store);
        let request = ParseRequest { question: Some(&question), ..self.request(&self.folder, &[]) };
        let parsed = parse(&zygote, &request, ASKING, &records).await;
        let masker = records.into_masker();
        let answer = parsed.map_err(|failure| masker.text(&failure.to_string()))?.answer;
        let answer = serde_json::from_value::<Answer>(answer.unwrap_or_default());
        let mut answer = answer.map_err(|error| format!("what it says cannot be understood: {error}"))?;
        answer.fault = answer.fault.map(|fault| masker.text(&fault));
        Ok(answer)
    }

    /// Runs callbacks in a file.
    ///
    /// # Errors
    /// As [`parse`].
    pub async fn run(
        &self,
        zygote: &Zygote,
        file: &str,
        work: Work<'_>,
        limits: Limits,
        records: &Records<'_>,
    ) -> Result<Parsed, Failure> {
        let request = match work {
            Work::Callbacks(callbacks) => self.request(file, std::slice::from_ref(callbacks)),
            Work::Deadline(deadline) => ParseRequest { deadline: Some(deadline), ..self.request(file, &[]) },
        };
        parse(zygote, &request, limits, records).await
    }

    fn request<'a>(&'a self, file: &'a str, callbacks: &'a [Value]) -> ParseRequest<'a> {
        let (folder, environment) = (&self.folder, &self.variables);
        ParseRequest {
            file,
            folder,
            bundle: BUNDLE,
            last_runs: &NO_RUNS,
            callbacks,
            question: None,
            deadline: None,
            environment,
        }
    }

    /// What a file may take while it is read.
    pub fn limits(&self) -> Limits {
        self.environment.limits()
    }

    /// The absolute path of a file below the DAGs folder.
    pub fn path(&self, file: &str) -> String {
        format!("{}/{file}", self.folder)
    }
}

/// What Airflow's processes are given of this process's environment: everything but our own settings and secrets. What is no text cannot
/// be handed on.
fn inherited() -> Vec<(String, String)> {
    let texts = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    texts.filter(|(name, _)| !name.starts_with("TRADEWIND_")).collect()
}

/// Variables and connections, while a file is read or its callbacks run. What is secret in them must not be in its errors.
pub struct Records<'a> {
    store: &'a Store,
    masker: Mutex<Masker>,
}

impl Answers for Records<'_> {
    fn answer(&self, asking: Request) -> BoxFuture<'_, Reply> {
        Box::pin(async move {
            let answered = self.look_up(&asking).await;
            answered.unwrap_or_else(|error| Reply::refusal(500, &error.to_string()))
        })
    }
}

impl<'a> Records<'a> {
    /// Nothing was asked yet.
    pub fn of(store: &'a Store) -> Self {
        Self { store, masker: Mutex::default() }
    }

    /// What hides the secrets that were given out.
    pub fn into_masker(self) -> Masker {
        self.masker.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn hide(&self, secrets: impl IntoIterator<Item = String>) {
        self.masker.lock().unwrap_or_else(PoisonError::into_inner).add(secrets);
    }

    async fn look_up(&self, asking: &Request) -> Result<Reply, store::Error> {
        Ok(match asking {
            Request::GetVariable { key } => {
                let found = self.store.variable(key).await?;
                self.hide(found.iter().flat_map(|found| secrets_of_variable(key, &found.value)));
                Reply::variable(key, found.as_ref().map(|variable| variable.value.as_str()))
            }
            Request::GetConnection { conn_id } => {
                let form = self.store.connection(conn_id).await?.map(|found| found.connection);
                self.hide(form.iter().filter_map(|form| form.password.clone()));
                self.hide(form.iter().flat_map(|form| secrets_in_json(&form.extra.clone().into(), false)));
                Reply::connection(conn_id, form.map(|form| form.json()).as_ref())
            }
            Request::GetVariableKeys { prefix, limit, offset } => {
                let (limit, offset) = (limit.unwrap_or(1000), offset.unwrap_or(0));
                let number = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
                let prefix = prefix.as_deref().unwrap_or_default();
                let (keys, total) = self.store.variable_keys(prefix, number(limit), number(offset)).await?;
                Reply::variable_keys(&keys, usize::try_from(total).unwrap_or(usize::MAX))
            }
            Request::PutVariable { key, .. } | Request::DeleteVariable { key } => {
                Reply::refusal(403, &format!("the variable {key} cannot be changed while a DAG file is read"))
            }
            Request::MaskSecret { value, name } => {
                self.hide(secrets_in_json(value, name.as_deref().is_none_or(is_secret_name)));
                Reply::noted()
            }
            Request::DagFileParsingResult { .. } => Reply::noted(),
        })
    }
}
