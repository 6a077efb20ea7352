//! What DAGs bring along from the Airflow that they ran in before: kept until a file with the DAG is read for the first time.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    sql_types::{Array, Bool, Nullable, Text, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{engine::record::DagRecord, id::DagId, timetable::DataInterval};

use crate::{Error, Store, column::interval, hot::hot_query};

/// How a DAG stood where it ran before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The DAG.
    pub dag_id: DagId,
    /// Nothing of it was to be scheduled.
    pub is_paused: bool,
    /// The data interval of its last scheduled run: its schedule goes on behind it.
    pub cursor: Option<DataInterval>,
}

impl Store {
    /// What is known of DAGs that have not been read yet, by DAG.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn arrivals(&self) -> Result<Vec<Arrival>, Error> {
        let mut conn = self.conn().await?;
        let rows: Vec<Row> = diesel::sql_query(ALL).load(&mut conn).await?;
        rows.into_iter().map(Arrival::try_from).collect()
    }

    /// Keeps how a DAG stood, in place of what was kept before. False when the DAG has been read already: it stands as it stands.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn keep_arrival(&self, arrival: &Arrival) -> Result<bool, Error> {
        let query = Keep {
            dag_id: arrival.dag_id.as_str(),
            is_paused: &arrival.is_paused,
            cursor_start: &arrival.cursor.map(|cursor| cursor.start),
            cursor_end: &arrival.cursor.map(|cursor| cursor.end),
        };
        let mut conn = self.conn().await?;
        Ok(query.execute(&mut conn).await? == 1)
    }
}

/// Gives DAGs that were read for the first time what was kept for them.
pub(crate) async fn take_over(conn: &mut AsyncPgConnection, new: &mut [DagRecord]) -> Result<(), Error> {
    if new.is_empty() {
        return Ok(());
    }
    let rows: Vec<Row> = {
        let ids: Vec<&str> = new.iter().map(|record| record.dag.dag_id.as_str()).collect();
        TakeOver { dag_id: &ids }.load(conn).await?
    };
    for row in rows {
        let arrival = Arrival::try_from(row)?;
        if let Some(record) = new.iter_mut().find(|record| record.dag.dag_id == arrival.dag_id) {
            record.is_paused = arrival.is_paused;
            record.cursor = arrival.cursor;
        }
    }
    Ok(())
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    dag_id: String,
    #[diesel(sql_type = Bool)]
    is_paused: bool,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    cursor_start: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    cursor_end: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for Arrival {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        let dag_id =
            row.dag_id.parse().map_err(|error| Error::Invalid(format!("{}: {error}", row.dag_id)))?;
        let cursor = interval(row.cursor_start, row.cursor_end);
        Ok(Self { dag_id, is_paused: row.is_paused, cursor })
    }
}

const ALL: &str = "SELECT dag_id, is_paused, cursor_start, cursor_end FROM dag_arrival ORDER BY dag_id";

hot_query! {
    Keep {
        dag_id: str => Text,
        is_paused: bool => Bool,
        cursor_start: Option<DateTime<Utc>> => Nullable<Timestamptz>,
        cursor_end: Option<DateTime<Utc>> => Nullable<Timestamptz>,
    }
    "INSERT INTO dag_arrival (dag_id, is_paused, cursor_start, cursor_end)
     SELECT $1, $2, $3, $4 WHERE NOT EXISTS (SELECT FROM dag WHERE dag_id = $1)
     ON CONFLICT (dag_id) DO UPDATE
     SET is_paused = excluded.is_paused, cursor_start = excluded.cursor_start, cursor_end = excluded.cursor_end"
}

hot_query! {
    TakeOver { dag_id: [&'a str] => Array<Text> }
    "WITH arrived AS (DELETE FROM dag_arrival WHERE dag_id = ANY($1) RETURNING *)
     UPDATE dag d SET is_paused = a.is_paused, cursor_start = a.cursor_start, cursor_end = a.cursor_end
     FROM arrived a WHERE d.dag_id = a.dag_id AND d.cursor_start IS NULL
     RETURNING d.dag_id, d.is_paused, d.cursor_start, d.cursor_end"
}
