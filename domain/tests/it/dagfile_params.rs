//! What a run is given.

use domain::params::{from_form, resolve};
use serde_json::{Map, Value, json};

use crate::dagfile::dag;

const PARAMS: &str = "
params:
  day: {type: string, format: date, default: 2013-01-01}
  count: {type: integer, minimum: 1, maximum: 9, default: 3}
  ratio: {type: number, default: 0.5}
  full: {type: boolean, default: true}
  size: {enum: [s, m, 3], default: m}
  names: {type: array, items: {type: string}, default: []}
  numbers: {type: array, items: {type: integer}, default: [1]}
  extra: {type: object, default: {}}
  note: {type: [string, 'null'], default: null}
  free: 7
  needed: {type: string, minLength: 2}
tasks: {t: {empty: {}}}
";

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_else(|| panic!("{value} is no object"))
}

fn told(conf: Value) -> Vec<String> {
    let errors = resolve(&dag(PARAMS).params, &object(conf)).err().unwrap_or_default();
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn conf_lies_over_the_defaults_and_strangers_stay_out() {
    let values =
        resolve(&dag(PARAMS).params, &object(json!({"needed": "yes", "count": 4, "stranger": 1}))).unwrap();
    assert_eq!(values["count"], 4);
    assert_eq!(values["day"], "2013-01-01");
    assert_eq!(values["note"], Value::Null);
    assert!(!values.contains_key("stranger"));
    assert_eq!(values.keys().next().unwrap(), "day");
}

#[test]
fn each_refusal_names_the_param_the_value_and_what_is_wanted() {
    assert_eq!(told(json!({})), ["param `needed` is required: it has no default"]);
    assert_eq!(
        told(
            json!({"needed": "x", "day": "tomorrow", "count": 12, "ratio": "half", "size": "xl", "numbers": [1, "two"], "extra": 3})
        ),
        [
            "param `day` must be a date such as 2026-01-31, not `tomorrow`",
            "param `count` must be at most 9, not 12",
            "param `ratio` must be a number, not `half`",
            "param `size` must be one of `s`, `m`, 3, not `xl`",
            "param `numbers` has in `1` a value that must be a whole number, not `two`",
            "param `extra` must be a mapping, not 3",
            "param `needed` must have at least 2 characters, not `x`",
        ]
    );
    assert_eq!(
        told(json!({"needed": "ok", "day": "2013-02-30"})),
        ["param `day` must be a date such as 2026-01-31, not `2013-02-30`"]
    );
    assert_eq!(told(json!({"needed": null})), ["param `needed` must be a text, not null"]);
}

fn form(fields: &[(&str, &str)]) -> Result<Map<String, Value>, Vec<String>> {
    let fields: Vec<(String, String)> =
        fields.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    from_form(&dag(PARAMS).params, &fields).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

#[test]
fn a_form_becomes_typed_values() {
    let values = form(&[
        ("day", "2026-01-31"),
        ("count", " 4 "),
        ("ratio", "2"),
        ("full", "on"),
        ("size", "3"),
        ("names", "a\nb c\n\n"),
        ("numbers", "[1, 2]"),
        ("extra", "{\"a\": 1}"),
        ("note", ""),
        ("free", "8"),
        ("needed", "true"),
        ("csrf", "x"),
    ])
    .unwrap();
    let expected = json!({
        "day": "2026-01-31", "count": 4, "ratio": 2.0, "full": true, "size": 3, "names": ["a", "b c"], "numbers": [1, 2],
        "extra": {"a": 1}, "note": null, "free": 8, "needed": "true",
    });
    assert_eq!(Value::Object(values.clone()), expected);
    resolve(&dag(PARAMS).params, &values).unwrap();
}

#[test]
fn what_a_form_leaves_out() {
    let values = form(&[("count", ""), ("names", "a"), ("names", "b"), ("needed", "")]).unwrap();
    // A box that is not ticked is not sent; an empty number is as good as none; a field may be sent several times.
    assert_eq!(Value::Object(values), json!({"full": false, "names": ["a", "b"], "needed": ""}));
}

#[test]
fn what_a_form_cannot_mean() {
    assert_eq!(
        form(&[
            ("count", "four"),
            ("full", "perhaps"),
            ("extra", "{"),
            ("numbers", "1\ntwo"),
            ("ratio", "1,5")
        ])
        .unwrap_err(),
        [
            "param `count` must be a whole number, not `four`",
            "param `ratio` must be a number, not `1,5`",
            "param `full` must be true or false, not `perhaps`",
            "param `numbers` must be a list, not `1\\ntwo`",
            "param `extra` must be a mapping, not `{`",
        ]
    );
}
