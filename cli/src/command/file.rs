//! JSON files that commands import and export; `-` is the standard input or output.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

use crate::output;

/// Largest file that is imported, in bytes.
const MAX_BYTES: u64 = 64 << 20;

/// The standard input or output as a file's name.
pub const STANDARD: &str = "-";

/// The JSON object in a file.
///
/// # Errors
/// When it cannot be read, is too long, or is something else.
pub fn read_object(file: &str) -> Result<Map<String, Value>> {
    let mut text = String::new();
    let read = match file {
        STANDARD => io::stdin().lock().take(MAX_BYTES + 1).read_to_string(&mut text),
        _ => File::open(file).and_then(|opened| opened.take(MAX_BYTES + 1).read_to_string(&mut text)),
    };
    read.with_context(|| format!("cannot read {file}"))?;
    if text.len() as u64 > MAX_BYTES {
        bail!("{file} has more than {MAX_BYTES} bytes");
    }
    match serde_json::from_str(&text).with_context(|| format!("{file} is not JSON"))? {
        Value::Object(map) => Ok(map),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            bail!("{file} is not a JSON object of names and what they mean")
        }
    }
}

/// Writes a JSON object to a file that only this user may read, since it may hold secrets.
///
/// # Errors
/// When it cannot be written.
pub fn write_object(file: &str, object: Map<String, Value>) -> Result<()> {
    let count = object.len();
    let text = serde_json::to_string_pretty(&Value::Object(object))?;
    if file == STANDARD {
        return output::say(&text);
    }
    let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file);
    opened
        .and_then(|mut opened| writeln!(opened, "{text}"))
        .with_context(|| format!("cannot write {file}"))?;
    output::note(&format!("{count} written to {file}"));
    Ok(())
}

/// The text itself, or what the standard input has when it is `-`, without the newline at its end.
///
/// # Errors
/// When the standard input cannot be read or is too long.
pub fn text_or_input(text: String) -> Result<String> {
    if text != STANDARD {
        return Ok(text);
    }
    let mut text = String::new();
    io::stdin()
        .lock()
        .take(MAX_BYTES + 1)
        .read_to_string(&mut text)
        .context("cannot read the standard input")?;
    if text.len() as u64 > MAX_BYTES {
        bail!("the standard input has more than {MAX_BYTES} bytes");
    }
    Ok(text.strip_suffix('\n').map_or(text.clone(), str::to_owned))
}
