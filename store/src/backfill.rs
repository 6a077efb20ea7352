//! Backfills, as their rows are read, and what the engine asks about their dates.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Bool, Integer, Json, Nullable, Text, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    backfill::{BackfillId, Date, Order, Reprocess},
    engine::backfill::{BackfillRecord, BackfillSnapshot, Found, Survey},
    id::{DagId, RunId},
    partition::Key,
    state::RunState,
    timetable::DataInterval,
};
use serde_json::{Map, Value};

use crate::{
    Error, Store,
    column::{FromJson, Parsed, count},
    hot::hot_query,
};

/// All columns of a backfill.
#[derive(QueryableByName)]
pub(crate) struct BackfillRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    dag_id: Parsed<DagId>,
    #[diesel(sql_type = Timestamptz)]
    from_date: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    to_date: DateTime<Utc>,
    #[diesel(sql_type = Bool)]
    run_backwards: bool,
    #[diesel(sql_type = Integer)]
    max_active_runs: i32,
    #[diesel(sql_type = Text)]
    reprocess: Parsed<Reprocess>,
    #[diesel(sql_type = Nullable<Json>)]
    conf: Option<FromJson<Map<String, Value>>>,
    #[diesel(sql_type = Bool)]
    run_on_latest_version: bool,
    #[diesel(sql_type = Text)]
    triggered_by: String,
    #[diesel(sql_type = Bool)]
    is_paused: bool,
    #[diesel(sql_type = Bool)]
    is_cancelled: bool,
    #[diesel(sql_type = Timestamptz)]
    created_at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    updated_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    completed_at: Option<DateTime<Utc>>,
}

impl From<BackfillRow> for BackfillRecord {
    fn from(row: BackfillRow) -> Self {
        Self {
            id: BackfillId(row.id),
            order: Order {
                dag_id: row.dag_id.0,
                from: row.from_date,
                to: row.to_date,
                run_backwards: row.run_backwards,
                max_active_runs: count(row.max_active_runs),
                reprocess: row.reprocess.0,
                conf: row.conf.map(|conf| conf.0),
                run_on_latest_version: row.run_on_latest_version,
            },
            by: row.triggered_by,
            is_paused: row.is_paused,
            is_cancelled: row.is_cancelled,
            created_at: row.created_at,
            updated_at: row.updated_at,
            completed_at: row.completed_at,
        }
    }
}

impl Store {
    /// A number for a new backfill, which is never given again.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn next_backfill(&self) -> Result<BackfillId, Error> {
        let mut conn = self.conn().await?;
        let row: IdRow = NextId {}.get_result(&mut conn).await?;
        Ok(BackfillId(row.id))
    }

    /// Which of the dates of a backfill that are not done with have runs, also by name alone. Of several runs of one date the one that
    /// started last comes last.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn survey(&self, survey: &Survey) -> Result<Vec<Found>, Error> {
        let query = FindRuns { backfill_id: &survey.backfill.0, dag_id: survey.dag_id.as_str() };
        let mut conn = self.conn().await?;
        let rows: Vec<FoundRow> = query.load(&mut conn).await?;
        Ok(rows.into_iter().map(Found::from).collect())
    }

    /// As [`Store::survey`], for dates of a backfill that there is not; their places are the ordinals.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a date that no run can be called after.
    pub async fn survey_dates(&self, dag_id: &DagId, dates: &[Date]) -> Result<Vec<Found>, Error> {
        // No backfill has this number, so of a partition no run is found by its name alone.
        let run_ids = dates.iter().map(|date| date.run_id(BackfillId(0))).collect::<Result<Vec<_>, _>>();
        let run_ids = run_ids.map_err(|error| Error::Invalid(error.to_string()))?;
        let query = FindRunsOf {
            dag_id: dag_id.as_str(),
            moment: &dates.iter().map(Date::moment).collect::<Vec<_>>(),
            is_part: &dates.iter().map(|date| date.key.is_some()).collect::<Vec<_>>(),
            run_id: &run_ids.iter().map(RunId::as_str).collect::<Vec<_>>(),
        };
        let mut conn = self.conn().await?;
        let rows: Vec<FoundRow> = query.load(&mut conn).await?;
        Ok(rows.into_iter().map(Found::from).collect())
    }
}

