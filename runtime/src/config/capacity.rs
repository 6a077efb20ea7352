//! How much a worker does, and of what.

use std::fmt;
use std::num::NonZeroU16;
use std::thread::available_parallelism;

use super::value::Expected;

/// The most tasks one worker may run at once.
const MOST_TASKS: u16 = 4096;

/// The most queues one worker may serve.
const MOST_QUEUES: usize = 64;

/// The longest name of a queue, in characters.
const LONGEST_QUEUE: usize = 64;

/// How many tasks a worker runs at the same time: 1 to 4096.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parallelism(NonZeroU16);

/// The name of a queue: letters, digits, `_`, `-` and `.`, at most 64.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueName(String);

/// The queues a worker serves: 1 to 64, each once, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queues(Vec<QueueName>);

impl Parallelism {
    pub(super) fn parse(text: &str) -> Result<Parallelism, Expected> {
        let number = text.trim().parse::<NonZeroU16>().ok().filter(|number| number.get() <= MOST_TASKS);
        number.map(Parallelism).ok_or_else(|| Expected::new(format!("a whole number from 1 to {MOST_TASKS}")))
    }

    /// The number of tasks.
    pub fn get(self) -> usize {
        usize::from(self.0.get())
    }
}

impl Default for Parallelism {
    /// Twice the number of processors, because tasks wait more than they compute, but at least 8.
    fn default() -> Parallelism {
        let processors = available_parallelism().map_or(1, usize::from);
        let tasks = (2 * processors).clamp(8, usize::from(MOST_TASKS));
        Parallelism(u16::try_from(tasks).ok().and_then(NonZeroU16::new).unwrap_or(NonZeroU16::MIN))
    }
}

impl fmt::Display for Parallelism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl QueueName {
    /// Reads a name; `None` when it is not one.
    pub fn parse(text: &str) -> Option<QueueName> {
        let ok = (1..=LONGEST_QUEUE).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
        ok.then(|| QueueName(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Queues {
    pub(super) fn parse(text: &str) -> Result<Queues, Expected> {
        let mut names = Vec::new();
        for name in text.split(',').map(str::trim) {
            let name = QueueName::parse(name).ok_or_else(|| Expected::new(ALLOWED))?;
            if !names.contains(&name) {
                names.push(name);
            }
        }
        if names.len() > MOST_QUEUES {
            return Err(Expected::new(format!("at most {MOST_QUEUES} queues")));
        }
        Ok(Queues(names))
    }

    /// The names, in the order given.
    pub fn names(&self) -> &[QueueName] {
        &self.0
    }
}

const ALLOWED: &str = "names of up to 64 letters, digits, _, - and ., separated by commas";

impl Default for Queues {
    /// Only the queue that tasks are in when their DAG names none.
    fn default() -> Queues {
        Queues(vec![QueueName("default".to_owned())])
    }
}

impl fmt::Display for Queues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(QueueName::as_str).collect();
        f.write_str(&names.join(","))
    }
}
