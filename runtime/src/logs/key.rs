//! The name of a try, and the safe object names made from it.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// The longest encoded part of a name, in bytes: with its label it stays below the 255 of file systems, and four
/// of them below the 1024 of buckets.
pub(super) const LONGEST_PART: usize = 200;

/// How much of a part that is too long is kept, before the hash of the whole.
const KEPT_OF_LONG: usize = 160;

/// One try of one task instance. Any text is a safe id: it becomes one part of an object's name, encoded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LogKey {
    /// The DAG.
    pub dag_id: String,
    /// The run of the DAG.
    pub run_id: String,
    /// The task.
    pub task_id: String,
    /// The index of a mapped task instance; -1 for a task that is not mapped.
    pub map_index: i32,
    /// The try, counted from 1.
    pub try_number: u32,
}

impl LogKey {
    /// The name of the log: `dag_id=D/run_id=R/task_id=T/[map_index=M/]attempt=N.log`, as Airflow has it.
    pub(super) fn log(&self) -> String {
        self.attempt() + ".log"
    }

    /// What the names of the artifacts begin with.
    pub(super) fn artifacts(&self) -> String {
        self.attempt() + ".artifacts"
    }

    fn attempt(&self) -> String {
        let [dag_id, run_id, task_id] =
            [&self.dag_id, &self.run_id, &self.task_id].map(|id| encode_short(id));
        let map_index =
            if self.map_index < 0 { String::new() } else { format!("map_index={}/", self.map_index) };
        format!("dag_id={dag_id}/run_id={run_id}/task_id={task_id}/{map_index}attempt={}", self.try_number)
    }
}

/// `text` as one part of a name: letters and digits of any script and `-_.:+` stay, everything else is
/// percent-encoded.
pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_alphanumeric() || "-_.:+".contains(c) {
            encoded.push(c);
        } else {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                // Writing to a String cannot fail.
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

/// The text that [`encode`] was given; `None` when it gives no such part.
pub(super) fn decode(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

/// As [`encode`], at most [`LONGEST_PART`] bytes: what is longer ends in `=` and its hash. `=` itself is always
/// encoded, so no id can be made to look like the short form of another.
fn encode_short(text: &str) -> String {
    let mut encoded = encode(text);
    if encoded.len() <= LONGEST_PART {
        return encoded;
    }
    let kept = (0..=KEPT_OF_LONG).rev().find(|&at| encoded.is_char_boundary(at));
    encoded.truncate(kept.unwrap_or(0));
    let digest = Sha256::digest(text);
    let hash: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("{encoded}={hash}")
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    fn key(dag_id: &str, map_index: i32) -> LogKey {
        LogKey {
            dag_id: dag_id.to_owned(),
            run_id: "scheduled__2026-01-01T00:00:00+00:00".to_owned(),
            task_id: "quality.nulls".to_owned(),
            map_index,
            try_number: 2,
        }
    }

    #[test]
    fn names_read_like_airflows() {
        let run = "run_id=scheduled__2026-01-01T00:00:00+00:00";
        assert_eq!(
            key("flights", -1).log(),
            format!("dag_id=flights/{run}/task_id=quality.nulls/attempt=2.log")
        );
        assert_eq!(
            key("flights", 3).artifacts(),
            format!("dag_id=flights/{run}/task_id=quality.nulls/map_index=3/attempt=2.artifacts")
        );
    }

    #[test_case("../../etc/passwd" ; "parents")]
    #[test_case("/etc/passwd" ; "root")]
    #[test_case("a/b" ; "separator")]
    #[test_case("a\\b\0c\nd" ; "backslash and control characters")]
    #[test_case("" ; "empty")]
    #[test_case("." ; "dot")]
    #[test_case(".." ; "two dots")]
    #[test_case("a%2Fb" ; "already encoded")]
    fn tricks_stay_one_part(id: &str) {
        let name = key(id, -1).log();
        assert_eq!(name.split('/').count(), 4, "{name}");
        assert!(name.split('/').all(|part| part.contains('=')), "{name}");
        assert!(!name.contains(|c: char| c.is_control() || c == '\\'), "{name}");
        assert_eq!(decode(&encode(id)).as_deref(), Some(id));
    }

    #[test]
    fn different_ids_have_different_names() {
        let long = "x".repeat(250);
        let ids = ["a", "A", "a ", "a%20", "ä", long.as_str(), &long[1..], &format!("{long}y")];
        let names: std::collections::HashSet<String> = ids.iter().map(|id| key(id, -1).log()).collect();
        assert_eq!(names.len(), ids.len());
    }

    #[test]
    fn long_ids_stay_short_names() {
        let long = "日本/".repeat(200);
        let key = LogKey {
            dag_id: long.clone(),
            run_id: long.clone(),
            task_id: long,
            map_index: 7,
            try_number: u32::MAX,
        };
        let name = key.log();
        assert!(name.len() <= 1024 - LONGEST_PART, "{}", name.len());
        assert!(name.split('/').all(|part| part.len() <= 255 - 10), "{name}");
    }
}
