//! Task instances.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Bool, Integer, Json, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::engine::{
    decision::{Expected, Persisted},
    record::TiRecord,
};
use futures_util::FutureExt;
use uuid::Uuid;

use super::{MOST_ROWS, Sent, column};
use crate::{
    Error,
    column::{ToJson, int, storable},
    hot::hot_query,
};

type Changed = Expected<TiRecord, Persisted>;

pub(super) fn insert<'a>(conn: &'a AsyncPgConnection, tis: &'a [TiRecord], to: &mut Vec<Sent<'a>>) {
    to.extend(tis.chunks(MOST_ROWS).map(|chunk| insert_chunk(conn, chunk).boxed()));
}

async fn insert_chunk(conn: &AsyncPgConnection, tis: &[TiRecord]) -> Result<(), Error> {
    let name = column(tis, |ti| ti.rendered_map_index.as_deref().map(storable));
    let reason = column(tis, |ti| ti.reason.as_deref().map(storable));
    let query = InsertTis {
        run_key: &column(tis, |ti| ti.key.run.0),
        index: &column(tis, |ti| int(ti.key.index)),
        task_id: &column(tis, |ti| ti.task_id.as_str()),
        map_index: &column(tis, |ti| ti.map_index),
        state: &column(tis, |ti| ti.state.as_str()),
        try_number: &column(tis, |ti| int(ti.try_number)),
        max_tries: &column(tis, |ti| int(ti.max_tries)),
        lost: &column(tis, |ti| small(ti.lost)),
        scheduled_at: &column(tis, |ti| ti.scheduled_at),
        queued_at: &column(tis, |ti| ti.queued_at),
        started_at: &column(tis, |ti| ti.started_at),
        ended_at: &column(tis, |ti| ti.ended_at),
        next_try_at: &column(tis, |ti| ti.next_try_at),
        worker: &column(tis, |ti| ti.worker),
        reason: &column(&reason, |text| text.as_deref()),
        pool: &column(tis, |ti| ti.placement.pool.as_str()),
        pool_slots: &column(tis, |ti| int(ti.placement.pool_slots)),
        queue: &column(tis, |ti| ti.placement.queue.as_str()),
        priority: &column(tis, |ti| ti.placement.priority),
        operator: &column(tis, |ti| &*ti.placement.operator),
        is_held: &column(tis, |ti| ti.is_held),
        wait: &waits(tis.iter())?,
        rendered_map_index: &column(&name, |text| text.as_deref()),
    };
    query.execute(&mut &*conn).await?;
    Ok(())
}

pub(super) fn update<'a>(conn: &'a AsyncPgConnection, tis: &'a [Changed], to: &mut Vec<Sent<'a>>) {
    to.extend(tis.chunks(MOST_ROWS).map(|chunk| update_chunk(conn, chunk).boxed()));
}

async fn update_chunk(conn: &AsyncPgConnection, tis: &[Changed]) -> Result<(), Error> {
    let name = column(tis, |ti| ti.new.rendered_map_index.as_deref().map(storable));
    let reason = column(tis, |ti| ti.new.reason.as_deref().map(storable));
    let run_key = column(tis, |ti| ti.new.key.run.0);
    let index = column(tis, |ti| int(ti.new.key.index));
    let query = UpdateTis {
        run_key: &run_key,
        index: &index,
        old_state: &column(tis, |ti| ti.old.state.as_str()),
        old_try: &column(tis, |ti| int(ti.old.try_number)),
        map_index: &column(tis, |ti| ti.new.map_index),
        state: &column(tis, |ti| ti.new.state.as_str()),
        try_number: &column(tis, |ti| int(ti.new.try_number)),
        max_tries: &column(tis, |ti| int(ti.new.max_tries)),
        lost: &column(tis, |ti| small(ti.new.lost)),
        scheduled_at: &column(tis, |ti| ti.new.scheduled_at),
        queued_at: &column(tis, |ti| ti.new.queued_at),
        started_at: &column(tis, |ti| ti.new.started_at),
        ended_at: &column(tis, |ti| ti.new.ended_at),
        next_try_at: &column(tis, |ti| ti.new.next_try_at),
        worker: &column(tis, |ti| ti.new.worker),
        reason: &column(&reason, |text| text.as_deref()),
        priority: &column(tis, |ti| ti.new.placement.priority),
        is_held: &column(tis, |ti| ti.new.is_held),
        wait: &waits(tis.iter().map(|ti| &ti.new))?,
        rendered_map_index: &column(&name, |text| text.as_deref()),
        rounds: &column(tis, |ti| int(ti.new.rounds)),
    };
    let updated = query.execute(&mut &*conn).await?;
    if updated == tis.len() {
        return Ok(());
    }
    let found: Vec<FoundTi> = FindTis { run_key: &run_key, index: &index }.load(&mut &*conn).await?;
    Err(Error::Conflict(mismatch(tis, &found, updated)))
}

