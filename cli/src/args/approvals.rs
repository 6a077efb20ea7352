//! `tradewind approvals`

use clap::{Args, Subcommand};
use domain::id::{DagId, TaskId};

use super::value::JsonObject;

/// `tradewind approvals`
#[derive(Subcommand)]
pub enum Approvals {
    /// List the questions that tasks put to people, newest first.
    List {
        /// Only those of this DAG.
        #[arg(long, short)]
        dag_id: Option<DagId>,
        /// Also those that were answered or withdrawn.
        #[arg(long, short)]
        all: bool,
        /// At most so many.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        limit: u32,
    },
    /// Answer a question. One that is left to named users is answered by them, in the web UI or by the API.
    Answer(Answer),
}

/// An answer.
#[derive(Args)]
pub struct Answer {
    /// The DAG.
    pub dag_id: DagId,
    /// The task.
    pub task_id: TaskId,
    /// The run, or its logical date.
    #[arg(value_name = "RUN_ID")]
    pub run: String,
    /// The option; may be given several times where several may be chosen.
    #[arg(long = "option", short = 'c', value_name = "OPTION", required = true)]
    pub options: Vec<String>,
    /// What is filled in: a JSON object. What it leaves out has its default.
    #[arg(long, short, value_name = "JSON")]
    pub params: Option<JsonObject>,
    /// A remark for those who look later.
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub remark: Option<String>,
    /// Which instance of a mapped task.
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    pub map_index: i32,
}
