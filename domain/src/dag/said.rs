//! The whole schedule of a DAG as people say it.

use super::Dag;
use crate::timetable::Timetable;

impl Dag {
    /// Its schedule in short, as lists and the API show it. Source: Airflow 3.3.2 `timetables/simple.py`, `timetables/assets.py`.
    #[must_use]
    pub fn schedule_summary(&self) -> String {
        match (&self.asset_condition, &self.schedule) {
            (None, times) => times.summary(),
            (Some(_), Timetable::Null) => "Asset".to_owned(),
            (Some(_), times) => format!("Asset or {}", times.summary()),
        }
    }

    /// Its schedule in words.
    #[must_use]
    pub fn schedule_description(&self) -> String {
        match (&self.asset_condition, &self.schedule) {
            (None, times) => times.description(),
            (Some(assets), Timetable::Null) => format!("Triggered by assets: {}", assets.summary()),
            (Some(assets), times) => {
                format!("Triggered by assets ({}) or: {}", assets.summary(), times.description())
            }
        }
    }
}
