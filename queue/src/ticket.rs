//! What waits in the ready queue: tickets, and the ranks that order them.

use crate::error::{Error, shorten};
use std::fmt;
use std::str::FromStr;

/// The name of a ready queue, for example `default`: 1 to 256 characters, none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueName(String);

impl QueueName {
    /// The longest name, in bytes (Airflow's column has this size).
    pub const MAX_LEN: usize = 256;

    /// Checks a name.
    ///
    /// # Errors
    /// [`Error::QueueName`] when it is empty, longer than [`QueueName::MAX_LEN`] bytes or has control characters.
    pub fn new(name: impl Into<String>) -> Result<QueueName, Error> {
        let name = name.into();
        match fault_of_name(&name, Self::MAX_LEN) {
            Some(reason) => Err(Error::QueueName { name: shorten(&name), reason }),
            None => Ok(QueueName(name)),
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is wrong with a name, if anything.
pub(crate) fn fault_of_name(name: &str, max_len: usize) -> Option<&'static str> {
    if name.is_empty() {
        return Some("it is empty");
    }
    if name.len() > max_len {
        return Some("it is too long");
    }
    name.chars().any(char::is_control).then_some("it has control characters")
}

impl Default for QueueName {
    /// `default`, the queue of tasks that name none.
    fn default() -> QueueName {
        QueueName("default".to_owned())
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for QueueName {
    type Err = Error;

    fn from_str(name: &str) -> Result<QueueName, Error> {
        QueueName::new(name)
    }
}

/// One try of one task instance. Its text form is `run:index:try`, for example `71:3:1`.
///
/// Tickets order by run, then index, then try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    /// The number of the DAG run.
    pub run: i64,
    /// The task instance's place in the run.
    pub index: u32,
    /// The try, counted from 1. It fences: a ticket of an older try claims nothing.
    pub try_number: u32,
}

impl Ticket {
    /// The longest text that is looked at: wide enough for the largest numbers with leading zeros.
    const MAX_TEXT: usize = 64;

    /// The form kept in a sorted set: the text form with leading zeros, so that tickets of one rank, which
    /// Redis orders by their bytes, come in the order of their numbers.
    pub(crate) fn member(&self) -> String {
        format!("{:012}:{:07}:{:03}", self.run, self.index, self.try_number)
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.run, self.index, self.try_number)
    }
}

impl FromStr for Ticket {
    type Err = Error;

    /// Reads the text form; leading zeros are allowed.
    fn from_str(text: &str) -> Result<Ticket, Error> {
        parse(text).ok_or_else(|| Error::Ticket { text: shorten(text) })
    }
}

fn parse(text: &str) -> Option<Ticket> {
    if text.len() > Ticket::MAX_TEXT {
        return None;
    }
    let mut parts = text.split(':');
    let ticket = Ticket {
        run: parts.next()?.parse().ok()?,
        index: parts.next()?.parse().ok()?,
        try_number: parts.next()?.parse().ok()?,
    };
    parts.next().is_none().then_some(ticket)
}

/// An entry for the ready queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// The queue it goes to.
    pub queue: QueueName,
    /// The try to run.
    pub ticket: Ticket,
    /// When the scheduler released it, in microseconds since 1970 UTC: what was released earlier leaves earlier.
    /// Moments before 1970 or after 2255 count as the nearest moment inside.
    pub released_us: i64,
}

/// The ranks of the entries of one push; the lowest leaves first.
///
/// A rank is the moment of the release, or the microsecond after the entry before it when that is later. So entries
/// that were released together, at one moment, stay in the order in which they are given. Ranks stay below 2^53:
/// they are exact in the double that a sorted set keeps.
pub(crate) fn ranks(ready: &[Ready]) -> impl Iterator<Item = u64> {
    const LAST: u64 = (1 << 53) - 1;
    let mut earliest = 0;
    ready.iter().map(move |entry| {
        let moment = entry.released_us.max(0).unsigned_abs();
        let rank = moment.max(earliest).min(LAST);
        earliest = rank + 1;
        rank
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranks_of(moments: &[i64]) -> Vec<u64> {
        let ticket = Ticket { run: 1, index: 0, try_number: 1 };
        let entry =
            |released_us: &i64| Ready { queue: QueueName::default(), ticket, released_us: *released_us };
        ranks(&moments.iter().map(entry).collect::<Vec<_>>()).collect()
    }

    #[test]
    fn ranks_are_exact_in_a_double() {
        for moment in [i64::MIN, -1, 0, 1_764_000_000_123_456, i64::MAX] {
            let rank = ranks_of(&[moment])[0];
            assert!(rank < 1 << 53);
            assert_eq!(rank as f64 as u64, rank);
        }
    }

    #[test]
    fn ranks_follow_the_release_and_then_the_order_of_the_push() {
        let at = 1_764_000_000_000_000;
        assert_eq!(ranks_of(&[at, at + 5]), [at as u64, at as u64 + 5]);
        assert_eq!(ranks_of(&[7, 7, 7, 8, 20]), [7, 8, 9, 10, 20]);
        assert_eq!(ranks_of(&[9, 3]), [9, 10]);
        assert!(ranks_of(&[]).is_empty());
    }

    #[test]
    fn tickets_survive_their_text() {
        let ticket = Ticket { run: 71, index: 3, try_number: 1 };
        assert_eq!(ticket.to_string(), "71:3:1");
        assert_eq!(ticket.to_string().parse(), Ok(ticket));
        assert_eq!(ticket.member().parse(), Ok(ticket));
        let largest = Ticket { run: i64::MAX, index: u32::MAX, try_number: u32::MAX };
        assert_eq!(largest.member().parse(), Ok(largest));
    }

    #[test]
    fn members_order_as_tickets_do() {
        let tickets = [(2, 5, 1), (2, 10, 1), (10, 0, 1), (10, 0, 2), (1_000_000, 9, 1)]
            .map(|(run, index, try_number)| Ticket { run, index, try_number });
        assert!(tickets.is_sorted());
        assert!(tickets.map(|ticket| ticket.member()).is_sorted());
    }

    #[test]
    fn other_texts_are_refused() {
        for text in
            ["", "1", "1:2", "1:2:3:4", "a:2:3", "1:-2:3", "1:2:4294967296", "1: 2:3", &"9".repeat(500)]
        {
            assert!(text.parse::<Ticket>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn queue_names_are_checked() {
        assert_eq!(QueueName::new("gpu").map(|name| name.to_string()), Ok("gpu".to_owned()));
        for name in ["", "a\nb", &"q".repeat(257)] {
            assert!(QueueName::new(name).is_err(), "{name:?}");
        }
    }
}
