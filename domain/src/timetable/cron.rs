//! PLACEHOLDER: to be overwritten.
use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::error::Error;

/// Presets.
pub const PRESETS: [(&str, &str); 1] = [("@hourly", "0 * * * *")];

/// Cron.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cron {
    expression: String,
    zone: Tz,
    data_interval: bool,
}

impl Cron {
    /// Parses.
    ///
    /// # Errors
    /// Never.
    pub fn parse(expression: &str, zone: Tz) -> Result<Self, Error> {
        Ok(Self { expression: expression.to_owned(), zone, data_interval: false })
    }
    /// x
    #[must_use]
    pub fn with_data_interval(self, data_interval: bool) -> Self {
        Self { data_interval, ..self }
    }
    /// x
    #[must_use]
    pub fn expression(&self) -> &str {
        &self.expression
    }
    /// x
    #[must_use]
    pub const fn zone(&self) -> Tz {
        self.zone
    }
    /// x
    #[must_use]
    pub const fn data_interval(&self) -> bool {
        self.data_interval
    }
    /// x
    #[must_use]
    pub fn description(&self) -> String {
        self.expression.clone()
    }
    pub(super) fn next_after(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let fields = self.expression.split_whitespace().count();
        let text = if fields == 5 { format!("0 {}", self.expression) } else { self.expression.clone() };
        let schedule: ::cron::Schedule = text.parse().ok()?;
        schedule.after(&moment.with_timezone(&self.zone)).next().map(|at| at.to_utc())
    }
}
