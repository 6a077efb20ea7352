//! Writes what [`super::plan`] decided about a batch of DAG files.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Bool, Integer, Json, Nullable, Text},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::engine::record::{AssetStanding, DagRecord, VersionId};

use super::{
    LoadedFile, MOST_FILES, Refused, Saved, listing,
    plan::{Known, Save, plan},
};
use crate::{
    Error, LeaderProof, Store, arrival, asset,
    column::{ToJson, count, interval, storable},
    dag_version,
    hot::hot_query,
    import_error::{self, NewImportError},
};

impl Store {
    /// Records what the loader read, in one transaction: new versions where the contents changed, DAGs that went away,
    /// and all errors of these files in place of the ones before.
    ///
    /// # Errors
    /// [`Error::Fenced`] when the proof no longer holds, [`Error::Invalid`] for more than [`MOST_FILES`] files.
    pub async fn save(&self, proof: &LeaderProof, files: &[LoadedFile]) -> Result<Saved, Error> {
        if files.len() > MOST_FILES {
            return Err(Error::Invalid(format!("at most {MOST_FILES} files at once, not {}", files.len())));
        }
        let mut transaction = self.begin().await?;
        transaction.assert_leader(proof).await?;
        let conn = &mut *transaction;
        let known = known(conn, files).await?;
        let plan = plan(files, &known);
        let versions = insert_versions(conn, &plan.new_versions).await?;
        let mut changed = upsert(conn, &plan.new_versions, &versions).await?;
        arrival::take_over(conn, &mut changed).await?;
        changed.extend(upsert(conn, &plan.revived, &versions).await?);
        changed.extend(upsert(conn, &plan.asked, &versions).await?);
        let told = plan.new_versions.iter().chain(&plan.revived).chain(&plan.asked);
        listing::write(conn, told, &versions).await?;
        asset::save(conn, &changed).await?;
        touch(conn, &plan.same).await?;
        touch(conn, &plan.asked).await?;
        touch(conn, &plan.revived).await?;
        changed.extend(retire(conn, &plan.vanished).await?);
        replace_errors(conn, files, &plan.refused).await?;
        let refused = plan.refused;
        transaction.commit().await?;
        Ok(Saved { changed, refused })
    }
}

async fn known(conn: &mut AsyncPgConnection, files: &[LoadedFile]) -> Result<Vec<Known>, Error> {
    let names: Vec<&str> = files.iter().map(|file| file.file.as_str()).collect();
    let ids: Vec<&str> =
        files.iter().flat_map(|file| &file.dags).map(|loaded| loaded.dag.dag_id.as_str()).collect();
    Ok(FindKnown { ids: &ids, files: &names }.load(conn).await?)
}

