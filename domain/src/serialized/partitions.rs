//! Partitions: those of cron schedules, and mappers by the paths of Airflow's classes. Source: Airflow 3.3.2 `serialization/encoders.py`.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroI64,
};

use serde_json::Value;

use super::{Refused, assets, wrapped, zone};
use crate::partition::{FanOut, Mapper, Mappers, Period, Policy, Rollup, Rule, Start, Ticks, Window};

/// Most mappers within mappers.
const MAX_DEPTH: usize = 10;
/// Most mappers side by side, and most keys that are listed.
const MAX_LISTED: usize = 1_000;

/// How `CronPartitionTimetable` writes keys when nothing is said.
const USUAL_FORMAT: &str = "%Y-%m-%dT%H:%M:%S";
/// Where Airflow's own mappers, windows and policies are.
const OURS: &str = "airflow.partition_mappers.";

/// The partitions of a `CronPartitionTimetable`.
pub(super) fn ticks(said: &Value) -> Result<Ticks, Refused> {
    let offset = said.get("run_offset").and_then(Value::as_i64).unwrap_or(0);
    let offset = i32::try_from(offset).unwrap_or(i32::MAX);
    let format = said.get("key_format").and_then(Value::as_str).unwrap_or(USUAL_FORMAT);
    Ticks::new(offset, format)
        .map_err(|error| Refused::new(format!("the partitions of its schedule cannot be used: {error}")))
}

/// The mappers of a `PartitionedAssetTimetable`. What is said of a condition is said of all assets in it.
pub(super) fn mappers(said: &Value) -> Result<Mappers, Refused> {
    let mut of = BTreeMap::new();
    for pair in listed(said.get("partition_mapper_config"))? {
        let pair = wrapped::inner(pair);
        let (Some(assets), Some(said)) = (pair.get(0), pair.get(1)) else {
            return Err(Refused::new("its partition_mapper_config has something that is no pair"));
        };
        let mapper = mapper(said, 0)?;
        let condition = assets::condition(assets, 0)?;
        of.extend(condition.assets().into_iter().map(|asset| (asset.name.clone(), mapper.clone())));
    }
    let usual = said.get("default_partition_mapper").filter(|usual| !usual.is_null());
    Ok(Mappers { usual: usual.map_or_else(|| Ok(Mapper::identity()), |usual| mapper(usual, 0))?, of })
}

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
            Rule::Product { parts: several(said, depth)?, delimiter }
        }
        "chain.ChainMapper" => Rule::Chain(several(said, depth)?),
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
        "temporal.StartOfHourMapper" => start(said, Period::Hour)?,
        "temporal.StartOfDayMapper" => start(said, Period::Day)?,
        "temporal.StartOfWeekMapper" => start(said, Period::Week)?,
        "temporal.StartOfMonthMapper" => start(said, Period::Month)?,
        "temporal.StartOfQuarterMapper" => start(said, Period::Quarter)?,
        "temporal.StartOfYearMapper" => start(said, Period::Year)?,
        _ => {
            return Err(Refused::new(format!(
                "its partition mapper {kind} is not known; known are those of Airflow itself: one of a plugin would have to be asked about every event before the scheduler can go on"
            )));
        }
    })
}

fn start(said: &Value, of: Period) -> Result<Rule, Refused> {
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

fn several(said: &Value, depth: usize) -> Result<Vec<Mapper>, Refused> {
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
            "the window {kind} of its partition mapper is not known; known are those of Airflow itself: one of a plugin would have to be asked about every event before the scheduler can go on"
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
