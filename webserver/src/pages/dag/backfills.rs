//! The backfills of a DAG: how far each has got, and the form that starts one.

mod form;

use actix_web::{
    HttpResponse,
    web::{Data, Path, Query},
};
use askama::Template;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use domain::{
    backfill::{BackfillId, Date, Order},
    engine::backfill::BackfillRecord,
    id::DagId,
    intent::Wish,
};
use serde::Deserialize;
use store::view::{Page, backfills::Progress};

use self::form::{Sent, Wrong};
use super::{DagHead, Seen, View, zone};
use crate::{
    AppState,
    auth::{Form, User},
    backfill,
    error::Error,
    pages::{
        deed, pager,
        parts::{Count, Field, Moment, Mood, Pager, Shell},
        paths,
        visit::{self, Visit},
        words,
    },
    wish::{self, Outcome},
};

/// Most dates that a preview lists; how many there are in all is told.
const MOST_SHOWN: usize = 200;

/// The width of a bar of progress, in its own units.
const WIDTH: f64 = 100.0;

/// What is asked for.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Params {
    page: Option<u32>,
}

/// The page, or its live part (`as_backfills`).
#[derive(Debug, Template)]
#[template(path = "dag_backfills.html", blocks = ["backfills"])]
pub(crate) struct DagBackfillsPage {
    pub(crate) shell: Shell,
    pub(crate) head: DagHead,
    pub(crate) rows: Vec<Row>,
    pub(crate) pager: Pager,
    /// Why no backfill can be started now; then there is no form.
    pub(crate) closed: Option<String>,
    pub(crate) problem: Option<String>,
    /// The form is open: something was sent, or there is nothing else to see.
    pub(crate) open: bool,
    pub(crate) fields: Vec<Field>,
    pub(crate) preview: Option<Preview>,
}

/// One backfill.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) id: BackfillId,
    pub(crate) href: String,
    pub(crate) from: Moment,
    pub(crate) to: Moment,
    /// What is special about it, in words.
    pub(crate) manner: String,
    pub(crate) by: String,
    pub(crate) created: Moment,
    pub(crate) completed: Option<Moment>,
    /// The class of its sign, and its name.
    pub(crate) sign: &'static str,
    pub(crate) state: &'static str,
    pub(crate) active: bool,
    pub(crate) paused: bool,
    pub(crate) done: i64,
    pub(crate) total: i64,
    pub(crate) counts: Vec<Count>,
    pub(crate) left_alone: i64,
    pub(crate) bars: Vec<Bar>,
}

/// A part of a bar of progress.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bar {
    pub(crate) state: &'static str,
    pub(crate) x: f64,
    pub(crate) width: f64,
}

/// The dates that a backfill would have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Preview {
    pub(crate) total: usize,
    pub(crate) dates: Vec<Moment>,
    /// How many are not listed.
    pub(crate) more: usize,
}

/// Shows the page.
pub(crate) async fn show(
    visit: Visit,
    dag_id: Path<String>,
    params: Query<Params>,
) -> Result<HttpResponse, Error> {
    let seen = Seen::find(&visit, &dag_id).await?;
    let page = page(&visit, &seen, params.page, &Filled::default()).await?;
    visit.answer(match visit.fragment() {
        Some("backfills") => page.as_backfills().render(),
        Some(_) | None => page.render(),
    })
}

