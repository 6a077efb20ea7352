//! Task instances of other runs, or of one's own.

use chrono::{DateTime, Utc};
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{Array, BigInt, Double, Integer, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;

use super::{ONE_MORE, all_of};
use crate::{
    Error, Store,
    column::Total,
    hot::{hot_query, view_query},
};

/// Which task instances of a DAG are meant. An empty list means any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TiFilter {
    /// The DAG.
    pub dag_id: String,
    /// Of these tasks.
    pub task_ids: Vec<String>,
    /// With this mapped index.
    pub map_index: Option<i32>,
    /// In runs with one of these logical dates.
    pub logical_dates: Vec<DateTime<Utc>>,
    /// In runs with one of these names.
    pub run_ids: Vec<String>,
    /// In one of these states; `none` is that of one that nothing has happened to.
    pub states: Vec<String>,
}

/// The state of an instance.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct TiState {
    /// Its run.
    #[diesel(sql_type = Text)]
    pub run_id: String,
    /// Its task.
    #[diesel(sql_type = Text)]
    pub task_id: String,
    /// Its mapped index, or -1.
    #[diesel(sql_type = Integer)]
    pub map_index: i32,
    /// Its state.
    #[diesel(sql_type = Text)]
    pub state: String,
}

/// An instance of a run that has ended.
#[derive(Debug, Clone, PartialEq, QueryableByName)]
pub struct Breadcrumb {
    /// Its task.
    #[diesel(sql_type = Text)]
    pub task_id: String,
    /// Its mapped index, or -1.
    #[diesel(sql_type = Integer)]
    pub map_index: i32,
    /// Its state.
    #[diesel(sql_type = Text)]
    pub state: String,
    /// The class of its operator.
    #[diesel(sql_type = Text)]
    pub operator: String,
    /// How long its last try took, in seconds.
    #[diesel(sql_type = Nullable<Double>)]
    pub duration: Option<f64>,
}

/// An instance.
#[derive(Debug, Clone, PartialEq, QueryableByName)]
pub struct AskedTi {
    /// Its task.
    #[diesel(sql_type = Text)]
    pub task_id: String,
    /// Its DAG.
    #[diesel(sql_type = Text)]
    pub dag_id: String,
    /// Its run.
    #[diesel(sql_type = Text)]
    pub run_id: String,
    /// The run's logical date.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub logical_date: Option<DateTime<Utc>>,
    /// When its last try started.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub ended_at: Option<DateTime<Utc>>,
    /// Its state.
    #[diesel(sql_type = Text)]
    pub state: String,
    /// The number of its last try.
    #[diesel(sql_type = Integer)]
    pub try_number: i32,
    /// Its mapped index, or -1.
    #[diesel(sql_type = Integer)]
    pub map_index: i32,
    /// How long its last try took, in seconds.
    #[diesel(sql_type = Nullable<Double>)]
    pub duration: Option<f64>,
}

impl Store {
    /// How many instances there are of those that are meant.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn count_tis(&self, filter: &TiFilter) -> Result<i64, Error> {
        let mut conn = self.conn().await?;
        Ok(CountTis(select(filter, &ONE_MORE)).get_result::<Total>(&mut conn).await?.total)
    }

    /// The states of the instances that are meant, run by run.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there are more than [`super::MOST`].
    pub async fn ti_states(&self, filter: &TiFilter) -> Result<Vec<TiState>, Error> {
        let mut conn = self.conn().await?;
        all_of(select(filter, &ONE_MORE).load(&mut conn).await?, "task instances")
    }

    /// The instances of a run that have ended, by task.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there are more than [`super::MOST`].
    pub async fn breadcrumbs(&self, dag_id: &str, run_id: &str) -> Result<Vec<Breadcrumb>, Error> {
        let mut conn = self.conn().await?;
        let query = Breadcrumbs { dag_id, run_id, limit: &ONE_MORE };
        all_of(query.load(&mut conn).await?, "task instances")
    }

    /// Of the instances of a task in runs with a logical date, before `before` and in `state` when these are given, the one with the
    /// latest.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn ti_before(
        &self,
        dag_id: &str,
        task_id: &str,
        map_index: i32,
        before: Option<DateTime<Utc>>,
        state: Option<&str>,
    ) -> Result<Option<AskedTi>, Error> {
        let mut conn = self.conn().await?;
        let query = TiBefore { dag_id, task_id, map_index: &map_index, before: &before, state: &state };
        Ok(query.get_result(&mut conn).await.optional()?)
    }
}

