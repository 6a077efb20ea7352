//! A DAG: what stands above all views of it, and the switch that pauses it.

mod asset_wait;
pub(crate) mod backfills;
pub(crate) mod details;
pub(crate) mod graph;
pub(crate) mod grid;
mod rows;
pub(crate) mod runs;

use std::sync::Arc;

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chrono_tz::Tz;
use domain::{dag::Dag, id::DagId};
use queue::Bell;
use serde::Deserialize;
use store::view::{
    api_list::{Ask, Test},
    dags::Line,
};

use super::{
    frame::Frame,
    parts::{Crumb, Moment, Mood, Tab, TagLink},
    paths,
    shelf::Version,
    visit::{self, Visit},
    words,
};
use crate::{
    AppState,
    auth::{Form, User},
    error::Error,
};

/// Import errors looked through to find the one of a file.
const MOST_ERRORS: u32 = 100;

/// A DAG that is looked at.
pub(crate) struct Seen {
    /// Its row of the list.
    pub(crate) line: Line,
    /// Its newest version.
    pub(crate) version: Arc<Version>,
}

/// What stands above all views of a DAG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DagHead {
    pub(crate) dag_id: String,
    pub(crate) href: String,
    pub(crate) crumbs: Vec<Crumb>,
    pub(crate) description: String,
    pub(crate) paused: bool,
    /// Whether the file is gone.
    pub(crate) stale: bool,
    pub(crate) schedule: String,
    pub(crate) schedule_title: String,
    pub(crate) next: Option<Moment>,
    /// What it still waits for, when assets ask for its runs.
    pub(crate) assets: Option<AssetWait>,
    pub(crate) owner: String,
    pub(crate) tags: Vec<TagLink>,
    /// What is odd about it.
    pub(crate) warnings: Vec<String>,
    /// The error of the file, when it has one now.
    pub(crate) broken: Option<Frame>,
    pub(crate) tabs: Vec<Tab>,
}

/// What a DAG waits for whose runs are asked for by assets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AssetWait {
    /// For example `1 of 3 assets ready`.
    pub(crate) progress: String,
    /// All of them in a few words.
    pub(crate) title: String,
    /// Each of them.
    pub(crate) leaves: Vec<AssetLeaf>,
    /// The ones that no task makes.
    pub(crate) unmade: Vec<String>,
}

/// An asset or alias that a DAG waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AssetLeaf {
    pub(crate) name: String,
    /// Whether it has been updated since the last run that assets asked for.
    pub(crate) is_ready: bool,
}

/// A view of a DAG.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    Grid,
    Graph,
    Runs,
    Backfills,
    Details,
}

impl View {
    const ALL: [(Self, &'static str, &'static str); 5] = [
        (Self::Grid, "Grid", ""),
        (Self::Graph, "Graph", "/graph"),
        (Self::Runs, "Runs", "/runs"),
        (Self::Backfills, "Backfills", "/backfills"),
        (Self::Details, "Details", "/details"),
    ];
}

