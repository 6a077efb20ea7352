//! How a DAG is divided into partitions. Source: Airflow 3.3.2 `timetables/simple.py`, `timetables/trigger.py`.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    Error,
    format::{Format, FormatError, Shown},
    key::{Key, KeyError, Partition},
    mapper::Mapper,
};
use crate::{
    asset::{AssetName, Condition},
    timetable::{Cron, clock_moment, clock_offset, clock_reading},
};

/// Most ticks by which the partition of a run may lie behind or ahead of its own tick.
pub const MAX_OFFSET: u32 = 1_000;

/// Which partitions a DAG has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Partitions {
    /// Whoever starts a run says what it is about (Airflow's `PartitionedAtRuntime`).
    AtRuntime,
    /// Every tick of its schedule is one (Airflow's `CronPartitionTimetable`).
    Cron(Ticks),
    /// The partitions of its assets say (Airflow's `PartitionedAssetTimetable`).
    Assets(Mappers),
}

/// How a tick becomes a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "TicksForm", into = "TicksForm")]
pub struct Ticks {
    offset: i32,
    format: Format,
}

#[derive(Serialize, Deserialize)]
struct TicksForm {
    #[serde(default, skip_serializing_if = "is_zero")]
    offset: i32,
    format: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
const fn is_zero(offset: &i32) -> bool {
    *offset == 0
}

impl TryFrom<TicksForm> for Ticks {
    type Error = TicksError;

    fn try_from(form: TicksForm) -> Result<Self, TicksError> {
        Self::new(form.offset, &form.format)
    }
}

impl From<Ticks> for TicksForm {
    fn from(ticks: Ticks) -> Self {
        Self { offset: ticks.offset, format: ticks.format.as_str().to_owned() }
    }
}

/// Why ticks cannot be partitions like this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TicksError {
    /// The format is none.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// What it writes is no key.
    #[error("what `{0}` writes is no partition key: {1}")]
    Key(String, KeyError),
    /// Further away than [`MAX_OFFSET`].
    #[error("a run can be about a tick at most {MAX_OFFSET} ticks away, not {0}")]
    Offset(i32),
}

impl Ticks {
    /// A run of a tick is about the tick `offset` ticks later, or earlier below 0; its key is written in `format`.
    ///
    /// # Errors
    /// When the format is none or writes more than fits into a key, or the offset is too far.
    pub fn new(offset: i32, format: &str) -> Result<Self, TicksError> {
        if offset.unsigned_abs() > MAX_OFFSET {
            return Err(TicksError::Offset(offset));
        }
        let ticks = Self { offset, format: Format::new(format)? };
        // No date has longer names.
        let longest = NaiveDate::from_ymd_opt(2000, 9, 27).and_then(|day| day.and_hms_opt(23, 59, 59));
        let key = ticks.format.write(Shown { wall: longest.unwrap_or_default(), offset: Some(0) });
        Key::new(&key).map_err(|error| TicksError::Key(format.to_owned(), error))?;
        Ok(ticks)
    }

    /// What the run of a tick is about; `None` where the schedule has no tick so far away.
    #[must_use]
    pub fn partition(&self, cron: &Cron, tick: DateTime<Utc>) -> Option<Partition> {
        let mut date = tick;
        for _ in 0..self.offset.unsigned_abs() {
            date = if self.offset > 0 { cron.next_after(date) } else { cron.previous_before(date) }?;
        }
        self.at(cron, date)
    }

    /// The partition that begins at `date`; `None` when no key can be made of it.
    #[must_use]
    pub fn at(&self, cron: &Cron, date: DateTime<Utc>) -> Option<Partition> {
        let zone = cron.zone();
        let shown = Shown { wall: clock_reading(zone, date), offset: Some(clock_offset(zone, date)) };
        Some(Partition { key: Key::new(&self.format.write(shown)).ok()?, date: Some(date) })
    }

