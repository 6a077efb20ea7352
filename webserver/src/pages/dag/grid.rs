//! A DAG's grid: tasks down, runs across.

use std::collections::HashMap;

use actix_web::{
    HttpResponse,
    web::{Path, Query},
};
use askama::Template;
use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    id::{RunKey, TaskId},
    state::TaskState,
};
use serde::Deserialize;
use store::view::dag_grid::{self, Run};

use super::{DagHead, Seen, View, rows};
use crate::{
    error::Error,
    pages::{
        parts::{Pager, Shell, Tab},
        paths,
        tally::{self, Tally},
        visit::Visit,
        words,
    },
};

/// How many runs may be chosen; the first is what is shown when nothing is chosen.
const LIMITS: [u32; 4] = [25, 10, 50, 100];
/// Most rows at once.
const MOST_ROWS: usize = 400;
/// Most cells at once: with many rows there are fewer columns.
const MOST_CELLS: usize = 5_000;
/// Height of the bar of the longest run, and of the shortest, in pixels.
const HEIGHTS: (i64, i64) = (2, 56);

/// What is asked for.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Params {
    runs: Option<u32>,
    /// Only runs before this one: `MICROSECONDS-KEY`.
    #[serde(default)]
    before: String,
    /// Which part of the rows, from 1.
    rows: Option<usize>,
}

/// The grid of tasks and runs, or its live part (`as_grid`).
#[derive(Debug, Template)]
#[template(path = "dag.html", blocks = ["grid"])]
pub(crate) struct DagPage {
    pub(crate) shell: Shell,
    pub(crate) head: DagHead,
    /// How many runs may be shown.
    pub(crate) limits: Vec<Tab>,
    pub(crate) grid: Grid,
}

/// Tasks down, runs across.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Grid {
    /// The duration that the highest bar stands for, in words.
    pub(crate) longest: String,
    /// The days above the columns; their runs add up to all columns.
    pub(crate) days: Vec<GridDay>,
    /// Oldest first.
    pub(crate) runs: Vec<GridRun>,
    pub(crate) rows: Vec<GridRow>,
    /// The ways to older and newer runs.
    pub(crate) pager: Option<Pager>,
    /// The ways to the rows that are not shown.
    pub(crate) more_rows: Option<Pager>,
}

/// A column of the grid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GridRun {
    pub(crate) run_id: String,
    pub(crate) href: String,
    pub(crate) state: &'static str,
    /// Run id, state, duration: what a pointer or a screen reader is told.
    pub(crate) title: String,
    /// The icon of the run's kind.
    pub(crate) icon: &'static str,
    /// Height of the bar in pixels, 2 to 56.
    pub(crate) height: i64,
}

/// Neighbouring columns of one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GridDay {
    /// For example `21 Nov`.
    pub(crate) label: String,
    /// How many columns.
    pub(crate) runs: usize,
}

/// A row of the grid: a task or a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GridRow {
    pub(crate) id: String,
    pub(crate) label: String,
    /// How many groups are around it; at most 4 are shown by indentation.
    pub(crate) depth: usize,
    pub(crate) is_group: bool,
    pub(crate) mapped: bool,
    /// One for each run; `None` where the run has no such task.
    pub(crate) cells: Vec<Option<Cell>>,
}

/// A task in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) state: &'static str,
    pub(crate) title: String,
    /// Cells of groups lead nowhere.
    pub(crate) href: Option<String>,
}

/// Answers.
pub(crate) async fn show(
    visit: Visit,
    dag_id: Path<String>,
    params: Query<Params>,
) -> Result<HttpResponse, Error> {
    let seen = Seen::find(&visit, &dag_id).await?;
    let chosen = params.runs.filter(|runs| LIMITS.contains(runs)).unwrap_or(LIMITS[0]);
    let page = DagPage {
        shell: visit.shell("dags").await?,
        head: seen.head(&visit, View::Grid).await?,
        limits: limits(&seen, chosen),
        grid: grid(&visit, &seen, &params, chosen).await?,
    };
    visit.answer(match visit.fragment() {
        Some("grid") => page.as_grid().render(),
        Some(_) | None => page.render(),
    })
}

fn limits(seen: &Seen, chosen: u32) -> Vec<Tab> {
    let mut limits = LIMITS;
    limits.sort_unstable();
    let tab = |limit: u32| Tab {
        label: limit.to_string(),
        href: paths::with_query(&paths::dag(seen.line.dag_id.as_str()), &[("runs", &limit.to_string())]),
        count: None,
        current: limit == chosen,
    };
    limits.into_iter().map(tab).collect()
}

