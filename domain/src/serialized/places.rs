//! Where something stands in a Python file: found in the traceback of what went wrong, and in the text.

use serde_json::Value;

use crate::dagfile::Diagnostic;

/// Longest line of a traceback that becomes a message, in characters.
const LONGEST: usize = 500;

/// A problem of a whole Python file.
#[must_use]
pub fn problem(file: &str, message: &str) -> Diagnostic {
    Diagnostic {
        file: file.to_owned(),
        line: 1,
        column: 1,
        message: message.to_owned(),
        hint: None,
        snippet: Vec::new(),
    }
}

/// What a traceback says: its last line is what is wrong, and the last place in the file is where.
#[must_use]
pub fn of_traceback(trace: &str, file: &str) -> Diagnostic {
    let last = trace.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it cannot be imported");
    let name = file.rsplit('/').next().unwrap_or(file);
    let line = trace.lines().rev().find_map(|line| {
        let (path, rest) = line.trim().strip_prefix("File \"")?.split_once("\", line ")?;
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        path.ends_with(name).then(|| digits.parse().ok()).flatten()
    });
    Diagnostic {
        line: line.unwrap_or(1),
        snippet: trace.trim_end().lines().map(str::to_owned).collect(),
        ..problem(file, &last.chars().take(LONGEST).collect::<String>())
    }
}

/// Where the id of a serialized DAG stands in its file, line and column, if it is written there as a text.
#[must_use]
pub fn of_dag(serialized: &Value, source: &str) -> (u32, u32) {
    let id = serialized["dag"]["dag_id"].as_str().unwrap_or_default();
    let found = source.lines().enumerate().find_map(|(number, line)| {
        let at = ['"', '\''].into_iter().find_map(|quote| line.find(&format!("{quote}{id}{quote}")))?;
        Some((number, line[..at].chars().count()))
    });
    let number = |number: usize| u32::try_from(number + 1).unwrap_or(1);
    found.map_or((1, 1), |(line, column)| (number(line), number(column)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_traceback_tells_what_and_where() {
        let trace = "Traceback (most recent call last):\n  File \"/x/importer.py\", line 9, in load\n    run()\n  \
                     File \"/dags/team/bad.py\", line 12, in <module>\n    1 / 0\nZeroDivisionError: division by zero\n";
        let error = of_traceback(trace, "team/bad.py");
        assert_eq!((error.line, error.message.as_str()), (12, "ZeroDivisionError: division by zero"));
        assert!(error.snippet[0].contains("most recent call last"));
        assert_eq!(of_traceback("", "bad.py").line, 1);
    }

    #[test]
    fn a_dag_is_placed_where_its_id_is_written() {
        let dag = json!({"dag": {"dag_id": "sales"}});
        assert_eq!(of_dag(&dag, "import x\nwith DAG('sales') as d:\n"), (2, 10));
        assert_eq!(of_dag(&dag, "# none\n"), (1, 1));
    }
}
