//! The list of DAGs, and one DAG as its page heads it.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use domain::{
    engine::record::VersionId,
    id::DagId,
    state::{RunState, RunType},
};

use super::{Listing, Page};
use crate::{
    Error, Store,
    column::Parsed,
    hot::{hot_query, view_query},
};

/// Which DAGs are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Whose id contains this text, in whatever case.
    pub search: Option<String>,
    /// Which have one of these tags; none is no condition.
    pub tags: Vec<String>,
    /// Which have all of the tags.
    pub all_tags: bool,
    /// Which belong to this person.
    pub owner: Option<String>,
    /// Which are paused, or not.
    pub is_paused: Option<bool>,
    /// Whose newest run is in this state.
    pub last_run: Option<RunState>,
    /// Also those whose file is gone.
    pub with_stale: bool,
    /// In which order.
    pub order: Order,
    /// From the end.
    pub is_descending: bool,
}

/// What a list of DAGs is ordered by. Equal DAGs follow by id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// Their id.
    #[default]
    DagId,
    /// When their next run is due.
    NextRun,
    /// When their newest run was due.
    LastRun,
    /// The state of their newest run.
    LastRunState,
}

impl Order {
    const fn as_str(self) -> &'static str {
        match self {
            Self::DagId => "dag_id",
            Self::NextRun => "next_run",
            Self::LastRun => "last_run",
            Self::LastRunState => "last_run_state",
        }
    }
}

/// A DAG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its name.
    pub dag_id: DagId,
    /// One line about it.
    pub description: Option<String>,
    /// Who looks after it.
    pub owner: String,
    /// Its labels.
    pub tags: Vec<String>,
    /// Its file, as the loader names it.
    pub file: String,
    /// Its schedule in short.
    pub schedule: String,
    /// Its schedule in words.
    pub schedule_description: String,
    /// Nothing new starts.
    pub is_paused: bool,
    /// Its file is gone.
    pub is_stale: bool,
    /// Its file has errors now; the last good version keeps running.
    pub has_import_errors: bool,
    /// Its newest version.
    pub version: VersionId,
    /// Counts its versions.
    pub version_number: i32,
    /// The logical date of its next scheduled run.
    pub next_logical_date: Option<DateTime<Utc>>,
    /// The start of that run's data interval.
    pub next_interval_start: Option<DateTime<Utc>>,
    /// The end of that run's data interval.
    pub next_interval_end: Option<DateTime<Utc>>,
    /// When that run is due.
    pub next_run_after: Option<DateTime<Utc>>,
    /// When its file was last read.
    pub parsed_at: DateTime<Utc>,
    /// Runs that are running.
    pub running: i64,
    /// Runs that wait.
    pub queued: i64,
    /// Its newest runs, newest first.
    pub recent: Vec<Recent>,
}

/// A recent run of a DAG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recent {
    /// Its name.
    pub run_id: String,
    /// How it came to be.
    pub run_type: RunType,
    /// Its state.
    pub state: RunState,
    /// Its logical date.
    pub logical_date: Option<DateTime<Utc>>,
    /// When it was due.
    pub run_after: DateTime<Utc>,
    /// When it started.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
}

/// How many DAGs there are, those without a file left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, QueryableByName)]
pub struct Counts {
    /// All.
    #[diesel(sql_type = BigInt)]
    pub all: i64,
    /// Not paused.
    #[diesel(sql_type = BigInt)]
    pub active: i64,
    /// Paused.
    #[diesel(sql_type = BigInt)]
    pub paused: i64,
    /// With a running run.
    #[diesel(sql_type = BigInt)]
    pub running: i64,
    /// Whose newest run failed.
    #[diesel(sql_type = BigInt)]
    pub failed: i64,
    /// Files with errors.
    #[diesel(sql_type = BigInt)]
    pub broken_files: i64,
}

