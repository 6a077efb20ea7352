//! Writing what the engine decided: one transaction for everything that one turn decided, with one statement for each
//! kind of record, sent one after the other without waiting for the answers.
//!
//! A record is changed only if it still is what the engine believed (its state, and for a task instance its try number).
//! The one difference allowed is a queued instance that a worker has claimed meanwhile.

mod alert;
mod approval;
mod asset;
mod backfill;
mod dag;
mod deferral;
mod partition;
mod run;
mod task_instance;
mod trace;

use diesel::sql_types::{Array, BigInt};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::engine::{decision::Decisions, record::AuditRecord};
use futures_util::future::{BoxFuture, FutureExt, try_join_all};

use crate::{Error, InboxId, LeaderProof, Store, history::Records, hot::hot_query};

/// Most rows of one statement.
const MOST_ROWS: usize = 5_000;

/// Most statements on their way at the same time.
const MOST_STATEMENTS: usize = 16;

/// A statement on its way.
pub(crate) type Sent<'a> = BoxFuture<'a, Result<(), Error>>;

impl Store {
    /// Writes the decisions and deletes the inbox rows that led to them, all or nothing.
    ///
    /// # Errors
    /// [`Error::Fenced`] when the proof no longer holds, [`Error::Conflict`] when a record is not what the engine
    /// believed; in both cases, and in every other, nothing is written and the engine has to start again from
    /// [`Store::load`].
    pub async fn commit(
        &self,
        proof: &LeaderProof,
        decisions: &Decisions,
        consumed: &[InboxId],
    ) -> Result<(), Error> {
        let transaction = self.begin_hot().await?;
        let conn = &*transaction;
        let mut statements: Vec<Sent<'_>> = vec![transaction.assert_leader(proof).boxed()];
        run::insert(conn, &decisions.runs_created, &mut statements);
        run::update(conn, &decisions.runs_changed, &mut statements);
        task_instance::insert(conn, &decisions.tis_created, &mut statements);
        task_instance::update(conn, &decisions.tis_changed, &mut statements);
        trace::insert_tries(conn, &decisions.tries, &mut statements);
        trace::clear_xcoms(conn, &decisions.xcoms_cleared, &mut statements);
        trace::write_xcoms(conn, &decisions.xcoms, &mut statements)?;
        approval::ask(conn, &decisions.questions_asked, &mut statements);
        approval::close(conn, &decisions.questions_closed, &mut statements);
        deferral::write(conn, decisions, &mut statements);
        backfill::write(conn, decisions, &mut statements);
        asset::write(conn, decisions, &mut statements);
        partition::write(conn, decisions, &mut statements);
        trace::move_cursors(conn, &decisions.cursors, &mut statements);
        dag::set_flags(conn, &decisions.dags, &mut statements);
        trace::write_durations(conn, &decisions.durations, &mut statements);
        alert::withdraw(conn, &decisions.alerts_withdrawn, &mut statements);
        alert::insert(conn, &decisions.alerts, &mut statements);
        trace::insert_audit(conn, &decisions.audit, &mut statements);
        delete_consumed(conn, consumed, &mut statements);
        send(statements).await?;
        transaction.commit().await
    }
}

/// Writes runs that ended elsewhere, in the transaction of `conn`. The engine does not know them: it remembers active runs only.
pub(crate) async fn write_history(
    conn: &AsyncPgConnection,
    records: &Records,
    audit: &AuditRecord,
) -> Result<(), Error> {
    let mut statements = Vec::new();
    run::insert(conn, &records.runs, &mut statements);
    task_instance::insert(conn, &records.tis, &mut statements);
    trace::insert_tries(conn, &records.tries, &mut statements);
    trace::write_xcoms(conn, &records.xcoms, &mut statements)?;
    trace::insert_audit(conn, std::slice::from_ref(audit), &mut statements);
    send(statements).await
}

/// PostgreSQL carries them out in this order; what overlaps is only the way there and back.
async fn send(statements: Vec<Sent<'_>>) -> Result<(), Error> {
    let mut statements = statements.into_iter().peekable();
    while statements.peek().is_some() {
        try_join_all(statements.by_ref().take(MOST_STATEMENTS)).await?;
    }
    Ok(())
}

fn delete_consumed<'a>(conn: &'a AsyncPgConnection, consumed: &'a [InboxId], to: &mut Vec<Sent<'a>>) {
    to.extend(consumed.chunks(MOST_ROWS).map(|chunk| {
        async move {
            let ids: Vec<i64> = chunk.iter().map(|id| id.0).collect();
            let deleted = DeleteInbox { ids: &ids }.execute(&mut &*conn).await?;
            expect_all(deleted, chunk.len(), "messages of the inbox were consumed by somebody else")
        }
        .boxed()
    }));
}

hot_query! {
    DeleteInbox { ids: [i64] => Array<BigInt> }
    "DELETE FROM inbox WHERE id = ANY($1)"
}

fn expect_all(done: usize, wanted: usize, otherwise: &str) -> Result<(), Error> {
    if done == wanted {
        Ok(())
    } else {
        Err(Error::Conflict(format!("{} of {wanted} {otherwise}", wanted.saturating_sub(done))))
    }
}

/// One column of a batch.
fn column<'a, T, C>(rows: &'a [T], cell: impl Fn(&'a T) -> C) -> Vec<C> {
    rows.iter().map(cell).collect()
}
