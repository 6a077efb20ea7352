//! Pages by cursor: a position in a list that costs the same however far it is, for lists that are long.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use crate::error::Error;

/// What a token begins with that leads back (Airflow's mark).
const BACKWARD: char = '~';

/// Where a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The row before the first one, or behind the last one of a page that leads back; none for the first page.
    pub(super) position: Option<Vec<i64>>,
    /// The rows before the position are wanted.
    pub(super) is_backward: bool,
}

impl Cursor {
    /// Reads a token; an empty one asks for the first page.
    pub(super) fn parse(token: &str) -> Result<Self, Error> {
        let (token, is_backward) = token.strip_prefix(BACKWARD).map_or((token, false), |token| (token, true));
        if token.is_empty() {
            return Ok(Self { position: None, is_backward: false });
        }
        let numbers =
            URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let position = numbers.ok_or_else(|| Error::Invalid("Invalid cursor token".to_owned()))?;
        Ok(Self { position: Some(position), is_backward })
    }
}

/// A page of rows, of which one more than `limit` was read to know whether there are others. `place` is a row's position.
pub(super) fn page<T>(
    name: &str,
    cursor: &Cursor,
    limit: usize,
    mut rows: Vec<T>,
    place: impl Fn(&T) -> Vec<i64>,
    shape: impl Fn(&T) -> Value,
) -> Value {
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    if cursor.is_backward {
        rows.reverse();
    }
    let (has_next, has_previous) =
        if cursor.is_backward { (true, has_more) } else { (has_more, cursor.position.is_some()) };
    let token = |row: Option<&T>| row.map(|row| URL_SAFE_NO_PAD.encode(Value::from(place(row)).to_string()));
    let next = token(rows.last()).filter(|_| has_next);
    let previous = token(rows.first()).filter(|_| has_previous).map(|token| format!("{BACKWARD}{token}"));
    let mut page = Map::new();
    page.insert(name.to_owned(), rows.iter().map(shape).collect());
    // Counting would cost as much as the list is long.
    page.insert("total_entries".to_owned(), Value::Null);
    page.insert("total_entries_limit".to_owned(), Value::Null);
    page.insert("next_cursor".to_owned(), next.into());
    page.insert("previous_cursor".to_owned(), previous.into());
    page.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_tokens_are_refused() {
        assert_eq!(Cursor::parse("").unwrap(), Cursor { position: None, is_backward: false });
        for token in ["x", "~x", "W10K", "bnVsbA", "eyJhIjoxfQ"] {
            let read = Cursor::parse(token);
            assert!(read.is_err() || read.is_ok_and(|cursor| cursor.position == Some(Vec::new())), "{token}");
        }
    }

    #[test]
    fn pages_lead_on_and_back() {
        let make = |cursor: &Cursor, rows: Vec<i64>| {
            page("rows", cursor, 2, rows, |row| vec![*row], |row| (*row).into())
        };
        let first = make(&Cursor::parse("").unwrap(), vec![1, 2, 3]);
        assert_eq!((&first["rows"], &first["previous_cursor"]), (&serde_json::json!([1, 2]), &Value::Null));
        let second = Cursor::parse(first["next_cursor"].as_str().unwrap()).unwrap();
        assert_eq!(second.position, Some(vec![2]));
        let last = make(&second, vec![3, 4]);
        assert_eq!((&last["rows"], &last["next_cursor"]), (&serde_json::json!([3, 4]), &Value::Null));
        let back = Cursor::parse(last["previous_cursor"].as_str().unwrap()).unwrap();
        assert_eq!((back.is_backward, &back.position), (true, &Some(vec![3])));
        let again = make(&back, vec![2, 1]);
        assert_eq!((&again["rows"], &again["previous_cursor"]), (&serde_json::json!([1, 2]), &Value::Null));
    }
}
