//! PostgreSQL's errors in words.

use std::error::Error as _;

use tokio_postgres::error::{DbError, ErrorPosition};

/// The error with its SQLSTATE, its place in `sql` and the server's advice.
pub(super) fn in_words(error: &tokio_postgres::Error, sql: &str) -> String {
    match error.as_db_error() {
        Some(fault) => of_server(fault, sql),
        None => {
            let mut words = error.to_string();
            let mut cause = error.source();
            while let Some(error) = cause {
                words.push_str(&format!(": {error}"));
                cause = error.source();
            }
            words
        }
    }
}

fn of_server(fault: &DbError, sql: &str) -> String {
    let mut words = format!("{} {}: {}", fault.severity(), fault.code().code(), fault.message());
    match fault.position() {
        Some(ErrorPosition::Original(position)) => words.push_str(&place(sql, *position)),
        Some(ErrorPosition::Internal { position, query }) => {
            words.push_str(&format!(" (inside{})", place(query, *position)));
        }
        None => {}
    }
    if let Some(detail) = fault.detail() {
        words.push_str(&format!("\ndetail: {detail}"));
    }
    if let Some(context) = fault.where_() {
        words.push_str(&format!("\nwhere: {}", context.lines().next().unwrap_or_default()));
    }
    if let Some(hint) = fault.hint() {
        words.push_str(&format!("\nhint: {hint}"));
    } else if fault.code().code() == "25001" {
        words.push_str(
            "\nhint: all statements of a task run in one transaction; use psql in a bash task for this one",
        );
    }
    words
}

/// Line and column of a position that counts characters from 1, and the line itself.
fn place(sql: &str, position: u32) -> String {
    let at = usize::try_from(position).unwrap_or(usize::MAX).saturating_sub(1);
    let Some((offset, _)) = sql.char_indices().nth(at) else {
        return String::new();
    };
    let start = sql[..offset].rfind('\n').map_or(0, |newline| newline + 1);
    let line = sql[..offset].matches('\n').count() + 1;
    let column = sql[start..offset].chars().count() + 1;
    let text: String = sql[start..].lines().next().unwrap_or_default().trim().chars().take(120).collect();
    format!(" at line {line}, column {column}: {text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_become_lines_and_columns() {
        let sql = "select 'ü';\nselect *\n  from nowhere;";
        assert_eq!(place(sql, 29), " at line 3, column 8: from nowhere;");
        assert_eq!(place(sql, 1), " at line 1, column 1: select 'ü';");
        assert_eq!(place(sql, 900), "");
    }
}
