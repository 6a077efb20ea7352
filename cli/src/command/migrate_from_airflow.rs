//! `tradewind migrate-from-airflow`: brings over what an Airflow keeps beside its DAG files. Decides first what is to happen to
//! each record, prints that, and acts only when told to; what was moved already stays, so it can be run as often as one likes.

mod history;
mod plan;

use anyhow::{Result, bail};
use queue::Bell;
use serde::Serialize;
use store::{
    Store,
    airflow::{AirflowDatabase, FernetKeys},
};

use self::plan::{Action, Here, Step, Verdict};
use super::{connections, pools, variables};
use crate::{
    args::{Common, migrate::MigrateFromAirflow},
    output, setup,
};

#[derive(Serialize)]
struct Row<'a> {
    kind: &'static str,
    name: &'a str,
    what: &'static str,
    why: &'a str,
}

/// Moves everything, or says what would be moved.
///
/// # Errors
/// When one of the databases cannot be reached, or records could not be moved.
pub async fn run(common: &Common, wanted: &MigrateFromAirflow) -> Result<()> {
    let (config, store) = setup::for_command(common).await?;
    let keys = wanted.fernet_key.as_deref().map(FernetKeys::parse).transpose()?;
    let airflow = AirflowDatabase::connect(&wanted.from).await?;
    let there = airflow.read(keys.as_ref()).await?;
    let past = if wanted.history {
        history::steps(&airflow, &store, &there.dags, wanted).await?
    } else {
        Vec::new()
    };
    let mut steps = plan::decide(there, &here(&store).await?, wanted);
    steps.extend(past);
    let rows: Vec<Row<'_>> = steps.iter().map(Row::from).collect();
    output::list(common.output, &rows)?;
    if !wanted.apply {
        let moves = steps.iter().filter(|step| step.action.is_some()).count();
        output::note(&format!(
            "{moves} of {} would be moved. Nothing was changed: add --apply to move them.",
            rows.len()
        ));
        return Ok(());
    }
    let mut moved = 0;
    for step in &steps {
        if let Some(action) = &step.action {
            moved += usize::from(act(&store, &airflow, action, wanted).await?);
        }
    }
    setup::ring(&config, Bell::Config).await?;
    output::note(&format!("{moved} of {} were moved.", rows.len()));
    let sealed = steps.iter().filter(|step| step.verdict == Verdict::Unreadable).count();
    if sealed > 0 {
        bail!("{sealed} could not be read: give Airflow's key with --fernet-key and run this again");
    }
    Ok(())
}

async fn here(store: &Store) -> Result<Here> {
    Ok(Here {
        pools: pools::all(store).await?,
        variables: variables::all(store).await?,
        connections: connections::all(store).await?,
        dags: store.paused_flags().await?,
        arrivals: store.arrivals().await?,
    })
}

/// False when there is nothing to act upon any more: a DAG or pool that was there went away meanwhile.
async fn act(
    store: &Store,
    airflow: &AirflowDatabase,
    action: &Action,
    wanted: &MigrateFromAirflow,
) -> Result<bool> {
    match action {
        Action::CreatePool(pool) => store.create_pool(pool).await?,
        Action::ChangePool(pool) => return Ok(store.update_pool(pool).await?),
        Action::SetVariable(variable) => {
            let description = variable.description.as_deref();
            store.set_variable(&variable.key, &variable.value, description).await?;
        }
        Action::SetConnection(connection) => store.set_connection(connection).await?,
        Action::Pause { dag_id, is_paused } => {
            return Ok(store.set_paused(dag_id, *is_paused, &setup::operator()).await?);
        }
        Action::Arrive(arrival) => return Ok(store.keep_arrival(arrival).await?),
        Action::PutIn { dag_id, batches } => {
            return history::put_in(store, airflow, dag_id, batches, wanted.xcoms).await;
        }
    }
    Ok(true)
}

impl<'a> From<&'a Step> for Row<'a> {
    fn from(step: &'a Step) -> Self {
        Self { kind: step.kind, name: &step.name, what: step.verdict.words(), why: &step.why }
    }
}
