//! How long tasks take, as the engine learned it from their last successful tries.

use diesel::{
    QueryableByName,
    sql_types::{Array, Json, Text},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    engine::durations::DurationRecord,
    id::{DagId, TaskId},
};

use crate::{
    Error,
    column::{FromJson, Parsed, ToJson},
    hot::hot_query,
};

pub(crate) async fn all(conn: &mut AsyncPgConnection) -> Result<Vec<DurationRecord>, Error> {
    let rows: Vec<Row> = All {}.load(conn).await?;
    let record =
        |row: Row| DurationRecord { dag_id: row.dag_id.0, task_id: row.task_id.0, recent: row.recent.0 };
    Ok(rows.into_iter().map(record).collect())
}

/// Replaces what is recorded of these tasks.
pub(crate) async fn write(conn: &AsyncPgConnection, durations: &[DurationRecord]) -> Result<(), Error> {
    let recent = durations.iter().map(|row| ToJson::of(&row.recent)).collect::<Result<Vec<_>, _>>()?;
    let query = Write {
        dag_id: &durations.iter().map(|row| row.dag_id.as_str()).collect::<Vec<_>>(),
        task_id: &durations.iter().map(|row| row.task_id.as_str()).collect::<Vec<_>>(),
        recent: &recent,
    };
    query.execute(&mut &*conn).await?;
    Ok(())
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    dag_id: Parsed<DagId>,
    #[diesel(sql_type = Text)]
    task_id: Parsed<TaskId>,
    #[diesel(sql_type = Json)]
    recent: FromJson<Vec<u32>>,
}

hot_query! {
    All {}
    "SELECT dag_id, task_id, recent FROM task_duration ORDER BY dag_id, task_id"
}

hot_query! {
    Write { dag_id: [&'a str] => Array<Text>, task_id: [&'a str] => Array<Text>, recent: [ToJson] => Array<Json> }
    "INSERT INTO task_duration (dag_id, task_id, recent) SELECT * FROM unnest($1::text[], $2::text[], $3::json[])
     ON CONFLICT (dag_id, task_id) DO UPDATE SET recent = excluded.recent"
}
