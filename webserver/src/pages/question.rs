//! A question to people as pages show it: what is asked, the form that answers it, and what was answered.

use domain::approval::{REJECT, Terms};
use serde_json::Value;
use store::view::{
    api_list::{Ask, Test},
    approvals::{ApprovalRow, QuestionRow, Which},
};

use super::{
    form::{self, Sent, Wrong},
    parts::{Field, Moment},
    paths,
    prose::Prose,
    visit::Visit,
    words,
};
use crate::error::Error;

/// The field of the chosen options. No param's field has this name: see [`form`].
pub(super) const OPTION: &str = "option";
/// Longest value of a param in an answer, in characters.
const LONGEST_VALUE: usize = 200;

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Card {
    /// Tells questions apart.
    pub(crate) key: String,
    pub(crate) subject: String,
    /// The DAG, the run and the task, where the page does not say that itself.
    pub(crate) on: Option<String>,
    /// The page of the task.
    pub(crate) href: String,
    pub(crate) asked: Moment,
    /// When its time is up, and what happens then.
    pub(crate) until: Option<(Moment, String)>,
    /// Who may answer, when not everybody may.
    pub(crate) users: Vec<String>,
    pub(crate) body: Option<Prose>,
    /// Set while it is open and the reader may answer it.
    pub(crate) form: Option<AnswerForm>,
    /// Why the reader may not answer while it is open.
    pub(crate) barred: Option<&'static str>,
    pub(crate) answer: Option<Answered>,
    /// When it was withdrawn.
    pub(crate) withdrawn: Option<Moment>,
}

/// What answers a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AnswerForm {
    pub(crate) dag_id: String,
    pub(crate) run_id: String,
    pub(crate) task_id: String,
    pub(crate) map_index: i32,
    pub(crate) try_number: i32,
    pub(crate) number: i32,
    pub(crate) options: Vec<OptionShown>,
    /// Several options may be chosen.
    pub(crate) multiple: bool,
    pub(crate) fields: Vec<Field>,
    pub(crate) remark: String,
    /// What was wrong with what was sent.
    pub(crate) problem: Option<String>,
    /// There is too little room for more than buttons: the task's page has the rest.
    pub(crate) is_short: bool,
}

/// One option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OptionShown {
    pub(crate) label: String,
    /// The class of its button.
    pub(crate) class: &'static str,
    pub(crate) checked: bool,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) options: Vec<String>,
    /// Nobody where the timeout answered.
    pub(crate) by: Option<String>,
    pub(crate) at: Moment,
    /// What was filled in, by name.
    pub(crate) params: Vec<(String, String)>,
    pub(crate) remark: Option<String>,
}

/// How much of a question is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    /// Everything, on the page of its task.
    Whole,
    /// Everything, on a page of its own.
    Alone,
    /// In a list of questions.
    Listed,
    /// In a list of the questions of one run.
    OfRun,
}

/// A form that was sent and is shown again.
pub(super) struct Again<'a> {
    sent: &'a Sent,
    wrong: &'a Wrong,
    problem: Option<String>,
}

impl<'a> Again<'a> {
    /// What was sent, what is wrong with which fields, and what is wrong with all of it.
    pub(super) fn new(sent: &'a Sent, wrong: &'a Wrong, problem: &str) -> Self {
        Self { sent, wrong, problem: Some(problem.to_owned()) }
    }
}

impl Card {
    /// A question as a reader sees it.
    pub(super) fn of(row: &ApprovalRow, size: Size, again: Option<&Again<'_>>, visit: &Visit) -> Self {
        let ApprovalRow { ti, question } = row;
        let asked = question.question();
        let href = paths::instance(&ti.dag_id, &ti.run_id, &ti.task_id, ti.map_index);
        let barred = question.is_open().then(|| barred(question.terms(), visit)).flatten();
        let may_answer = question.is_open() && barred.is_none();
        Self {
            key: format!("question-{}-{}-{}", ti.run_key, ti.index, question.asked_by_try),
            subject: asked.subject,
            on: on(row, size, visit),
            href,
            asked: words::moment(question.asked_at, visit.now),
            until: question
                .deadline
                .filter(|_| question.is_open())
                .map(|at| (words::moment(at, visit.now), otherwise(question.terms()))),
            users: question.terms().assigned_users.clone(),
            body: asked.body.filter(|_| size != Size::OfRun).map(|body| Prose::from_markdown(&body)),
            form: may_answer.then(|| answer_form(row, size, again)),
            barred,
            answer: answered(question, visit),
            withdrawn: question
                .closed_at
                .filter(|_| question.reply().is_none())
                .map(|at| words::moment(at, visit.now)),
        }
    }
}

