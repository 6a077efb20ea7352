//! Runs.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Bool, Integer, Json, Nullable, Text, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    engine::{decision::Expected, record::RunRecord},
    state::RunState,
};
use futures_util::FutureExt;
use serde::Serialize;

use super::{MOST_ROWS, Sent, column};
use crate::{
    Error,
    column::{ToJson, int, storable},
    hot::hot_query,
};

pub(super) fn insert<'a>(conn: &'a AsyncPgConnection, runs: &'a [RunRecord], to: &mut Vec<Sent<'a>>) {
    to.extend(runs.chunks(MOST_ROWS).map(|chunk| insert_chunk(conn, chunk).boxed()));
}

async fn insert_chunk(conn: &AsyncPgConnection, runs: &[RunRecord]) -> Result<(), Error> {
    let conf = runs.iter().map(|run| ToJson::of(&*run.conf)).collect::<Result<Vec<_>, _>>()?;
    let triggered_by = column(runs, |run| run.triggered_by.as_deref().map(storable));
    let note = column(runs, |run| run.note.as_deref().map(storable));
    let missed = jsons(runs.iter().map(|run| &run.missed))?;
    let query = InsertRuns {
        key: &column(runs, |run| run.key.0),
        dag_id: &column(runs, |run| run.dag_id.as_str()),
        run_id: &column(runs, |run| run.run_id.as_str()),
        run_type: &column(runs, |run| run.run_type.as_str()),
        state: &column(runs, |run| run.state.as_str()),
        version_id: &column(runs, |run| run.version.0),
        logical_date: &column(runs, |run| run.logical_date),
        interval_start: &column(runs, |run| run.data_interval.map(|interval| interval.start)),
        interval_end: &column(runs, |run| run.data_interval.map(|interval| interval.end)),
        run_after: &column(runs, |run| run.run_after),
        queued_at: &column(runs, |run| run.queued_at),
        started_at: &column(runs, |run| run.started_at),
        ended_at: &column(runs, |run| run.ended_at),
        conf: &conf,
        triggered_by: &column(&triggered_by, |text| text.as_deref()),
        note: &column(&note, |text| text.as_deref()),
        clear_number: &column(runs, |run| int(run.clear_number)),
        is_paused: &column(runs, |run| run.is_paused),
        depth: &column(runs, |run| int(run.depth)),
        backfill_id: &column(runs, |run| run.backfill.map(|place| place.id.0)),
        backfill_ordinal: &column(runs, |run| run.backfill.map(|place| int(place.ordinal))),
        missed: &missed,
        partition_key: &column(runs, |run| run.partition.as_ref().map(|partition| partition.key.as_str())),
        partition_date: &column(runs, |run| run.partition.as_ref().and_then(|partition| partition.date)),
        bases: &jsons(runs.iter().map(|run| &run.bases))?,
    };
    query.execute(&mut &*conn).await?;
    Ok(())
}

pub(super) fn update<'a>(
    conn: &'a AsyncPgConnection,
    runs: &'a [Expected<RunRecord, RunState>],
    to: &mut Vec<Sent<'a>>,
) {
    to.extend(runs.chunks(MOST_ROWS).map(|chunk| update_chunk(conn, chunk).boxed()));
}

async fn update_chunk(conn: &AsyncPgConnection, runs: &[Expected<RunRecord, RunState>]) -> Result<(), Error> {
    let key = column(runs, |run| run.new.key.0);
    let query = UpdateRuns {
        key: &key,
        old_state: &column(runs, |run| run.old.as_str()),
        state: &column(runs, |run| run.new.state.as_str()),
        version_id: &column(runs, |run| run.new.version.0),
        run_after: &column(runs, |run| run.new.run_after),
        queued_at: &column(runs, |run| run.new.queued_at),
        started_at: &column(runs, |run| run.new.started_at),
        ended_at: &column(runs, |run| run.new.ended_at),
        clear_number: &column(runs, |run| int(run.new.clear_number)),
        is_paused: &column(runs, |run| run.new.is_paused),
        depth: &column(runs, |run| int(run.new.depth)),
        missed: &jsons(runs.iter().map(|run| &run.new.missed))?,
        partition_key: &column(runs, |run| {
            run.new.partition.as_ref().map(|partition| partition.key.as_str())
        }),
        partition_date: &column(runs, |run| run.new.partition.as_ref().and_then(|partition| partition.date)),
        bases: &jsons(runs.iter().map(|run| &run.new.bases))?,
    };
    let updated = query.execute(&mut &*conn).await?;
    if updated == runs.len() {
        return Ok(());
    }
    let found: Vec<FoundRun> = FindRuns { key: &key }.load(&mut &*conn).await?;
    Err(Error::Conflict(mismatch(runs, &found, updated)))
}

