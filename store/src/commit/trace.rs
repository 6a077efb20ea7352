//! What a turn leaves besides states: ended tries, XComs, schedules that moved on, what was learned of durations, and the audit log.

use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Integer, Json, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    engine::{
        durations::DurationRecord,
        record::{AuditRecord, CursorRecord, TryRecord, XComRecord},
    },
    id::{RunKey, TaskId},
};
use futures_util::FutureExt;
use uuid::Uuid;

use super::{MOST_ROWS, Sent, column};
use crate::{
    Error,
    column::{ToJson, int, storable},
    event_log,
    hot::hot_query,
    task_duration,
};

/// Most bytes of XComs in one statement.
const MOST_BYTES: usize = 16 << 20;

pub(super) fn insert_tries<'a>(conn: &'a AsyncPgConnection, tries: &'a [TryRecord], to: &mut Vec<Sent<'a>>) {
    to.extend(tries.chunks(MOST_ROWS).map(|chunk| insert_tries_chunk(conn, chunk).boxed()));
}

async fn insert_tries_chunk(conn: &AsyncPgConnection, tries: &[TryRecord]) -> Result<(), Error> {
    let reason = column(tries, |row| row.reason.as_deref().map(storable));
    let query = InsertTries {
        run_key: &column(tries, |row| row.attempt.ti.run.0),
        index: &column(tries, |row| int(row.attempt.ti.index)),
        try_number: &column(tries, |row| int(row.attempt.try_number)),
        state: &column(tries, |row| row.state.as_str()),
        queued_at: &column(tries, |row| row.queued_at),
        started_at: &column(tries, |row| row.started_at),
        ended_at: &column(tries, |row| row.ended_at),
        worker: &column(tries, |row| row.worker),
        exit_code: &column(tries, |row| row.exit_code),
        reason: &column(&reason, |text| text.as_deref()),
        round: &column(tries, |row| row.round.map(int)),
    };
    query.execute(&mut &*conn).await?;
    Ok(())
}

pub(super) fn clear_xcoms<'a>(
    conn: &'a AsyncPgConnection,
    cleared: &'a [(RunKey, TaskId, i32)],
    to: &mut Vec<Sent<'a>>,
) {
    to.extend(cleared.chunks(MOST_ROWS).map(|chunk| {
        async move {
            let query = ClearXComs {
                run_key: &column(chunk, |(run, _, _)| run.0),
                task_id: &column(chunk, |(_, task, _)| task.as_str()),
                map_index: &column(chunk, |(_, _, map_index)| *map_index),
            };
            query.execute(&mut &*conn).await?;
            Ok(())
        }
        .boxed()
    }));
}

/// One statement for as many XComs as fit into its limits of rows and bytes.
pub(super) fn write_xcoms<'a>(
    conn: &'a AsyncPgConnection,
    mut xcoms: &'a [XComRecord],
    to: &mut Vec<Sent<'a>>,
) -> Result<(), Error> {
    while !xcoms.is_empty() {
        let (mut values, mut bytes) = (Vec::new(), 0);
        for xcom in xcoms.iter().take(MOST_ROWS) {
            let value = ToJson::of(&xcom.value)?;
            bytes += value.len();
            values.push(value);
            if bytes >= MOST_BYTES {
                break;
            }
        }
        let (chunk, rest) = xcoms.split_at(values.len());
        to.push(write_xcoms_chunk(conn, chunk, values).boxed());
        xcoms = rest;
    }
    Ok(())
}

async fn write_xcoms_chunk(
    conn: &AsyncPgConnection,
    xcoms: &[XComRecord],
    values: Vec<ToJson>,
) -> Result<(), Error> {
    let key = column(xcoms, |xcom| storable(&xcom.key));
    let query = WriteXComs {
        run_key: &column(xcoms, |xcom| xcom.ti.run.0),
        task_id: &column(xcoms, |xcom| xcom.task_id.as_str()),
        map_index: &column(xcoms, |xcom| xcom.map_index),
        key: &column(&key, |text| &**text),
        value: &values,
    };
    query.execute(&mut &*conn).await?;
    Ok(())
}

/// A DAG that was deleted meanwhile has no schedule any more; that is no conflict.
pub(super) fn move_cursors<'a>(
    conn: &'a AsyncPgConnection,
    cursors: &'a [CursorRecord],
    to: &mut Vec<Sent<'a>>,
) {
    to.extend(cursors.chunks(MOST_ROWS).map(|chunk| move_cursors_chunk(conn, chunk).boxed()));
}

