//! What is to happen to each record of an Airflow.

use std::collections::BTreeMap;

use domain::{
    id::{DagId, PoolName},
    timetable::DataInterval,
};
use store::{
    airflow::{AirflowDag, AirflowPool, AirflowRecords, Sealed},
    arrival::Arrival,
    connection::Connection,
    dag::PausedFlag,
    pool::{NewPool, Pool},
    variable::Variable,
};

use crate::args::migrate::MigrateFromAirflow;

/// What is here already.
pub struct Here {
    /// The pools.
    pub pools: Vec<Pool>,
    /// The variables.
    pub variables: Vec<Variable>,
    /// The connections.
    pub connections: Vec<Connection>,
    /// The DAGs that have been read, and whether they are paused.
    pub dags: Vec<PausedFlag>,
    /// What is kept for DAGs that have not been read.
    pub arrivals: Vec<Arrival>,
}

/// What is done to one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Adds a pool.
    CreatePool(NewPool),
    /// Makes a pool like Airflow's.
    ChangePool(NewPool),
    /// Adds or replaces a variable.
    SetVariable(Variable),
    /// Adds or replaces a connection.
    SetConnection(Connection),
    /// Pauses a DAG that has been read, or unpauses it.
    Pause {
        /// The DAG.
        dag_id: DagId,
        /// Pause it.
        is_paused: bool,
    },
    /// Keeps how a DAG stood until it is read.
    Arrive(Arrival),
    /// Puts in runs that have ended.
    PutIn {
        /// Their DAG.
        dag_id: DagId,
        /// Their numbers in Airflow, newest first; each batch is one transaction.
        batches: Vec<Vec<i64>>,
    },
}

/// What becomes of a record, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is not here yet.
    New,
    /// It is here, and becomes like Airflow's.
    Changed,
    /// It is here, and the same.
    Same,
    /// It is here, differs, and stays.
    Kept,
    /// It cannot be taken here.
    Refused,
    /// It could not be decrypted.
    Unreadable,
    /// Something else has to happen first.
    Later,
}

impl Verdict {
    /// The word that is printed.
    pub const fn words(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Changed => "changed",
            Self::Same => "same",
            Self::Kept => "kept",
            Self::Refused => "refused",
            Self::Unreadable => "unreadable",
            Self::Later => "later",
        }
    }
}

/// One record of Airflow's, and what becomes of it.
#[derive(Debug)]
pub struct Step {
    /// `pool`, `variable`, `connection`, `dag` or `history`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// What becomes of it.
    pub verdict: Verdict,
    /// Why, where that is not plain. Never a value.
    pub why: String,
    /// What is to be done, if anything.
    pub action: Option<Action>,
}

impl Step {
    /// One about which nothing is to be done.
    pub fn new(
        kind: &'static str,
        name: impl Into<String>,
        verdict: Verdict,
        why: impl Into<String>,
    ) -> Self {
        Self { kind, name: name.into(), verdict, why: why.into(), action: None }
    }

    /// The same, with something to be done.
    pub fn with(self, action: Action) -> Self {
        Self { action: Some(action), ..self }
    }
}

/// Decides about all of them: pools, variables, connections, then DAGs, which need them.
pub fn decide(there: AirflowRecords, here: &Here, wanted: &MigrateFromAirflow) -> Vec<Step> {
    let overwrite = wanted.overwrite;
    let mut steps: Vec<Step> =
        there.pools.into_iter().map(|pool| of_pool(pool, &here.pools, overwrite)).collect();
    let known: BTreeMap<_, _> =
        here.variables.iter().map(|variable| (variable.key.as_str(), variable)).collect();
    steps.extend(there.variables.into_iter().map(|found| match found {
        Ok(variable) => of_variable(variable, &known, overwrite),
        Err((key, sealed)) => unreadable("variable", key, sealed),
    }));
    let known: BTreeMap<_, _> =
        here.connections.iter().map(|found| (found.conn_id.as_str(), found)).collect();
    steps.extend(there.connections.into_iter().map(|found| match found {
        Ok(connection) => of_connection(connection, &known, overwrite),
        Err((conn_id, sealed)) => unreadable("connection", conn_id, sealed),
    }));
    let read: BTreeMap<_, _> = here.dags.iter().map(|flag| (flag.dag_id.as_str(), flag.is_paused)).collect();
    let kept: BTreeMap<_, _> =
        here.arrivals.iter().map(|arrival| (arrival.dag_id.as_str(), arrival)).collect();
    steps.extend(there.dags.into_iter().map(|dag| of_dag(dag, &read, &kept, wanted.paused)));
    steps
}

fn unreadable(kind: &'static str, name: String, sealed: Sealed) -> Step {
    let why = match sealed {
        Sealed::WithoutKey => "it is encrypted: --fernet-key is needed",
        Sealed::OtherKey => "it was encrypted with another key, or is damaged",
    };
    Step::new(kind, name, Verdict::Unreadable, why)
}

