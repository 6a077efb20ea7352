//! `tradewind backfill`

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use chrono::{DateTime, Utc};
use domain::{
    backfill::{self, BackfillId, Order, Refusal, plan},
    engine::backfill::BackfillRecord,
    id::DagId,
    intent::Wish,
    partition::Key,
};
use runtime::clock::Clock;
use serde::Serialize;
use store::{
    Store,
    view::{Page, backfills::Progress},
};

use crate::{
    args::{
        Common,
        backfill::{Backfill, Create, Which},
    },
    command::{dags, inbox},
    oracle, output, setup,
};

/// A backfill as it is shown, with Airflow's names.
#[derive(Serialize)]
struct Row {
    id: BackfillId,
    dag_id: DagId,
    state: &'static str,
    from_date: DateTime<Utc>,
    to_date: DateTime<Utc>,
    max_active_runs: u32,
    reprocess_behavior: &'static str,
    dates: i64,
    done: i64,
    running: i64,
    failed: i64,
    created_at: DateTime<Utc>,
    completed_at: Option<DateTime<Utc>>,
}

/// A date that would run.
#[derive(Serialize)]
struct Date {
    logical_date: Option<DateTime<Utc>>,
    data_interval_start: Option<DateTime<Utc>>,
    data_interval_end: Option<DateTime<Utc>>,
    partition_key: Option<Key>,
    partition_date: Option<DateTime<Utc>>,
}

/// Works with backfills.
pub async fn run(common: &Common, command: Backfill) -> Result<ExitCode> {
    match command {
        Backfill::Create(create) if create.dry_run => preview(common, order(create)).await?,
        Backfill::Create(create) => self::create(common, order(create)).await?,
        Backfill::List { dag_id, limit } => list(common, &dag_id, limit).await?,
        Backfill::Pause(which) => change(common, &which, "paused", pausing(true)).await?,
        Backfill::Unpause(which) => change(common, &which, "going on", pausing(false)).await?,
        Backfill::Cancel(which) => {
            let wish =
                |record: BackfillRecord| Wish::CancelBackfill { dag_id: record.order.dag_id, id: record.id };
            change(common, &which, "cancelled", wish).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn pausing(paused: bool) -> impl FnOnce(BackfillRecord) -> Wish {
    move |record| Wish::PauseBackfill { dag_id: record.order.dag_id, id: record.id, paused }
}

fn order(create: Create) -> Order {
    Order {
        dag_id: create.dag_id,
        from: create.from_date,
        to: create.to_date,
        run_backwards: create.run_backwards,
        max_active_runs: create.max_active_runs,
        reprocess: create.reprocess_behavior,
        conf: create.dag_run_conf.map(|conf| conf.0),
        run_on_latest_version: !create.no_run_on_latest_version,
    }
}

async fn create(common: &Common, order: Order) -> Result<()> {
    let (config, store) = setup::for_command(common).await?;
    let (line, dag) = dags::known(&store, &order.dag_id).await?;
    let named = oracle::between(&config, &store, &dag, &order).await?;
    plan(&dag, &order, named.as_deref(), Clock::system().now())?;
    if line.is_paused {
        output::note(&format!(
            "note: {} is paused, so nothing starts before `tradewind dags unpause`",
            dag.dag_id
        ));
    }
    let id = store.next_backfill().await?;
    if !inbox::ask(&config, &store, Wish::CreateBackfill { id, order, named }).await? {
        output::note("note: no scheduler has created the backfill yet; the first one that runs will");
        return output::say(&id.to_string());
    }
    show(common, &store, id).await
}

async fn preview(common: &Common, order: Order) -> Result<()> {
    let (config, store) = setup::for_command(common).await?;
    let (_, dag) = dags::known(&store, &order.dag_id).await?;
    let named = oracle::between(&config, &store, &dag, &order).await?;
    let dates = match plan(&dag, &order, named.as_deref(), Clock::system().now()) {
        Ok(dates) => dates,
        Err(Refusal::Nothing { .. }) => Vec::new(),
        Err(refusal) => bail!(refusal),
    };
    let found = store.survey_dates(&order.dag_id, &dates).await?;
    let dates = order.wanted(dates, found.iter().map(|found| (found.ordinal, found.state)));
    let row = |date: &backfill::Date| Date {
        logical_date: date.next().map(|next| next.logical_date),
        data_interval_start: date.next().map(|next| next.data_interval.start),
        data_interval_end: date.next().map(|next| next.data_interval.end),
        partition_key: date.key.clone(),
        partition_date: date.key.is_some().then(|| date.moment()),
    };
    output::list(common.output, &dates.iter().map(row).collect::<Vec<_>>())
}

async fn list(common: &Common, dag_id: &DagId, limit: u32) -> Result<()> {
    let (_, store) = setup::for_command(common).await?;
    dags::known(&store, dag_id).await?;
    let found = store.backfills(dag_id, true, Page::first(limit)).await?;
    let ids: Vec<BackfillId> = found.rows.iter().map(|record| record.id).collect();
    let progress = store.backfill_progress(&ids).await?;
    let row = |record: &BackfillRecord| row(record, progress.get(&record.id).copied().unwrap_or_default());
    output::list(common.output, &found.rows.iter().map(row).collect::<Vec<_>>())
}

async fn change(
    common: &Common,
    which: &Which,
    done: &str,
    wish: impl FnOnce(BackfillRecord) -> Wish,
) -> Result<()> {
    let (config, store) = setup::for_command(common).await?;
    let record = find(&store, which.id).await?;
    if record.completed_at.is_some() {
        bail!("backfill {} is already completed", which.id);
    }
    if !inbox::ask(&config, &store, wish(record)).await? {
        output::note("note: no scheduler has done it yet; the first one that runs will");
        return Ok(());
    }
    output::done(common.output, &format!("backfill {} is {done}", which.id), &shown(&store, which.id).await?)
}

async fn show(common: &Common, store: &Store, id: BackfillId) -> Result<()> {
    output::record(common.output, &shown(store, id).await?)
}

async fn shown(store: &Store, id: BackfillId) -> Result<Row> {
    let record = find(store, id).await?;
    let progress = store.backfill_progress(&[id]).await?;
    Ok(row(&record, progress.get(&id).copied().unwrap_or_default()))
}

async fn find(store: &Store, id: BackfillId) -> Result<BackfillRecord> {
    let none = || {
        format!("there is no backfill {id}; `tradewind backfill list --dag-id DAG_ID` shows those of a DAG")
    };
    store.backfill(id).await?.with_context(none)
}

fn row(record: &BackfillRecord, progress: Progress) -> Row {
    let state = match (record.completed_at, record.is_cancelled, record.is_paused) {
        (Some(_), true, _) => "cancelled",
        (Some(_), false, _) => "completed",
        (None, _, true) => "paused",
        (None, _, false) => "running",
    };
    Row {
        id: record.id,
        dag_id: record.order.dag_id.clone(),
        state,
        from_date: record.order.from,
        to_date: record.order.to,
        max_active_runs: record.order.max_active_runs,
        reprocess_behavior: record.order.reprocess.as_str(),
        dates: progress.total(),
        done: progress.done(),
        running: progress.running + progress.queued,
        failed: progress.failed,
        created_at: record.created_at,
        completed_at: record.completed_at,
    }
}
