//! Backfills: new ones with all their dates, what became of dates, and what became of the whole.

use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Bool, Integer, Json, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    backfill::{Date, Deed},
    engine::{
        backfill::{BackfillRecord, DateRecord, NewBackfill},
        decision::Decisions,
    },
    partition::Key,
};
use futures_util::FutureExt;

use super::{MOST_ROWS, Sent, column, expect_all};
use crate::{
    Error,
    column::{ToJson, int, storable},
    hot::hot_query,
};

/// Those that end go first: their DAGs may have new ones.
pub(super) fn write<'a>(conn: &'a AsyncPgConnection, decisions: &'a Decisions, to: &mut Vec<Sent<'a>>) {
    to.extend(decisions.backfills_changed.iter().map(|backfill| update(conn, backfill).boxed()));
    for new in &decisions.backfills_created {
        to.push(insert(conn, &new.record).boxed());
        let starts = (0..).step_by(MOST_ROWS);
        let chunks = starts.zip(new.dates.chunks(MOST_ROWS));
        to.extend(chunks.map(|(start, dates)| insert_dates(conn, new, start, dates).boxed()));
    }
    to.extend(decisions.dates.chunks(MOST_ROWS).map(|chunk| finish_dates(conn, chunk).boxed()));
    if decisions.dates.iter().any(|date| date.deed == Deed::Reprocessed) {
        to.push(take_over(conn, &decisions.dates).boxed());
    }
}

async fn insert(conn: &AsyncPgConnection, backfill: &BackfillRecord) -> Result<(), Error> {
    let order = &backfill.order;
    let query = InsertBackfill {
        id: &backfill.id.0,
        dag_id: order.dag_id.as_str(),
        from_date: &order.from,
        to_date: &order.to,
        run_backwards: &order.run_backwards,
        max_active_runs: &int(order.max_active_runs),
        reprocess: order.reprocess.as_str(),
        conf: &order.conf.as_ref().map(ToJson::of).transpose()?,
        run_on_latest_version: &order.run_on_latest_version,
        triggered_by: &storable(&backfill.by),
        is_paused: &backfill.is_paused,
        is_cancelled: &backfill.is_cancelled,
        created_at: &backfill.created_at,
        updated_at: &backfill.updated_at,
        completed_at: &backfill.completed_at,
    };
    query.execute(&mut &*conn).await?;
    Ok(())
}

async fn insert_dates(
    conn: &AsyncPgConnection,
    new: &NewBackfill,
    start: i32,
    dates: &[Date],
) -> Result<(), Error> {
    let run_ids = dates.iter().map(|date| date.run_id(new.record.id)).collect::<Result<Vec<_>, _>>();
    let run_ids = run_ids.map_err(|error| Error::Invalid(format!("a date of a backfill: {error}")))?;
    let query = InsertDates {
        backfill_id: &new.record.id.0,
        start: &start,
        interval_start: &column(dates, |date| date.data_interval.start),
        interval_end: &column(dates, |date| date.data_interval.end),
        run_after: &column(dates, |date| date.run_after),
        partition_key: &column(dates, |date| date.key.as_ref().map(Key::as_str)),
        run_id: &column(&run_ids, |run_id| run_id.as_str()),
    };
    query.execute(&mut &*conn).await?;
    Ok(())
}

async fn update(conn: &AsyncPgConnection, backfill: &BackfillRecord) -> Result<(), Error> {
    let query = UpdateBackfill {
        id: &backfill.id.0,
        is_paused: &backfill.is_paused,
        is_cancelled: &backfill.is_cancelled,
        updated_at: &backfill.updated_at,
        completed_at: &backfill.completed_at,
    };
    let updated = query.execute(&mut &*conn).await?;
    expect_all(updated, 1, "backfills are over or gone")
}

async fn finish_dates(conn: &AsyncPgConnection, dates: &[DateRecord]) -> Result<(), Error> {
    let query = FinishDates {
        backfill_id: &column(dates, |date| date.place.id.0),
        ordinal: &column(dates, |date| int(date.place.ordinal)),
        deed: &column(dates, |date| date.deed.as_str()),
        run_key: &column(dates, |date| date.run.map(|run| run.0)),
    };
    let updated = query.execute(&mut &*conn).await?;
    expect_all(updated, dates.len(), "dates of backfills are done with already, or gone")
}

