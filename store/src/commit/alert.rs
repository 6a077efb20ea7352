//! Messages that became due.

use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Integer, Json, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::alert::{AlertRecord, Withdrawn};
use futures_util::FutureExt;

use super::{MOST_ROWS, Sent, column};
use crate::{
    Error,
    column::{ToJson, int},
    hot::hot_query,
};

pub(super) fn insert<'a>(conn: &'a AsyncPgConnection, alerts: &'a [AlertRecord], to: &mut Vec<Sent<'a>>) {
    to.extend(alerts.chunks(MOST_ROWS).map(|chunk| insert_chunk(conn, chunk).boxed()));
}

/// Deletes what is not due any more and was not tried yet.
pub(super) fn withdraw<'a>(conn: &'a AsyncPgConnection, gone: &'a [Withdrawn], to: &mut Vec<Sent<'a>>) {
    to.extend(gone.chunks(MOST_ROWS).map(|chunk| withdraw_chunk(conn, chunk).boxed()));
}

async fn withdraw_chunk(conn: &AsyncPgConnection, gone: &[Withdrawn]) -> Result<(), Error> {
    let query = WithdrawAlerts {
        run_key: &column(gone, |gone| gone.run.0),
        number: &column(gone, |gone| int(gone.number)),
        place: &column(gone, |gone| int(gone.place)),
    };
    query.execute(&mut &*conn).await?;
    Ok(())
}

async fn insert_chunk(conn: &AsyncPgConnection, alerts: &[AlertRecord]) -> Result<(), Error> {
    let target = column(alerts, |alert| alert.notification.target());
    let notification =
        alerts.iter().map(|alert| ToJson::of(&alert.notification)).collect::<Result<Vec<_>, _>>()?;
    let facts = alerts.iter().map(|alert| ToJson::of(&alert.facts)).collect::<Result<Vec<_>, _>>()?;
    let query = InsertAlerts {
        run_key: &column(alerts, |alert| alert.run.0),
        index: &column(alerts, |alert| alert.index.map_or(-1, int)),
        number: &column(alerts, |alert| int(alert.number)),
        event: &column(alerts, |alert| alert.facts.event.as_str()),
        place: &column(alerts, |alert| int(alert.place)),
        dag_id: &column(alerts, |alert| alert.facts.dag_id.as_str()),
        channel: &column(alerts, |alert| alert.notification.channel()),
        target: &column(&target, |text| text.as_str()),
        notification: &notification,
        facts: &facts,
        not_before: &column(alerts, |alert| alert.not_before),
    };
    query.execute(&mut &*conn).await?;
    Ok(())
}

hot_query! {
    /// What was there before stays as it is: whatever happens, nothing is told twice.
    InsertAlerts {
        run_key: [i64] => Array<BigInt>,
        index: [i32] => Array<Integer>,
        number: [i32] => Array<Integer>,
        event: [&'a str] => Array<Text>,
        place: [i32] => Array<Integer>,
        dag_id: [&'a str] => Array<Text>,
        channel: [&'a str] => Array<Text>,
        target: [&'a str] => Array<Text>,
        notification: [ToJson] => Array<Json>,
        facts: [ToJson] => Array<Json>,
        not_before: [Option<DateTime<Utc>>] => Array<Nullable<Timestamptz>>,
    }
    "INSERT INTO alert (run_key, index, number, event, place, dag_id, channel, target, notification, facts, next_at)
     SELECT n.run_key, n.index, n.number, n.event, n.place, n.dag_id, n.channel, n.target, n.notification, n.facts,
            coalesce(n.not_before, now())
     FROM unnest($1::bigint[], $2::integer[], $3::integer[], $4::text[], $5::integer[], $6::text[],
                 $7::text[], $8::text[], $9::json[], $10::json[], $11::timestamptz[])
          AS n (run_key, index, number, event, place, dag_id, channel, target, notification, facts, not_before)
     ON CONFLICT (run_key, index, number, event, place) DO NOTHING"
}

hot_query! {
    WithdrawAlerts { run_key: [i64] => Array<BigInt>, number: [i32] => Array<Integer>, place: [i32] => Array<Integer> }
    "DELETE FROM alert AS a
     USING unnest($1::bigint[], $2::integer[], $3::integer[]) AS n (run_key, number, place)
     WHERE a.run_key = n.run_key AND a.index = -1 AND a.number = n.number AND a.event = 'deadline'
       AND a.place = n.place AND a.state = 'waiting' AND a.attempts = 0"
}