/// All backfills that are not over, with what is left of them.
pub(crate) async fn active(conn: &mut AsyncPgConnection) -> Result<Vec<BackfillSnapshot>, Error> {
    let rows: Vec<BackfillRow> = Active {}.load(conn).await?;
    let mut waiting: HashMap<i64, Vec<(u32, Date)>> = HashMap::new();
    let dates: Vec<DateRow> = ActiveDates {}.load(conn).await?;
    for row in dates {
        let data_interval = DataInterval { start: row.interval_start, end: row.interval_end };
        let date = Date { data_interval, run_after: row.run_after, key: row.partition_key.map(|key| key.0) };
        waiting.entry(row.backfill_id).or_default().push((count(row.ordinal), date));
    }
    let snapshot = |row: BackfillRow| BackfillSnapshot {
        waiting: waiting.remove(&row.id).unwrap_or_default(),
        record: row.into(),
    };
    Ok(rows.into_iter().map(snapshot).collect())
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

#[derive(QueryableByName)]
struct DateRow {
    #[diesel(sql_type = BigInt)]
    backfill_id: i64,
    #[diesel(sql_type = Integer)]
    ordinal: i32,
    #[diesel(sql_type = Timestamptz)]
    interval_start: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    interval_end: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    run_after: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Text>)]
    partition_key: Option<Parsed<Key>>,
}

#[derive(QueryableByName)]
struct FoundRow {
    #[diesel(sql_type = Integer)]
    ordinal: i32,
    #[diesel(sql_type = Text)]
    run_id: Parsed<RunId>,
    #[diesel(sql_type = Text)]
    state: Parsed<RunState>,
}

impl From<FoundRow> for Found {
    fn from(row: FoundRow) -> Self {
        Self { ordinal: count(row.ordinal), run_id: row.run_id.0, state: row.state.0 }
    }
}

hot_query! {
    NextId {}
    "SELECT nextval('backfill_id') AS id"
}

hot_query! {
    Active {}
    "SELECT * FROM backfill WHERE completed_at IS NULL ORDER BY id"
}

hot_query! {
    ActiveDates {}
    "SELECT d.backfill_id, d.ordinal, d.interval_start, d.interval_end, d.run_after, d.partition_key
     FROM backfill b JOIN backfill_date d ON d.backfill_id = b.id
     WHERE b.completed_at IS NULL AND d.deed IS NULL ORDER BY d.backfill_id, d.ordinal"
}

/// The runs that dates of a DAG (`$1`) have already, by one of the ways in which a run can be that of a date.
macro_rules! runs_of_dates {
    ($dates:literal) => {
        concat!(
            "WITH dates AS (",
            $dates,
            ")
     SELECT d.ordinal, r.run_id, r.state, r.started_at, r.key
     FROM dates d JOIN dag_run r ON r.dag_id = $1 AND r.logical_date = d.moment WHERE NOT d.is_part
     UNION
     SELECT d.ordinal, r.run_id, r.state, r.started_at, r.key
     FROM dates d CROSS JOIN LATERAL (
         SELECT * FROM dag_run r WHERE r.dag_id = $1 AND r.partition_date = d.moment
         ORDER BY r.started_at DESC NULLS LAST, r.key DESC LIMIT 1
     ) r WHERE d.is_part
     UNION
     SELECT d.ordinal, r.run_id, r.state, r.started_at, r.key
     FROM dates d JOIN dag_run r ON r.dag_id = $1 AND r.run_id = d.run_id
     ORDER BY ordinal, started_at NULLS FIRST, key"
        )
    };
}

hot_query! {
    FindRuns { dag_id: str => Text, backfill_id: i64 => BigInt }
    runs_of_dates!(
        "SELECT ordinal, interval_start AS moment, run_id, partition_key IS NOT NULL AS is_part
         FROM backfill_date WHERE backfill_id = $2 AND deed IS NULL"
    )
}

hot_query! {
    FindRunsOf {
        dag_id: str => Text,
        moment: [DateTime<Utc>] => Array<Timestamptz>,
        is_part: [bool] => Array<Bool>,
        run_id: [&'a str] => Array<Text>,
    }
    runs_of_dates!(
        "SELECT d.place::integer - 1 AS ordinal, d.moment, d.is_part, d.run_id
         FROM unnest($2::timestamptz[], $3::boolean[], $4::text[]) WITH ORDINALITY AS d (moment, is_part, run_id, place)"
    )
}
