//! What pages and lists read.

mod dag_grid;
mod dags;
mod event_log;
mod health;
mod runs;
mod tasks;

use domain::{
    engine::{decision::Decisions, record::DagRecord},
    state::{RunState, TaskState},
};
use store::LeaderProof;

use crate::{
    database::Database,
    fixture::{at, run, ti},
};

/// Records a run that failed, with one instance for each task, mapped index and state given.
async fn ended_run(
    db: &Database,
    proof: &LeaderProof,
    dag: &DagRecord,
    key: i64,
    tis: &[(&str, i32, TaskState)],
) {
    let mut ended = run(key, dag, key * 10);
    (ended.state, ended.ended_at) = (RunState::Failed, Some(at(key * 10 + 9)));
    let instance = |((task, map_index, state), index): (&(&str, i32, TaskState), u32)| {
        let mut ti = ti(key, index, task, *state);
        ti.map_index = *map_index;
        ti
    };
    let created = Decisions {
        runs_created: vec![ended],
        tis_created: tis.iter().zip(0..).map(instance).collect(),
        ..Decisions::default()
    };
    db.store.commit(proof, &created, &[]).await.unwrap();
}

/// A filter with some conditions.
fn filter<F: Default>(set: impl FnOnce(&mut F)) -> F {
    let mut filter = F::default();
    set(&mut filter);
    filter
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}
