//! Backfills: lists of them, one, and how far each has got.

use std::collections::HashMap;

use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{Array, BigInt, Bool, Nullable, Text},
};
use diesel_async::RunQueryDsl;
use domain::{backfill::BackfillId, engine::backfill::BackfillRecord, id::DagId, state::RunState};

use super::{Listing, Page};
use crate::{
    Error, Store,
    backfill::BackfillRow,
    column::{Parsed, Total},
    hot::hot_query,
};

/// How far a backfill has got: its dates by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// They have no run yet, or never got one because the backfill was cancelled.
    pub waiting: i64,
    /// Their runs wait to start.
    pub queued: i64,
    /// Their runs are being worked on.
    pub running: i64,
    /// Their runs succeeded.
    pub success: i64,
    /// Their runs failed.
    pub failed: i64,
    /// They had runs that were left alone.
    pub left_alone: i64,
    /// Their runs were deleted since.
    pub deleted: i64,
}

impl Progress {
    /// All dates.
    #[must_use]
    pub const fn total(&self) -> i64 {
        self.waiting + self.queued + self.running + self.done()
    }

    /// The dates on which nothing is left to do.
    #[must_use]
    pub const fn done(&self) -> i64 {
        self.success + self.failed + self.left_alone + self.deleted
    }

    fn add(&mut self, row: &CountRow) {
        let place = match (row.is_waiting, row.has_run, row.state.as_ref().map(|state| state.0)) {
            (true, _, _) => &mut self.waiting,
            (false, false, _) => &mut self.left_alone,
            (false, true, None) => &mut self.deleted,
            (false, true, Some(RunState::Queued)) => &mut self.queued,
            (false, true, Some(RunState::Running)) => &mut self.running,
            (false, true, Some(RunState::Success)) => &mut self.success,
            (false, true, Some(RunState::Failed)) => &mut self.failed,
        };
        *place += row.total;
    }
}

impl Store {
    /// The backfills of a DAG, newest first or oldest first.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn backfills(
        &self,
        dag_id: &DagId,
        is_newest_first: bool,
        page: Page,
    ) -> Result<Listing<BackfillRecord>, Error> {
        let mut conn = self.conn().await?;
        let query = List {
            dag_id: dag_id.as_str(),
            is_newest_first: &is_newest_first,
            limit: &page.limit,
            offset: &page.offset,
        };
        let rows: Vec<BackfillRow> = query.load(&mut conn).await?;
        let total: Total = Count { dag_id: dag_id.as_str() }.get_result(&mut conn).await?;
        Ok(Listing { rows: rows.into_iter().map(BackfillRecord::from).collect(), total: total.total })
    }

    /// One backfill.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn backfill(&self, id: BackfillId) -> Result<Option<BackfillRecord>, Error> {
        let mut conn = self.conn().await?;
        let row: Option<BackfillRow> = One { id: &id.0 }.get_result(&mut conn).await.optional()?;
        Ok(row.map(BackfillRecord::from))
    }

    /// The backfill of a DAG that is not over, when there is one.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn active_backfill(&self, dag_id: &DagId) -> Result<Option<BackfillRecord>, Error> {
        let mut conn = self.conn().await?;
        let query = ActiveOf { dag_id: dag_id.as_str() };
        let row: Option<BackfillRow> = query.get_result(&mut conn).await.optional()?;
        Ok(row.map(BackfillRecord::from))
    }

    /// How far backfills have got.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn backfill_progress(
        &self,
        ids: &[BackfillId],
    ) -> Result<HashMap<BackfillId, Progress>, Error> {
        let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
        let mut conn = self.conn().await?;
        let mut progress: HashMap<BackfillId, Progress> = HashMap::new();
        for row in (CountDates { ids: &ids }).load::<CountRow>(&mut conn).await? {
            progress.entry(BackfillId(row.backfill_id)).or_default().add(&row);
        }
        Ok(progress)
    }
}

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = BigInt)]
    backfill_id: i64,
    #[diesel(sql_type = Bool)]
    is_waiting: bool,
    #[diesel(sql_type = Bool)]
    has_run: bool,
    #[diesel(sql_type = Nullable<Text>)]
    state: Option<Parsed<RunState>>,
    #[diesel(sql_type = BigInt)]
    total: i64,
}

hot_query! {
    List { dag_id: str => Text, is_newest_first: bool => Bool, limit: i64 => BigInt, offset: i64 => BigInt }
    "SELECT * FROM backfill WHERE dag_id = $1
     ORDER BY CASE WHEN $2 THEN -id ELSE id END LIMIT $3 OFFSET $4"
}

hot_query! {
    Count { dag_id: str => Text }
    "SELECT count(*) AS total FROM backfill WHERE dag_id = $1"
}

hot_query! {
    One { id: i64 => BigInt }
    "SELECT * FROM backfill WHERE id = $1"
}

hot_query! {
    ActiveOf { dag_id: str => Text }
    "SELECT * FROM backfill WHERE dag_id = $1 AND completed_at IS NULL"
}

hot_query! {
    CountDates { ids: [i64] => Array<BigInt> }
    "SELECT d.backfill_id, d.deed IS NULL AS is_waiting, d.run_key IS NOT NULL AS has_run, r.state, count(*) AS total
     FROM backfill_date d LEFT JOIN dag_run r ON r.key = d.run_key
     WHERE d.backfill_id = ANY($1) GROUP BY 1, 2, 3, 4"
}
