//! Frames of Airflow's supervisor protocol: a length of four bytes, then MessagePack.
//!
//! A request is `[id, body]`, an answer `[id, body, error]`. Bodies are JSON in all but the encoding, with one exception: Airflow
//! writes moments as MessagePack's timestamp extension, which becomes a text in RFC 3339 here. Source: Airflow 3.3.2
//! `sdk/execution_time/comms.py` (`_RequestFrame`, `_ResponseFrame`).

use chrono::{DateTime, SecondsFormat, Utc};
use rmpv::Value as Packed;
use serde_json::{Map, Number, Value, json};

/// Longest frame, in bytes: a serialized DAG of 50,000 tasks fits.
pub const MAX_FRAME: usize = 256 << 20;
/// How deep values may be nested.
const MAX_DEPTH: usize = 100;
/// The number of MessagePack's timestamp extension.
const TIMESTAMP: i8 = -1;

/// Bytes that are no frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a frame of the supervisor protocol: {0}")]
pub struct Malformed(pub(crate) String);

/// What a frame of a child says.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The number that the answer carries.
    pub id: i64,
    /// What is asked or told.
    pub body: Value,
}

/// An answer, ready to be written.
#[must_use]
pub fn answer(id: i64, body: &Value, error: Option<&Value>) -> Vec<u8> {
    let mut parts = vec![Packed::from(id), packed(body)];
    parts.extend(error.map(packed));
    with_length(&Packed::Array(parts))
}

/// Reads what follows the length.
///
/// # Errors
/// When it is not a request.
pub fn asked(bytes: &[u8]) -> Result<Asked, Malformed> {
    let mut rest = bytes;
    let packed = rmpv::decode::read_value_with_max_depth(&mut rest, MAX_DEPTH)
        .map_err(|error| Malformed(error.to_string()))?;
    let Packed::Array(parts) = packed else {
        return Err(Malformed("it is not a list".to_owned()));
    };
    let mut parts = parts.into_iter();
    let id =
        parts.next().and_then(|id| id.as_i64()).ok_or_else(|| Malformed("it has no number".to_owned()))?;
    let body = parts.next().unwrap_or(Packed::Nil);
    let moments = if is_of_triggers(&body) { serialized } else { text };
    Ok(Asked { id, body: unpacked(body, moments) })
}

/// What triggers hand to tasks goes through Airflow's serializer, which has a form of its own for moments.
fn is_of_triggers(body: &Packed) -> bool {
    let Packed::Map(entries) = body else { return false };
    let kind = entries.iter().find(|(key, _)| key.as_str() == Some("type"));
    kind.is_some_and(|(_, kind)| kind.as_str() == Some("TriggerStateChanges"))
}

fn with_length(value: &Packed) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    // Writing to memory cannot fail, and a frame that is too long is refused by its reader.
    let _infallible = rmpv::encode::write_value(&mut bytes, value);
    let length = u32::try_from(bytes.len() - 4).unwrap_or(u32::MAX);
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    bytes
}

fn packed(value: &Value) -> Packed {
    match value {
        Value::Null => Packed::Nil,
        Value::Bool(value) => Packed::from(*value),
        Value::Number(number) => packed_number(number),
        Value::String(text) => Packed::from(text.as_str()),
        Value::Array(items) => Packed::Array(items.iter().map(packed).collect()),
        Value::Object(map) => {
            Packed::Map(map.iter().map(|(key, value)| (Packed::from(key.as_str()), packed(value))).collect())
        }
    }
}

fn packed_number(number: &Number) -> Packed {
    let whole = number.as_i64().map(Packed::from).or_else(|| number.as_u64().map(Packed::from));
    whole.unwrap_or_else(|| Packed::F64(number.as_f64().unwrap_or(f64::NAN)))
}

fn unpacked(value: Packed, moments: Moments) -> Value {
    match value {
        Packed::Nil => Value::Null,
        Packed::Boolean(value) => Value::Bool(value),
        Packed::Integer(number) => {
            let number = number.as_i64().map(Number::from).or_else(|| number.as_u64().map(Number::from));
            number.map_or(Value::Null, Value::Number)
        }
        Packed::F32(number) => float(f64::from(number)),
        Packed::F64(number) => float(number),
        Packed::String(text) => Value::String(text.into_str().unwrap_or_default()),
        Packed::Binary(bytes) => Value::String(String::from_utf8_lossy(&bytes).into_owned()),
        Packed::Array(items) => Value::Array(items.into_iter().map(|item| unpacked(item, moments)).collect()),
        Packed::Map(entries) => Value::Object(
            entries
                .into_iter()
                .map(|(key, value)| (name(key), unpacked(value, moments)))
                .collect::<Map<_, _>>(),
        ),
        Packed::Ext(TIMESTAMP, bytes) => moment(&bytes).map_or(Value::Null, moments),
        Packed::Ext(_, _) => Value::Null,
    }
}

/// JSON has no form for what is not finite; Airflow's own serializer writes a text there, too.
fn float(number: f64) -> Value {
    Number::from_f64(number).map_or_else(|| Value::String(number.to_string().to_lowercase()), Value::Number)
}

