//! How much memory something may take.

use std::fmt;

use super::value::Expected;

const MEBI: u64 = 1 << 20;
/// Airflow alone maps some hundred MiB; with less, no file could be read.
const LEAST: u64 = 512 * MEBI;
const MOST: u64 = 1 << 50;

/// A limit of memory, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory(Option<u64>);

impl Memory {
    /// 2 GiB.
    pub(super) const TWO_GIB: Memory = Memory(Some(2 << 30));

    /// The limit in bytes.
    pub fn bytes(self) -> Option<u64> {
        self.0
    }

    pub(super) fn parse(text: &str) -> Result<Memory, Expected> {
        let expected = || Expected::new("a size such as 512M or 2G, at least 512M, or off");
        let text = text.trim().to_ascii_uppercase();
        if text == "OFF" {
            return Ok(Memory(None));
        }
        let (number, unit) = match (text.strip_suffix('M'), text.strip_suffix('G')) {
            (Some(number), _) => (number, MEBI),
            (None, Some(number)) => (number, 1024 * MEBI),
            (None, None) => return Err(expected()),
        };
        let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
        let bytes = bytes.filter(|bytes| (LEAST..=MOST).contains(bytes)).ok_or_else(expected)?;
        Ok(Memory(Some(bytes)))
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("off"),
            Some(bytes) if bytes.is_multiple_of(1024 * MEBI) => write!(f, "{}G", bytes / (1024 * MEBI)),
            Some(bytes) => write!(f, "{}M", bytes / MEBI),
        }
    }
}
