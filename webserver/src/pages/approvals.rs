//! The inbox of questions to people, and the form that answers one.

use actix_web::{HttpResponse, web::Query};
use askama::Template;
use domain::approval::Reply;
use serde::Deserialize;
use store::view::{
    api_list::{Ask, Test},
    approvals::{ApprovalRow, Which},
};

use super::{
    dag::crumb,
    form::{self, Sent, Wrong},
    pager,
    parts::{Crumb, Mood, Pager, Shell, Tab},
    paths,
    question::{self, Again, Card, OPTION, Size},
    visit::{self, Visit},
    words,
};
use crate::{
    api::approvals::planned,
    auth::{Form, User},
    error::Error,
    wish::{self, Outcome},
};

/// What is asked for.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Params {
    #[serde(default)]
    dag: String,
    #[serde(default)]
    q: String,
    #[serde(default)]
    show: String,
    page: Option<u32>,
}

/// The list, or its live part (`as_questions`).
#[derive(Debug, Template)]
#[template(path = "approvals.html", blocks = ["questions"])]
pub(crate) struct ApprovalsPage {
    pub(crate) shell: Shell,
    pub(crate) dag: String,
    pub(crate) q: String,
    pub(crate) show: &'static str,
    pub(crate) views: Vec<Tab>,
    pub(crate) questions: Vec<Card>,
    pub(crate) pager: Pager,
}

/// One question whose answer did not fit.
#[derive(Debug, Template)]
#[template(path = "approval.html")]
pub(crate) struct ApprovalPage {
    pub(crate) shell: Shell,
    pub(crate) crumbs: Vec<Crumb>,
    pub(crate) question: Card,
}

/// Which questions a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Show {
    Open,
    Answered,
    All,
}

impl Show {
    const ALL: [(Self, &'static str, &'static str); 3] =
        [(Self::Open, "", "Open"), (Self::Answered, "answered", "Answered"), (Self::All, "all", "All")];

    // A name that does not exist is the usual one: the address may be an old one.
    fn parse(name: &str) -> Self {
        Self::ALL.iter().find(|(_, known, _)| *known == name).map_or(Self::Open, |(show, ..)| *show)
    }

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(show, ..)| *show == self).map_or("", |(_, name, _)| *name)
    }
}

/// Answers.
pub(crate) async fn show(visit: Visit, params: Query<Params>) -> Result<HttpResponse, Error> {
    let (dag, q, show) = (params.dag.trim(), params.q.trim(), Show::parse(&params.show));
    let (which, ask) = ask(dag, q, show, params.page);
    let (rows, total) = visit.state.store.approvals(which, &ask).await?;
    let query = [("dag", dag), ("q", q), ("show", show.name())];
    let page = ApprovalsPage {
        shell: visit.shell("approvals").await?,
        dag: dag.to_owned(),
        q: q.to_owned(),
        show: show.name(),
        views: views(dag, q, show),
        pager: pager::pager("/approvals", &query, params.page, rows.len(), total),
        questions: rows.iter().map(|row| Card::of(row, Size::Listed, None, &visit)).collect(),
    };
    visit.answer(match visit.fragment() {
        Some("questions") => page.as_questions().render(),
        Some(_) | None => page.render(),
    })
}

fn ask(dag: &str, q: &str, show: Show, page: Option<u32>) -> (Which, Ask) {
    let order = if show == Show::Answered { "-responded_at" } else { "-created_at" };
    let mut ask = Ask {
        limit: pager::ROWS,
        offset: pager::offset(page),
        order_by: vec![order.to_owned()],
        ..Ask::default()
    };
    if !dag.is_empty() {
        ask = ask.with("dag_id", Test::is(dag));
    }
    if !q.is_empty() {
        ask = ask.with("subject", Test::Like(q.to_owned()));
    }
    match show {
        Show::Open => (Which::Open, ask),
        Show::Answered => (Which::All, ask.with("response_received", Test::Is(true))),
        Show::All => (Which::All, ask),
    }
}