// Nothing where a run has nothing of the kind, which is nearly always.
fn jsons<'a, T: Serialize + 'a>(
    lists: impl Iterator<Item = &'a Vec<T>>,
) -> Result<Vec<Option<ToJson>>, Error> {
    lists.map(|list| (!list.is_empty()).then(|| ToJson::of(list)).transpose()).collect()
}

fn mismatch(runs: &[Expected<RunRecord, RunState>], found: &[FoundRun], updated: usize) -> String {
    let wrong = runs.iter().filter_map(|run| {
        let name = format!("{} {}", run.new.dag_id, run.new.run_id);
        match found.iter().find(|row| row.key == run.new.key.0) {
            None => Some(format!("{name} does not exist")),
            Some(row) if row.state == run.new.state.as_str() => None,
            Some(row) => Some(format!("{name} is {}, not {}", row.state, run.old)),
        }
    });
    let first: Vec<String> = wrong.take(3).collect();
    format!("{} of {} runs are not as remembered: {}", runs.len() - updated, runs.len(), first.join("; "))
}

#[derive(QueryableByName)]
struct FoundRun {
    #[diesel(sql_type = BigInt)]
    key: i64,
    #[diesel(sql_type = Text)]
    state: String,
}

hot_query! {
    InsertRuns {
        key: [i64] => Array<BigInt>,
        dag_id: [&'a str] => Array<Text>,
        run_id: [&'a str] => Array<Text>,
        run_type: [&'a str] => Array<Text>,
        state: [&'a str] => Array<Text>,
        version_id: [i64] => Array<BigInt>,
        logical_date: [Option<DateTime<Utc>>] => Array<Nullable<Timestamptz>>,
        interval_start: [Option<DateTime<Utc>>] => Array<Nullable<Timestamptz>>,
        interval_end: [Option<DateTime<Utc>>] => Array<Nullable<Timestamptz>>,
        run_after: [DateTime<Utc>] => Array<Timestamptz>,
        queued_at: [DateTime<Utc>] => Array<Timestamptz>,
        started_at: [Option<DateTime<Utc>>] => Array<Nullable<Timestamptz>>,
        ended_at: [Option<DateTime<Utc>>] => Array<Nullable<Timestamptz>>,
        conf: [ToJson] => Array<Json>,
        triggered_by: [Option<&'a str>] => Array<Nullable<Text>>,
        note: [Option<&'a str>] => Array<Nullable<Text>>,
        clear_number: [i32] => Array<Integer>,
        is_paused: [bool] => Array<Bool>,
        depth: [i32] => Array<Integer>,
        backfill_id: [Option<i64>] => Array<Nullable<BigInt>>,
        backfill_ordinal: [Option<i32>] => Array<Nullable<Integer>>,
        missed: [Option<ToJson>] => Array<Nullable<Json>>,
        partition_key: [Option<&'a str>] => Array<Nullable<Text>>,
        partition_date: [Option<DateTime<Utc>>] => Array<Nullable<Timestamptz>>,
        bases: [Option<ToJson>] => Array<Nullable<Json>>,
    }
    include_str!("insert_runs.sql")
}

hot_query! {
    UpdateRuns {
        key: [i64] => Array<BigInt>,
        old_state: [&'a str] => Array<Text>,
        state: [&'a str] => Array<Text>,
        version_id: [i64] => Array<BigInt>,
        run_after: [DateTime<Utc>] => Array<Timestamptz>,
        queued_at: [DateTime<Utc>] => Array<Timestamptz>,
        started_at: [Option<DateTime<Utc>>] => Array<Nullable<Timestamptz>>,
        ended_at: [Option<DateTime<Utc>>] => Array<Nullable<Timestamptz>>,
        clear_number: [i32] => Array<Integer>,
        is_paused: [bool] => Array<Bool>,
        depth: [i32] => Array<Integer>,
        missed: [Option<ToJson>] => Array<Nullable<Json>>,
        partition_key: [Option<&'a str>] => Array<Nullable<Text>>,
        partition_date: [Option<DateTime<Utc>>] => Array<Nullable<Timestamptz>>,
        bases: [Option<ToJson>] => Array<Nullable<Json>>,
    }
    include_str!("update_runs.sql")
}

hot_query! {
    FindRuns { key: [i64] => Array<BigInt> }
    "SELECT key, state FROM dag_run WHERE key = ANY($1)"
}
