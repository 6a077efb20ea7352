//! One trigger that this worker holds, and the log of the try that waits for it.

use std::sync::Arc;

use domain::deferral::Word;
use domain::id::{TaskId, TryKey};
use queue::Queue;
use runtime::logs::LogKey;
use serde_json::{Value, json};
use store::deferral::HeldTrigger;
use store::masked_xcom::Masked;
use uuid::Uuid;

use crate::operator::try_id;
use crate::output::{Archive, Before, Hides, Masker, Output, Sink, Source, Spool, Tail};
use crate::station::Station;

/// A trigger that is held.
pub(crate) struct Held {
    /// What the records say of it.
    pub(crate) trigger: HeldTrigger,
    /// The log of its try, once something was written to it.
    output: Option<Output>,
}

impl Held {
    /// Nothing has been logged yet.
    pub(crate) const fn new(trigger: HeldTrigger) -> Held {
        Held { trigger, output: None }
    }

    /// The try that waits for it.
    pub(crate) const fn attempt(&self) -> TryKey {
        self.trigger.attempt
    }

    /// The order to run it. Its arguments need no encryption: what begins with a brace is read as it is. Source: Airflow 3.3.2 `RunTrigger`,
    /// `models/trigger.py` (`_decrypt_kwargs`).
    pub(crate) fn order(&self, hostname: &str) -> Value {
        let trigger = &self.trigger;
        json!({
            "type": "RunTrigger", "id": trigger.id, "classpath": trigger.classpath,
            "encrypted_kwargs": Value::Object(trigger.kwargs.clone()).to_string(),
            "timeout_after": trigger.deadline,
            "ti": {
                "id": try_id(trigger.attempt), "task_id": trigger.task_id, "dag_id": trigger.dag_id,
                "run_id": trigger.run_id, "try_number": trigger.attempt.try_number, "dag_version_id": Uuid::nil(),
                "map_index": trigger.map_index, "hostname": hostname, "queue": trigger.queue,
                "pool_slots": trigger.pool_slots, "priority_weight": trigger.priority,
            },
        })
    }

    /// A line of its own, or of this worker's about it when `source` is none.
    pub(crate) async fn line(&mut self, source: Option<Source>, text: &str, logs: &Logs<'_>) {
        let output = match self.output.take() {
            Some(output) => output,
            None => logs.open(&self.trigger).await,
        };
        match source {
            Some(source) => output.line(source, text),
            None => output.note(text),
        }
        output.settle().await;
        self.output = Some(output);
    }

    /// What is to be shown of the XComs that it ends its task with, if there are secrets in them.
    pub(crate) fn masked_xcoms(&self, word: &Word, secrets: &Masker) -> Vec<Masked> {
        let (Word::Ended { xcoms, .. }, Ok(task_id)) = (word, TaskId::new(&self.trigger.task_id)) else {
            return Vec::new();
        };
        let masked = |(key, value): (&String, &Value)| {
            let shown = secrets.masked_value(value)?;
            let (run, map_index) = (self.attempt().ti.run, self.trigger.map_index);
            Some(Masked {
                run,
                task_id: task_id.clone(),
                map_index,
                key: key.clone(),
                value: value.clone(),
                shown,
            })
        };
        xcoms.iter().filter_map(masked).collect()
    }

    /// Hides more texts.
    pub(crate) fn hide(&self, secrets: &[String]) {
        if let Some(output) = &self.output {
            output.hide(secrets.iter().cloned());
        }
    }

    /// Its log is brought into storage, where whoever goes on with the try finds it.
    pub(crate) async fn finish(self, archive: &Archive) {
        if let Some((log, tail)) = self.output.and_then(Output::finish) {
            tail.go_on();
            archive.keep(key(&self.trigger), log, tail).await;
        }
    }
}

/// What is shown of logs while they grow.
pub(crate) trait Tails: Send + Sync {
    /// That of a try.
    fn tail(&self, attempt: TryKey) -> Arc<Tail>;
}

/// Where logs of tries go on that wait for triggers.
pub(crate) struct Logs<'a> {
    /// What the worker has.
    pub(crate) station: &'a Station,
    /// Where they are kept.
    pub(crate) archive: &'a Archive,
    /// Where they are shown.
    pub(crate) queue: &'a Queue,
    /// What is shown of them meanwhile.
    pub(crate) live: &'a dyn Tails,
    /// Longest log, in bytes.
    pub(crate) limit: u64,
    /// What is hidden in them.
    pub(crate) secrets: &'a [String],
}

impl Logs<'_> {
    // It goes on where the task has left it.
    async fn open(&self, trigger: &HeldTrigger) -> Output {
        let tail = self.live.tail(trigger.attempt);
        let path = self.station.place.root().join(format!("trigger-{}.log", trigger.id));
        let output = Output::new(self.station.clock.clone(), Sink::Spool(Spool::new(path, self.limit), tail));
        output.hide(self.secrets.iter().cloned());
        let before = Before { store: self.archive.store(), queue: self.queue };
        output.carry_over(before, &key(trigger), u64::MAX).await;
        output
    }
}

fn key(trigger: &HeldTrigger) -> LogKey {
    LogKey {
        dag_id: trigger.dag_id.clone(),
        run_id: trigger.run_id.clone(),
        task_id: trigger.task_id.clone(),
        map_index: trigger.map_index,
        try_number: trigger.attempt.try_number,
    }
}