/// Starts a backfill, or shows which dates it would have.
pub(crate) async fn start(
    visit: Visit,
    user: User,
    dag_id: Path<String>,
    form: Form<Vec<(String, String)>>,
) -> Result<HttpResponse, Error> {
    let seen = Seen::find(&visit, &dag_id).await?;
    let sent = Sent(form.0);
    let order = match form::order(&seen.line.dag_id, &sent) {
        Ok(order) => order,
        Err(wrong) => {
            let problem = Some("Some values do not fit; see below.".to_owned());
            return refuse(&visit, &seen, Filled { sent: Some(sent), wrong, problem, preview: None }).await;
        }
    };
    let is_preview = sent.text("do") == Some("preview");
    let result = if is_preview {
        backfill::preview(&visit.state, &order).await.map(Answer::Dates)
    } else {
        backfill::create(&visit.state, user.name(), order).await.map(|(_, outcome)| Answer::Asked(outcome))
    };
    let dag_id = &seen.line.dag_id;
    match result {
        Ok(Answer::Dates(dates)) => {
            let preview = Some(preview(&dates, visit.now, zone(&seen.version.dag)));
            let filled = Filled { sent: Some(sent), preview, ..Filled::default() };
            visit.answer(page(&visit, &seen, None, &filled).await?.render())
        }
        Ok(Answer::Asked(Outcome::Done)) => {
            Ok(visit::go(&path(dag_id), Mood::Good, &format!("{dag_id} is backfilled.")))
        }
        Ok(Answer::Asked(Outcome::Pending | Outcome::Refused(_))) => {
            Ok(visit::go(&path(dag_id), Mood::Warn, wish::PENDING))
        }
        Err(Error::Rejected(text) | Error::Conflict(text)) => {
            let filled = Filled { sent: Some(sent), problem: Some(text), ..Filled::default() };
            refuse(&visit, &seen, filled).await
        }
        Err(fault) => Err(fault),
    }
}

// What came of a form that fits.
enum Answer {
    Dates(Vec<Date>),
    Asked(Outcome),
}

/// Whether new runs of it start.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Pause {
    paused: bool,
}

/// Pauses a backfill, or lets it go on.
pub(crate) async fn pause(
    state: Data<AppState>,
    user: User,
    names: Path<(String, i64)>,
    form: Form<Pause>,
) -> Result<HttpResponse, Error> {
    let (dag_id, id) = ids(&names)?;
    let Form(Pause { paused }) = form;
    let text = if paused { "is paused: no new run of it starts." } else { "goes on." };
    let back = path(&dag_id);
    let wish = Wish::PauseBackfill { dag_id, id, paused };
    deed::perform(&state, &user, wish, None, &back, &format!("Backfill {id} {text}")).await
}

/// Ends a backfill.
pub(crate) async fn cancel(
    state: Data<AppState>,
    user: User,
    names: Path<(String, i64)>,
    _form: Form<Vec<(String, String)>>,
) -> Result<HttpResponse, Error> {
    let (dag_id, id) = ids(&names)?;
    let back = path(&dag_id);
    let wish = Wish::CancelBackfill { dag_id, id };
    deed::perform(&state, &user, wish, None, &back, &format!("Backfill {id} is cancelled.")).await
}

fn ids(names: &(String, i64)) -> Result<(DagId, BackfillId), Error> {
    Ok((DagId::new(&names.0)?, BackfillId(names.1)))
}

fn path(dag_id: &DagId) -> String {
    format!("{}/backfills", paths::dag(dag_id.as_str()))
}

// What the form shows besides its defaults.
#[derive(Debug, Default)]
struct Filled {
    sent: Option<Sent>,
    wrong: Wrong,
    problem: Option<String>,
    preview: Option<Preview>,
}

async fn refuse(visit: &Visit, seen: &Seen, filled: Filled) -> Result<HttpResponse, Error> {
    visit.refuse(page(visit, seen, None, &filled).await?.render())
}

