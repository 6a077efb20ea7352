//! What PostgreSQL says about DAGs, runs and tasks: every result is read from the records.

use anyhow::{Context, Result, bail, ensure};
use tokio_postgres::Client;

/// The names of a run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its DAG.
    pub dag_id: String,
    /// Its name within the DAG.
    pub run_id: String,
}

/// When something ran, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// The start.
    pub started: f64,
    /// The end.
    pub ended: f64,
}

/// The start of a scheduled task.
#[derive(Clone, Copy, Debug)]
pub struct Tick {
    /// When it was due, in seconds since 1970.
    pub due: f64,
    /// When it started according to the records.
    pub started: f64,
    /// What its own process read from the clock, if that has arrived.
    pub own_clock: Option<f64>,
}

/// The time of the database's clock, in seconds since 1970.
pub async fn now(client: &Client) -> Result<f64> {
    Ok(client.query_one("SELECT extract(epoch FROM clock_timestamp())::float8", &[]).await?.get(0))
}

/// How many of these DAGs can be run by now. Fails when one of their files is wrong.
pub async fn loaded(client: &Client, dag_ids: &[String]) -> Result<usize> {
    let wrong = client.query_opt("SELECT file, message FROM import_error ORDER BY id LIMIT 1", &[]).await?;
    if let Some(row) = wrong {
        bail!("the DAG file {} is refused: {}", row.get::<_, String>(0), row.get::<_, String>(1));
    }
    let sql = "SELECT count(*) FROM dag WHERE dag_id = ANY($1) AND NOT is_stale AND NOT is_paused";
    let count: i64 = client.query_one(sql, &[&dag_ids]).await?.get(0);
    Ok(usize::try_from(count)?)
}

/// How many runs are queued or running.
pub async fn active_runs(client: &Client) -> Result<i64> {
    Ok(client
        .query_one("SELECT count(*) FROM dag_run WHERE state IN ('queued', 'running')", &[])
        .await?
        .get(0))
}

/// Whether the scheduler of this process has said that it lives.
pub async fn is_present(client: &Client, pid: i32) -> Result<bool> {
    let sql = "SELECT count(*) FROM job WHERE kind = 'scheduler' AND pid = $1 AND state = 'running'";
    let count: i64 = client.query_one(sql, &[&pid]).await?.get(0);
    Ok(count > 0)
}

/// How many schedulers' terms there have been.
pub async fn epoch(client: &Client) -> Result<i64> {
    Ok(client.query_one("SELECT coalesce(max(epoch), 0) FROM lease", &[]).await?.get(0))
}

/// Fills the history with `runs` runs of `tasks` task instances each that ended long ago, under numbers that no other run has. Their
/// tables are then as tidy as they are after a while.
pub async fn write_history(client: &Client, dag_id: &str, runs: i64, tasks: i32) -> Result<()> {
    let version = "SELECT id FROM dag_version WHERE dag_id = $1 ORDER BY id DESC LIMIT 1";
    let version: i64 = client.query_one(version, &[&dag_id]).await?.get(0);
    let sql = "INSERT INTO dag_run (key, dag_id, run_id, run_type, state, version_id, run_after, queued_at, started_at, ended_at)
        SELECT -n, $1, 'history_' || n, 'manual', 'success', $2, at, at, at, at + interval '5 s'
        FROM (SELECT n, now() - interval '1 day' - n * interval '1 s' AS at FROM generate_series(1, $3::bigint) n) old";
    client.execute(sql, &[&dag_id, &version, &runs]).await?;
    let sql = "INSERT INTO task_instance (run_key, index, try_number, max_tries, pool_slots, priority, state, task_id, pool, queue,
            operator, scheduled_at, queued_at, started_at, ended_at)
        SELECT r.key, i, 1, 0, 1, 1, 'success', 't_' || lpad(i::text, 3, '0'), 'default_pool', 'default', 'BashOperator',
            r.started_at, r.started_at, r.started_at, r.ended_at
        FROM dag_run r, generate_series(0, $1::int - 1) i WHERE r.key < 0";
    client.execute(sql, &[&tasks]).await?;
    let sql = "INSERT INTO task_try (run_key, index, try_number, state, queued_at, started_at, ended_at)
        SELECT run_key, index, try_number, state, queued_at, started_at, ended_at FROM task_instance WHERE run_key < 0";
    client.execute(sql, &[]).await?;
    for sql in
        ["VACUUM ANALYZE dag_run", "VACUUM ANALYZE task_instance", "VACUUM ANALYZE task_try", "CHECKPOINT"]
    {
        client.batch_execute(sql).await?;
    }
    Ok(())
}

