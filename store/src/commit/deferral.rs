//! What instances leave for triggers and for people, and with what they go on.

use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Integer, Json, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    deferral::{LeftTo, Resumption},
    engine::{
        decision::Decisions,
        record::{DeferralRecord, ResumptionRecord},
    },
    id::TiKey,
};
use futures_util::FutureExt;
use serde_json::{Map, Value, json};

use super::{MOST_ROWS, Sent, column, expect_all};
use crate::{
    Error,
    column::{ToJson, TryColumns, int, storable},
    hot::hot_query,
};

/// An instance may defer, go on and end in one turn, in this order.
pub(super) fn write<'a>(conn: &'a AsyncPgConnection, decisions: &'a Decisions, to: &mut Vec<Sent<'a>>) {
    to.extend(decisions.deferrals.chunks(MOST_ROWS).map(|chunk| leave(conn, chunk).boxed()));
    to.extend(decisions.resumptions.chunks(MOST_ROWS).map(|chunk| resume(conn, chunk).boxed()));
    to.extend(decisions.deferrals_closed.chunks(MOST_ROWS).map(|chunk| close(conn, chunk).boxed()));
}

async fn leave(conn: &AsyncPgConnection, left: &[DeferralRecord]) -> Result<(), Error> {
    let tries = TryColumns::of(&column(left, |row| row.attempt));
    let none = Map::new();
    let triggers = left.iter().map(|row| match &row.deferral.to {
        LeftTo::Trigger { classpath, kwargs } => (Some(storable(classpath)), kwargs),
        LeftTo::People { .. } => (None, &none),
    });
    let (classpath, kwargs): (Vec<_>, Vec<_>) = triggers.unzip();
    let kwargs = kwargs.into_iter().map(ToJson::of).collect::<Result<Vec<_>, _>>()?;
    let next_method = column(left, |row| storable(&row.deferral.next_method));
    let next_kwargs = left.iter().map(|row| ToJson::of(&row.deferral.next_kwargs));
    let next_kwargs = next_kwargs.collect::<Result<Vec<_>, _>>()?;
    let query = Leave {
        run_key: &tries.run_key,
        index: &tries.index,
        try_number: &tries.try_number,
        number: &column(left, |row| int(row.number)),
        classpath: &column(&classpath, |text| text.as_deref()),
        kwargs: &kwargs,
        next_method: &column(&next_method, |text| &**text),
        next_kwargs: &next_kwargs,
        deferred_at: &column(left, |row| row.at),
        deadline: &column(left, |row| row.deadline),
    };
    let done = query.execute(&mut &*conn).await?;
    expect_all(done, left.len(), "deferrals are of instances that exist")
}

async fn resume(conn: &AsyncPgConnection, resumed: &[ResumptionRecord]) -> Result<(), Error> {
    let (run_key, index) = columns(resumed.iter().map(|row| row.ti));
    let resumption = resumed.iter().map(|row| ToJson::of(&form(&row.resumption)));
    let resumption = resumption.collect::<Result<Vec<_>, _>>()?;
    let query = Resume { run_key: &run_key, index: &index, resumption: &resumption };
    let done = query.execute(&mut &*conn).await?;
    expect_all(done, resumed.len(), "deferrals were still open")
}

async fn close(conn: &AsyncPgConnection, closed: &[TiKey]) -> Result<(), Error> {
    let (run_key, index) = columns(closed.iter().copied());
    let done = Close { run_key: &run_key, index: &index }.execute(&mut &*conn).await?;
    expect_all(done, closed.len(), "deferrals were still there")
}

fn form(resumption: &Resumption) -> Value {
    match (resumption, resumption.failure()) {
        (Resumption::Event(event), _) => json!({"event": event}),
        (Resumption::Failed(_) | Resumption::TimedOut, failure) => json!({"failure": failure}),
    }
}

fn columns(keys: impl Iterator<Item = TiKey>) -> (Vec<i64>, Vec<i32>) {
    keys.map(|key| (key.run.0, int(key.index))).unzip()
}

hot_query! {
    Leave {
        run_key: [i64] => Array<BigInt>,
        index: [i32] => Array<Integer>,
        try_number: [i32] => Array<Integer>,
        number: [i32] => Array<Integer>,
        classpath: [Option<&'a str>] => Array<Nullable<Text>>,
        kwargs: [ToJson] => Array<Json>,
        next_method: [&'a str] => Array<Text>,
        next_kwargs: [ToJson] => Array<Json>,
        deferred_at: [DateTime<Utc>] => Array<Timestamptz>,
        deadline: [Option<DateTime<Utc>>] => Array<Nullable<Timestamptz>>,
    }
    "INSERT INTO deferral (run_key, index, try_number, number, queue, classpath, kwargs, next_method, next_kwargs,
                           deferred_at, deadline)
     SELECT d.run_key, d.index, d.try_number, d.number, t.queue, d.classpath, d.kwargs, d.next_method, d.next_kwargs,
            d.deferred_at, d.deadline
     FROM unnest($1::bigint[], $2::integer[], $3::integer[], $4::integer[], $5::text[], $6::json[], $7::text[],
                 $8::json[], $9::timestamptz[], $10::timestamptz[])
          AS d (run_key, index, try_number, number, classpath, kwargs, next_method, next_kwargs, deferred_at, deadline)
     JOIN task_instance t ON t.run_key = d.run_key AND t.index = d.index
     ON CONFLICT (run_key, index) DO UPDATE
     SET id = DEFAULT, try_number = excluded.try_number, number = excluded.number, queue = excluded.queue,
         classpath = excluded.classpath, kwargs = excluded.kwargs, next_method = excluded.next_method,
         next_kwargs = excluded.next_kwargs, deferred_at = excluded.deferred_at, deadline = excluded.deadline,
         worker = NULL, resumption = NULL"
}

hot_query! {
    /// Only what is open goes on, so that no deferral is ever resumed twice.
    Resume {
        run_key: [i64] => Array<BigInt>,
        index: [i32] => Array<Integer>,
        resumption: [ToJson] => Array<Json>,
    }
    "UPDATE deferral d SET resumption = r.resumption, worker = NULL
     FROM unnest($1::bigint[], $2::integer[], $3::json[]) AS r (run_key, index, resumption)
     WHERE d.run_key = r.run_key AND d.index = r.index AND d.resumption IS NULL"
}

hot_query! {
    Close { run_key: [i64] => Array<BigInt>, index: [i32] => Array<Integer> }
    "DELETE FROM deferral d USING unnest($1::bigint[], $2::integer[]) AS c (run_key, index)
     WHERE d.run_key = c.run_key AND d.index = c.index"
}