async fn page(
    visit: &Visit,
    seen: &Seen,
    number: Option<u32>,
    filled: &Filled,
) -> Result<DagBackfillsPage, Error> {
    let (store, dag_id) = (&visit.state.store, &seen.line.dag_id);
    let found = store.backfills(dag_id, true, Page::new(pager::ROWS, pager::offset(number))).await?;
    let ids: Vec<BackfillId> = found.rows.iter().map(|row| row.id).collect();
    let progress = store.backfill_progress(&ids).await?;
    let is_active = found.rows.iter().any(|row| row.completed_at.is_none());
    let row = |record: &BackfillRecord| {
        let progress = progress.get(&record.id).copied().unwrap_or_default();
        row(record, &progress, visit.now, zone(&seen.version.dag))
    };
    let closed = if seen.line.is_stale {
        Some("The file of this DAG is gone, so nothing new of it can run.".to_owned())
    } else if !seen.version.dag.schedule.is_periodic() {
        Some("The schedule of this DAG names no dates by itself, so there is nothing to backfill.".to_owned())
    } else {
        is_active.then(|| "Another backfill can be started when the active one is over.".to_owned())
    };
    Ok(DagBackfillsPage {
        shell: visit.shell("dags").await?,
        head: seen.head(visit, View::Backfills).await?,
        open: filled.sent.is_some() || found.rows.is_empty(),
        rows: found.rows.iter().map(row).collect(),
        pager: pager::pager(&path(dag_id), &[], number, found.rows.len(), found.total),
        closed: closed.filter(|_| filled.problem.is_none()),
        problem: filled.problem.clone(),
        fields: form::fields(filled.sent.as_ref(), &filled.wrong, visit.now),
        preview: filled.preview.clone(),
    })
}

fn preview(dates: &[Date], now: DateTime<Utc>, zone: Tz) -> Preview {
    let shown = dates.iter().take(MOST_SHOWN);
    Preview {
        total: dates.len(),
        dates: shown.map(|date| words::moment_in(date.moment(), now, zone)).collect(),
        more: dates.len().saturating_sub(MOST_SHOWN),
    }
}

fn row(record: &BackfillRecord, progress: &Progress, now: DateTime<Utc>, zone: Tz) -> Row {
    let (sign, state) = match (record.completed_at, record.is_cancelled, record.is_paused) {
        (Some(_), true, _) => ("skipped", "cancelled"),
        (Some(_), false, _) if progress.failed > 0 => ("failed", "completed, with failures"),
        (Some(_), false, _) => ("success", "completed"),
        (None, _, true) => ("none", "paused"),
        (None, _, false) => ("running", "running"),
    };
    let counts = [
        ("success", progress.success),
        ("failed", progress.failed),
        ("running", progress.running),
        ("queued", progress.queued),
    ];
    let shown = counts.into_iter().filter(|(_, count)| *count > 0);
    Row {
        id: record.id,
        href: format!("{}/{}", path(&record.order.dag_id), record.id),
        from: words::moment_in(record.order.from, now, zone),
        to: words::moment_in(record.order.to, now, zone),
        manner: manner(&record.order),
        by: record.by.clone(),
        created: words::moment(record.created_at, now),
        completed: record.completed_at.map(|at| words::moment(at, now)),
        sign,
        state,
        active: record.completed_at.is_none(),
        paused: record.is_paused,
        done: progress.done(),
        total: progress.total(),
        counts: shown.clone().map(|(state, count)| Count { state, count }).collect(),
        left_alone: progress.left_alone,
        bars: bars(shown, progress),
    }
}

fn manner(order: &Order) -> String {
    let active = match order.max_active_runs {
        1 => "one run at a time".to_owned(),
        most => format!("{most} runs at a time"),
    };
    let direction = if order.run_backwards { ", latest first" } else { "" };
    let existing = match order.reprocess {
        domain::backfill::Reprocess::None => "",
        domain::backfill::Reprocess::Failed => ", failed runs again",
        domain::backfill::Reprocess::Completed => ", ended runs again",
    };
    format!("{active}{direction}{existing}")
}

#[expect(clippy::cast_precision_loss, reason = "a backfill has at most ten thousand dates")]
fn bars(counts: impl Iterator<Item = (&'static str, i64)>, progress: &Progress) -> Vec<Bar> {
    let total = progress.total().max(1) as f64;
    let mut x = 0.0;
    let parts = counts.chain([("skipped", progress.left_alone + progress.deleted)]);
    let bar = |(state, count): (&'static str, i64)| {
        let width = count as f64 * WIDTH / total;
        x += width;
        Bar { state, x: x - width, width }
    };
    parts.filter(|(_, count)| *count > 0).map(bar).collect()
}
