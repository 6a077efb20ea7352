//! The whole schedule of a DAG as people say it.

use super::Dag;
use crate::{asset::Condition, partition::Partitions, timetable::Timetable};

impl Dag {
    /// Its schedule in short, as lists and the API show it. Source: Airflow 3.3.2 `timetables/simple.py`, `timetables/assets.py`.
    #[must_use]
    pub fn schedule_summary(&self) -> String {
        match (&self.partitions, &self.asset_condition, &self.schedule) {
            (Some(Partitions::AtRuntime), ..) => "PartitionedAtRuntime".to_owned(),
            (Some(Partitions::Assets(_)), ..) => "Partitioned Asset".to_owned(),
            (Some(Partitions::Cron(_)) | None, assets, times) => Self::summary_of(assets.as_ref(), times),
        }
    }

    fn summary_of(assets: Option<&Condition>, times: &Timetable) -> String {
        match (assets, times) {
            (None, times) => times.summary(),
            (Some(_), Timetable::Null) => "Asset".to_owned(),
            (Some(_), times) => format!("Asset or {}", times.summary()),
        }
    }

    /// Its schedule in words.
    #[must_use]
    pub fn schedule_description(&self) -> String {
        match (&self.partitions, &self.asset_condition, &self.schedule) {
            (Some(Partitions::AtRuntime), ..) => {
                "Never by itself: whoever starts a run says which partition it is about".to_owned()
            }
            (Some(Partitions::Assets(_)), Some(assets), _) => {
                format!("Triggered by partitions of assets: {}", assets.summary())
            }
            (Some(Partitions::Cron(_)), _, times) => {
                format!("{}, a partition each time", times.description())
            }
            (Some(Partitions::Assets(_)) | None, assets, times) => {
                Self::description_of(assets.as_ref(), times)
            }
        }
    }

    fn description_of(assets: Option<&Condition>, times: &Timetable) -> String {
        match (assets, times) {
            (None, times) => times.description(),
            (Some(assets), Timetable::Null) => format!("Triggered by assets: {}", assets.summary()),
            (Some(assets), times) => {
                format!("Triggered by assets ({}) or: {}", assets.summary(), times.description())
            }
        }
    }
}
