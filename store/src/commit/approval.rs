//! Questions to people: those that are asked, and those that end.

use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Integer, Json, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    approval::{Ending, Reply},
    engine::record::{ClosingRecord, QuestionRecord},
    id::TryKey,
};
use futures_util::FutureExt;

use super::{MOST_ROWS, Sent, column, expect_all};
use crate::{
    Error,
    column::{ToJson, TryColumns, int, storable},
    hot::hot_query,
};

pub(super) fn ask<'a>(conn: &'a AsyncPgConnection, asked: &'a [QuestionRecord], to: &mut Vec<Sent<'a>>) {
    to.extend(asked.chunks(MOST_ROWS).map(|chunk| ask_chunk(conn, chunk).boxed()));
}

pub(super) fn close<'a>(conn: &'a AsyncPgConnection, closed: &'a [ClosingRecord], to: &mut Vec<Sent<'a>>) {
    to.extend(closed.chunks(MOST_ROWS).map(|chunk| close_chunk(conn, chunk).boxed()));
}

async fn ask_chunk(conn: &AsyncPgConnection, asked: &[QuestionRecord]) -> Result<(), Error> {
    let tries = TryColumns::of(&column(asked, |row| row.attempt));
    let subject = column(asked, |row| storable(&row.question.subject));
    let body = column(asked, |row| row.question.body.as_deref().map(storable));
    let terms = asked.iter().map(|row| ToJson::of(&row.terms)).collect::<Result<Vec<_>, _>>()?;
    let query = Ask {
        run_key: &tries.run_key,
        index: &tries.index,
        try_number: &tries.try_number,
        number: &column(asked, |row| int(row.number)),
        subject: &column(&subject, |text| &**text),
        body: &column(&body, |text| text.as_deref()),
        terms: &terms,
        asked_at: &column(asked, |row| row.asked_at),
        deadline: &column(asked, |row| row.deadline),
    };
    let done = query.execute(&mut &*conn).await?;
    expect_all(done, asked.len(), "questions of these tries are open already")
}

async fn close_chunk(conn: &AsyncPgConnection, closed: &[ClosingRecord]) -> Result<(), Error> {
    let attempts: Vec<TryKey> = column(closed, |row| row.attempt);
    let tries = TryColumns::of(&attempts);
    let by = column(closed, |row| answer(row).and_then(|(by, _)| by).map(storable));
    let reply = closed.iter().map(|row| answer(row).map(|(_, reply)| ToJson::of(reply)).transpose());
    let reply = reply.collect::<Result<Vec<_>, _>>()?;
    let query = Close {
        run_key: &tries.run_key,
        index: &tries.index,
        try_number: &tries.try_number,
        closed_at: &column(closed, |row| row.at),
        responded_by: &column(&by, |text| text.as_deref()),
        reply: &reply,
    };
    let done = query.execute(&mut &*conn).await?;
    expect_all(done, closed.len(), "questions were not open any more")
}

fn answer(closing: &ClosingRecord) -> Option<(Option<&str>, &Reply)> {
    match &closing.ending {
        Ending::Answered { by, reply } => Some((by.as_deref(), reply)),
        Ending::Withdrawn => None,
    }
}

hot_query! {
    /// Another question of the same try takes the place of the one before, which was closed.
    Ask {
        run_key: [i64] => Array<BigInt>,
        index: [i32] => Array<Integer>,
        try_number: [i32] => Array<Integer>,
        number: [i32] => Array<Integer>,
        subject: [&'a str] => Array<Text>,
        body: [Option<&'a str>] => Array<Nullable<Text>>,
        terms: [ToJson] => Array<Json>,
        asked_at: [DateTime<Utc>] => Array<Timestamptz>,
        deadline: [Option<DateTime<Utc>>] => Array<Nullable<Timestamptz>>,
    }
    "INSERT INTO approval (run_key, index, try_number, number, subject, body, terms, assigned_users, asked_at, deadline)
     SELECT q.run_key, q.index, q.try_number, q.number, q.subject, q.body, q.terms,
            ARRAY(SELECT json_array_elements_text(q.terms -> 'assigned_users')), q.asked_at, q.deadline
     FROM unnest($1::bigint[], $2::integer[], $3::integer[], $4::integer[], $5::text[], $6::text[], $7::json[],
                 $8::timestamptz[], $9::timestamptz[])
          AS q (run_key, index, try_number, number, subject, body, terms, asked_at, deadline)
     ON CONFLICT (run_key, index, try_number) DO UPDATE
     SET number = excluded.number, subject = excluded.subject, body = excluded.body, terms = excluded.terms,
         assigned_users = excluded.assigned_users, asked_at = excluded.asked_at, deadline = excluded.deadline,
         closed_at = NULL, responded_by = NULL, reply = NULL
     WHERE approval.closed_at IS NOT NULL"
}

hot_query! {
    /// Only what is open ends, so that no question is ever answered twice.
    Close {
        run_key: [i64] => Array<BigInt>,
        index: [i32] => Array<Integer>,
        try_number: [i32] => Array<Integer>,
        closed_at: [DateTime<Utc>] => Array<Timestamptz>,
        responded_by: [Option<&'a str>] => Array<Nullable<Text>>,
        reply: [Option<ToJson>] => Array<Nullable<Json>>,
    }
    "UPDATE approval a SET closed_at = c.closed_at, responded_by = c.responded_by, reply = c.reply
     FROM unnest($1::bigint[], $2::integer[], $3::integer[], $4::timestamptz[], $5::text[], $6::json[])
          AS c (run_key, index, try_number, closed_at, responded_by, reply)
     WHERE a.run_key = c.run_key AND a.index = c.index AND a.try_number = c.try_number AND a.closed_at IS NULL"
}
