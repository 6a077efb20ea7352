//! A transaction that cannot be left open: unless it is committed, its connection is closed, which rolls it back.
//!
//! That holds for errors, panics and futures that are dropped half-way alike. Closing costs a new connection later, and
//! happens only when something went wrong.

use std::ops::{Deref, DerefMut};

use diesel_async::{
    AnsiTransactionManager, AsyncPgConnection, TransactionManager, pooled_connection::deadpool::Object,
};

use crate::{Error, Store, connect::Conn};

/// Dereferences to its connection.
pub(crate) struct Transaction(Option<Conn>);

impl Store {
    /// Begins a transaction in which every statement sees what was committed before it began.
    pub(crate) async fn begin(&self) -> Result<Transaction, Error> {
        begin_with(self.conn().await?, "BEGIN").await
    }

    /// Like [`Store::begin`], for what happens to every task.
    pub(crate) async fn begin_hot(&self) -> Result<Transaction, Error> {
        begin_with(self.hot_conn().await?, "BEGIN").await
    }

    /// Begins a transaction that reads and sees one moment.
    pub(crate) async fn begin_read(&self) -> Result<Transaction, Error> {
        let sql = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        begin_with(self.conn().await?, sql).await
    }
}

async fn begin_with(conn: Conn, sql: &str) -> Result<Transaction, Error> {
    let mut transaction = Transaction(Some(conn));
    AnsiTransactionManager::begin_transaction_sql(&mut *transaction, sql).await?;
    Ok(transaction)
}

impl Transaction {
    pub(crate) async fn commit(mut self) -> Result<(), Error> {
        AnsiTransactionManager::commit_transaction(&mut *self).await?;
        // Back to the pool.
        drop(self.0.take());
        Ok(())
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if let Some(conn) = self.0.take() {
            drop(Object::take(conn));
        }
    }
}

impl Deref for Transaction {
    type Target = AsyncPgConnection;

    fn deref(&self) -> &AsyncPgConnection {
        let Some(conn) = &self.0 else {
            unreachable!("only `commit` takes the connection, and the transaction with it")
        };
        conn
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut AsyncPgConnection {
        let Some(conn) = &mut self.0 else {
            unreachable!("only `commit` takes the connection, and the transaction with it")
        };
        conn
    }
}
