//! Partitions that wait for assets.

use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::engine::{
    decision::Decisions,
    record::{Begun, PartitionEnd, PartitionEvent, PartitionRecord},
};
use futures_util::FutureExt;

use super::{MOST_ROWS, Sent, column};
use crate::{Error, hot::hot_query};

pub(super) fn write<'a>(conn: &'a AsyncPgConnection, decisions: &'a Decisions, to: &mut Vec<Sent<'a>>) {
    for chunk in decisions.partitions.chunks(MOST_ROWS) {
        to.push(leave(conn, chunk).boxed());
        to.push(wait(conn, chunk).boxed());
    }
    to.extend(decisions.partition_events.chunks(MOST_ROWS).map(|chunk| hear(conn, chunk).boxed()));
    to.extend(decisions.partition_ends.chunks(MOST_ROWS).map(|chunk| end(conn, chunk).boxed()));
}

async fn leave(conn: &AsyncPgConnection, partitions: &[PartitionRecord]) -> Result<(), Error> {
    let gone: Vec<&PartitionRecord> = partitions.iter().filter(|row| row.begun.is_none()).collect();
    let query = Leave {
        dag_id: &column(&gone, |row| row.dag_id.as_str()),
        key: &column(&gone, |row| row.key.as_str()),
    };
    query.execute(&mut &*conn).await?;
    Ok(())
}

/// A DAG that was deleted meanwhile waits for nothing any more; that is no conflict.
async fn wait(conn: &AsyncPgConnection, partitions: &[PartitionRecord]) -> Result<(), Error> {
    let waiting = partitions.iter().filter_map(|row| Some((row, row.begun.as_ref()?)));
    let waiting: Vec<(&PartitionRecord, &Begun)> = waiting.collect();
    let query = Wait {
        dag_id: &column(&waiting, |(row, _)| row.dag_id.as_str()),
        key: &column(&waiting, |(row, _)| row.key.as_str()),
        since: &column(&waiting, |(_, begun)| begun.since),
        date: &column(&waiting, |(_, begun)| begun.date),
        mappers: &column(&waiting, |(_, begun)| begun.mappers.as_str()),
    };
    query.execute(&mut &*conn).await?;
    Ok(())
}

async fn hear(conn: &AsyncPgConnection, events: &[PartitionEvent]) -> Result<(), Error> {
    let query = Hear {
        dag_id: &column(events, |row| row.dag_id.as_str()),
        key: &column(events, |row| row.key.as_str()),
        event: &column(events, |row| row.event.0),
    };
    query.execute(&mut &*conn).await?;
    Ok(())
}

async fn end(conn: &AsyncPgConnection, ends: &[PartitionEnd]) -> Result<(), Error> {
    let query = End {
        dag_id: &column(ends, |row| row.dag_id.as_str()),
        key: &column(ends, |row| row.key.as_str()),
        upto: &column(ends, |row| row.upto.0),
        run_key: &column(ends, |row| row.run.map(|run| run.0)),
    };
    query.execute(&mut &*conn).await?;
    Ok(())
}

hot_query! {
    Leave { dag_id: [&'a str] => Array<Text>, key: [&'a str] => Array<Text> }
    "DELETE FROM partition_queue q USING unnest($1::text[], $2::text[]) AS n (dag_id, key)
     WHERE q.dag_id = n.dag_id AND q.partition_key = n.key"
}

hot_query! {
    Wait {
        dag_id: [&'a str] => Array<Text>,
        key: [&'a str] => Array<Text>,
        since: [DateTime<Utc>] => Array<Timestamptz>,
        date: [Option<DateTime<Utc>>] => Array<Nullable<Timestamptz>>,
        mappers: [&'a str] => Array<Text>,
    }
    "INSERT INTO partition_queue (dag_id, partition_key, since, partition_date, mappers)
     SELECT n.dag_id, n.key, n.since, n.date, n.mappers
     FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::text[])
          AS n (dag_id, key, since, date, mappers)
     JOIN dag d ON d.dag_id = n.dag_id
     ON CONFLICT (dag_id, partition_key) DO UPDATE
     SET since = excluded.since, partition_date = excluded.partition_date, mappers = excluded.mappers"
}

hot_query! {
    Hear { dag_id: [&'a str] => Array<Text>, key: [&'a str] => Array<Text>, event: [i64] => Array<BigInt> }
    "INSERT INTO partition_event (dag_id, partition_key, event_id)
     SELECT n.dag_id, n.key, n.event FROM unnest($1::text[], $2::text[], $3::bigint[]) AS n (dag_id, key, event)
     JOIN dag d ON d.dag_id = n.dag_id"
}

hot_query! {
    End {
        dag_id: [&'a str] => Array<Text>,
        key: [&'a str] => Array<Text>,
        upto: [i64] => Array<BigInt>,
        run_key: [Option<i64>] => Array<Nullable<BigInt>>,
    }
    // Of two ends of a partition the first has what came before it.
    "WITH ended AS (
         SELECT n.*, lag(n.upto, 1, 0::bigint) OVER (PARTITION BY n.dag_id, n.key ORDER BY n.place) AS after
         FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) WITH ORDINALITY
              AS n (dag_id, key, upto, run_key, place)
     ), gone AS (
         DELETE FROM partition_event p USING ended n
         WHERE p.dag_id = n.dag_id AND p.partition_key = n.key AND p.event_id > n.after AND p.event_id <= n.upto
         RETURNING n.run_key, p.event_id
     )
     INSERT INTO consumed_asset_event (run_key, event_id)
     SELECT run_key, event_id FROM gone WHERE run_key IS NOT NULL"
}
