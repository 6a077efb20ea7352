//! What the templates of tries became. A worker writes it when a try starts.

use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{Array, BigInt, Integer, Json},
};
use diesel_async::RunQueryDsl;
use domain::id::TryKey;
use serde_json::{Map, Value};

use crate::{
    Error, Store,
    column::{FromJson, ToJson, TryColumns},
    hot::hot_query,
};

/// Most tries of one [`Store::write_rendered`].
pub const MOST_TRIES: usize = 1_000;

impl Store {
    /// Records what the fields of tries became, secrets already masked. Tries whose run was deleted are passed over.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn write_rendered(&self, rendered: &[(TryKey, Map<String, Value>)]) -> Result<(), Error> {
        let mut conn = self.hot_conn().await?;
        for chunk in rendered.chunks(MOST_TRIES) {
            let tries: Vec<TryKey> = chunk.iter().map(|(attempt, _)| *attempt).collect();
            let keys = TryColumns::of(&tries);
            let fields = chunk.iter().map(|(_, fields)| ToJson::of(fields)).collect::<Result<Vec<_>, _>>()?;
            let query = Write {
                run_key: &keys.run_key,
                index: &keys.index,
                try_number: &keys.try_number,
                fields: &fields,
            };
            query.execute(&mut conn).await?;
        }
        Ok(())
    }

    /// What the fields of a try became.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn rendered(&self, attempt: TryKey) -> Result<Option<Map<String, Value>>, Error> {
        let keys = TryColumns::of(&[attempt]);
        let query = Read { run_key: &keys.run_key, index: &keys.index, try_number: &keys.try_number };
        let mut conn = self.conn().await?;
        let row: Option<Row> = query.get_result(&mut conn).await.optional()?;
        Ok(row.map(|row| row.fields.0))
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Json)]
    fields: FromJson<Map<String, Value>>,
}

hot_query! {
    Write {
        run_key: [i64] => Array<BigInt>,
        index: [i32] => Array<Integer>,
        try_number: [i32] => Array<Integer>,
        fields: [ToJson] => Array<Json>,
    }
    "INSERT INTO rendered_fields (run_key, index, try_number, fields)
     SELECT n.run_key, n.index, n.try_number, n.fields
     FROM unnest($1::bigint[], $2::integer[], $3::integer[], $4::json[]) AS n (run_key, index, try_number, fields)
     JOIN dag_run r ON r.key = n.run_key
     ON CONFLICT (run_key, index, try_number) DO UPDATE SET fields = excluded.fields"
}

hot_query! {
    Read { run_key: [i64] => Array<BigInt>, index: [i32] => Array<Integer>, try_number: [i32] => Array<Integer> }
    "SELECT fields FROM rendered_fields JOIN unnest($1::bigint[], $2::integer[], $3::integer[])
     AS n (run_key, index, try_number) USING (run_key, index, try_number)"
}
