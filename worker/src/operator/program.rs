//! What `bash` and `python` share: a process, and what it leaves.

use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use domain::asset::{AssetRef, OutletEvent, parse_events};
use domain::dag::{Operator, Task};
use domain::outcome::{MAX_XCOM_BYTES, RETURN_VALUE, SKIP_EXIT_CODE, TryResult};
use indexmap::IndexMap;
use serde_json::{Map, Value};
use store::xcom::check_key;

use super::plain::plain;
use super::{Done, On};
use crate::environment::Places;
use crate::output::Kept;
use crate::process::{self, End, Ended, Launch, Leash};
use crate::template::{Error, Renderer};

/// The exit code by which the script of a short circuit says no: the shell's `false`.
const NO: i32 = 1;

/// A program and what it is told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Called {
    /// Its absolute path.
    pub(crate) program: PathBuf,
    /// Its arguments.
    pub(crate) args: Vec<OsString>,
}

/// What is around a program: its folder and the task's own variables.
pub(crate) struct Setting {
    cwd: Option<String>,
    env: IndexMap<String, String>,
}

impl Setting {
    /// Renders it.
    pub(crate) async fn render(task: &Task, renderer: &mut Renderer<'_>) -> Result<Setting, Error> {
        let mut env = IndexMap::with_capacity(task.env.len());
        for (name, text) in &task.env {
            env.insert(name.clone(), renderer.text(&format!("env.{name}"), text).await?);
        }
        let cwd = match &task.cwd {
            Some(cwd) => Some(renderer.text("cwd", cwd).await?),
            None => None,
        };
        Ok(Setting { cwd, env })
    }

    /// What the templates became, after `first`.
    pub(crate) fn fields(&self, first: (&str, Value)) -> Map<String, Value> {
        let mut fields = Map::from_iter([(first.0.to_owned(), first.1)]);
        if !self.env.is_empty() {
            let env = self.env.iter().map(|(name, value)| (name.clone(), Value::from(value.clone())));
            fields.insert("env".to_owned(), env.collect());
        }
        if let Some(cwd) = &self.cwd {
            fields.insert("cwd".to_owned(), cwd.clone().into());
        }
        fields
    }

    /// The folder that the program starts in.
    fn folder(&self, on: &On<'_>) -> Result<PathBuf, Box<Done>> {
        let base = match &on.assignment.folder {
            Some(folder) => folder.clone(),
            None => {
                let made = fs::create_dir_all(&on.place.work);
                made.map_err(|error| Done::failed(format!("cannot make a temporary folder: {error}")))?;
                on.place.work.clone()
            }
        };
        Ok(self.cwd.as_ref().map_or(base.clone(), |cwd| base.join(cwd)))
    }
}

/// Writes a program for this user alone.
pub(crate) fn write_program(path: &Path, text: &str) -> Result<(), Box<Done>> {
    let opened = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    let written = opened.and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()));
    let failed = |error: std::io::Error| {
        let reason = format!("cannot write the program to {}: {error}", path.display());
        Box::new(Done::failed(reason))
    };
    written.map_err(failed)
}

/// Runs a program to its end. `script` is what it would make of a plain command, if it is a shell.
pub(crate) async fn run(called: Called, script: Option<&str>, setting: &Setting, on: &On<'_>) -> Done {
    let cwd = match setting.folder(on) {
        Ok(cwd) => cwd,
        Err(done) => return *done,
    };
    let places = Places {
        output: &on.place.output,
        asset_events: &on.place.asset_events,
        artifacts: &on.place.artifacts,
    };
    let mut env = on.station.base.of(on.assignment, on.params, places, &setting.env);
    let plain = script.and_then(|script| plain(script, &cwd, &env));
    if plain.is_some() {
        // A shell sets it, and a program may believe it.
        env.push(("PWD".into(), cwd.clone().into()));
    }
    let Called { program, args } = plain.unwrap_or(called);
    let launch = Launch { program, args, env, cwd };
    let leash = Leash {
        deadline: on.deadline,
        stop: on.stop,
        grace: on.station.grace,
        warden: on.station.warden.as_ref(),
    };
    let kind = on.assignment.task().operator.key();
    let began = |pid| {
        on.begin(&format!("{kind} as process {pid} in {}", launch.cwd.display()));
        (on.began)(pid);
    };
    match process::run(&launch, &leash, on.output, began).await {
        Ok(ended) => concluded(ended, on),
        Err(error @ process::Error::Folder { .. }) => Done::failed_for_good(error.to_string()),
        Err(error @ process::Error::Start { .. }) => Done::failed(error.to_string()),
    }
}

