//! What tasks print, each line behind the name of its task.

use std::{
    io::{self, Write},
    sync::Arc,
};

use runtime::logs::Stream;
use worker::Assignment;

use crate::args::Output;

/// Is shown each line of a try.
pub type Echo = Arc<dyn Fn(Stream, &str) + Send + Sync>;

/// Speaks for one task instance.
#[derive(Clone)]
pub struct Voice {
    name: String,
    output: Output,
}

impl Voice {
    /// The voice of a try.
    pub fn of(assignment: &Assignment, output: Output) -> Self {
        Self { name: name(assignment.task().task_id.as_str(), assignment.map_index), output }
    }

    /// For whom there is no assignment.
    pub fn named(task_id: &str, map_index: i32, output: Output) -> Self {
        Self { name: name(task_id, map_index), output }
    }

    /// Shows lines as they come.
    pub fn echo(&self) -> Echo {
        let voice = self.clone();
        Arc::new(move |stream, text| match stream {
            Stream::Output | Stream::Error => voice.line('|', text),
            Stream::Tradewind => voice.note(text),
        })
    }

    /// A remark that is not the task's own.
    pub fn note(&self, text: &str) {
        self.line('*', text);
    }

    // A reader that went away must not stop the tasks half-way, so whether it could be written does not matter here.
    fn line(&self, mark: char, text: &str) {
        let line = format!("{} {mark} {text}\n", self.name);
        let _ = match self.output {
            Output::Table | Output::Plain => io::stdout().lock().write_all(line.as_bytes()),
            // The standard output is the result's, which a program reads.
            Output::Json | Output::Yaml => io::stderr().lock().write_all(line.as_bytes()),
        };
    }
}

fn name(task_id: &str, map_index: i32) -> String {
    if map_index < 0 { task_id.to_owned() } else { format!("{task_id}[{map_index}]") }
}
