//! Timetables by the paths of Airflow's classes. Source: Airflow 3.3.2 `serialization/encoders.py`.

use chrono::{DateTime, NaiveDateTime, Utc};
use serde_json::Value;

use super::{Refused, assets, fields::span, partitions, plugins::Said, wrapped, zone};
use crate::{
    asset::Condition,
    partition::Partitions,
    span::Span,
    timetable::{Composed, Cron, Dates, Every, Interval, Timetable},
};

/// Where Airflow's own timetables are.
const OURS: &str = "airflow.timetables.";

/// What a timetable says of a DAG.
pub(super) struct Read {
    /// The times of its schedule,
    pub(super) schedule: Timetable,
    /// the assets that it waits for,
    pub(super) asset_condition: Option<Condition>,
    /// and what its runs are about.
    pub(super) partitions: Option<Partitions>,
}

/// Reads the timetable of a DAG.
pub(super) fn read(timetable: Option<&Value>, plugins: Said<'_>) -> Result<Read, Refused> {
    let nothing = || Read { schedule: Timetable::Null, asset_condition: None, partitions: None };
    let Some(timetable) = timetable else { return Ok(nothing()) };
    let kind = wrapped::kind(timetable).unwrap_or_default();
    let said = wrapped::inner(timetable);
    let condition = || assets::condition(said.get("asset_condition").unwrap_or(&Value::Null), 0).map(Some);
    Ok(match kind.strip_prefix(OURS).unwrap_or(kind) {
        "simple.AssetTriggeredTimetable" => Read { asset_condition: condition()?, ..nothing() },
        "assets.AssetOrTimeSchedule" => Read {
            schedule: times(said.get("timetable").unwrap_or(&Value::Null), plugins)?,
            asset_condition: condition()?,
            ..nothing()
        },
        "simple.PartitionedAtRuntime" => Read { partitions: Some(Partitions::AtRuntime), ..nothing() },
        "simple.PartitionedAssetTimetable" => Read {
            asset_condition: condition()?,
            partitions: Some(Partitions::Assets(partitions::mappers(said)?)),
            ..nothing()
        },
        "trigger.CronPartitionTimetable" => Read {
            schedule: Timetable::Cron(cron(said.get("expression"), said)?),
            partitions: Some(Partitions::Cron(partitions::ticks(said)?)),
            ..nothing()
        },
        _ => {
            let schedule = times(timetable, plugins)?;
            let partitions = schedule.listed().and_then(|_| plugins.partitions());
            Read { schedule, partitions, ..nothing() }
        }
    })
}

fn times(timetable: &Value, plugins: Said<'_>) -> Result<Timetable, Refused> {
    let kind = wrapped::kind(timetable).unwrap_or_default();
    let said = wrapped::inner(timetable);
    match kind.strip_prefix(OURS).unwrap_or(kind) {
        "simple.NullTimetable" => Ok(Timetable::Null),
        "simple.OnceTimetable" => Ok(Timetable::Once),
        "simple.ContinuousTimetable" => Ok(Timetable::Continuous),
        "trigger.CronTriggerTimetable" => {
            with_length(Timetable::Cron(cron(said.get("expression"), said)?), said)
        }
        "trigger.MultipleCronTriggerTimetable" => several(said),
        "trigger.DeltaTriggerTimetable" => with_length(Timetable::Every(every(said)?), said),
        "interval.CronDataIntervalTimetable" => {
            Ok(Timetable::Cron(cron(said.get("expression"), said)?.with_data_interval(true)))
        }
        "interval.DeltaDataIntervalTimetable" => Ok(Timetable::Every(every(said)?.with_data_interval(true))),
        "events.EventsTimetable" => dates(said),
        _ => plugins.timetable(kind, said)?.ok_or_else(|| {
            Refused::new(format!(
                "its timetable {kind} is not known; known are those of cron expressions, fixed distances, listed dates, assets, partitions, @once and @continuous, and the classes of plugins"
            ))
        }),
    }
}

fn cron(expression: Option<&Value>, said: &Value) -> Result<Cron, Refused> {
    let expression = expression.and_then(Value::as_str).unwrap_or_default();
    Cron::parse(expression, zone(said.get("timezone"))?)
        .map_err(|error| Refused::new(format!("its schedule `{expression}` cannot be used: {error}")))
}

fn every(said: &Value) -> Result<Every, Refused> {
    let delta = span("its schedule", said.get("delta").unwrap_or(&Value::Null))?;
    Every::new(delta).map_err(wrong)
}

fn several(said: &Value) -> Result<Timetable, Refused> {
    let expressions = said.get("expressions").map(wrapped::inner).and_then(Value::as_array);
    let parts =
        expressions.into_iter().flatten().map(|expression| cron(Some(expression), said).map(Timetable::Cron));
    let parts = parts.collect::<Result<Vec<_>, _>>()?;
    let composed = Composed::new(parts).map_err(wrong)?.with_data_interval(length(said)?);
    Ok(Timetable::Composed(Box::new(composed)))
}

/// Runs that are about a fixed time up to their tick.
fn with_length(timetable: Timetable, said: &Value) -> Result<Timetable, Refused> {
    Ok(match length(said)? {
        Interval::Moment => timetable,
        length @ (Interval::SinceLast | Interval::Length(_)) => {
            let composed = Composed::new(vec![timetable]).map_err(wrong)?;
            Timetable::Composed(Box::new(composed.with_data_interval(length)))
        }
    })
}

fn length(said: &Value) -> Result<Interval, Refused> {
    let length = said.get("interval").map(|value| span("the data interval", value)).transpose()?;
    Ok(length.filter(|length| *length > Span::from_secs(0)).map_or(Interval::Moment, Interval::Length))
}

fn dates(said: &Value) -> Result<Timetable, Refused> {
    let written = said.get("event_dates").map(wrapped::inner).and_then(Value::as_array);
    let moments = written.into_iter().flatten().map(moment).collect::<Result<Vec<_>, _>>()?;
    Dates::new(moments).map(Timetable::Dates).map_err(wrong)
}

/// A date without an offset is one of UTC.
fn moment(value: &Value) -> Result<DateTime<Utc>, Refused> {
    let text = wrapped::inner(value).as_str().unwrap_or_default();
    let with_offset = DateTime::parse_from_rfc3339(text).map(|moment| moment.with_timezone(&Utc));
    let moment = with_offset.or_else(|_| text.parse::<NaiveDateTime>().map(|moment| moment.and_utc()));
    moment.map_err(|_| Refused::new(format!("{value} is among its dates and is none")))
}

fn wrong(error: impl std::fmt::Display) -> Refused {
    Refused::new(format!("its schedule cannot be used: {error}"))
}