/// How many of these runs have ended.
pub async fn ended(client: &Client, runs: &[Run]) -> Result<usize> {
    let (dag_ids, run_ids) = columns(runs);
    let sql = "SELECT count(*) FROM dag_run WHERE (dag_id, run_id) IN (SELECT * FROM unnest($1::text[], $2::text[]))
        AND ended_at IS NOT NULL";
    let count: i64 = client.query_one(sql, &[&dag_ids, &run_ids]).await?.get(0);
    Ok(usize::try_from(count)?)
}

/// When a run of `tasks` tasks ran. Fails unless every one of them succeeded.
pub async fn run(client: &Client, run: &Run, tasks: usize) -> Result<Span> {
    let sql =
        "SELECT extract(epoch FROM r.started_at)::float8, extract(epoch FROM r.ended_at)::float8, r.state,
            (SELECT count(*) FROM task_instance t WHERE t.run_key = r.key AND t.state = 'success')
        FROM dag_run r WHERE r.dag_id = $1 AND r.run_id = $2";
    let row = client.query_opt(sql, &[&run.dag_id, &run.run_id]).await?;
    let row = row.with_context(|| format!("there is no run {} of {}", run.run_id, run.dag_id))?;
    let (state, succeeded): (String, i64) = (row.get(2), row.get(3));
    ensure!(
        state == "success" && usize::try_from(succeeded)? == tasks,
        "run {} of {} ended as {state}, with {succeeded} of {tasks} tasks in success",
        run.run_id,
        run.dag_id
    );
    match (row.get(0), row.get(1)) {
        (Some(started), Some(ended)) => Ok(Span { started, ended }),
        (None, Some(_)) | (Some(_) | None, None) => {
            bail!("run {} of {} has no start or no end", run.run_id, run.dag_id)
        }
    }
}

/// When the tasks of a run ran whose id begins with `beginning`, in the order of their ids.
pub async fn tasks(client: &Client, run: &Run, beginning: &str) -> Result<Vec<Span>> {
    let sql = "SELECT extract(epoch FROM t.started_at)::float8, extract(epoch FROM t.ended_at)::float8
        FROM task_instance t JOIN dag_run r ON r.key = t.run_key
        WHERE r.dag_id = $1 AND r.run_id = $2 AND starts_with(t.task_id, $3) ORDER BY t.task_id";
    let rows = client.query(sql, &[&run.dag_id, &run.run_id, &beginning]).await?;
    let span = |row: &tokio_postgres::Row| {
        Some(Span { started: row.get::<_, Option<f64>>(0)?, ended: row.get::<_, Option<f64>>(1)? })
    };
    let spans: Option<Vec<Span>> = rows.iter().map(span).collect();
    spans.with_context(|| format!("a task of {} has no start or no end", run.dag_id))
}

/// The starts of these DAGs' scheduled runs that were due from `from` up to before `until`, in seconds since 1970.
pub async fn ticks(client: &Client, dag_ids: &[String], from: f64, until: f64) -> Result<Vec<Tick>> {
    let sql = "SELECT extract(epoch FROM r.run_after)::float8, extract(epoch FROM t.started_at)::float8, x.value #>> '{}'
        FROM dag_run r JOIN task_instance t ON t.run_key = r.key
        LEFT JOIN xcom x ON x.run_key = r.key AND x.task_id = t.task_id AND x.key = 'return_value'
        WHERE r.dag_id = ANY($1) AND r.run_type = 'scheduled' AND t.state = 'success'
            AND r.run_after >= to_timestamp($2) AND r.run_after < to_timestamp($3)";
    let rows = client.query(sql, &[&dag_ids, &from, &until]).await?;
    let tick = |row: &tokio_postgres::Row| {
        let own_clock = row.get::<_, Option<String>>(2).and_then(|text| text.parse().ok());
        Some(Tick { due: row.get(0), started: row.get::<_, Option<f64>>(1)?, own_clock })
    };
    Ok(rows.iter().filter_map(tick).collect())
}

/// From the first start to the last end.
pub fn whole(spans: &[Span]) -> Option<f64> {
    let first = spans.iter().map(|span| span.started).min_by(f64::total_cmp)?;
    let last = spans.iter().map(|span| span.ended).max_by(f64::total_cmp)?;
    Some(last - first)
}

fn columns(runs: &[Run]) -> (Vec<&str>, Vec<&str>) {
    runs.iter().map(|run| (run.dag_id.as_str(), run.run_id.as_str())).unzip()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_is_from_the_first_start_to_the_last_end() {
        let span = |started, ended| Span { started, ended };
        assert_eq!(whole(&[span(3.0, 9.0), span(1.0, 2.0), span(4.0, 5.0)]), Some(8.0));
        assert_eq!(whole(&[]), None);
    }
}
