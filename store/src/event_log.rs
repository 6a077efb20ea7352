//! The audit log: who did what, and what became of it.

use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, Json, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::engine::record::AuditRecord;

use crate::{
    Error, Store,
    column::{ToJson, storable},
    hot::hot_query,
};

impl Store {
    /// Writes lines to the audit log, for what does not go through the engine.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn audit(&self, lines: &[AuditRecord]) -> Result<(), Error> {
        let conn = self.conn().await?;
        insert(&conn, lines).await
    }
}

pub(crate) async fn insert(conn: &AsyncPgConnection, lines: &[AuditRecord]) -> Result<(), Error> {
    let extra = lines.iter().map(|line| ToJson::of(&line.extra)).collect::<Result<Vec<_>, _>>()?;
    let owner: Vec<_> = lines.iter().map(|line| storable(&line.by)).collect();
    let query = Insert {
        at: &lines.iter().map(|line| line.at).collect::<Vec<_>>(),
        event: &lines.iter().map(|line| line.event).collect::<Vec<_>>(),
        owner: &owner.iter().map(|text| &**text).collect::<Vec<_>>(),
        dag_id: &lines.iter().map(|line| line.dag_id.as_ref().map(|id| id.as_str())).collect::<Vec<_>>(),
        run_id: &lines.iter().map(|line| line.run_id.as_ref().map(|id| id.as_str())).collect::<Vec<_>>(),
        task_id: &lines.iter().map(|line| line.task_id.as_ref().map(|id| id.as_str())).collect::<Vec<_>>(),
        extra: &extra,
    };
    query.execute(&mut &*conn).await?;
    Ok(())
}

hot_query! {
    Insert {
        at: [DateTime<Utc>] => Array<Timestamptz>,
        event: [&'a str] => Array<Text>,
        owner: [&'a str] => Array<Text>,
        dag_id: [Option<&'a str>] => Array<Nullable<Text>>,
        run_id: [Option<&'a str>] => Array<Nullable<Text>>,
        task_id: [Option<&'a str>] => Array<Nullable<Text>>,
        extra: [ToJson] => Array<Json>,
    }
    "INSERT INTO event_log (at, event, owner, dag_id, run_id, task_id, extra)
     SELECT * FROM unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::json[])"
}