fn name(key: Packed) -> String {
    match unpacked(key, text) {
        Value::String(text) => text,
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            other.to_string()
        }
    }
}

/// The three forms of a timestamp: seconds in 4 bytes; nanoseconds and seconds in 8; both in 12. Source: the MessagePack
/// specification, "Timestamp extension type".
fn moment(bytes: &[u8]) -> Option<DateTime<Utc>> {
    let (seconds, nanos) = match bytes.len() {
        4 => (i64::from(u32::from_be_bytes(bytes.try_into().ok()?)), 0),
        8 => {
            let both = u64::from_be_bytes(bytes.try_into().ok()?);
            (i64::try_from(both & 0x3_ffff_ffff).ok()?, u32::try_from(both >> 34).ok()?)
        }
        12 => {
            let nanos = u32::from_be_bytes(bytes[..4].try_into().ok()?);
            (i64::from_be_bytes(bytes[4..].try_into().ok()?), nanos)
        }
        _ => return None,
    };
    DateTime::<Utc>::from_timestamp(seconds, nanos)
}

/// How moments are written.
type Moments = fn(DateTime<Utc>) -> Value;

fn text(moment: DateTime<Utc>) -> Value {
    Value::String(moment.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

/// Source: Airflow 3.3.2 `sdk/serde/serializers/datetime.py`.
fn serialized(moment: DateTime<Utc>) -> Value {
    let (seconds, micros) = (moment.timestamp(), moment.timestamp_subsec_micros());
    #[expect(clippy::cast_precision_loss, reason = "Python keeps it as such a number, too")]
    let timestamp = seconds as f64 + f64::from(micros) / 1e6;
    json!({
        "__classname__": "datetime.datetime", "__version__": 2,
        "__data__": {"timestamp": timestamp, "tz": ["UTC", "pendulum.tz.timezone.Timezone", 1, true]},
    })
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    fn request(body: Packed) -> Vec<u8> {
        with_length(&Packed::Array(vec![Packed::from(7), body]))
    }

    #[test_case(json!({"type": "GetXCom", "key": "return_value", "map_index": null}))]
    #[test_case(json!([1, -1, 1.5, "Ä", true, null, {"a": [{}]}, u64::MAX, i64::MIN]); "all kinds")]
    #[test_case(json!(null))]
    fn a_body_comes_back_as_it_was(body: Value) {
        let bytes = answer(7, &body, None);
        assert_eq!(u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize, bytes.len() - 4);
        assert_eq!(asked(&bytes[4..]).unwrap(), Asked { id: 7, body });
    }

    #[test]
    fn an_error_is_the_third_part() {
        let bytes = answer(1, &Value::Null, Some(&json!({"error": "X"})));
        let Packed::Array(parts) = rmpv::decode::read_value(&mut &bytes[4..]).unwrap() else { panic!() };
        assert_eq!((parts.len(), unpacked(parts[2].clone(), text)), (3, json!({"error": "X"})));
    }

    #[test_case(&[0, 0, 0, 1], "1970-01-01T00:00:01Z"; "seconds")]
    #[test_case(&((5_u64 << 34) | 1_700_000_000).to_be_bytes(), "2023-11-14T22:13:20.000000005Z"; "nanoseconds")]
    #[test_case(&[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "1969-12-31T23:59:59Z"; "before the epoch")]
    fn moments_become_texts(bytes: &[u8], text: &str) {
        let frame = request(Packed::Ext(-1, bytes.to_vec()));
        assert_eq!(asked(&frame[4..]).unwrap().body, json!(text));
    }

    #[test]
    fn moments_of_triggers_are_as_airflows_serializer_writes_them() {
        let entry = |key: &str, value| (Packed::from(key), value);
        let moment = Packed::Ext(-1, 1_700_000_000_u32.to_be_bytes().to_vec());
        let body =
            Packed::Map(vec![entry("type", Packed::from("TriggerStateChanges")), entry("events", moment)]);
        let moment = &asked(&request(body)[4..]).unwrap().body["events"];
        assert_eq!(moment["__classname__"], "datetime.datetime");
        assert_eq!(moment["__data__"]["timestamp"], json!(1_700_000_000.0));
    }

    #[test]
    fn what_json_has_no_form_for_is_a_text_and_keys_are_texts() {
        let odd = Packed::Map(vec![
            (Packed::from(3), Packed::F64(f64::NAN)),
            (Packed::Nil, Packed::F64(f64::INFINITY)),
        ]);
        assert_eq!(asked(&request(odd)[4..]).unwrap().body, json!({"3": "nan", "null": "inf"}));
    }

    #[test_case(&[0x80]; "a map")]
    #[test_case(&[]; "nothing")]
    #[test_case(&[0x92, 0xa1, b'x', 0xc0]; "no number")]
    #[test_case(&[0x92, 1]; "cut off")]
    fn anything_else_is_malformed(bytes: &[u8]) {
        assert!(asked(bytes).is_err());
    }

    #[test]
    fn a_bottomless_value_is_malformed() {
        let mut bytes = vec![0x92, 1];
        bytes.extend(vec![0x91; 100_000]);
        bytes.push(0xc0);
        assert!(asked(&bytes).is_err());
    }
}