    /// The moment that a key is about.
    ///
    /// # Errors
    /// When it is not written in the format.
    pub fn date(&self, zone: Tz, key: &Key) -> Result<DateTime<Utc>, Error> {
        let unreadable =
            || Error::Unreadable { key: key.to_string(), format: self.format.as_str().to_owned() };
        let wall: NaiveDateTime = self.format.read(key.as_str()).ok_or_else(unreadable)?.wall;
        Ok(clock_moment(zone, wall))
    }
}

/// What the partitions of its assets are to a DAG.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mappers {
    /// Those of assets of which nothing else is said.
    pub usual: Mapper,
    /// Those of some assets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub of: BTreeMap<AssetName, Mapper>,
}

impl Mappers {
    /// The mapper of an asset.
    #[must_use]
    pub fn of(&self, asset: &AssetName) -> &Mapper {
        self.of.get(asset).unwrap_or(&self.usual)
    }

    /// The keys of the DAG that an event of an asset is about, each once.
    ///
    /// # Errors
    /// When its mapper cannot understand the key, makes too many of it, or something that is no key.
    pub fn keys(&self, asset: &AssetName, key: &Key) -> Result<BTreeSet<Key>, MappingError> {
        let keys = self.of(asset).keys(key.as_str())?;
        Ok(keys.iter().map(|key| Key::new(key)).collect::<Result<_, _>>()?)
    }

    /// The moments that a partition of the DAG is about, by what the mappers of these assets understand of it. They should agree. Source:
    /// Airflow 3.3.2 `jobs/scheduler_job_runner.py:2070`.
    ///
    /// # Errors
    /// When one of them cannot understand the key.
    pub fn dates<'a>(
        &self,
        assets: impl Iterator<Item = &'a AssetName>,
        key: &Key,
    ) -> Result<BTreeSet<DateTime<Utc>>, Error> {
        assets.filter_map(|asset| self.of(asset).date(key.as_str()).transpose()).collect()
    }

    /// What an asset has to have told before it counts for a partition of the DAG: any event, or so many of these keys.
    ///
    /// # Errors
    /// When its mapper cannot understand the key.
    pub fn wanted(&self, asset: &AssetName, key: &Key) -> Result<Wanted, Error> {
        let Some((keys, policy)) = self.of(asset).expected(key.as_str())? else { return Ok(Wanted::Any) };
        let needs = policy.needs(keys.len());
        Ok(Wanted::Parts { needs, keys })
    }

    /// Changes when what has been told before cannot be gone on with: with the mappers of what a DAG waits for. Source: Airflow 3.3.2
    /// `timetables/base.py`, `compute_rollup_fingerprint`.
    #[must_use]
    pub fn fingerprint(&self, condition: &Condition) -> String {
        let assets: BTreeMap<&AssetName, &Mapper> =
            condition.assets().into_iter().map(|asset| (&asset.name, self.of(&asset.name))).collect();
        let by_alias = (!condition.aliases().is_empty()).then_some((condition.aliases(), self));
        let normal = serde_json::to_vec(&(assets, by_alias)).unwrap_or_default();
        Sha256::digest(normal).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What an asset has to have told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Anything.
    Any,
    /// So many parts of a whole.
    Parts {
        /// How many it takes; more than there are when it asks for the impossible.
        needs: usize,
        /// The keys of all parts.
        keys: BTreeSet<String>,
    },
}

impl Wanted {
    /// It matters that this one was told, beside that anything was.
    #[must_use]
    pub fn counts(&self, key: &Key) -> bool {
        match self {
            Self::Any => false,
            Self::Parts { keys, .. } => keys.contains(key.as_str()),
        }
    }

    /// It is enough that these, of those that count, were told.
    #[must_use]
    pub fn has_enough(&self, told: &BTreeSet<Key>) -> bool {
        match self {
            Self::Any => true,
            Self::Parts { needs, .. } => told.len() >= *needs,
        }
    }
}

/// Why an event of an asset is about no partition of a DAG.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// The mapper says no.
    #[error(transparent)]
    Mapper(#[from] Error),
    /// What it makes is no key.
    #[error(transparent)]
    Key(#[from] KeyError),
}
