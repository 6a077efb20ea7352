//! A result set on its way into an XCom: a list of objects.

use domain::outcome::MAX_XCOM_BYTES;
use serde_json::{Map, Number, Value};
use tokio_postgres::types::Type;

/// Most rows that are kept.
const MOST_ROWS: usize = 1_000;
/// Most bytes of values that are kept: the names come again in every row.
const MOST_BYTES: usize = MAX_XCOM_BYTES / 2;

/// The rows of one statement, as texts.
#[derive(Debug)]
pub(super) struct ResultSet {
    statement: usize,
    columns: Vec<String>,
    rows: Vec<Vec<Option<String>>>,
    bytes: usize,
    count: usize,
}

impl ResultSet {
    /// The result of the statement with this number, counted from 0.
    pub(super) const fn new(statement: usize, columns: Vec<String>) -> ResultSet {
        ResultSet { statement, columns, rows: Vec::new(), bytes: 0, count: 0 }
    }

    /// Adds a row, if there is room.
    pub(super) fn push<'a>(&mut self, row: impl Iterator<Item = Option<&'a str>>) {
        self.count += 1;
        if self.rows.len() + 1 < self.count || self.rows.len() == MOST_ROWS {
            return;
        }
        let row: Vec<Option<String>> = row.map(|value| value.map(str::to_owned)).collect();
        let values: usize = row.iter().flatten().map(String::len).sum();
        let names: usize = self.columns.iter().map(|name| name.len() + 6).sum();
        if self.bytes + values + names <= MOST_BYTES {
            self.bytes += values + names;
            self.rows.push(row);
        }
    }

    /// The number of the statement.
    pub(super) const fn statement(&self) -> usize {
        self.statement
    }

    /// The number of columns.
    pub(super) fn width(&self) -> usize {
        self.columns.len()
    }

    /// How many rows came.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// How many of them are kept.
    pub(super) fn kept(&self) -> usize {
        self.rows.len()
    }

    /// Not all are kept.
    pub(super) fn was_cut(&self) -> bool {
        self.kept() < self.count
    }

    /// As a list of objects. Without types every value stays a text.
    pub(super) fn into_value(self, types: &[Type]) -> Value {
        let row = |row: Vec<Option<String>>| {
            let fields = self.columns.iter().zip(row).enumerate().map(|(at, (name, text))| {
                (name.clone(), text.map_or(Value::Null, |text| value_of(text, types.get(at))))
            });
            Value::Object(fields.collect::<Map<_, _>>())
        };
        Value::Array(self.rows.into_iter().map(row).collect())
    }
}

fn value_of(text: String, kind: Option<&Type>) -> Value {
    let known = match kind {
        Some(&Type::BOOL) => Some(Value::Bool(text == "t")),
        Some(&Type::INT2 | &Type::INT4 | &Type::INT8 | &Type::OID) => {
            text.parse::<i64>().ok().map(Value::from)
        }
        Some(&Type::FLOAT4 | &Type::FLOAT8) => {
            text.parse().ok().and_then(Number::from_f64).map(Value::Number)
        }
        Some(&Type::NUMERIC) => numeric(&text),
        Some(&Type::JSON | &Type::JSONB) => serde_json::from_str(&text).ok(),
        Some(_) | None => None,
    };
    known.unwrap_or(Value::String(text))
}

/// A number, unless that would lose digits.
fn numeric(text: &str) -> Option<Value> {
    if let Ok(whole) = text.parse::<i64>() {
        return Some(Value::from(whole));
    }
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let float = text.parse::<f64>().ok().filter(|_| digits <= 15)?;
    Number::from_f64(float).map(Value::Number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use test_case::test_case;

    use super::*;

    #[test_case("42", &Type::INT8, json!(42))]
    #[test_case("t", &Type::BOOL, json!(true))]
    #[test_case("1.5", &Type::FLOAT8, json!(1.5))]
    #[test_case("NaN", &Type::FLOAT8, json!("NaN"))]
    #[test_case("12.60", &Type::NUMERIC, json!(12.6))]
    #[test_case("17", &Type::NUMERIC, json!(17))]
    #[test_case("12345678901234567890.12", &Type::NUMERIC, json!("12345678901234567890.12"))]
    #[test_case("{\"a\": [1]}", &Type::JSONB, json!({"a": [1]}))]
    #[test_case("2026-01-01", &Type::DATE, json!("2026-01-01"))]
    #[test_case("007", &Type::TEXT, json!("007"))]
    fn values_keep_their_types(text: &str, kind: &Type, value: Value) {
        assert_eq!(value_of(text.to_owned(), Some(kind)), value);
    }

    #[test]
    fn only_so_many_rows_are_kept() {
        let mut set = ResultSet::new(0, vec!["n".into()]);
        (0..1500).for_each(|n| set.push([Some(n.to_string().as_str())].into_iter()));
        assert_eq!((set.kept(), set.count(), set.was_cut()), (1000, 1500, true));
        let mut set = ResultSet::new(0, vec!["n".into()]);
        let long = "x".repeat(200_000);
        (0..5).for_each(|_| set.push([Some(long.as_str())].into_iter()));
        set.push([Some("short")].into_iter());
        assert_eq!((set.kept(), set.count()), (2, 6));
    }
}
