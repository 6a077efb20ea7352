//! Which parts of this process are alive: each says so from time to time, and health endpoints read it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

/// The register of a process's parts. Clones are the same register.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<BTreeMap<String, Entry>>>);

/// How one part says that it is alive.
#[derive(Clone, Debug)]
pub struct Pulse {
    name: String,
    health: Health,
}

#[derive(Clone, Debug)]
struct Entry {
    patience: TimeDelta,
    last: Option<DateTime<Utc>>,
    trouble: Option<String>,
}

/// How one part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Registered, and has not said anything yet.
    Starting,
    /// Heard of in time, without trouble.
    Healthy,
    /// In trouble, or not heard of for too long.
    Unhealthy,
}

/// What is known of one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its name, for example `scheduler`.
    pub name: String,
    /// How it is.
    pub status: Status,
    /// When it was last heard of.
    pub last: Option<DateTime<Utc>>,
    /// Its trouble in words; empty when there is none.
    pub trouble: String,
}

impl Health {
    /// A register without parts.
    pub fn new() -> Health {
        Health::default()
    }

    /// Adds the part `name`, which is unhealthy when nothing is heard of it for `patience`. A part of the same name
    /// is replaced.
    pub fn register(&self, name: &str, patience: TimeDelta) -> Pulse {
        self.lock().insert(name.to_owned(), Entry { patience, last: None, trouble: None });
        Pulse { name: name.to_owned(), health: self.clone() }
    }

    /// Every part, by name.
    pub fn report(&self, now: DateTime<Utc>) -> Vec<Report> {
        self.lock().iter().map(|(name, entry)| entry.report(name, now)).collect()
    }

    /// Whether no part is unhealthy. A part that is still starting is not.
    pub fn is_alive(&self, now: DateTime<Utc>) -> bool {
        self.report(now).iter().all(|report| report.status != Status::Unhealthy)
    }

    /// Whether there are parts and all are healthy.
    pub fn is_ready(&self, now: DateTime<Utc>) -> bool {
        let reports = self.report(now);
        !reports.is_empty() && reports.iter().all(|report| report.status == Status::Healthy)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pulse {
    /// It is alive and well.
    pub fn beat(&self, now: DateTime<Utc>) {
        self.note(now, None);
    }

    /// It is alive but cannot do its work, for the reason in `trouble`.
    pub fn trouble(&self, now: DateTime<Utc>, trouble: impl Into<String>) {
        self.note(now, Some(trouble.into()));
    }

    /// It has ended as it should, and is no longer expected to be heard of.
    pub fn end(self) {
        self.health.lock().remove(&self.name);
    }

    fn note(&self, now: DateTime<Utc>, trouble: Option<String>) {
        if let Some(entry) = self.health.lock().get_mut(&self.name) {
            entry.last = Some(now);
            entry.trouble = trouble;
        }
    }
}

impl Entry {
    fn report(&self, name: &str, now: DateTime<Utc>) -> Report {
        let silence = self.last.map(|last| now - last);
        let (status, trouble) = match (silence, &self.trouble) {
            (None, _) => (Status::Starting, String::new()),
            (Some(silence), _) if silence > self.patience => {
                (Status::Unhealthy, format!("not heard of for {} s", silence.num_seconds()))
            }
            (Some(_), Some(trouble)) => (Status::Unhealthy, trouble.clone()),
            (Some(_), None) => (Status::Healthy, String::new()),
        };
        Report { name: name.to_owned(), status, last: self.last, trouble }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn status(health: &Health, now: i64) -> (Status, String) {
        let report = health.report(at(now)).remove(0);
        (report.status, report.trouble)
    }

    #[test]
    fn the_life_of_a_part() {
        let health = Health::new();
        let pulse = health.register("scheduler", TimeDelta::seconds(30));
        assert_eq!(status(&health, 0).0, Status::Starting);
        assert!(health.is_alive(at(0)) && !health.is_ready(at(0)));

        pulse.beat(at(10));
        assert_eq!(status(&health, 40), (Status::Healthy, String::new()));
        assert!(health.is_ready(at(40)));

        assert_eq!(status(&health, 41), (Status::Unhealthy, "not heard of for 31 s".to_owned()));
        pulse.trouble(at(42), "no database");
        assert_eq!(status(&health, 42), (Status::Unhealthy, "no database".to_owned()));
        assert!(!health.is_alive(at(42)));

        pulse.beat(at(43));
        assert!(health.is_ready(at(43)));
        pulse.end();
        assert!(health.report(at(44)).is_empty() && !health.is_ready(at(44)));
    }
}
