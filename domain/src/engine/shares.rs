//! Fair share by what the DAG files say: the share and the team of each DAG.

use std::sync::Arc;

use super::{Engine, floor::Account};
use crate::{
    dag::Dag,
    id::{DagId, TeamName},
};

/// What a DAG says of its place among others; without a word it is one with itself, of weight 1.
pub type Standing<'a> = (u32, Option<&'a TeamName>);

/// What this one says.
pub fn standing(dag: Option<&Dag>) -> Standing<'_> {
    dag.map_or((1, None), |dag| (dag.share, dag.team.as_ref()))
}

impl Engine {
    /// Tells the floor the shares and teams of all DAGs, if any of them changed. They lie over the installation's; of several shares
    /// that are named for one team the highest counts.
    pub(super) fn share_out(&mut self) {
        if !std::mem::take(&mut self.shares_changed) {
            return;
        }
        let mut admission = self.admission.clone();
        for (dag_id, state) in &self.dags {
            let (share, team) = standing(Some(&state.record.dag));
            let account = account(dag_id, team);
            if let Account::Team(team) = &account {
                admission.teams.insert(dag_id.clone(), team.clone());
            }
            if share > 1 {
                let weight = admission.shares.entry(account).or_insert(1);
                *weight = share.max(*weight);
            }
        }
        self.floor.set_admission(&admission);
    }
}

fn account(dag_id: &DagId, team: Option<&TeamName>) -> Account {
    team.map_or_else(|| Account::Dag(dag_id.clone()), |team| Account::Team(Arc::from(team.as_str())))
}
