//! Dates and spans of time in templates, with the methods that Python's and pendulum's have.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use chrono::format::{Item, StrftimeItems};
use chrono::{
    DateTime, Datelike, Days, Months, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone,
    Timelike, Utc,
};
use chrono_tz::Tz;
use minijinja::value::{DynObject, Kwargs, Object, ObjectRepr, from_args};
use minijinja::{Error, ErrorKind, State, Value};

/// A moment in a time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment(pub(super) DateTime<Tz>);

/// A day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Day(pub(super) NaiveDate);

/// A span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Delta(pub(super) TimeDelta);

/// A moment as a value of templates.
pub(super) fn moment(at: DateTime<Utc>) -> Value {
    Value::from_object(Moment(at.with_timezone(&Tz::UTC)))
}

/// A moment that may be missing, as a value of templates: Python's None then.
pub(super) fn moment_or_none(at: Option<DateTime<Utc>>) -> Value {
    at.map_or(Value::from(()), moment)
}

/// Reads a moment as ISO 8601 has it, also without a time or a zone (then UTC).
pub(super) fn parse(text: &str) -> Result<Moment, Error> {
    let text = text.trim();
    let zoned = DateTime::parse_from_rfc3339(text)
        .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%:z"));
    if let Ok(at) = zoned {
        return Ok(Moment(at.with_timezone(&Tz::UTC)));
    }
    let naive = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        .or_else(|| Some(NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_time(NaiveTime::MIN)));
    match naive {
        Some(naive) => Ok(Moment(naive.and_utc().with_timezone(&Tz::UTC))),
        None => {
            Err(wrong(format!("{text:?} is not a date: write it as 2026-01-31 or 2026-01-31T12:00:00+00:00")))
        }
    }
}

/// A moment by Python's `strptime`.
pub(super) fn strptime(text: &str, form: &str) -> Result<Moment, Error> {
    let naive = NaiveDateTime::parse_from_str(text, form)
        .or_else(|_| NaiveDate::parse_from_str(text, form).map(|day| day.and_time(NaiveTime::MIN)));
    let zoned = DateTime::parse_from_str(text, form).map(|at| at.with_timezone(&Tz::UTC));
    let naive = zoned.or_else(|_| naive.map(|naive| naive.and_utc().with_timezone(&Tz::UTC)));
    naive.map(Moment).map_err(|_| wrong(format!("time data {text:?} does not match format {form:?}")))
}

/// Python's `strftime`.
pub(super) fn strftime(at: &DateTime<Tz>, form: &str) -> Result<String, Error> {
    // Python's %f is microseconds.
    let form = form.replace("%f", "%6f");
    let items: Vec<Item<'_>> = StrftimeItems::new(&form).collect();
    if items.iter().any(|item| matches!(item, Item::Error)) {
        return Err(wrong(format!("{form:?} is not a format for strftime")));
    }
    Ok(at.format_with_items(items.iter()).to_string())
}

impl Moment {
    /// `2026-01-01T00:00:00+00:00`, with microseconds when there are any.
    pub(super) fn isoformat(&self) -> String {
        let form = if self.0.timestamp_subsec_micros() == 0 {
            "%Y-%m-%dT%H:%M:%S%:z"
        } else {
            "%Y-%m-%dT%H:%M:%S%.6f%:z"
        };
        self.0.format(form).to_string()
    }

    /// Shows it in one of Airflow's short forms (`ds`, `ts` and so on).
    pub(super) fn short(&self, form: &str) -> Option<String> {
        let pattern = match form {
            "ds" => "%Y-%m-%d",
            "ds_nodash" => "%Y%m%d",
            "ts" => return Some(self.isoformat()),
            "ts_nodash" => "%Y%m%dT%H%M%S",
            "ts_nodash_with_tz" => "%Y%m%dT%H%M%S%z",
            _ => return None,
        };
        Some(self.0.format(pattern).to_string())
    }

    fn field(&self, name: &str) -> Option<Value> {
        let at = &self.0;
        Some(match name {
            "year" => Value::from(at.year()),
            "month" => Value::from(at.month()),
            "day" => Value::from(at.day()),
            "hour" => Value::from(at.hour()),
            "minute" => Value::from(at.minute()),
            "second" => Value::from(at.second()),
            "microsecond" => Value::from(at.timestamp_subsec_micros()),
            "day_of_week" => Value::from(at.weekday().num_days_from_monday()),
            "day_of_year" => Value::from(at.ordinal()),
            "week_of_year" => Value::from(at.iso_week().week()),
            "quarter" => Value::from(at.month0() / 3 + 1),
            "days_in_month" => Value::from(at.num_days_in_month()),
            "int_timestamp" => Value::from(at.timestamp()),
            "float_timestamp" => Value::from(seconds(at)),
            "timezone_name" | "tzinfo" | "tz" | "timezone" => Value::from(at.timezone().name()),
            _ => return None,
        })
    }

