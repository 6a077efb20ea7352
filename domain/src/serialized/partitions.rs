//! Partition mappers by the paths of Airflow's classes. Source: Airflow 3.3.2 `serialization/encoders.py`.

use std::{collections::BTreeSet, num::NonZeroI64};

use serde_json::Value;

use super::{Refused, wrapped, zone};
use crate::partition::{FanOut, Mapper, Period, Policy, Rollup, Rule, Start, Unit, Window};

/// Most mappers within mappers.
const MAX_DEPTH: usize = 10;
/// Most mappers side by side, and most keys that are listed.
const MAX_LISTED: usize = 1_000;

/// Where Airflow's own mappers, windows and policies are.
const OURS: &str = "airflow.partition_mappers.";

/// A mapper.
pub(super) fn mapper(value: &Value, depth: usize) -> Result<Mapper, Refused> {
    if depth > MAX_DEPTH {
        return Err(Refused::new(format!("its partition mappers are nested deeper than {MAX_DEPTH}")));
    }
    let said = wrapped::inner(value);
    let most = said.get("max_downstream_keys").and_then(Value::as_u64);
    let most = most.map(|most| usize::try_from(most).unwrap_or(usize::MAX));
    Ok(Mapper { rule: rule(value, depth)?, most })
}

fn rule(value: &Value, depth: usize) -> Result<Rule, Refused> {
    let said = wrapped::inner(value);
    let kind = wrapped::kind(value).unwrap_or_default();
    let child = |name: &str| mapper(said.get(name).unwrap_or(&Value::Null), depth + 1);
    Ok(match kind.strip_prefix(OURS).unwrap_or(kind) {
        "identity.IdentityMapper" => Rule::Identity,
        "allowed_key.AllowedKeyMapper" => Rule::Allowed(keys(said.get("allowed_keys"))?),
        "fixed_key.FixedKeyMapper" => Rule::Fixed(text(said, "downstream_key")?.to_owned()),
        "product.ProductMapper" => {
            let delimiter = said.get("delimiter").and_then(Value::as_str).unwrap_or("|").to_owned();
            if delimiter.is_empty() {
                return Err(Refused::new(
                    "nothing stands between the parts that its partition mapper takes apart",
                ));
            }
            Rule::Product { parts: mappers(said, depth)?, delimiter }
        }
        "chain.ChainMapper" => Rule::Chain(mappers(said, depth)?),
        "base.RollupMapper" => Rule::Rollup(Box::new(Rollup {
            upstream: child("upstream_mapper")?,
            window: window(said.get("window"))?,
            policy: policy(said.get("wait_policy"))?,
        })),
        "temporal.FanOutMapper" => Rule::FanOut(Box::new(FanOut {
            upstream: child("upstream_mapper")?,
            window: window(said.get("window"))?,
            downstream: child("downstream_mapper")?,
        })),
        "temporal.StartOfHourMapper" => start(said, Unit::Hour)?,
        "temporal.StartOfDayMapper" => start(said, Unit::Day)?,
        "temporal.StartOfWeekMapper" => start(said, Unit::Week)?,
        "temporal.StartOfMonthMapper" => start(said, Unit::Month)?,
        "temporal.StartOfQuarterMapper" => start(said, Unit::Quarter)?,
        "temporal.StartOfYearMapper" => start(said, Unit::Year)?,
        _ => {
            return Err(Refused::new(format!(
                "its partition mapper {kind} is not known; known are those of Airflow itself"
            )));
        }
    })
}

fn start(said: &Value, of: Unit) -> Result<Rule, Refused> {
    let start = Start::new(
        of,
        zone(said.get("timezone"))?,
        text(said, "input_format")?,
        text(said, "output_format")?,
    );
    start
        .map(Rule::Start)
        .map_err(|error| Refused::new(format!("its partition mapper cannot be used: {error}")))
}

fn mappers(said: &Value, depth: usize) -> Result<Vec<Mapper>, Refused> {
    listed(said.get("mappers"))?.iter().map(|value| mapper(value, depth + 1)).collect()
}

fn keys(value: Option<&Value>) -> Result<BTreeSet<String>, Refused> {
    Ok(listed(value)?.iter().filter_map(|key| key.as_str().map(str::to_owned)).collect())
}

fn listed(value: Option<&Value>) -> Result<&[Value], Refused> {
    let values = value.map(wrapped::inner).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if values.len() > MAX_LISTED {
        return Err(Refused::new(format!(
            "its partition mapper lists {} things; at most {MAX_LISTED} are allowed",
            values.len()
        )));
    }
    Ok(values)
}

fn text<'a>(said: &'a Value, name: &str) -> Result<&'a str, Refused> {
    let text = said.get(name).and_then(Value::as_str);
    text.ok_or_else(|| Refused::new(format!("`{name}` of its partition mapper is missing")))
}

fn window(value: Option<&Value>) -> Result<Window, Refused> {
    let value = value.unwrap_or(&Value::Null);
    let said = wrapped::inner(value);
    let kind = wrapped::kind(value).unwrap_or_default();
    let backward = said.get("direction").and_then(Value::as_str) == Some("backward");
    let of = |period| Ok(Window::Period { period, backward });
    match kind.strip_prefix(OURS).unwrap_or(kind) {
        "window.HourWindow" => of(Period::Hour),
        "window.DayWindow" => of(Period::Day),
        "window.WeekWindow" => of(Period::Week),
        "window.MonthWindow" => of(Period::Month),
        "window.QuarterWindow" => of(Period::Quarter),
        "window.YearWindow" => of(Period::Year),
        "window.SegmentWindow" => keys(said.get("segments")).map(Window::Segments),
        _ => Err(Refused::new(format!(
            "the window {kind} of its partition mapper is not known; known are those of Airflow itself"
        ))),
    }
}

fn policy(value: Option<&Value>) -> Result<Policy, Refused> {
    let value = value.unwrap_or(&Value::Null);
    let kind = wrapped::kind(value).unwrap_or_default();
    let count = || wrapped::inner(value).get("n").and_then(Value::as_i64).and_then(NonZeroI64::new);
    match (kind.strip_prefix(OURS).unwrap_or(kind), count()) {
        ("wait_policy.WaitForAll" | "", _) => Ok(Policy::All),
        ("wait_policy.MinimumCount", Some(count)) => Ok(Policy::AtLeast(count)),
        _ => Err(Refused::new(format!(
            "the wait policy {kind} of its partition mapper is not known; known are those of Airflow itself"
        ))),
    }
}
