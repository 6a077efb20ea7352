//! `tradewind approvals`

use anyhow::{Context, Result, bail};
use chrono::{DateTime, Utc};
use domain::{
    approval::{self, Reply},
    id::DagId,
    intent::Wish,
};
use serde::Serialize;
use store::view::{
    api_list::{Ask, Test},
    approvals::{ApprovalRow, Which},
};
use uuid::Uuid;

use crate::{
    args::{
        Common,
        approvals::{Answer, Approvals},
    },
    command::{inbox, runs},
    output, setup,
};

/// A question as it is shown, with Airflow's names.
#[derive(Serialize)]
struct Row {
    dag_id: String,
    run_id: String,
    task_id: String,
    map_index: i32,
    subject: String,
    options: String,
    assigned_users: String,
    created_at: DateTime<Utc>,
    deadline: Option<DateTime<Utc>>,
    state: &'static str,
    chosen_options: String,
    responded_by: Option<String>,
    responded_at: Option<DateTime<Utc>>,
    remark: Option<String>,
}

/// Works with questions to people.
pub async fn run(common: &Common, command: Approvals) -> Result<()> {
    match command {
        Approvals::List { dag_id, all, limit } => list(common, dag_id, all, limit).await,
        Approvals::Answer(answer) => self::answer(common, answer).await,
    }
}

async fn list(common: &Common, dag_id: Option<DagId>, all: bool, limit: u32) -> Result<()> {
    let (_, store) = setup::for_command(common).await?;
    let mut ask = Ask { limit, order_by: vec!["-created_at".to_owned()], ..Ask::default() };
    if let Some(dag_id) = dag_id {
        ask = ask.with("dag_id", Test::is(dag_id.as_str()));
    }
    let which = if all { Which::All } else { Which::Open };
    let (rows, total) = store.approvals(which, &ask).await?;
    if i64::from(limit) < total {
        output::note(&format!("note: {total} in all; --limit shows more"));
    }
    output::list(common.output, &rows.iter().map(row).collect::<Vec<_>>())
}

fn row(ApprovalRow { ti, question }: &ApprovalRow) -> Row {
    let (terms, reply) = (question.terms(), question.reply());
    Row {
        dag_id: ti.dag_id.clone(),
        run_id: ti.run_id.clone(),
        task_id: ti.task_id.clone(),
        map_index: ti.map_index,
        subject: question.question().subject,
        options: terms.options.join(", "),
        assigned_users: terms.assigned_users.join(", "),
        created_at: question.asked_at,
        deadline: question.deadline,
        state: match (question.is_open(), reply) {
            (true, _) => "open",
            (false, Some(_)) => "answered",
            (false, None) => "withdrawn",
        },
        chosen_options: reply.map(|reply| reply.chosen_options.join(", ")).unwrap_or_default(),
        responded_by: question.responded_by.clone(),
        responded_at: question.responded_at(),
        remark: reply.and_then(|reply| reply.remark.clone()),
    }
}

async fn answer(common: &Common, answer: Answer) -> Result<()> {
    let (config, store) = setup::for_command(common).await?;
    let run = runs::find_called(&store, &answer.dag_id, &answer.run).await?;
    let ask = Ask { limit: 1, ..Ask::default() }
        .with("dag_id", Test::is(run.dag_id.as_str()))
        .with("run_id", Test::is(run.run_id.as_str()))
        .with("task_id", Test::is(answer.task_id.as_str()))
        .with("map_index_number", Test::Numbers(vec![answer.map_index.into()]));
    let (rows, _) = store.approvals(Which::Open, &ask).await?;
    let none = || format!("instance {} of task `{}` asks nothing now", answer.map_index, answer.task_id);
    let question = &rows.first().with_context(none)?.question;
    let params_input = answer.params.unwrap_or_default().0;
    let reply = Reply { chosen_options: answer.options, params_input, remark: answer.remark };
    // What does not fit is told at once, also when no scheduler runs.
    if let Err(refusal) = question.terms().accept(&setup::operator(), reply.clone()) {
        bail!(refusal);
    }
    let (subject, said) = (question.question().subject, reply.chosen_options.join(", "));
    let wish = Wish::Answer(approval::Answer {
        id: Uuid::new_v4(),
        dag_id: run.dag_id,
        run_id: run.run_id,
        task_id: answer.task_id,
        map_index: answer.map_index,
        try_number: u32::try_from(question.asked_by_try).unwrap_or_default(),
        number: u32::try_from(question.number).unwrap_or_default(),
        reply,
    });
    if inbox::ask(&config, &store, wish).await? {
        return output::say(&format!("{subject} {said}."));
    }
    output::say("No scheduler has taken this in yet; the first one that runs will.")
}
