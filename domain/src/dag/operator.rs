//! What tasks do.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::usual::{is_false, is_yes, yes};
use crate::{
    approval::{AfterAnswer, Approval},
    wait::{TriggerDag, WaitFor},
};

/// What a task does. All texts are Jinja templates unless said otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum Operator {
    /// A shell script, run by `bash -c` (`sh` where there is no bash), or directly when it is one plain command.
    Bash {
        /// The script.
        command: String,
    },
    /// A Python program.
    Python {
        /// The program's text, never templated: it reads `TRADEWIND_*` from its environment.
        source: String,
        /// The file it was read from, relative to the DAG file's folder; for messages.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<String>,
    },
    /// SQL statements, run in one transaction.
    Sql {
        /// The connection they run on.
        conn_id: String,
        /// The statements.
        sql: String,
        /// The file they were read from, relative to the DAG file's folder; for messages.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<String>,
    },
    /// One HTTP request; a status of 400 or more is a failure.
    Http {
        /// The connection that gives host, credentials and headers, if any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        conn_id: Option<String>,
        /// GET unless said otherwise; not a template.
        method: String,
        /// The whole URL, or the path when a connection is named.
        url: String,
        /// Headers.
        #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
        headers: IndexMap<String, String>,
        /// A body: a text, or anything else sent as JSON.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<Value>,
    },
    /// A program that says which of the tasks behind it are followed; the others that wait for it directly are skipped.
    Branch {
        /// A shell script or a Python program; its result is the id of a task or group, or a list of such ids.
        program: Box<Operator>,
    },
    /// A program that says whether anything behind it runs.
    ShortCircuit {
        /// A shell script or a Python program; a result that is empty, zero or false skips what is behind it. For a script the
        /// exit code 1 does so too.
        program: Box<Operator>,
        /// Everything behind it is skipped at once; otherwise only what waits for it directly, and rules decide about the rest.
        #[serde(default = "yes", skip_serializing_if = "is_yes")]
        ignore_downstream_trigger_rules: bool,
    },
    /// Skips what waits for it directly unless its run is the newest by schedule. It never reaches a worker.
    LatestOnly,
    /// Waits for something without holding a slot while it does.
    WaitFor(Box<WaitFor>),
    /// Starts a run of a DAG.
    TriggerDag(Box<TriggerDag>),
    /// A task of an Airflow DAG file, run by Airflow's own task runner.
    Airflow(Box<AirflowTask>),
    /// Asks a person, and holds no slot while it waits for the answer.
    Approval(Box<Approval>),
    /// Nothing: it joins or separates other tasks and never reaches a worker.
    Empty,
}

/// What is known of a task of an Airflow DAG file. Everything else about it is in the file, where its task runner finds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AirflowTask {
    /// The class of its operator.
    pub class: String,
    /// The module of that class.
    pub module: String,
    /// What people call it when that is not its class, for example `@task`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its result may have tasks behind it skipped (Airflow's `SkipMixin`).
    #[serde(default, skip_serializing_if = "is_false")]
    pub chooses: bool,
}

impl Operator {
    /// The key that chooses it in a DAG file.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Bash { .. } => "bash",
            Self::Python { .. } => "python",
            Self::Sql { .. } => "sql",
            Self::Http { .. } => "http",
            Self::Branch { .. } => "branch",
            Self::ShortCircuit { .. } => "short_circuit",
            Self::LatestOnly => "latest_only",
            Self::WaitFor(_) => "wait_for",
            Self::TriggerDag(_) => "trigger_dag",
            Self::Airflow(_) => "airflow",
            Self::Approval(_) => "approval",
            Self::Empty => "empty",
        }
    }

    /// Airflow's name of the same thing, shown as `operator` in the API.
    #[must_use]
    pub fn class_name(&self) -> &str {
        match self {
            Self::Bash { .. } => "BashOperator",
            Self::Python { .. } => "PythonOperator",
            Self::Sql { .. } => "SQLExecuteQueryOperator",
            Self::Http { .. } => "HttpOperator",
            Self::Branch { .. } => "BranchPythonOperator",
            Self::ShortCircuit { .. } => "ShortCircuitOperator",
            Self::LatestOnly => "LatestOnlyOperator",
            Self::WaitFor(wait) => wait.until.class_name(),
            Self::TriggerDag(_) => "TriggerDagRunOperator",
            Self::Airflow(task) => &task.class,
            Self::Approval(approval) => approval.class_name(),
            Self::Empty => "EmptyOperator",
        }
    }

    /// What a worker runs for it: the program of a branch or short circuit, else itself.
    #[must_use]
    pub fn program(&self) -> &Self {
        match self {
            Self::Branch { program } | Self::ShortCircuit { program, .. } => program,
            Self::Bash { .. }
            | Self::Python { .. }
            | Self::Sql { .. }
            | Self::Http { .. }
            | Self::LatestOnly
            | Self::WaitFor(_)
            | Self::TriggerDag(_)
            | Self::Airflow(_)
            | Self::Approval(_)
            | Self::Empty => self,
        }
    }

    /// Its result may have tasks behind it skipped.
    #[must_use]
    pub fn chooses(&self) -> bool {
        match self {
            Self::Branch { .. } | Self::ShortCircuit { .. } | Self::LatestOnly => true,
            Self::Airflow(task) => task.chooses,
            Self::Approval(approval) => match approval.then {
                AfterAnswer::Nothing => false,
                AfterAnswer::Reject { .. } | AfterAnswer::Branch(_) => true,
            },
            Self::Bash { .. }
            | Self::Python { .. }
            | Self::Sql { .. }
            | Self::Http { .. }
            | Self::WaitFor(_)
            | Self::TriggerDag(_)
            | Self::Empty => false,
        }
    }

    /// The engine carries it out itself.
    #[must_use]
    pub fn is_instant(&self) -> bool {
        match self {
            Self::LatestOnly | Self::Empty => true,
            Self::WaitFor(wait) => !wait.until.is_poked(),
            Self::Approval(approval) => !approval.question.is_template(),
            Self::Bash { .. }
            | Self::Python { .. }
            | Self::Sql { .. }
            | Self::Http { .. }
            | Self::Branch { .. }
            | Self::ShortCircuit { .. }
            | Self::TriggerDag(_)
            | Self::Airflow(_) => false,
        }
    }
}