    fn moved(&self, args: &[Value], sign: i64) -> Result<Moment, Error> {
        let (delta, kwargs): (Option<Value>, Kwargs) = from_args(args)?;
        if let Some(delta) = delta {
            let delta = delta
                .downcast_object_ref::<Delta>()
                .ok_or_else(|| wrong("pass days=1, hours=2 and so on"))?;
            return self.shifted(delta.0 * i32::try_from(sign).unwrap_or(1));
        }
        let part = |name: &str| kwargs.get::<Option<i64>>(name).map(|n| n.unwrap_or(0).saturating_mul(sign));
        let months = part("years")?.saturating_mul(12).saturating_add(part("months")?);
        let days = part("weeks")?.saturating_mul(7).saturating_add(part("days")?);
        kwargs_time(&kwargs).and_then(|time| {
            kwargs.assert_all_used()?;
            let moved = self.by_calendar(months, days).ok_or_else(|| wrong("the date is out of range"))?;
            moved.shifted(time * i32::try_from(sign).unwrap_or(1))
        })
    }

    /// Months and days move the local date and keep the local time.
    fn by_calendar(self, months: i64, days: i64) -> Option<Moment> {
        if months == 0 && days == 0 {
            return Some(self);
        }
        let local = self.0.naive_local();
        let count = Months::new(u32::try_from(months.unsigned_abs()).ok()?);
        let local =
            if months < 0 { local.checked_sub_months(count) } else { local.checked_add_months(count) }?;
        let count = Days::new(days.unsigned_abs());
        let local = if days < 0 { local.checked_sub_days(count) } else { local.checked_add_days(count) }?;
        in_zone(local, self.0.timezone())
    }

    fn shifted(self, delta: TimeDelta) -> Result<Moment, Error> {
        self.0.checked_add_signed(delta).map(Moment).ok_or_else(|| wrong("the date is out of range"))
    }

    fn replaced(&self, args: &[Value]) -> Result<Moment, Error> {
        let (kwargs,): (Kwargs,) = from_args(args)?;
        let part = |name: &str, now: u32| kwargs.get::<Option<u32>>(name).map(|part| part.unwrap_or(now));
        let year = kwargs.get::<Option<i32>>("year")?.unwrap_or(self.0.year());
        let day = NaiveDate::from_ymd_opt(year, part("month", self.0.month())?, part("day", self.0.day())?);
        let micro = part("microsecond", self.0.timestamp_subsec_micros())?;
        let (hour, minute) = (part("hour", self.0.hour())?, part("minute", self.0.minute())?);
        let time = NaiveTime::from_hms_micro_opt(hour, minute, part("second", self.0.second())?, micro);
        kwargs.assert_all_used()?;
        let local = day.zip(time).map(|(day, time)| day.and_time(time));
        let moment = local.and_then(|local| in_zone(local, self.0.timezone()));
        moment.ok_or_else(|| wrong("there is no such date"))
    }

    fn in_timezone(&self, zone: &str) -> Result<Moment, Error> {
        let zone: Tz = zone.parse().map_err(|_| wrong(format!("{zone:?} is not a time zone")))?;
        Ok(Moment(self.0.with_timezone(&zone)))
    }

    fn boundary(&self, unit: &str, end: bool) -> Result<Moment, Error> {
        let day = self.0.date_naive();
        let (start, months, days) = match unit {
            "hour" => return self.hour_boundary(end),
            "day" => (Some(day), 0, 1),
            "week" => (day.checked_sub_days(Days::new(day.weekday().num_days_from_monday().into())), 0, 7),
            "month" => (day.with_day(1), 1, 0),
            "year" => (day.with_ordinal(1), 12, 0),
            _ => return Err(wrong(format!("{unit:?} is not hour, day, week, month or year"))),
        };
        let start = start.and_then(|day| in_zone(day.and_time(NaiveTime::MIN), self.0.timezone()));
        let moment = if end { start.and_then(|start| start.by_calendar(months, days)) } else { start };
        let moment = moment.ok_or_else(|| wrong("the date is out of range"))?;
        if end { moment.shifted(-TimeDelta::microseconds(1)) } else { Ok(moment) }
    }

    fn hour_boundary(&self, end: bool) -> Result<Moment, Error> {
        let into_hour = TimeDelta::seconds(i64::from(self.0.minute() * 60 + self.0.second()))
            + TimeDelta::nanoseconds(i64::from(self.0.nanosecond()));
        let rest = if end { TimeDelta::microseconds(3_600_000_000 - 1) } else { TimeDelta::zero() };
        self.shifted(rest - into_hour)
    }
}