fn views(dag: &str, q: &str, current: Show) -> Vec<Tab> {
    let tab = |(show, name, label): &(Show, &'static str, &'static str)| Tab {
        label: (*label).to_owned(),
        href: paths::with_query("/approvals", &[("dag", dag), ("q", q), ("show", name)]),
        count: None,
        current: *show == current,
    };
    Show::ALL.iter().map(tab).collect()
}

/// Takes an answer. What does not fit is shown again with what is wrong.
pub(crate) async fn answer(
    visit: Visit,
    user: User,
    form: Form<Vec<(String, String)>>,
) -> Result<HttpResponse, Error> {
    let sent = Sent(form.0);
    let text = |name: &str| sent.text(name).unwrap_or_default();
    let map_index: i32 = text("map_index").parse().unwrap_or(-1);
    let names = (text("dag_id"), text("run_id"), text("task_id"));
    let row = question::find(&visit, names, map_index).await?;
    let row = row.ok_or_else(|| Error::NotFound("That task asks nothing, or no longer does.".to_owned()))?;
    let (ti, question) = (&row.ti, &row.question);
    let task = paths::instance(&ti.dag_id, &ti.run_id, &ti.task_id, ti.map_index);
    let back = visit::back(sent.text("back"), &task);
    let number = sent.text("number").unwrap_or("0");
    let is_other =
        text("try_number") != question.asked_by_try.to_string() || number != question.number.to_string();
    if is_other {
        let news = "The task asks anew since you looked: this is its question now.";
        return Ok(visit::go(&task, Mood::Warn, news));
    }
    let params_input = match form::conf(&question.terms().params, &sent) {
        Ok(params_input) => params_input,
        Err(wrong) => {
            let again = Again::new(&sent, &wrong, "Some values do not fit; see below.");
            return refuse(&visit, &row, &again, &back).await;
        }
    };
    let remark = sent.text("remark").map(str::to_owned);
    let reply = Reply { chosen_options: sent.texts(OPTION), params_input, remark };
    let said = reply.chosen_options.join(", ");
    let wish = match planned(user.name(), ti, question, reply) {
        Ok(wish) => wish,
        Err(Error::Invalid(fault)) => {
            let (wrong, problem) = (Wrong::new(), words::sentence(&fault));
            return refuse(&visit, &row, &Again::new(&sent, &wrong, &problem), &back).await;
        }
        Err(Error::Conflict(_)) => return Ok(visit::go(&back, Mood::Warn, LATE)),
        Err(fault) => return Err(fault),
    };
    Ok(match wish::ask(&visit.state, user.name(), wish).await? {
        Outcome::Done => {
            visit::go(&back, Mood::Good, &format!("You answered “{}”: {said}.", question.question().subject))
        }
        Outcome::Refused(reason) => {
            visit::go(&back, Mood::Bad, &format!("Your answer does not count: {reason}."))
        }
        Outcome::Pending => visit::go(&back, Mood::Warn, wish::PENDING),
    })
}

/// What is said to whoever answers after somebody else did.
const LATE: &str = "That question is not open any more: somebody else was faster, or it was withdrawn.";

// From a page that is the answer to a form there is no way back but to where the form came from.
async fn refuse(
    visit: &Visit,
    row: &ApprovalRow,
    again: &Again<'_>,
    back: &str,
) -> Result<HttpResponse, Error> {
    let ti = &row.ti;
    let run = paths::run(&ti.dag_id, &ti.run_id);
    let shell = Shell { path: back.to_owned(), ..visit.shell("approvals").await? };
    let page = ApprovalPage {
        shell,
        crumbs: vec![
            crumb("Approvals", Some("/approvals")),
            crumb(&ti.dag_id, Some(&paths::dag(&ti.dag_id))),
            crumb(&words::run_name(&ti.run_id, visit.now), Some(&run)),
            crumb(&ti.task_id, None),
        ],
        question: Card::of(row, Size::Alone, Some(again), visit),
    };
    visit.refuse(page.render())
}
