//! The contents of DAGs, one row for each version. A version never changes; only its source text follows edits that mean
//! the same, so that the page shows the file as it is, and the next runs that its timetable tells when it is a plugin's.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Utc};
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{Array, BigInt, Integer, Json, Nullable, Text, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{dag::Dag, engine::record::VersionId, id::DagId};

use crate::{Error, Store, column::RawJson, hot::hot_query};

/// Versions read by one statement.
const MOST_ROWS: usize = 200;

/// A version for lists.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Version {
    /// Its number in the records.
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    /// Counts the versions of its DAG from 1.
    #[diesel(sql_type = Integer)]
    pub number: i32,
    /// The hash of its normal form.
    #[diesel(sql_type = Text)]
    pub hash: String,
    /// The DAG file.
    #[diesel(sql_type = Text)]
    pub file: String,
    /// When it was first seen.
    #[diesel(sql_type = Timestamptz)]
    pub created_at: DateTime<Utc>,
}

impl Store {
    /// The contents of a version, and its DAG file as the loader named it.
    ///
    /// # Errors
    /// [`Error::Invalid`] when this program cannot read it.
    pub async fn version(&self, id: VersionId) -> Result<Option<(Arc<Dag>, String)>, Error> {
        let mut conn = self.conn().await?;
        let query = Bodies { ids: &[id.0] };
        let Some(row) = query.get_result::<Body>(&mut conn).await.optional()? else {
            return Ok(None);
        };
        let dag = row
            .dag()
            .map_err(|error| Error::Invalid(format!("the DAG version {} cannot be read: {error}", id.0)))?;
        Ok(Some((Arc::new(dag), row.file)))
    }

    /// The versions of a DAG, newest first.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn versions_of(&self, dag_id: &DagId, limit: u32, offset: u32) -> Result<Vec<Version>, Error> {
        let mut conn = self.conn().await?;
        let query =
            VersionsOf { dag_id: dag_id.as_str(), limit: &i64::from(limit), offset: &i64::from(offset) };
        Ok(query.load(&mut conn).await?)
    }

    /// The text of the DAG file, as it was in a version.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn source(&self, id: VersionId) -> Result<Option<String>, Error> {
        let mut conn = self.conn().await?;
        let row: Option<SourceRow> = Source { id: &id.0 }.get_result(&mut conn).await.optional()?;
        Ok(row.map(|row| row.source))
    }
}

/// Those of the versions that this program can read.
pub(crate) async fn load(
    conn: &mut AsyncPgConnection,
    ids: &[VersionId],
) -> Result<HashMap<VersionId, Arc<Dag>>, Error> {
    let mut dags = HashMap::with_capacity(ids.len());
    for chunk in ids.chunks(MOST_ROWS) {
        let chunk: Vec<i64> = chunk.iter().map(|id| id.0).collect();
        let rows: Vec<Body> = Bodies { ids: &chunk }.load(conn).await?;
        for row in rows {
            match row.dag() {
                Ok(dag) => drop(dags.insert(VersionId(row.id), Arc::new(dag))),
                Err(error) => {
                    tracing::error!(version = row.id, file = row.file, %error, "a DAG version cannot be read")
                }
            }
        }
    }
    Ok(dags)
}

#[derive(QueryableByName)]
struct Body {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    file: String,
    #[diesel(sql_type = Json)]
    body: RawJson,
    #[diesel(sql_type = Nullable<Json>)]
    listing: Option<RawJson>,
}

impl Body {
    fn dag(&self) -> Result<Dag, serde_json::Error> {
        let mut dag: Dag = serde_json::from_slice(&self.body.0)?;
        if let Some(listing) = &self.listing {
            dag.schedule = dag.schedule.with_listing(serde_json::from_slice(&listing.0)?);
        }
        Ok(dag)
    }
}

#[derive(QueryableByName)]
struct SourceRow {
    #[diesel(sql_type = Text)]
    source: String,
}

hot_query! {
    Bodies { ids: [i64] => Array<BigInt> }
    "SELECT id, file, body, listing FROM dag_version WHERE id = ANY($1)"
}

hot_query! {
    VersionsOf { dag_id: str => Text, limit: i64 => BigInt, offset: i64 => BigInt }
    "SELECT id, number, hash, file, created_at FROM dag_version WHERE dag_id = $1
     ORDER BY number DESC LIMIT $2 OFFSET $3"
}

hot_query! {
    Source { id: i64 => BigInt }
    "SELECT source FROM dag_version WHERE id = $1"
}