async fn move_cursors_chunk(conn: &AsyncPgConnection, cursors: &[CursorRecord]) -> Result<(), Error> {
    let query = MoveCursors {
        dag_id: &column(cursors, |row| row.dag_id.as_str()),
        cursor_start: &column(cursors, |row| row.cursor.map(|interval| interval.start)),
        cursor_end: &column(cursors, |row| row.cursor.map(|interval| interval.end)),
        next_logical_date: &column(cursors, |row| row.next.as_ref().map(|next| next.logical_date)),
        next_interval_start: &column(cursors, |row| row.next.as_ref().map(|next| next.data_interval.start)),
        next_interval_end: &column(cursors, |row| row.next.as_ref().map(|next| next.data_interval.end)),
        next_run_after: &column(cursors, |row| row.next.as_ref().map(|next| next.run_after)),
    };
    query.execute(&mut &*conn).await?;
    Ok(())
}

pub(super) fn write_durations<'a>(
    conn: &'a AsyncPgConnection,
    durations: &'a [DurationRecord],
    to: &mut Vec<Sent<'a>>,
) {
    to.extend(durations.chunks(MOST_ROWS).map(|chunk| task_duration::write(conn, chunk).boxed()));
}

pub(super) fn insert_audit<'a>(
    conn: &'a AsyncPgConnection,
    audit: &'a [AuditRecord],
    to: &mut Vec<Sent<'a>>,
) {
    to.extend(audit.chunks(MOST_ROWS).map(|chunk| event_log::insert(conn, chunk).boxed()));
}

hot_query! {
    InsertTries {
        run_key: [i64] => Array<BigInt>,
        index: [i32] => Array<Integer>,
        try_number: [i32] => Array<Integer>,
        state: [&'a str] => Array<Text>,
        queued_at: [Option<DateTime<Utc>>] => Array<Nullable<Timestamptz>>,
        started_at: [Option<DateTime<Utc>>] => Array<Nullable<Timestamptz>>,
        ended_at: [DateTime<Utc>] => Array<Timestamptz>,
        worker: [Option<Uuid>] => Array<Nullable<SqlUuid>>,
        exit_code: [Option<i32>] => Array<Nullable<Integer>>,
        reason: [Option<&'a str>] => Array<Nullable<Text>>,
        round: [Option<i32>] => Array<Nullable<Integer>>,
    }
    "INSERT INTO task_try (run_key, index, try_number, state, queued_at, started_at, ended_at, worker, exit_code, reason, round)
     SELECT * FROM unnest($1::bigint[], $2::integer[], $3::integer[], $4::text[], $5::timestamptz[], $6::timestamptz[],
                          $7::timestamptz[], $8::uuid[], $9::integer[], $10::text[], $11::integer[])"
}

hot_query! {
    ClearXComs { run_key: [i64] => Array<BigInt>, task_id: [&'a str] => Array<Text>, map_index: [i32] => Array<Integer> }
    "DELETE FROM xcom x USING unnest($1::bigint[], $2::text[], $3::integer[]) AS c (run_key, task_id, map_index)
     WHERE x.run_key = c.run_key AND x.task_id = c.task_id AND x.map_index = c.map_index"
}

hot_query! {
    WriteXComs {
        run_key: [i64] => Array<BigInt>,
        task_id: [&'a str] => Array<Text>,
        map_index: [i32] => Array<Integer>,
        key: [&'a str] => Array<Text>,
        value: [ToJson] => Array<Json>,
    }
    "INSERT INTO xcom (run_key, task_id, map_index, key, value)
     SELECT * FROM unnest($1::bigint[], $2::text[], $3::integer[], $4::text[], $5::json[])
     ON CONFLICT (run_key, task_id, map_index, key) DO UPDATE SET value = excluded.value, created_at = now()"
}

hot_query! {
    MoveCursors {
        dag_id: [&'a str] => Array<Text>,
        cursor_start: [Option<DateTime<Utc>>] => Array<Nullable<Timestamptz>>,
        cursor_end: [Option<DateTime<Utc>>] => Array<Nullable<Timestamptz>>,
        next_logical_date: [Option<DateTime<Utc>>] => Array<Nullable<Timestamptz>>,
        next_interval_start: [Option<DateTime<Utc>>] => Array<Nullable<Timestamptz>>,
        next_interval_end: [Option<DateTime<Utc>>] => Array<Nullable<Timestamptz>>,
        next_run_after: [Option<DateTime<Utc>>] => Array<Nullable<Timestamptz>>,
    }
    include_str!("move_cursors.sql")
}