async fn grid(visit: &Visit, seen: &Seen, params: &Params, chosen: u32) -> Result<Grid, Error> {
    let dag = &seen.version.dag;
    let all = rows::rows(dag);
    let first = (params.rows.unwrap_or(1).max(1) - 1).saturating_mul(MOST_ROWS);
    let shown: Vec<rows::Row> = all.iter().skip(first).take(MOST_ROWS).cloned().collect();
    let limit = columns(shown.len(), chosen);
    let is_whole = all.len() <= MOST_ROWS;
    let filter = dag_grid::Filter {
        limit: limit + 1,
        before: before(&params.before),
        tasks: if is_whole { Vec::new() } else { tasks_of(seen, &shown) },
        ..dag_grid::Filter::default()
    };
    let mut found = visit.state.store.dag_grid(&seen.line.dag_id, &filter).await?;
    let has_older = found.runs.len() > limit as usize;
    found.runs.truncate(limit as usize);
    let oldest = found.runs.last().map(|run| (run.run_after, run.key));
    let table = Table::new(seen, &found);
    let mut rows: Vec<GridRow> = shown.into_iter().map(|row| table.row(row)).collect();
    if is_whole {
        rows.extend(table.gone());
    }
    let longest = found.runs.iter().filter_map(|run| length(run, visit.now)).max().unwrap_or_default();
    let runs: Vec<GridRun> =
        found.runs.iter().rev().map(|run| column(seen, run, longest, visit.now)).collect();
    Ok(Grid {
        longest: if runs.is_empty() { String::new() } else { words::duration(longest) },
        days: days(&found.runs),
        runs,
        rows,
        pager: run_pager(seen, params, chosen, oldest.filter(|_| has_older)),
        more_rows: row_pager(seen, params, all.len()),
    })
}

/// So many columns that the grid stays within its cells, and at least one.
fn columns(rows: usize, chosen: u32) -> u32 {
    let fits = u32::try_from(MOST_CELLS / rows.max(1)).unwrap_or(u32::MAX);
    chosen.min(fits).max(1)
}

fn before(text: &str) -> Option<(DateTime<Utc>, RunKey)> {
    let (micros, key) = text.split_once('-')?;
    Some((DateTime::from_timestamp_micros(micros.parse().ok()?)?, RunKey(key.parse().ok()?)))
}

fn tasks_of(seen: &Seen, shown: &[rows::Row]) -> Vec<TaskId> {
    let tasks = &seen.version.dag.tasks;
    let ranges = shown.iter().flat_map(|row| row.tasks.clone());
    let mut places: Vec<usize> = ranges.collect();
    places.sort_unstable();
    places.dedup();
    places.into_iter().filter_map(|place| tasks.get(place)).map(|task| task.task_id.clone()).collect()
}

fn run_pager(
    seen: &Seen,
    params: &Params,
    chosen: u32,
    oldest: Option<(DateTime<Utc>, RunKey)>,
) -> Option<Pager> {
    let path = paths::dag(seen.line.dag_id.as_str());
    let runs = chosen.to_string();
    let older = oldest.map(|(at, key)| format!("{}-{}", at.timestamp_micros(), key.0));
    let link = |before: &str| paths::with_query(&path, &[("runs", &runs), ("before", before)]);
    let next = older.map(|older| link(&older));
    let previous = (!params.before.is_empty()).then(|| link(""));
    (next.is_some() || previous.is_some()).then(|| Pager { text: String::new(), previous, next })
}

fn row_pager(seen: &Seen, params: &Params, all: usize) -> Option<Pager> {
    if all <= MOST_ROWS {
        return None;
    }
    let number = params.rows.unwrap_or(1).max(1);
    let path = paths::dag(seen.line.dag_id.as_str());
    let runs = params.runs.map(|runs| runs.to_string()).unwrap_or_default();
    let link = |rows: usize| {
        paths::with_query(&path, &[("runs", &runs), ("before", &params.before), ("rows", &rows.to_string())])
    };
    let first = (number - 1).saturating_mul(MOST_ROWS);
    let last = all.min(first.saturating_add(MOST_ROWS));
    Some(Pager {
        text: format!("rows {} to {last} of {all}", first.saturating_add(1)),
        previous: (number > 1).then(|| link(number - 1)),
        next: (last < all).then(|| link(number + 1)),
    })
}

/// The tallies of all tasks in all runs, by task and run.
struct Table<'a> {
    seen: &'a Seen,
    runs: &'a [Run],
    tallies: HashMap<&'a str, Vec<Tally>>,
}

impl<'a> Table<'a> {
    fn new(seen: &'a Seen, grid: &'a dag_grid::Grid) -> Self {
        let mut tallies = HashMap::new();
        for row in &grid.tasks {
            let mut of_runs = vec![Tally::default(); grid.runs.len()];
            for cell in &row.cells {
                if let Some(tally) = of_runs.get_mut(cell.run) {
                    tally.add(cell.state, i64::from(cell.count));
                }
            }
            tallies.insert(row.task_id.as_str(), of_runs);
        }
        Self { seen, runs: &grid.runs, tallies }
    }

