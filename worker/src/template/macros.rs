//! Airflow's `macros`.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, Utc};
use chrono_tz::Tz;
use minijinja::value::{Kwargs, Object, ObjectRepr, Rest, from_args};
use minijinja::{Error, ErrorKind, State, Value};
use uuid::Uuid;

use super::dates::{self, Delta, Moment};
use super::json;

/// The object `macros`, or one of the modules in it.
#[derive(Debug)]
pub(super) struct Macros {
    module: Module,
    now: DateTime<Utc>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Module {
    Macros,
    DateTime,
    Json,
    Uuid,
    Random,
    Time,
}

impl Macros {
    /// All of them; `now` is what they take for the present.
    pub(super) fn value(now: DateTime<Utc>) -> Value {
        Value::from_object(Macros { module: Module::Macros, now })
    }

    fn call_macro(&self, name: &str, args: &[Value]) -> Result<Value, Error> {
        match name {
            "ds_add" => from_args(args).and_then(|(ds, days): (&str, i64)| ds_add(ds, days)),
            "ds_format" => {
                from_args(args).and_then(|(ds, from, to): (&str, &str, &str)| ds_format(ds, from, to))
            }
            "datetime_diff_for_humans" => {
                let (at, since): (Value, Option<Value>) = from_args(args)?;
                diff_for_humans(&at, since.as_ref(), self.now)
            }
            "datetime" => datetime(args),
            "timedelta" => Delta::from_call(args).map(Value::from_object),
            "random" => from_args::<()>(args).map(|()| Value::from(rand::random::<f64>())),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }

    fn call_datetime(&self, name: &str, args: &[Value]) -> Result<Value, Error> {
        match name {
            "now" | "utcnow" | "today" => Ok(dates::moment(self.now)),
            "strptime" => from_args(args)
                .and_then(|(text, form): (&str, &str)| dates::strptime(text, form))
                .map(Value::from_object),
            "fromisoformat" => {
                from_args(args).and_then(|(text,): (&str,)| dates::parse(text)).map(Value::from_object)
            }
            "fromtimestamp" => {
                let (seconds,): (i64,) = from_args(args)?;
                let at = DateTime::from_timestamp(seconds, 0);
                at.map(dates::moment).ok_or_else(|| wrong("the timestamp is out of range"))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

impl Object for Macros {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let module = match (self.module, key.as_str()?) {
            (Module::Macros, "datetime") => Module::DateTime,
            (Module::Macros, "json") => Module::Json,
            (Module::Macros, "uuid") => Module::Uuid,
            (Module::Macros, "random") => Module::Random,
            (Module::Macros, "time") => Module::Time,
            _ => return None,
        };
        Some(Value::from_object(Macros { module, now: self.now }))
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<macros {:?}>", self.module)
    }

    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        match self.module {
            Module::DateTime => datetime(args),
            Module::Random => from_args::<()>(args).map(|()| Value::from(rand::random::<f64>())),
            Module::Macros | Module::Json | Module::Uuid | Module::Time => {
                Err(wrong("this cannot be called"))
            }
        }
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        name: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        match (self.module, name) {
            (Module::Macros, _) => self.call_macro(name, args),
            (Module::DateTime, _) => self.call_datetime(name, args),
            (Module::Json, "dumps") => {
                from_args(args).and_then(|(value, _rest): (Value, Kwargs)| json_dumps(&value))
            }
            (Module::Json, "loads") => from_args(args).and_then(|(text,): (&str,)| json_loads(text)),
            (Module::Uuid, "uuid4") => Ok(Value::from(Uuid::new_v4().to_string())),
            (Module::Uuid, "uuid7") => Ok(Value::from(Uuid::now_v7().to_string())),
            (Module::Time, "time") => Ok(Value::from(self.now.timestamp())),
            (Module::Json | Module::Uuid | Module::Random | Module::Time, _) => {
                Err(Error::from(ErrorKind::UnknownMethod))
            }
        }
    }
}

fn ds_add(ds: &str, days: i64) -> Result<Value, Error> {
    let day = NaiveDate::parse_from_str(ds, "%Y-%m-%d")
        .map_err(|_| wrong(format!("{ds:?} is not a date like 2026-01-31")))?;
    let count = Days::new(days.unsigned_abs());
    let moved = if days < 0 { day.checked_sub_days(count) } else { day.checked_add_days(count) };
    moved
        .filter(|day| (0..=9999).contains(&day.year()))
        .map(|day| Value::from(day.to_string()))
        .ok_or_else(|| wrong("the date is out of range"))
}

fn ds_format(ds: &str, from: &str, to: &str) -> Result<Value, Error> {
    let at = dates::strptime(ds, from)?;
    dates::strftime(&at.0, to).map(Value::from)
}

fn datetime(args: &[Value]) -> Result<Value, Error> {
    let (year, month, day, time): (i32, u32, u32, Rest<u32>) = from_args(args)?;
    let part = |at: usize| time.get(at).copied().unwrap_or(0);
    let time = NaiveTime::from_hms_micro_opt(part(0), part(1), part(2), part(3));
    let at = NaiveDate::from_ymd_opt(year, month, day).zip(time).map(|(day, time)| day.and_time(time));
    let at = at.ok_or_else(|| wrong("there is no such date"))?;
    Ok(Value::from_object(Moment(at.and_utc().with_timezone(&Tz::UTC))))
}

fn diff_for_humans(at: &Value, since: Option<&Value>, now: DateTime<Utc>) -> Result<Value, Error> {
    let of = |value: &Value| match value.downcast_object_ref::<Moment>() {
        Some(moment) => Ok(moment.0.to_utc()),
        None => dates::parse(value.as_str().unwrap_or_default()).map(|moment| moment.0.to_utc()),
    };
    let (at, other, ago, ahead) = match since {
        Some(since) => (of(at)?, of(since)?, "before", "after"),
        None => (of(at)?, now, "ago", "from now"),
    };
    let seconds = (at - other).num_seconds();
    let units = [
        (31_557_600, "year"),
        (2_629_800, "month"),
        (604_800, "week"),
        (86_400, "day"),
        (3600, "hour"),
        (60, "minute"),
    ];
    let (count, unit) = units
        .iter()
        .find(|(size, _)| seconds.abs() >= *size)
        .map_or((seconds.abs(), "second"), |(size, unit)| (seconds.abs() / size, unit));
    let plural = if count == 1 { "" } else { "s" };
    Ok(Value::from(format!("{count} {unit}{plural} {}", if seconds < 0 { ago } else { ahead })))
}

fn json_dumps(value: &Value) -> Result<Value, Error> {
    serde_json::to_string(value).map(Value::from).map_err(|error| wrong(error.to_string()))
}

fn json_loads(text: &str) -> Result<Value, Error> {
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
    Ok(json::value(value))
}

fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}
