//! Printing results: as a table for people, as JSON, YAML or plain lines for programs. And asking back.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::{Result, bail};
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::Value;

use crate::args::Output;

/// Prints a list of records; the fields of the first are the columns.
///
/// # Errors
/// When the standard output cannot be written.
pub fn list<T: Serialize>(output: Output, rows: &[T]) -> Result<()> {
    let rows: Vec<Value> = rows.iter().map(serde_json::to_value).collect::<Result<_, _>>()?;
    match output {
        Output::Json => say(&serde_json::to_string_pretty(&rows)?),
        Output::Yaml => say(serde_saphyr::to_string(&rows)?.trim_end()),
        Output::Plain => rows.iter().try_for_each(|row| say(&cells(row).join("\t"))),
        Output::Table if rows.is_empty() => say("Nothing found."),
        Output::Table => say(&table(&rows).trim_fmt()),
    }
}

/// Prints one record.
///
/// # Errors
/// When the standard output cannot be written.
pub fn record<T: Serialize>(output: Output, row: &T) -> Result<()> {
    let row = serde_json::to_value(row)?;
    match output {
        Output::Json => say(&serde_json::to_string_pretty(&row)?),
        Output::Yaml => say(serde_saphyr::to_string(&row)?.trim_end()),
        Output::Plain | Output::Table => {
            let Some(fields) = row.as_object() else {
                return say(&cell(&row));
            };
            let width = fields.keys().map(String::len).max().unwrap_or(0);
            fields.iter().try_for_each(|(name, value)| say(&field(name, width, &cell(value))))
        }
    }
}

/// Prints what was done: as a sentence for people, as a record for programs.
///
/// # Errors
/// When the standard output cannot be written.
pub fn done<T: Serialize>(output: Output, sentence: &str, row: &T) -> Result<()> {
    match output {
        Output::Table | Output::Plain => say(sentence),
        Output::Json | Output::Yaml => record(output, row),
    }
}

/// Prints one line. A reader that went away (`| head`) is no error, and no reason to stop half-way through the work.
///
/// # Errors
/// When the standard output cannot be written for another reason.
pub fn say(line: &str) -> Result<()> {
    match writeln!(io::stdout().lock(), "{line}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

/// Prints one line beside the result, on the standard error.
pub fn note(line: &str) {
    // Nobody is left to be told that this failed.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Has a person confirm what cannot be undone.
///
/// # Errors
/// When nobody says yes.
pub fn confirm(question: &str, yes: bool) -> Result<()> {
    if yes {
        return Ok(());
    }
    let _ = write!(io::stderr().lock(), "{question} [y/N] ");
    let mut answer = String::new();
    // No terminal and nothing piped in: end of file, which is no.
    io::stdin().lock().read_line(&mut answer)?;
    if matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        note("");
    }
    bail!("not confirmed, so nothing was done; --yes confirms without asking")
}

fn field(name: &str, width: usize, value: &str) -> String {
    let margin = " ".repeat(width + 2);
    format!("{name:width$}  {}", value.trim_end().replace('\n', &format!("\n{margin}"))).trim_end().to_owned()
}

fn table(rows: &[Value]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    if let Some(fields) = rows.first().and_then(Value::as_object) {
        table.set_header(fields.keys().map(|name| name.to_uppercase()));
    }
    for row in rows {
        table.add_row(cells(row).into_iter().map(|cell| printable(&cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

fn cells(row: &Value) -> Vec<String> {
    row.as_object().map_or_else(|| vec![cell(row)], |fields| fields.values().map(cell).collect())
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

/// Text that came from elsewhere must not move the cursor, nor break a row.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
