//! What the engine itself switches at a DAG.

use diesel::sql_types::{Array, Bool, Integer, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::engine::record::DagFlags;
use futures_util::FutureExt;

use super::Sent;
use crate::{Error, column::int, hot::hot_query};

/// A DAG that was deleted meanwhile has no flags any more; that is no conflict.
pub(super) fn set_flags<'a>(conn: &'a AsyncPgConnection, flags: &'a [DagFlags], to: &mut Vec<Sent<'a>>) {
    to.extend(flags.iter().map(|flags| set(conn, flags).boxed()));
}

async fn set(conn: &AsyncPgConnection, flags: &DagFlags) -> Result<(), Error> {
    let disabled: Option<Vec<&str>> =
        flags.disabled.as_ref().map(|ids| ids.iter().map(|task_id| task_id.as_str()).collect());
    let query = SetFlags {
        dag_id: flags.dag_id.as_str(),
        failed_runs: &int(flags.failed_runs),
        pause: &flags.pause,
        disabled: &disabled,
    };
    query.execute(&mut &*conn).await?;
    Ok(())
}

hot_query! {
    SetFlags {
        dag_id: str => Text,
        failed_runs: i32 => Integer,
        pause: bool => Bool,
        disabled: Option<Vec<&'a str>> => Nullable<Array<Text>>,
    }
    "UPDATE dag SET failed_runs = $2, is_paused = is_paused OR $3, disabled = coalesce($4, disabled) WHERE dag_id = $1"
}
