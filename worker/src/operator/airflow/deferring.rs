//! A task that defers, or that waits for people: what it says becomes what the records keep. Source: Airflow 3.3.2 `TIDeferredStatePayload` and the route that takes it.

use domain::deferral::{Deferral, LeftTo};
use domain::span::Span;
use python::message::{AwaitInputTask, DeferTask};
use serde_json::{Map, Value};

/// What a task leaves that defers.
///
/// # Errors
/// What cannot be understood, or is too large, for people.
pub(super) fn deferral(told: DeferTask) -> Result<Deferral, String> {
    let DeferTask { classpath, trigger_kwargs, trigger_timeout, next_method, next_kwargs, .. } = told;
    let timeout = trigger_timeout.map(|text| {
        span(&text).ok_or_else(|| format!("the timeout of its trigger, {text:?}, is no length of time"))
    });
    let deferral = Deferral {
        to: LeftTo::Trigger { classpath, kwargs: arguments(trigger_kwargs)? },
        timeout: timeout.transpose()?,
        next_method,
        next_kwargs: next_kwargs.unwrap_or_default(),
    };
    deferral.check().map(|()| deferral)
}

/// What a task leaves that waits for the answer to what it has asked.
///
/// # Errors
/// What cannot be understood, or is too large, for people.
pub(super) fn input(told: AwaitInputTask, asked: LeftTo) -> Result<Deferral, String> {
    let timeout = told.timeout.map(|text| {
        span(&text).ok_or_else(|| format!("the time for an answer, {text:?}, is no length of time"))
    });
    let deferral = Deferral {
        to: asked,
        timeout: timeout.transpose()?,
        next_method: told.next_method,
        next_kwargs: told.next_kwargs.unwrap_or_default(),
    };
    deferral.check().map(|()| deferral)
}

fn arguments(given: Value) -> Result<Map<String, Value>, String> {
    match given {
        Value::Null => Ok(Map::new()),
        Value::Object(map) => Ok(map),
        Value::String(text) => serde_json::from_str(&text).map_err(|_| {
            "the arguments of its trigger are encrypted, and nobody here has the key".to_owned()
        }),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
            Err("the arguments of its trigger are not named".to_owned())
        }
    }
}

/// A length of time in ISO 8601, as msgspec writes Python's: `P1DT2H3M4.5S`. One that is below nothing is over at once.
fn span(text: &str) -> Option<Span> {
    let (is_negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let rest = rest.strip_prefix('P')?;
    let (days, time) = rest.split_once('T').unwrap_or((rest, ""));
    let seconds = parts(days, &[('W', 604_800.0), ('D', 86_400.0)])?
        + parts(time, &[('H', 3_600.0), ('M', 60.0), ('S', 1.0)])?;
    if rest.is_empty() {
        return None;
    }
    let millis = if is_negative { 0.0 } else { (seconds * 1_000.0).round() };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is not negative, and capped"
    )]
    let millis = millis as u64;
    Some(Span::from_millis(millis))
}

fn parts(text: &str, units: &[(char, f64)]) -> Option<f64> {
    let mut sum = 0.0;
    let mut rest = text;
    for (unit, seconds) in units {
        if let Some((number, after)) = rest.split_once(*unit) {
            sum +=
                number.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0)? * seconds;
            rest = after;
        }
    }
    rest.is_empty().then_some(sum)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use test_case::test_case;

    use super::*;

    #[test_case("PT30S", Some(30_000))]
    #[test_case("P1DT2H3M4.5S", Some(93_784_500))]
    #[test_case("P2W", Some(1_209_600_000))]
    #[test_case("PT0S", Some(0))]
    #[test_case("-PT5S", Some(0); "in the past")]
    #[test_case("P40000000D", Some(Span::MAX.as_millis()); "no end")]
    #[test_case("P", None; "nothing")]
    #[test_case("30", None; "a number")]
    #[test_case("PT5X", None; "an unknown unit")]
    #[test_case("PTNANS", None; "no number")]
    fn lengths_of_time_are_read(text: &str, millis: Option<u64>) {
        assert_eq!(span(text).map(Span::as_millis), millis);
    }

    #[test]
    fn arguments_may_be_a_text() {
        let told = |kwargs: Value| DeferTask {
            classpath: "m.T".into(),
            trigger_kwargs: kwargs,
            trigger_timeout: None,
            next_method: "go".into(),
            next_kwargs: None,
            rendered_map_index: None,
        };
        let kwargs = |given: Value| match deferral(told(given)).unwrap().to {
            LeftTo::Trigger { kwargs, .. } => kwargs,
            LeftTo::People { .. } => panic!("it is a trigger"),
        };
        assert_eq!(kwargs(json!("{\"a\": 1}"))["a"], 1);
        assert!(deferral(told(json!("gAAAAA"))).unwrap_err().contains("encrypted"));
        assert!(kwargs(Value::Null).is_empty());
    }
}
