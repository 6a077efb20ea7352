//! What pools, variables and connections have in common: short lists, the audit log.

use domain::engine::record::AuditRecord;
use serde_json::{Value, json};

use super::query::{Query, disallowed_order};
use crate::{AppState, error::Error};

/// Most entries of one kind that are listed.
pub(super) const MOST: u32 = 10_000;

/// The page of a short list that a query asks for: filtered by its name, ordered by one of the fields shown.
///
/// # Errors
/// [`Error::Invalid`] for an order by something that is not there.
pub(super) fn page(
    query: &Query,
    list: &str,
    name: &str,
    mut rows: Vec<Value>,
    filters: [&str; 2],
) -> Result<Value, Error> {
    let ask = query.ask(&[], &[name])?;
    let [pattern, prefix] = filters;
    if let Some(text) = query.text(pattern).filter(|text| *text != "~") {
        let wanted = text.replace('%', "").to_lowercase();
        rows.retain(|row| text_of(&row[name]).to_lowercase().contains(&wanted));
    }
    if let Some(start) = query.text(prefix) {
        rows.retain(|row| text_of(&row[name]).starts_with(start));
    }
    for order in ask.order_by.iter().rev() {
        sort(&mut rows, order, name)?;
    }
    let total = rows.len();
    let rows: Vec<Value> = rows.into_iter().skip(ask.offset as usize).take(ask.limit as usize).collect();
    Ok(json!({list: rows, "total_entries": total}))
}

fn sort(rows: &mut [Value], order: &str, name: &str) -> Result<(), Error> {
    let (field, is_descending) = order.strip_prefix('-').map_or((order, false), |field| (field, true));
    let field = match field {
        "id" | "pool" | "key" | "conn_id" | "connection_id" => name,
        other => other,
    };
    if rows.first().is_some_and(|row| row.get(field).is_none()) {
        return Err(disallowed_order(field));
    }
    rows.sort_by(|one, two| {
        let (one, two) = (&one[field], &two[field]);
        let numbers = one.as_i64().zip(two.as_i64()).map(|(one, two)| one.cmp(&two));
        numbers.unwrap_or_else(|| text_of(one).cmp(&text_of(two)))
    });
    if is_descending {
        rows.reverse();
    }
    Ok(())
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Writes down who changed what. The change itself has happened; only its values are not written.
pub(super) async fn record(state: &AppState, by: &str, event: &'static str, name: &str) -> Result<(), Error> {
    let line = AuditRecord {
        at: state.clock.now(),
        by: by.to_owned(),
        event,
        dag_id: None,
        run_id: None,
        task_id: None,
        extra: json!({"name": name}),
    };
    Ok(state.store.audit(&[line]).await?)
}

/// Which fields of a body count: all that are given, or those that the mask names.
pub(super) struct Mask(Vec<String>);

impl Mask {
    pub(super) fn of(query: &Query) -> Self {
        Self(query.texts("update_mask"))
    }

    /// Whether a field counts.
    pub(super) fn has(&self, field: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|name| name == field)
    }
}
