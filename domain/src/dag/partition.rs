//! What the runs of a partitioned DAG are about.

use chrono::{DateTime, NaiveDateTime, Utc};

use super::Dag;
use crate::{
    id::DagId,
    partition::{self, Key, Mappers, Partition, Partitions},
    timetable::{Timetable, clock_moment},
};

/// Why a run of a DAG cannot be about a partition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PartitionError {
    /// The DAG has none.
    #[error("DAG `{0}` is not partitioned and takes no partition key")]
    NotPartitioned(DagId),
    /// The key is none of the DAG's.
    #[error(transparent)]
    Key(#[from] partition::Error),
}

impl Dag {
    /// What the partitions of its assets are to it, when these say what its runs are about.
    #[must_use]
    pub const fn mappers(&self) -> Option<&Mappers> {
        match &self.partitions {
            Some(Partitions::Assets(mappers)) => Some(mappers),
            Some(Partitions::AtRuntime | Partitions::Cron(_)) | None => None,
        }
    }

    /// Every tick of its schedule is a partition: its scheduled runs have a key instead of a logical date.
    #[must_use]
    pub const fn has_partitions_by_schedule(&self) -> bool {
        matches!(self.partitions, Some(Partitions::Cron(_)))
    }

    /// The moment that is meant by what a clock reads, where partitions are named by their dates: in the zone of the schedule, when every
    /// tick of it is a partition, else in UTC. Source: Airflow 3.3.2 `timetables/base.py`, `localize_partition_datetime`.
    #[must_use]
    pub fn partition_moment(&self, wall: NaiveDateTime) -> DateTime<Utc> {
        match (&self.partitions, self.schedule.zone()) {
            (Some(Partitions::Cron(_)), Some(zone)) => clock_moment(zone, wall),
            (Some(Partitions::Cron(_) | Partitions::AtRuntime | Partitions::Assets(_)) | None, _) => {
                wall.and_utc()
            }
        }
    }

    /// What the run of a tick of its schedule is about.
    #[must_use]
    pub fn partition_at(&self, tick: DateTime<Utc>) -> Option<Partition> {
        let (Some(Partitions::Cron(ticks)), Timetable::Cron(cron)) = (&self.partitions, &self.schedule)
        else {
            return None;
        };
        ticks.partition(cron, tick)
    }

    /// What a run is about that somebody starts with a key. Source: Airflow 3.3.2 `timetables/base.py`, `resolve_partition_date`.
    ///
    /// # Errors
    /// When the DAG is not partitioned, or the key cannot be one of its partitions.
    pub fn partition_of(&self, key: Key) -> Result<Partition, PartitionError> {
        let date = match &self.partitions {
            None => return Err(PartitionError::NotPartitioned(self.dag_id.clone())),
            Some(Partitions::AtRuntime) => None,
            Some(Partitions::Cron(ticks)) => {
                Some(ticks.date(self.schedule.zone().unwrap_or(self.timezone), &key)?)
            }
            Some(Partitions::Assets(mappers)) => {
                let assets = self.asset_condition.iter().flat_map(|condition| condition.assets());
                let dates = mappers.dates(assets.map(|asset| &asset.name), &key)?;
                dates.first().copied().filter(|_| dates.len() == 1)
            }
        };
        Ok(Partition { key, date })
    }
}
