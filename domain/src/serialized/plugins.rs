//! What plugins of Airflow's say of a DAG: their classes are programs, which the bridge asks while it reads the file
//! (`python/bridge/plugins.py`) and whose answers stand beside the DAG.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Refused, fields::Fields, wrapped};
use crate::{
    dag::WeightRule,
    partition::Partitions,
    timetable::{Listed, Listing, Program, Timetable},
};

/// Under which name the answers stand beside a serialized DAG.
const NAME: &str = "tradewind";

/// The answers of plugins about one DAG.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Said<'a> {
    fault: Option<&'a str>,
    timetable: Option<&'a Value>,
    weights: Option<&'a Map<String, Value>>,
}

/// What a timetable says of itself, and its next runs.
#[derive(Deserialize)]
struct Timely {
    summary: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    is_partitioned: bool,
    #[serde(default)]
    names_runs: bool,
    #[serde(default)]
    is_aperiodic: bool,
    listing: Listing,
}

/// The weight of a task, or why there is none.
#[derive(Deserialize)]
#[serde(untagged)]
enum Weight {
    Told(i64),
    Failed { fault: String },
}

impl<'a> Said<'a> {
    pub(super) fn beside(serialized: &'a Value) -> Self {
        let said = serialized.get(NAME);
        let get = |name: &str| said.and_then(|said| said.get(name));
        Self {
            fault: get("fault").and_then(Value::as_str),
            timetable: get("timetable"),
            weights: get("weights").and_then(Value::as_object),
        }
    }

    /// The timetable of the class `class` with these arguments; `None` when nobody told of it.
    pub(super) fn timetable(self, class: &str, arguments: &Value) -> Result<Option<Timetable>, Refused> {
        if let Some(fault) = self.fault {
            return Err(Refused::new(format!("its timetable {class} cannot be asked: {fault}")));
        }
        let Some(told) = self.timetable else { return Ok(None) };
        let told = Timely::deserialize(told).map_err(|error| {
            Refused::new(format!("what its timetable {class} says cannot be understood: {error}"))
        })?;
        if told.is_partitioned {
            return Err(Refused::new(format!(
                "its timetable {class} works out partitions, and only Airflow's own that do are known; one that leaves them to tasks (partitioned_at_runtime) may be anybody's"
            )));
        }
        let program = Program {
            class: class.to_owned(),
            arguments: arguments.clone(),
            summary: told.summary,
            description: told.description,
            names_runs: told.names_runs,
            is_aperiodic: told.is_aperiodic,
        };
        Ok(Some(Timetable::Listed(Box::new(Listed::new(program, told.listing)))))
    }

    /// What the runs of its timetable are about, when whoever starts one says so, or a task of it (Airflow's `partitioned_at_runtime`).
    pub(super) fn partitions(self) -> Option<Partitions> {
        let is_at_runtime = self.timetable?.get("is_partitioned_at_runtime")?.as_bool()?;
        is_at_runtime.then_some(Partitions::AtRuntime)
    }

    /// The weight of a task and what its neighbours add to it. A class of a plugin says the whole weight, which nothing is
    /// added to.
    pub(super) fn weight(self, task: &Fields<'_>) -> Result<(i32, WeightRule), Refused> {
        let Some(rule) = task.get("weight_rule").map(wrapped::inner) else {
            return Ok((priority(task)?, WeightRule::default()));
        };
        if let Ok(rule) = WeightRule::deserialize(rule) {
            return Ok((priority(task)?, rule));
        }
        let told = task.text("task_id").and_then(|id| self.weights?.get(id));
        let told = told.and_then(|told| Weight::deserialize(told).ok());
        let unasked = || Some(Weight::Failed { fault: self.fault?.to_owned() });
        match told.or_else(unasked) {
            Some(Weight::Told(weight)) => match i32::try_from(weight) {
                Ok(weight) => Ok((weight, WeightRule::Absolute)),
                Err(_) => Err(Refused::new(format!(
                    "its weight_rule {rule} says {weight}, which is no whole number of 32 bits"
                ))),
            },
            Some(Weight::Failed { fault }) => {
                Err(Refused::new(format!("its weight_rule {rule} cannot say its weight: {fault}")))
            }
            None => Err(Refused::new(format!(
                "its weight_rule {rule} is not known; known are downstream, upstream, absolute and the classes of plugins"
            ))),
        }
    }
}

fn priority(task: &Fields<'_>) -> Result<i32, Refused> {
    let Some(value) = task.get("priority_weight").map(wrapped::inner) else { return Ok(1) };
    let weight = value.as_i64().and_then(|weight| i32::try_from(weight).ok());
    weight.ok_or_else(|| Refused::new(format!("its priority_weight {value} is no whole number of 32 bits")))
}