fn concluded(ended: Ended, on: &On<'_>) -> Done {
    if ended.left_behind {
        on.output.note("processes that it had left behind were ended");
    }
    let exit_code = Some(ended.end.code());
    let may_say_no = may_say_no(&on.assignment.task().operator);
    if let Some(done) = Done::cut_short(ended.cause, on.assignment) {
        // The engine takes a script's exit code for its answer, and this one was not let finish.
        return Done { exit_code: exit_code.filter(|_| !may_say_no), ..done };
    }
    match ended.end {
        End::Exit(NO) if may_say_no => match left_behind(on) {
            Ok(Left { xcoms, asset_events }) => {
                let reason = "exit code 1 says no: what is behind it is skipped";
                Done { exit_code, xcoms, asset_events, ..Done::ended(TryResult::Success, reason) }
            }
            Err(reason) => Done { exit_code: None, ..Done::failed(reason) },
        },
        End::Exit(0) => match left_behind(on) {
            Ok(Left { xcoms, asset_events }) => Done { exit_code, asset_events, ..Done::success(xcoms) },
            Err(reason) => Done { exit_code, ..Done::failed(reason) },
        },
        End::Exit(SKIP_EXIT_CODE) => {
            let done = Done::ended(TryResult::Skipped, format!("exit code {SKIP_EXIT_CODE} means skipped"));
            let xcoms = left_behind(on).map(|left| left.xcoms).unwrap_or_default();
            Done { exit_code, xcoms, ..done }
        }
        end @ (End::Exit(_) | End::Signal(_)) => {
            Done { exit_code, ..Done::failed(end.words(ended.out_of_memory)) }
        }
    }
}

fn may_say_no(operator: &Operator) -> bool {
    matches!(operator, Operator::ShortCircuit { program, .. } if matches!(**program, Operator::Bash { .. }))
}

/// What a process left.
struct Left {
    xcoms: IndexMap<String, Value>,
    asset_events: Vec<OutletEvent>,
}

/// The XComs that the process left: its last line, and those of its output file; and what it says of the assets that it made.
fn left_behind(on: &On<'_>) -> Result<Left, String> {
    let mut xcoms = IndexMap::new();
    if on.assignment.task().do_xcom_push {
        match on.output.last_line() {
            Kept::Nothing => {}
            Kept::Text(line) => drop(xcoms.insert(RETURN_VALUE.to_owned(), as_value(line))),
            Kept::TooLong => {
                on.output.note("the last line is longer than 64 KiB and is not kept as return_value")
            }
        }
    }
    xcoms.extend(of_file(&on.place.output)?);
    let size: usize = xcoms.iter().map(|(key, value)| key.len() + value.to_string().len()).sum();
    if size > MAX_XCOM_BYTES {
        return Err(format!(
            "it left {size} bytes of XComs; at most {MAX_XCOM_BYTES} are allowed: keep large results in files"
        ));
    }
    let asset_events = asset_events(&on.place.asset_events, &on.assignment.task().outlets)?;
    Ok(Left { xcoms, asset_events })
}