/// Returns the ids of the versions by DAG.
async fn insert_versions(
    conn: &mut AsyncPgConnection,
    saves: &[Save<'_>],
) -> Result<HashMap<String, i64>, Error> {
    if saves.is_empty() {
        return Ok(HashMap::new());
    }
    let body = saves.iter().map(|save| ToJson::of(&*save.loaded.dag)).collect::<Result<Vec<_>, _>>()?;
    let source: Vec<_> = saves.iter().map(|save| storable(&save.loaded.source)).collect();
    let query = InsertVersions {
        dag_id: &saves.iter().map(|save| save.loaded.dag.dag_id.as_str()).collect::<Vec<_>>(),
        number: &saves.iter().map(|save| save.known.map_or(0, |known| known.number) + 1).collect::<Vec<_>>(),
        hash: &saves.iter().map(|save| save.hash.as_str()).collect::<Vec<_>>(),
        file: &saves.iter().map(|save| save.file).collect::<Vec<_>>(),
        body: &body,
        source: &source.iter().map(|text| &**text).collect::<Vec<_>>(),
    };
    let rows: Vec<NewVersion> = query.load(conn).await?;
    Ok(rows.into_iter().map(|row| (row.dag_id, row.id)).collect())
}

async fn upsert(
    conn: &mut AsyncPgConnection,
    saves: &[Save<'_>],
    versions: &HashMap<String, i64>,
) -> Result<Vec<DagRecord>, Error> {
    if saves.is_empty() {
        return Ok(Vec::new());
    }
    let records: Vec<DagRecord> = saves.iter().map(|save| record(save, versions)).collect();
    let dags: Vec<_> = records.iter().map(|record| &*record.dag).collect();
    let description: Vec<_> = dags.iter().map(|dag| dag.description.as_deref().map(storable)).collect();
    let owner: Vec<_> = dags.iter().map(|dag| storable(&dag.owner)).collect();
    let summary: Vec<String> = dags.iter().map(|dag| dag.schedule_summary()).collect();
    let words: Vec<String> = dags.iter().map(|dag| dag.schedule_description()).collect();
    let query = Upsert {
        dag_id: &dags.iter().map(|dag| dag.dag_id.as_str()).collect::<Vec<_>>(),
        version_id: &records.iter().map(|record| record.version.0).collect::<Vec<_>>(),
        is_paused: &records.iter().map(|record| record.is_paused).collect::<Vec<_>>(),
        file: &saves.iter().map(|save| save.file).collect::<Vec<_>>(),
        description: &description.iter().map(Option::as_deref).collect::<Vec<_>>(),
        owner: &owner.iter().map(|text| &**text).collect::<Vec<_>>(),
        tags: &dags.iter().map(|dag| ToJson::of(&dag.tags)).collect::<Result<Vec<_>, _>>()?,
        schedule: &summary.iter().map(String::as_str).collect::<Vec<_>>(),
        words: &words.iter().map(String::as_str).collect::<Vec<_>>(),
    };
    query.execute(conn).await?;
    Ok(records)
}

/// The DAG as it is from now on.
fn record(save: &Save<'_>, versions: &HashMap<String, i64>) -> DagRecord {
    let dag = Arc::clone(&save.loaded.dag);
    let known = save.known;
    let version = versions.get(dag.dag_id.as_str()).copied().or(known.map(|known| known.version_id));
    DagRecord {
        version: VersionId(version.unwrap_or_default()),
        is_paused: known.map_or(dag.is_paused_upon_creation, |known| known.is_paused),
        is_stale: false,
        cursor: known.and_then(|known| interval(known.cursor_start, known.cursor_end)),
        disabled: known.map(Known::disabled).unwrap_or_default(),
        failed_runs: known.map_or(0, |known| count(known.failed_runs)),
        // The engine knows them, as it knows the cursor, from when it was restored.
        taken: BTreeSet::new(),
        assets: AssetStanding::default(),
        dag,
    }
}

/// Notes that the DAGs were seen, and keeps the text that people are shown as it is in the file.
async fn touch(conn: &mut AsyncPgConnection, saves: &[Save<'_>]) -> Result<(), Error> {
    if saves.is_empty() {
        return Ok(());
    }
    let source: Vec<_> = saves.iter().map(|save| storable(&save.loaded.source)).collect();
    let query = Touch {
        dag_id: &saves.iter().map(|save| save.loaded.dag.dag_id.as_str()).collect::<Vec<_>>(),
        source: &source.iter().map(|text| &**text).collect::<Vec<_>>(),
    };
    query.execute(conn).await?;
    Ok(())
}

async fn retire(conn: &mut AsyncPgConnection, vanished: &[&Known]) -> Result<Vec<DagRecord>, Error> {
    if vanished.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<&str> = vanished.iter().map(|known| known.dag_id.as_str()).collect();
    Retire { dag_id: &ids }.execute(conn).await?;
    let versions: Vec<VersionId> = vanished.iter().map(|known| VersionId(known.version_id)).collect();
    let dags = dag_version::load(conn, &versions).await?;
    let record = |known: &&Known| {
        let version = VersionId(known.version_id);
        Some(DagRecord {
            version,
            dag: dags.get(&version).map(Arc::clone)?,
            is_paused: known.is_paused,
            is_stale: true,
            cursor: interval(known.cursor_start, known.cursor_end),
            disabled: known.disabled(),
            failed_runs: count(known.failed_runs),
            taken: BTreeSet::new(),
            assets: AssetStanding::default(),
        })
    };
    Ok(vanished.iter().filter_map(record).collect())
}

async fn replace_errors(
    conn: &mut AsyncPgConnection,
    files: &[LoadedFile],
    refused: &[Refused],
) -> Result<(), Error> {
    let names: Vec<&str> = files.iter().map(|file| file.file.as_str()).collect();
    let clashes: Vec<NewImportError> = refused.iter().map(clash).collect();
    let errors = files.iter().flat_map(|file| file.errors.iter().map(|error| (file.file.as_str(), error)));
    let clashes = refused.iter().map(|refused| refused.file.as_str()).zip(&clashes);
    let errors: Vec<(&str, &NewImportError)> = errors.chain(clashes).collect();
    import_error::clear(conn, &names).await?;
    import_error::insert(conn, &errors).await
}

fn clash(refused: &Refused) -> NewImportError {
    let message = if refused.file == refused.owner {
        format!("the DAG `{}` is defined twice in this file", refused.dag_id)
    } else {
        format!("the DAG `{}` is already defined in {}", refused.dag_id, refused.owner)
    };
    let hint = Some("give one of the two another `dag_id`".to_owned());
    let (line, column) = refused.place;
    NewImportError { line: Some(line), column: Some(column), message, hint, snippet: None }
}

#[derive(QueryableByName)]
struct NewVersion {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    dag_id: String,
}

hot_query! {
    FindKnown { ids: [&'a str] => Array<Text>, files: [&'a str] => Array<Text> }
    "SELECT d.dag_id, d.version_id, v.number, v.hash, v.file AS version_file, d.file, d.is_paused, d.is_stale,
            d.cursor_start, d.cursor_end, d.disabled, d.failed_runs
     FROM dag d JOIN dag_version v ON v.id = d.version_id
     WHERE d.dag_id = ANY($1) OR d.file = ANY($2)
     ORDER BY d.dag_id FOR UPDATE OF d"
}

hot_query! {
    InsertVersions {
        dag_id: [&'a str] => Array<Text>,
        number: [i32] => Array<Integer>,
        hash: [&'a str] => Array<Text>,
        file: [&'a str] => Array<Text>,
        body: [ToJson] => Array<Json>,
        source: [&'a str] => Array<Text>,
    }
    "INSERT INTO dag_version (dag_id, number, hash, file, body, source)
     SELECT * FROM unnest($1::text[], $2::integer[], $3::text[], $4::text[], $5::json[], $6::text[])
     RETURNING id, dag_id"
}

hot_query! {
    Upsert {
        dag_id: [&'a str] => Array<Text>,
        version_id: [i64] => Array<BigInt>,
        is_paused: [bool] => Array<Bool>,
        file: [&'a str] => Array<Text>,
        description: [Option<&'a str>] => Array<Nullable<Text>>,
        owner: [&'a str] => Array<Text>,
        tags: [ToJson] => Array<Json>,
        schedule: [&'a str] => Array<Text>,
        words: [&'a str] => Array<Text>,
    }
    include_str!("upsert_dags.sql")
}

hot_query! {
    Touch { dag_id: [&'a str] => Array<Text>, source: [&'a str] => Array<Text> }
    "WITH seen AS (
         UPDATE dag d SET parsed_at = now() FROM unnest($1::text[], $2::text[]) AS n (dag_id, source)
         WHERE d.dag_id = n.dag_id RETURNING d.version_id, n.source
     )
     UPDATE dag_version v SET source = s.source FROM seen s WHERE v.id = s.version_id AND v.source <> s.source"
}

hot_query! {
    Retire { dag_id: [&'a str] => Array<Text> }
    "UPDATE dag SET is_stale = true WHERE dag_id = ANY($1)"
}