async fn take_over(conn: &AsyncPgConnection, dates: &[DateRecord]) -> Result<(), Error> {
    let taken: Vec<&DateRecord> = dates.iter().filter(|date| date.deed == Deed::Reprocessed).collect();
    let query = TakeOver {
        backfill_id: &column(&taken, |date| date.place.id.0),
        ordinal: &column(&taken, |date| int(date.place.ordinal)),
        run_key: &column(&taken, |date| date.run.map(|run| run.0)),
    };
    let updated = query.execute(&mut &*conn).await?;
    expect_all(updated, taken.len(), "runs that a backfill runs again are gone")
}

hot_query! {
    InsertBackfill {
        id: i64 => BigInt,
        dag_id: str => Text,
        from_date: DateTime<Utc> => Timestamptz,
        to_date: DateTime<Utc> => Timestamptz,
        run_backwards: bool => Bool,
        max_active_runs: i32 => Integer,
        reprocess: str => Text,
        conf: Option<ToJson> => Nullable<Json>,
        run_on_latest_version: bool => Bool,
        triggered_by: str => Text,
        is_paused: bool => Bool,
        is_cancelled: bool => Bool,
        created_at: DateTime<Utc> => Timestamptz,
        updated_at: DateTime<Utc> => Timestamptz,
        completed_at: Option<DateTime<Utc>> => Nullable<Timestamptz>,
    }
    "INSERT INTO backfill (id, dag_id, from_date, to_date, run_backwards, max_active_runs, reprocess, conf,
         run_on_latest_version, triggered_by, is_paused, is_cancelled, created_at, updated_at, completed_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)"
}

hot_query! {
    InsertDates {
        backfill_id: i64 => BigInt,
        start: i32 => Integer,
        interval_start: [DateTime<Utc>] => Array<Timestamptz>,
        interval_end: [DateTime<Utc>] => Array<Timestamptz>,
        run_after: [DateTime<Utc>] => Array<Timestamptz>,
        partition_key: [Option<&'a str>] => Array<Nullable<Text>>,
        run_id: [&'a str] => Array<Text>,
    }
    "INSERT INTO backfill_date (backfill_id, ordinal, interval_start, interval_end, run_after, partition_key, run_id)
     SELECT $1, $2 + d.place::integer - 1, d.interval_start, d.interval_end, d.run_after, d.partition_key, d.run_id
     FROM unnest($3::timestamptz[], $4::timestamptz[], $5::timestamptz[], $6::text[], $7::text[]) WITH ORDINALITY
          AS d (interval_start, interval_end, run_after, partition_key, run_id, place)"
}

hot_query! {
    UpdateBackfill {
        id: i64 => BigInt,
        is_paused: bool => Bool,
        is_cancelled: bool => Bool,
        updated_at: DateTime<Utc> => Timestamptz,
        completed_at: Option<DateTime<Utc>> => Nullable<Timestamptz>,
    }
    "UPDATE backfill SET is_paused = $2, is_cancelled = $3, updated_at = $4, completed_at = $5
     WHERE id = $1 AND completed_at IS NULL"
}

hot_query! {
    FinishDates {
        backfill_id: [i64] => Array<BigInt>,
        ordinal: [i32] => Array<Integer>,
        deed: [&'a str] => Array<Text>,
        run_key: [Option<i64>] => Array<Nullable<BigInt>>,
    }
    "UPDATE backfill_date AS d SET deed = n.deed, run_key = n.run_key
     FROM unnest($1::bigint[], $2::integer[], $3::text[], $4::bigint[]) AS n (backfill_id, ordinal, deed, run_key)
     WHERE d.backfill_id = n.backfill_id AND d.ordinal = n.ordinal AND d.deed IS NULL"
}

hot_query! {
    TakeOver {
        backfill_id: [i64] => Array<BigInt>,
        ordinal: [i32] => Array<Integer>,
        run_key: [Option<i64>] => Array<Nullable<BigInt>>,
    }
    "UPDATE dag_run AS r
     SET run_type = 'backfill', backfill_id = n.backfill_id, backfill_ordinal = n.ordinal,
         conf = coalesce(b.conf, r.conf), triggered_by = b.triggered_by
     FROM unnest($1::bigint[], $2::integer[], $3::bigint[]) AS n (backfill_id, ordinal, run_key)
     JOIN backfill b ON b.id = n.backfill_id
     WHERE r.key = n.run_key"
}