impl Object for Moment {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.field(key.as_str()?)
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        Some(self.0.cmp(&other.downcast_ref::<Self>()?.0))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.isoformat())
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        let text = || from_args::<(&str,)>(args).map(|(text,)| text);
        let none = |result: Value| from_args::<()>(args).map(|()| result);
        match method {
            "strftime" => strftime(&self.0, text()?).map(Value::from),
            "format" => Ok(Value::from(super::pendulum::format(&self.0, text()?))),
            "isoformat" | "to_rfc3339_string" => none(Value::from(self.isoformat())),
            "to_iso8601_string" => none(Value::from(self.isoformat().replace("+00:00", "Z"))),
            "to_date_string" => none(Value::from(self.0.format("%Y-%m-%d").to_string())),
            "to_time_string" => none(Value::from(self.0.format("%H:%M:%S").to_string())),
            "to_datetime_string" => none(Value::from(self.0.format("%Y-%m-%d %H:%M:%S").to_string())),
            "date" => none(Value::from_object(Day(self.0.date_naive()))),
            "timestamp" => none(Value::from(seconds(&self.0))),
            "weekday" => none(Value::from(self.0.weekday().num_days_from_monday())),
            "isoweekday" => none(Value::from(self.0.weekday().number_from_monday())),
            "add" => self.moved(args, 1).map(Value::from_object),
            "subtract" => self.moved(args, -1).map(Value::from_object),
            "replace" | "set" => self.replaced(args).map(Value::from_object),
            "in_timezone" | "in_tz" | "astimezone" => self.in_timezone(text()?).map(Value::from_object),
            "start_of" => self.boundary(text()?, false).map(Value::from_object),
            "end_of" => self.boundary(text()?, true).map(Value::from_object),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

impl Object for Day {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "year" => Some(Value::from(self.0.year())),
            "month" => Some(Value::from(self.0.month())),
            "day" => Some(Value::from(self.0.day())),
            _ => None,
        }
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        Some(self.0.cmp(&other.downcast_ref::<Self>()?.0))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        let midnight = || self.0.and_time(NaiveTime::MIN).and_utc().with_timezone(&Tz::UTC);
        match method {
            "isoformat" => from_args::<()>(args).map(|()| Value::from(self.0.to_string())),
            "strftime" => strftime(&midnight(), from_args::<(&str,)>(args)?.0).map(Value::from),
            "weekday" => from_args::<()>(args).map(|()| Value::from(self.0.weekday().num_days_from_monday())),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

impl Delta {
    /// From `days=1, hours=2` and so on, or a number of days, as Python's `timedelta`.
    pub(super) fn from_call(args: &[Value]) -> Result<Delta, Error> {
        let (days, kwargs): (Option<i64>, Kwargs) = from_args(args)?;
        let mut total = kwargs_time(&kwargs)?;
        for (name, size) in [("days", 86_400), ("weeks", 604_800)] {
            let count = kwargs.get::<Option<i64>>(name)?.unwrap_or(0);
            total += span(count, size)?;
        }
        kwargs.assert_all_used()?;
        Ok(Delta(total + span(days.unwrap_or(0), 86_400)?))
    }
}

impl Object for Delta {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "days" => Some(Value::from(self.0.num_days())),
            "seconds" => Some(Value::from(self.0.num_seconds() - self.0.num_days() * 86_400)),
            _ => None,
        }
    }

    fn is_true(self: &Arc<Self>) -> bool {
        !self.0.is_zero()
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        Some(self.0.cmp(&other.downcast_ref::<Self>()?.0))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, rest) = (self.0.num_seconds().div_euclid(86_400), self.0.num_seconds().rem_euclid(86_400));
        match days {
            0 => {}
            1 | -1 => write!(f, "{days} day, ")?,
            _ => write!(f, "{days} days, ")?,
        }
        write!(f, "{}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60)
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        match method {
            "total_seconds" => from_args::<()>(args).map(|()| Value::from(self.0.as_seconds_f64())),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

fn kwargs_time(kwargs: &Kwargs) -> Result<TimeDelta, Error> {
    let mut total = TimeDelta::zero();
    for (name, size) in [("hours", 3600), ("minutes", 60), ("seconds", 1)] {
        total += span(kwargs.get::<Option<i64>>(name)?.unwrap_or(0), size)?;
    }
    Ok(total + TimeDelta::microseconds(kwargs.get::<Option<i64>>("microseconds")?.unwrap_or(0)))
}

/// `count` times `seconds`, at most some ten thousand years, so that sums of a few never overflow.
fn span(count: i64, seconds: i64) -> Result<TimeDelta, Error> {
    const LONGEST: i64 = 10_000 * 366 * 86_400;
    let total = count.checked_mul(seconds).filter(|total| total.abs() <= LONGEST);
    total.map(TimeDelta::seconds).ok_or_else(|| wrong("the span of time is too long"))
}

/// The moment that local clocks show so: the earlier when they show it twice, the first after the gap when never.
fn in_zone(local: NaiveDateTime, zone: Tz) -> Option<Moment> {
    if let Some(at) = zone.from_local_datetime(&local).earliest() {
        return Some(Moment(at));
    }
    let offset = zone.offset_from_utc_datetime(&local.checked_sub_days(Days::new(1))?).fix();
    Some(Moment(zone.from_utc_datetime(&(local - offset))))
}

fn seconds(at: &DateTime<Tz>) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "microseconds since 1970 fit into 53 bits until the year 2255"
    )]
    let micros = at.timestamp_micros() as f64;
    micros / 1e6
}

fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}