fn mismatch(tis: &[Changed], found: &[FoundTi], updated: usize) -> String {
    let wrong = tis.iter().filter_map(|ti| {
        let (run, index) = (ti.new.key.run.0, int(ti.new.key.index));
        let name = format!("{} of run {run}", ti.new.task_id);
        match found.iter().find(|row| row.run_key == run && row.index == index) {
            None => Some(format!("{name} does not exist")),
            Some(row) if row.state == ti.new.state.as_str() && row.try_number == int(ti.new.try_number) => {
                None
            }
            Some(row) => Some(format!(
                "{name} is {} in try {}, not {} in try {}",
                row.state, row.try_number, ti.old.state, ti.old.try_number
            )),
        }
    });
    let first: Vec<String> = wrong.take(3).collect();
    format!(
        "{} of {} task instances are not as remembered: {}",
        tis.len() - updated,
        tis.len(),
        first.join("; ")
    )
}

fn waits<'a>(tis: impl Iterator<Item = &'a TiRecord>) -> Result<Vec<Option<ToJson>>, Error> {
    tis.map(|ti| ti.wait.as_deref().map(ToJson::of).transpose()).collect()
}

fn small(count: u32) -> i16 {
    i16::try_from(count).unwrap_or(i16::MAX)
}

#[derive(QueryableByName)]
struct FoundTi {
    #[diesel(sql_type = BigInt)]
    run_key: i64,
    #[diesel(sql_type = Integer)]
    index: i32,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = Integer)]
    try_number: i32,
}

hot_query! {
    InsertTis {
        run_key: [i64] => Array<BigInt>,
        index: [i32] => Array<Integer>,
        task_id: [&'a str] => Array<Text>,
        map_index: [i32] => Array<Integer>,
        state: [&'a str] => Array<Text>,
        try_number: [i32] => Array<Integer>,
        max_tries: [i32] => Array<Integer>,
        lost: [i16] => Array<SmallInt>,
        scheduled_at: [Option<DateTime<Utc>>] => Array<Nullable<Timestamptz>>,
        queued_at: [Option<DateTime<Utc>>] => Array<Nullable<Timestamptz>>,
        started_at: [Option<DateTime<Utc>>] => Array<Nullable<Timestamptz>>,
        ended_at: [Option<DateTime<Utc>>] => Array<Nullable<Timestamptz>>,
        next_try_at: [Option<DateTime<Utc>>] => Array<Nullable<Timestamptz>>,
        worker: [Option<Uuid>] => Array<Nullable<SqlUuid>>,
        reason: [Option<&'a str>] => Array<Nullable<Text>>,
        pool: [&'a str] => Array<Text>,
        pool_slots: [i32] => Array<Integer>,
        queue: [&'a str] => Array<Text>,
        priority: [i32] => Array<Integer>,
        operator: [&'a str] => Array<Text>,
        is_held: [bool] => Array<Bool>,
        wait: [Option<ToJson>] => Array<Nullable<Json>>,
        rendered_map_index: [Option<&'a str>] => Array<Nullable<Text>>,
    }
    include_str!("insert_task_instances.sql")
}

hot_query! {
    UpdateTis {
        run_key: [i64] => Array<BigInt>,
        index: [i32] => Array<Integer>,
        old_state: [&'a str] => Array<Text>,
        old_try: [i32] => Array<Integer>,
        map_index: [i32] => Array<Integer>,
        state: [&'a str] => Array<Text>,
        try_number: [i32] => Array<Integer>,
        max_tries: [i32] => Array<Integer>,
        lost: [i16] => Array<SmallInt>,
        scheduled_at: [Option<DateTime<Utc>>] => Array<Nullable<Timestamptz>>,
        queued_at: [Option<DateTime<Utc>>] => Array<Nullable<Timestamptz>>,
        started_at: [Option<DateTime<Utc>>] => Array<Nullable<Timestamptz>>,
        ended_at: [Option<DateTime<Utc>>] => Array<Nullable<Timestamptz>>,
        next_try_at: [Option<DateTime<Utc>>] => Array<Nullable<Timestamptz>>,
        worker: [Option<Uuid>] => Array<Nullable<SqlUuid>>,
        reason: [Option<&'a str>] => Array<Nullable<Text>>,
        priority: [i32] => Array<Integer>,
        is_held: [bool] => Array<Bool>,
        wait: [Option<ToJson>] => Array<Nullable<Json>>,
        rendered_map_index: [Option<&'a str>] => Array<Nullable<Text>>,
        rounds: [i32] => Array<Integer>,
    }
    include_str!("update_task_instances.sql")
}

hot_query! {
    FindTis { run_key: [i64] => Array<BigInt>, index: [i32] => Array<Integer> }
    "SELECT t.run_key, t.index, t.state, t.try_number
     FROM task_instance t JOIN unnest($1::bigint[], $2::integer[]) AS n (run_key, index) USING (run_key, index)"
}