// New, or not, and then whether it differs.
fn verdict(is_here: bool, is_same: bool, overwrite: bool) -> Verdict {
    match (is_here, is_same, overwrite) {
        (false, _, _) => Verdict::New,
        (true, true, _) => Verdict::Same,
        (true, false, true) => Verdict::Changed,
        (true, false, false) => Verdict::Kept,
    }
}

fn step(kind: &'static str, name: String, verdict: Verdict, action: Action) -> Step {
    match verdict {
        Verdict::New | Verdict::Changed => Step::new(kind, name, verdict, "").with(action),
        Verdict::Kept => Step::new(kind, name, verdict, "it is here and differs; --overwrite replaces it"),
        Verdict::Same | Verdict::Refused | Verdict::Unreadable | Verdict::Later => {
            Step::new(kind, name, verdict, "")
        }
    }
}

fn of_pool(pool: AirflowPool, here: &[Pool], overwrite: bool) -> Step {
    let name = match PoolName::new(&pool.name) {
        Ok(name) => name,
        Err(error) => return Step::new("pool", pool.name, Verdict::Refused, error.to_string()),
    };
    let known = here.iter().find(|known| known.name == pool.name);
    let is_same = known
        .is_some_and(|known| known.slots == pool.slots && known.include_deferred == pool.include_deferred);
    let new = NewPool {
        name,
        slots: u32::try_from(pool.slots).ok(),
        description: pool.description.filter(|text| !text.is_empty()),
        include_deferred: pool.include_deferred,
        policy: known.and_then(|known| known.policy.as_deref()?.parse().ok()),
    };
    // The default pool is always here, so it counts as new while it is as it was made.
    let is_untouched = known
        .is_some_and(|known| pool.name == store::pool::DEFAULT && known.slots == store::pool::DEFAULT_SLOTS);
    let verdict = verdict(known.is_some(), is_same, overwrite || is_untouched);
    let action = if known.is_some() { Action::ChangePool(new) } else { Action::CreatePool(new) };
    step("pool", pool.name, verdict, action)
}

fn of_variable(variable: Variable, here: &BTreeMap<&str, &Variable>, overwrite: bool) -> Step {
    let known = here.get(variable.key.as_str());
    let verdict =
        verdict(known.is_some(), known.is_some_and(|known| known.value == variable.value), overwrite);
    step("variable", variable.key.clone(), verdict, Action::SetVariable(variable))
}

fn of_connection(connection: Connection, here: &BTreeMap<&str, &Connection>, overwrite: bool) -> Step {
    let known = here.get(connection.conn_id.as_str());
    if let Err(error) = connection.check() {
        return Step::new("connection", connection.conn_id, Verdict::Refused, error.to_string());
    }
    let verdict = verdict(known.is_some(), known.is_some_and(|known| **known == connection), overwrite);
    step("connection", connection.conn_id.clone(), verdict, Action::SetConnection(connection))
}

fn of_dag(
    dag: AirflowDag,
    read: &BTreeMap<&str, bool>,
    kept: &BTreeMap<&str, &Arrival>,
    all_paused: bool,
) -> Step {
    let dag_id = match DagId::new(&dag.dag_id) {
        Ok(dag_id) => dag_id,
        Err(error) => return Step::new("dag", dag.dag_id, Verdict::Refused, error.to_string()),
    };
    let is_paused = dag.is_paused || all_paused;
    let state = if is_paused { "paused" } else { "not paused" };
    if let Some(now) = read.get(dag.dag_id.as_str()) {
        let why = format!("{state}; its schedule goes on from where it is here");
        return if *now == is_paused {
            Step::new("dag", dag.dag_id, Verdict::Same, why)
        } else {
            Step::new("dag", dag.dag_id, Verdict::Changed, why).with(Action::Pause { dag_id, is_paused })
        };
    }
    let cursor = dag.data_interval_start.zip(dag.data_interval_end);
    let cursor = cursor.map(|(start, end)| DataInterval { start, end });
    let why = match cursor {
        Some(cursor) => {
            format!("{state}; its schedule goes on behind {}", cursor.end.format("%Y-%m-%d %H:%M:%S UTC"))
        }
        None => format!("{state}; it has had no scheduled run"),
    };
    let arrival = Arrival { dag_id, is_paused, cursor };
    match kept.get(dag.dag_id.as_str()) {
        Some(known) if **known == arrival => Step::new("dag", dag.dag_id, Verdict::Same, why),
        Some(_) => Step::new("dag", dag.dag_id, Verdict::Changed, why).with(Action::Arrive(arrival)),
        None => Step::new("dag", dag.dag_id, Verdict::New, why).with(Action::Arrive(arrival)),
    }
}