fn on(row: &ApprovalRow, size: Size, visit: &Visit) -> Option<String> {
    let ti = &row.ti;
    let name =
        ti.rendered_map_index.clone().or_else(|| (ti.map_index >= 0).then(|| ti.map_index.to_string()));
    let task = name.map_or_else(|| ti.task_id.clone(), |name| format!("{} [{name}]", ti.task_id));
    match size {
        Size::Whole => None,
        Size::OfRun => Some(task),
        Size::Alone | Size::Listed => {
            Some(format!("{} / {} / {task}", ti.dag_id, words::run_name(&ti.run_id, visit.now)))
        }
    }
}

fn barred(terms: &Terms, visit: &Visit) -> Option<&'static str> {
    if !visit.viewer.is_at_least(store::account::Role::User) {
        return Some("Answering takes the role user.");
    }
    terms.admits(visit.viewer.name()).is_err().then_some("You are not among those who may answer.")
}

fn otherwise(terms: &Terms) -> String {
    if terms.defaults.is_empty() {
        return "then the task fails".to_owned();
    }
    format!("then {} counts as the answer", terms.defaults.join(" and "))
}

fn answer_form(row: &ApprovalRow, size: Size, again: Option<&Again<'_>>) -> AnswerForm {
    let ApprovalRow { ti, question } = row;
    let terms = question.terms();
    let sent = again.map(|again| again.sent);
    let chosen = sent.map_or_else(|| terms.defaults.clone(), |sent| sent.texts(OPTION));
    let option = |(place, option): (usize, &String)| OptionShown {
        label: option.clone(),
        class: match place {
            _ if option == REJECT => "button-bad",
            0 => "button-main",
            _ => "",
        },
        checked: chosen.contains(option),
    };
    let nothing = Wrong::new();
    let is_listed = matches!(size, Size::Listed | Size::OfRun);
    AnswerForm {
        dag_id: ti.dag_id.clone(),
        run_id: ti.run_id.clone(),
        task_id: ti.task_id.clone(),
        map_index: ti.map_index,
        try_number: question.asked_by_try,
        number: question.number,
        options: terms.options.iter().enumerate().map(option).collect(),
        multiple: terms.multiple,
        fields: form::fields(&terms.params, sent, again.map_or(&nothing, |again| again.wrong)),
        remark: sent.and_then(|sent| sent.text("remark")).unwrap_or_default().to_owned(),
        problem: again.and_then(|again| again.problem.clone()),
        is_short: is_listed && (terms.multiple || !terms.params.is_empty()),
    }
}

fn answered(question: &QuestionRow, visit: &Visit) -> Option<Answered> {
    let (reply, at) = (question.reply()?, question.responded_at()?);
    let value = |value: &Value| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let short: String = text.chars().take(LONGEST_VALUE).collect();
        if short.len() < text.len() { format!("{short}…") } else { short }
    };
    Some(Answered {
        options: reply.chosen_options.clone(),
        by: question.responded_by.clone(),
        at: words::moment(at, visit.now),
        params: reply.params_input.iter().map(|(name, given)| (name.clone(), value(given))).collect(),
        remark: reply.remark.clone(),
    })
}

/// What one instance of a task asks or asked.
///
/// # Errors
/// Only when the database fails.
pub(super) async fn find(
    visit: &Visit,
    (dag_id, run_id, task_id): (&str, &str, &str),
    map_index: i32,
) -> Result<Option<ApprovalRow>, Error> {
    let ask = Ask { limit: 1, ..Ask::default() }
        .with("dag_id", Test::is(dag_id))
        .with("run_id", Test::is(run_id))
        .with("task_id", Test::is(task_id))
        .with("map_index_number", Test::Numbers(vec![map_index.into()]));
    Ok(visit.state.store.approvals(Which::All, &ask).await?.0.into_iter().next())
}

/// The questions of a run that are open, the newest first, and how many there are.
///
/// # Errors
/// Only when the database fails.
pub(super) async fn of_run(visit: &Visit, run_key: i64, most: u32) -> Result<(Vec<Card>, i64), Error> {
    let ask = Ask { limit: most, order_by: vec!["-created_at".to_owned()], ..Ask::default() }
        .with("run_key", Test::Numbers(vec![run_key]));
    let (rows, total) = visit.state.store.approvals(Which::Open, &ask).await?;
    Ok((rows.iter().map(|row| Card::of(row, Size::OfRun, None, visit)).collect(), total))
}