fn select<'a>(filter: &'a TiFilter, limit: &'a i64) -> SelectTis<'a> {
    let TiFilter { dag_id, task_ids, map_index, logical_dates, run_ids, states } = filter;
    SelectTis { dag_id, task_ids, map_index, dates: logical_dates, run_ids, states, limit }
}

view_query! {
    SelectTis {
        dag_id: str => Text,
        task_ids: [String] => Array<Text>,
        map_index: Option<i32> => Nullable<Integer>,
        dates: [DateTime<Utc>] => Array<Timestamptz>,
        run_ids: [String] => Array<Text>,
        states: [String] => Array<Text>,
        limit: i64 => BigInt,
    }
    "SELECT r.run_id, t.task_id, t.map_index, t.state
     FROM dag_run r JOIN task_instance t ON t.run_key = r.key
     WHERE r.dag_id = $1 AND (cardinality($2) = 0 OR t.task_id = ANY($2)) AND ($3 IS NULL OR t.map_index = $3)
       AND (cardinality($4) = 0 OR r.logical_date = ANY($4)) AND (cardinality($5) = 0 OR r.run_id = ANY($5))
       AND (cardinality($6) = 0 OR t.state = ANY($6))
     ORDER BY r.key, t.index LIMIT $7";
    CountTis
    "SELECT count(*) AS total
     FROM dag_run r JOIN task_instance t ON t.run_key = r.key
     WHERE r.dag_id = $1 AND (cardinality($2) = 0 OR t.task_id = ANY($2)) AND ($3 IS NULL OR t.map_index = $3)
       AND (cardinality($4) = 0 OR r.logical_date = ANY($4)) AND (cardinality($5) = 0 OR r.run_id = ANY($5))
       AND (cardinality($6) = 0 OR t.state = ANY($6)) AND $7 > 0"
}

hot_query! {
    Breadcrumbs { dag_id: str => Text, run_id: str => Text, limit: i64 => BigInt }
    "SELECT t.task_id, t.map_index, t.state, t.operator,
            extract(epoch FROM t.ended_at - t.started_at)::double precision AS duration
     FROM dag_run r JOIN task_instance t ON t.run_key = r.key
     WHERE r.dag_id = $1 AND r.run_id = $2 AND t.state IN ('success', 'failed', 'skipped', 'upstream_failed', 'removed')
     ORDER BY t.task_id, t.map_index LIMIT $3"
}

hot_query! {
    TiBefore {
        dag_id: str => Text,
        task_id: str => Text,
        map_index: i32 => Integer,
        before: Option<DateTime<Utc>> => Nullable<Timestamptz>,
        state: Option<&'a str> => Nullable<Text>,
    }
    "SELECT t.task_id, r.dag_id, r.run_id, r.logical_date, t.started_at, t.ended_at, t.state, t.try_number, t.map_index,
            extract(epoch FROM t.ended_at - t.started_at)::double precision AS duration
     FROM dag_run r JOIN task_instance t ON t.run_key = r.key
     WHERE r.dag_id = $1 AND t.task_id = $2 AND t.map_index = $3 AND r.logical_date IS NOT NULL
       AND ($4 IS NULL OR r.logical_date < $4) AND ($5 IS NULL OR t.state = $5)
     ORDER BY r.logical_date DESC, r.key DESC LIMIT 1"
}