impl Store {
    /// A page of DAGs, each with its newest `recent` runs.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn dag_lines(&self, filter: &Filter, recent: u32, page: Page) -> Result<Listing<Line>, Error> {
        let rows = self.dag_rows(filter, page).await?;
        let total = match rows.iter().map(|row| row.total).next() {
            Some(total) => total,
            None if page.offset == 0 => 0,
            None => {
                self.dag_rows(filter, Page::first(1)).await?.iter().map(|row| row.total).next().unwrap_or(0)
            }
        };
        Ok(Listing { rows: self.with_recent(rows, recent).await?, total })
    }

    /// One DAG with its newest `recent` runs.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn dag_line(&self, dag_id: &DagId, recent: u32) -> Result<Option<Line>, Error> {
        let mut conn = self.conn().await?;
        let row: Option<Row> = One { dag_id: dag_id.as_str() }.get_result(&mut conn).await.optional()?;
        drop(conn);
        Ok(self.with_recent(row.into_iter().collect(), recent).await?.pop())
    }

    /// How many DAGs there are.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn dag_counts(&self) -> Result<Counts, Error> {
        let mut conn = self.conn().await?;
        Ok(CountDags {}.get_result(&mut conn).await?)
    }

    /// The tags that DAGs have and that contain `search`, by name.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn dag_tags(&self, search: &str, page: Page) -> Result<Listing<String>, Error> {
        let mut conn = self.conn().await?;
        let rows: Vec<TagRow> =
            Tags { search, limit: &page.limit, offset: &page.offset }.load(&mut conn).await?;
        let total = rows.iter().map(|row| row.total).max().unwrap_or(0);
        Ok(Listing { rows: rows.into_iter().map(|row| row.tag).collect(), total })
    }

    async fn dag_rows(&self, filter: &Filter, page: Page) -> Result<Vec<Row>, Error> {
        let tags: Vec<&str> = filter.tags.iter().map(String::as_str).collect();
        let query = List {
            search: &filter.search.as_deref().filter(|search| !search.is_empty()),
            tags: &tags,
            all_tags: &filter.all_tags,
            owner: &filter.owner.as_deref(),
            is_paused: &filter.is_paused,
            last_run: &filter.last_run.map(RunState::as_str),
            with_stale: &filter.with_stale,
            order: filter.order.as_str(),
            is_descending: &filter.is_descending,
            limit: &page.limit,
            offset: &page.offset,
        };
        let mut conn = self.conn().await?;
        Ok(query.load(&mut conn).await?)
    }

    async fn with_recent(&self, rows: Vec<Row>, recent: u32) -> Result<Vec<Line>, Error> {
        let ids: Vec<&str> = rows.iter().map(|row| row.dag_id.0.as_str()).collect();
        let query = RecentRuns { ids: &ids, limit: &i64::from(recent.min(super::MOST_ROWS)) };
        let mut conn = self.conn().await?;
        let runs: Vec<RecentRow> = query.load(&mut conn).await?;
        let mut by_dag: HashMap<String, Vec<Recent>> = HashMap::new();
        for run in runs {
            by_dag.entry(run.dag_id.clone()).or_default().push(run.into());
        }
        let line = |row: Row| {
            let recent = by_dag.remove(row.dag_id.0.as_str()).unwrap_or_default();
            row.line(recent)
        };
        Ok(rows.into_iter().map(line).collect())
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    dag_id: Parsed<DagId>,
    #[diesel(sql_type = Nullable<Text>)]
    description: Option<String>,
    #[diesel(sql_type = Text)]
    owner: String,
    #[diesel(sql_type = Array<Text>)]
    tags: Vec<String>,
    #[diesel(sql_type = Text)]
    file: String,
    #[diesel(sql_type = Text)]
    schedule: String,
    #[diesel(sql_type = Text)]
    schedule_description: String,
    #[diesel(sql_type = Bool)]
    is_paused: bool,
    #[diesel(sql_type = Bool)]
    is_stale: bool,
    #[diesel(sql_type = Bool)]
    has_import_errors: bool,
    #[diesel(sql_type = BigInt)]
    version_id: i64,
    #[diesel(sql_type = Integer)]
    version_number: i32,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    next_logical_date: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    next_interval_start: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    next_interval_end: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    next_run_after: Option<DateTime<Utc>>,
    #[diesel(sql_type = Timestamptz)]
    parsed_at: DateTime<Utc>,
    #[diesel(sql_type = BigInt)]
    running: i64,
    #[diesel(sql_type = BigInt)]
    queued: i64,
    #[diesel(sql_type = BigInt)]
    total: i64,
}