    fn row(&self, row: rows::Row) -> GridRow {
        let ids: Vec<&str> =
            self.seen.version.dag.tasks[row.tasks.clone()].iter().map(|task| task.task_id.as_str()).collect();
        let cell = |(place, run): (usize, &Run)| {
            let mut tally = Tally::default();
            ids.iter().filter_map(|id| self.tallies.get(id)).for_each(|of_runs| tally.merge(&of_runs[place]));
            self.cell(&row.id, row.is_group, run, &tally)
        };
        GridRow {
            cells: self.runs.iter().enumerate().rev().map(cell).collect(),
            id: row.id,
            label: row.label,
            depth: row.depth,
            is_group: row.is_group,
            mapped: row.mapped,
        }
    }

    fn cell(&self, id: &str, is_group: bool, run: &Run, tally: &Tally) -> Option<Cell> {
        let state = tally.state()?;
        let said = if tally.total() == 1 { tally::words(state) } else { tally.words() };
        let href = || paths::task(self.seen.line.dag_id.as_str(), &run.run_id, id);
        Some(Cell { state: state.as_str(), title: format!("{id}: {said}"), href: (!is_group).then(href) })
    }

    /// Tasks of older versions that the newest one does not have any more.
    fn gone(&self) -> Vec<GridRow> {
        let known = |id: &str| self.seen.version.task(id).is_some();
        let mut gone: Vec<&str> = self.tallies.keys().copied().filter(|id| !known(id)).collect();
        gone.sort_unstable();
        gone.truncate(MOST_ROWS);
        let row = |id: &str| GridRow {
            id: id.to_owned(),
            label: id.to_owned(),
            depth: 0,
            is_group: false,
            mapped: false,
            cells: self
                .runs
                .iter()
                .enumerate()
                .rev()
                .map(|(place, run)| {
                    let tally =
                        self.tallies.get(id).map(|of_runs| of_runs[place].clone()).unwrap_or_default();
                    self.cell(id, false, run, &tally).filter(|cell| cell.state != TaskState::Removed.as_str())
                })
                .collect(),
        };
        gone.into_iter().map(row).collect()
    }
}

fn length(run: &Run, now: DateTime<Utc>) -> Option<TimeDelta> {
    run.started_at.map(|start| run.ended_at.unwrap_or(now) - start)
}

fn column(seen: &Seen, run: &Run, longest: TimeDelta, now: DateTime<Utc>) -> GridRun {
    let took = words::took(run.started_at, run.ended_at, now);
    GridRun {
        href: paths::run(seen.line.dag_id.as_str(), &run.run_id),
        state: run.state.as_str(),
        title: words::run_title(&words::run_name(&run.run_id, now), run.state, &took),
        icon: words::run_icon(run.run_type),
        height: height(length(run, now).unwrap_or_default(), longest),
        run_id: run.run_id.clone(),
    }
}

fn height(length: TimeDelta, longest: TimeDelta) -> i64 {
    let (least, most) = HEIGHTS;
    let scale = longest.num_milliseconds().max(1);
    (length.num_milliseconds().max(0) * most / scale).clamp(least, most)
}

/// Neighbouring columns of one day, oldest first; `runs` are newest first.
fn days(runs: &[Run]) -> Vec<GridDay> {
    let mut days: Vec<GridDay> = Vec::new();
    for run in runs.iter().rev() {
        let label = run.run_after.format("%-d %b").to_string();
        match days.last_mut() {
            Some(day) if day.label == label => day.runs += 1,
            Some(_) | None => days.push(GridDay { label, runs: 1 }),
        }
    }
    days
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_rows_leave_room_for_few_columns() {
        assert_eq!(columns(0, 25), 25);
        assert_eq!(columns(12, 100), 100);
        assert_eq!(columns(400, 100), 12);
        assert_eq!(columns(50_000, 100), 1);
    }

    #[test]
    fn bars_are_as_high_as_runs_are_long() {
        let second = TimeDelta::seconds;
        assert_eq!(height(second(10), second(10)), 56);
        assert_eq!(height(second(5), second(10)), 28);
        assert_eq!(height(second(0), second(10)), 2);
        assert_eq!(height(second(0), second(0)), 2);
    }

    #[test]
    fn the_place_in_the_list_is_read_back() {
        let at = DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap();
        assert_eq!(before("1700000000123456-42"), Some((at, RunKey(42))));
        assert!(["", "x-1", "1", "99999999999999999999-1"].iter().all(|text| before(text).is_none()));
    }
}