fn asset_events(path: &Path, outlets: &[AssetRef]) -> Result<Vec<OutletEvent>, String> {
    let wrong = |what: String| format!("the file $TRADEWIND_ASSET_EVENTS cannot be used: {what}");
    match read_limited(path, MAX_XCOM_BYTES) {
        Ok(Some(text)) if text.len() > MAX_XCOM_BYTES => {
            Err(wrong(format!("it is longer than {MAX_XCOM_BYTES} bytes")))
        }
        Ok(Some(text)) => parse_events(&text, outlets).map_err(wrong),
        Ok(None) => Ok(Vec::new()),
        Err(error) => Err(wrong(error.to_string())),
    }
}

/// The beginning of a file, one byte more than `limit` at most; `None` when there is no file.
fn read_limited(path: &Path, limit: usize) -> std::io::Result<Option<String>> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = String::new();
    file.take(limit as u64 + 1).read_to_string(&mut text)?;
    Ok(Some(text))
}

/// JSON becomes what it says, so that tasks can be mapped over it; everything else stays a text, also a JSON text.
fn as_value(line: String) -> Value {
    match serde_json::from_str(&line) {
        Ok(value @ (Value::Array(_) | Value::Object(_) | Value::Number(_) | Value::Bool(_))) => value,
        Ok(Value::String(_) | Value::Null) | Err(_) => Value::String(line),
    }
}

fn of_file(path: &Path) -> Result<Map<String, Value>, String> {
    let wrong = |what: String| {
        format!("the file $TRADEWIND_OUTPUT {what}; it must hold one JSON object, whose keys become XComs")
    };
    let read = read_limited(path, MAX_XCOM_BYTES);
    let Some(text) = read.map_err(|error| wrong(format!("cannot be read ({error})")))? else {
        return Ok(Map::new());
    };
    if text.len() > MAX_XCOM_BYTES {
        return Err(format!(
            "the file $TRADEWIND_OUTPUT is longer than {MAX_XCOM_BYTES} bytes: keep large results in files"
        ));
    }
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    let map: Map<String, Value> =
        serde_json::from_str(&text).map_err(|error| wrong(format!("is not that: {error}")))?;
    map.keys()
        .try_for_each(|key| check_key(key))
        .map_err(|error| wrong(format!("cannot be kept: {error}")))?;
    Ok(map)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use test_case::test_case;

    use super::*;

    #[test_case("[1, 2]", json!([1, 2]))]
    #[test_case("{\"a\": null}", json!({"a": null}))]
    #[test_case("42", json!(42))]
    #[test_case("true", json!(true))]
    #[test_case("\"text\"", json!("\"text\""))]
    #[test_case("null", json!("null"))]
    #[test_case("007", json!("007"))]
    #[test_case("[1, 2", json!("[1, 2"))]
    #[test_case("done", json!("done"))]
    fn the_last_line_is_json_or_a_text(line: &str, value: Value) {
        assert_eq!(as_value(line.to_owned()), value);
    }

    #[test]
    fn an_output_file_must_be_an_object() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        assert_eq!(of_file(&path), Ok(Map::new()));
        for (text, wanted) in [
            ("{\"rows\": 3}", Ok(json!({"rows": 3}))),
            (" \n", Ok(json!({}))),
            ("[1]", Err("is not that")),
            ("{\"\": 1}", Err("1 to 512 characters")),
            (&format!("{{\"{}\": 1}}", "k".repeat(513)), Err("has 513 characters")),
            (&format!("{{\"a\": \"{}\"}}", "x".repeat(MAX_XCOM_BYTES)), Err("longer than 1048576 bytes")),
        ] {
            fs::write(&path, text).unwrap();
            match (of_file(&path), wanted) {
                (Ok(map), Ok(wanted)) => assert_eq!(Value::Object(map), wanted),
                (Err(error), Err(wanted)) => assert!(error.contains(wanted), "{error}"),
                (found, wanted) => panic!("{found:?} is not {wanted:?}"),
            }
        }
    }
}
