//! What wakes a task of an Airflow DAG file that has asked people.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::Reply;

impl Reply {
    /// What wakes a task of an Airflow DAG file that has asked. Source: Airflow 3.3.2 `HITLDetail.as_resume_event_payload`.
    #[must_use]
    pub fn event(&self, by: Option<&str>, at: DateTime<Utc>) -> Value {
        let mut event = self.result(by, at);
        event["responded_at"] = moment(at);
        event["timedout"] = by.is_none().into();
        event
    }
}

/// What wakes a task of an Airflow DAG file that nobody has answered in time. Source: Airflow 3.3.2
/// `scheduler_job_runner.check_awaiting_input_timeouts`.
#[must_use]
pub fn silence() -> Value {
    json!({
        "error": "The Human-in-the-loop response timeout has passed without a response.",
        "error_type": "timeout",
    })
}

/// A moment as Airflow's serializer writes it. Source: Airflow 3.3.2 `sdk/serde/serializers/datetime.py`.
fn moment(at: DateTime<Utc>) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "Python's timestamps are such numbers, too")]
    let timestamp = at.timestamp_micros() as f64 / 1e6;
    json!({
        "__classname__": "datetime.datetime", "__version__": 2,
        "__data__": {"timestamp": timestamp, "tz": ["UTC", "pendulum.tz.timezone.Timezone", 1, true]},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(params: Value) -> Reply {
        let params_input = params.as_object().cloned().unwrap_or_default();
        Reply { chosen_options: vec!["a".to_owned()], params_input, remark: None }
    }

    #[test]
    fn an_event_has_airflows_form() {
        let at = DateTime::from_timestamp_millis(1_767_323_045_250).unwrap_or_default();
        let event = reply(json!({"n": 1})).event(Some("ada"), at);
        assert_eq!(event["responded_at"]["__data__"]["timestamp"], 1_767_323_045.25);
        assert_eq!((&event["timedout"], &event["responded_by_user"]["id"]), (&json!(false), &json!("ada")));
        assert_eq!(reply(json!({})).event(None, at)["timedout"], true);
    }
}