impl Row {
    fn line(self, recent: Vec<Recent>) -> Line {
        Line {
            dag_id: self.dag_id.0,
            description: self.description,
            owner: self.owner,
            tags: self.tags,
            file: self.file,
            schedule: self.schedule,
            schedule_description: self.schedule_description,
            is_paused: self.is_paused,
            is_stale: self.is_stale,
            has_import_errors: self.has_import_errors,
            version: VersionId(self.version_id),
            version_number: self.version_number,
            next_logical_date: self.next_logical_date,
            next_interval_start: self.next_interval_start,
            next_interval_end: self.next_interval_end,
            next_run_after: self.next_run_after,
            parsed_at: self.parsed_at,
            running: self.running,
            queued: self.queued,
            recent,
        }
    }
}

#[derive(QueryableByName)]
struct RecentRow {
    #[diesel(sql_type = Text)]
    dag_id: String,
    #[diesel(sql_type = Text)]
    run_id: String,
    #[diesel(sql_type = Text)]
    run_type: Parsed<RunType>,
    #[diesel(sql_type = Text)]
    state: Parsed<RunState>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    logical_date: Option<DateTime<Utc>>,
    #[diesel(sql_type = Timestamptz)]
    run_after: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    started_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    ended_at: Option<DateTime<Utc>>,
}

impl From<RecentRow> for Recent {
    fn from(row: RecentRow) -> Self {
        Self {
            run_id: row.run_id,
            run_type: row.run_type.0,
            state: row.state.0,
            logical_date: row.logical_date,
            run_after: row.run_after,
            started_at: row.started_at,
            ended_at: row.ended_at,
        }
    }
}

#[derive(QueryableByName)]
struct TagRow {
    #[diesel(sql_type = Text)]
    tag: String,
    #[diesel(sql_type = BigInt)]
    total: i64,
}

view_query! {
    List {
        search: Option<&'a str> => Nullable<Text>,
        tags: [&'a str] => Array<Text>,
        all_tags: bool => Bool,
        owner: Option<&'a str> => Nullable<Text>,
        is_paused: Option<bool> => Nullable<Bool>,
        last_run: Option<&'static str> => Nullable<Text>,
        with_stale: bool => Bool,
        order: str => Text,
        is_descending: bool => Bool,
        limit: i64 => BigInt,
        offset: i64 => BigInt,
    }
    include_str!("dags/list.sql")
}

hot_query! {
    One { dag_id: str => Text }
    include_str!("dags/one.sql")
}

hot_query! {
    RecentRuns { ids: [&'a str] => Array<Text>, limit: i64 => BigInt }
    "SELECT r.dag_id, r.run_id, r.run_type, r.state, r.logical_date, r.run_after, r.started_at, r.ended_at
     FROM unnest($1::text[]) AS d (dag_id)
     CROSS JOIN LATERAL (
         SELECT * FROM dag_run r WHERE r.dag_id = d.dag_id ORDER BY r.run_after DESC, r.key DESC LIMIT $2
     ) r
     ORDER BY r.dag_id, r.run_after DESC, r.key DESC"
}

hot_query! {
    CountDags {}
    include_str!("dags/count.sql")
}

hot_query! {
    Tags { search: str => Text, limit: i64 => BigInt, offset: i64 => BigInt }
    "SELECT tag, count(*) OVER () AS total FROM (
         SELECT DISTINCT unnest(tags) AS tag FROM dag WHERE NOT is_stale
     ) t WHERE strpos(lower(tag), lower($1)) > 0 OR $1 = '' ORDER BY tag LIMIT $2 OFFSET $3"
}