impl Seen {
    /// Finds a DAG by the id in the address.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub(crate) async fn find(visit: &Visit, dag_id: &str) -> Result<Self, Error> {
        let missing = || Error::NotFound(format!("There is no DAG `{dag_id}`."));
        let dag_id = DagId::new(dag_id).map_err(|_| missing())?;
        let store = &visit.state.store;
        let line = store.dag_line(&dag_id, 0).await?.ok_or_else(missing)?;
        let version = visit.shelf().version(store, line.version).await?;
        Ok(Self { line, version })
    }

    /// The part above the view.
    ///
    /// # Errors
    /// Only when the database fails.
    pub(crate) async fn head(&self, visit: &Visit, view: View) -> Result<DagHead, Error> {
        let line = &self.line;
        let dag_id = line.dag_id.as_str();
        let href = paths::dag(dag_id);
        let zone = zone(&self.version.dag);
        let tab = |(tab, label, path): (View, &str, &str)| Tab {
            label: label.to_owned(),
            href: format!("{href}{path}"),
            count: None,
            current: tab == view,
        };
        Ok(DagHead {
            crumbs: vec![crumb("DAGs", Some("/dags")), crumb(dag_id, None)],
            description: line.description.clone().unwrap_or_default(),
            paused: line.is_paused,
            stale: line.is_stale,
            schedule: line.schedule.clone(),
            schedule_title: line.schedule_description.clone(),
            next: line.next_run_after.map(|at| words::moment_in(at, visit.now, zone)),
            assets: asset_wait::asset_wait(visit, line, &self.version.dag).await?,
            owner: line.owner.clone(),
            tags: line.tags.iter().map(|tag| tag_link(tag)).collect(),
            warnings: warnings(visit, dag_id).await?,
            broken: if line.has_import_errors { broken(visit, &line.file).await? } else { None },
            tabs: View::ALL.into_iter().map(tab).collect(),
            dag_id: dag_id.to_owned(),
            href,
        })
    }
}

async fn warnings(visit: &Visit, dag_id: &str) -> Result<Vec<String>, Error> {
    let ask = Ask { limit: 10, ..Ask::default() }.with("dag_id", Test::OneOf(vec![dag_id.to_owned()]));
    let (rows, _) = visit.state.store.dag_warnings(&ask).await?;
    Ok(rows.iter().flat_map(|row| row.message.lines().map(str::to_owned)).collect())
}

/// The zone in which a DAG's schedule is written.
pub(crate) fn zone(dag: &Dag) -> Tz {
    dag.schedule.zone().unwrap_or(dag.timezone)
}

/// A step of the path to a page.
pub(crate) fn crumb(label: &str, href: Option<&str>) -> Crumb {
    Crumb { label: label.to_owned(), href: href.map(str::to_owned) }
}

/// What the switch holds.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Switch {
    paused: bool,
    back: Option<String>,
}

/// Pauses a DAG, or lets it go on.
pub(crate) async fn pause(
    state: Data<AppState>,
    user: User,
    dag_id: Path<String>,
    form: Form<Switch>,
) -> Result<HttpResponse, Error> {
    let id = DagId::new(&dag_id)?;
    let Form(Switch { paused, back }) = form;
    set_paused(&state, &user, &id, paused).await?;
    let text = if paused {
        format!("{id} is paused: no new runs start.")
    } else {
        format!("{id} is scheduled again.")
    };
    Ok(visit::go(&visit::back(back.as_deref(), &paths::dag(id.as_str())), Mood::Good, &text))
}

/// Pauses a DAG or lets it go on, and tells the scheduler and the pages.
///
/// # Errors
/// [`Error::NotFound`] when there is no such DAG.
pub(crate) async fn set_paused(
    state: &AppState,
    user: &User,
    dag_id: &DagId,
    paused: bool,
) -> Result<(), Error> {
    if !state.store.set_paused(dag_id, paused, user.name()).await? {
        return Err(Error::NotFound(format!("There is no DAG `{dag_id}`.")));
    }
    let changed = Bell::Changed { dag_id: dag_id.to_string(), run_id: None };
    // The scheduler looks by itself after a while, so bells that cannot be rung are no failure.
    if let Err(error) = state.queue.ring_all(&[Bell::Config, changed]).await {
        tracing::debug!(%error, "the scheduler could not be told that a DAG was paused or unpaused");
    }
    Ok(())
}

fn tag_link(tag: &str) -> TagLink {
    TagLink { label: tag.to_owned(), href: paths::with_query("/dags", &[("tag", tag)]), current: false }
}

async fn broken(visit: &Visit, file: &str) -> Result<Option<Frame>, Error> {
    let errors = visit.state.store.import_errors(Some(file), MOST_ERRORS, 0).await?;
    Ok(errors.into_iter().find(|error| error.file == file).map(|error| Frame::new(error, visit.now)))
}
