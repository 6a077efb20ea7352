//! Hides secrets in what people see: logs, reasons, rendered fields, XComs. Source of the rules: Airflow's secrets masker.
//!
//! Airflow hides a secret as it is. Here it is hidden, too, in the forms in which programs write it down, and where two secrets overlap
//! nothing is left of either.

mod forms;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use aho_corasick::AhoCorasick;
use serde_json::{Map, Value};

use crate::secret::{MASK, is_secret_name};
use forms::forms;

/// Secrets of fewer characters are not hidden: they would turn ordinary words into stars (Airflow's `min_length_masked_secret`).
const SHORTEST: usize = 5;
/// A word that is never hidden: it is the password of half the databases on which Airflow is tried out, and stands in every other line
/// (Airflow's `SECRETS_TO_SKIP_MASKING`).
const NO_SECRET: &str = "airflow";

/// Replaces known secrets by `***`.
#[derive(Debug, Default)]
pub struct Masker {
    secrets: BTreeSet<String>,
    search: Option<AhoCorasick>,
}

impl Masker {
    /// Learns secrets. Each is also known in the forms it takes in a URL, in JSON and the like, and line by line.
    pub fn add(&mut self, secrets: impl IntoIterator<Item = String>) {
        let before = self.secrets.len();
        for secret in secrets {
            self.learn(&secret);
            // Lines of a log are shown one by one.
            for line in secret.lines().filter(|line| line.len() < secret.len()) {
                self.learn(line);
            }
        }
        if self.secrets.len() > before {
            self.search = AhoCorasick::new(&self.secrets).ok();
        }
    }

    fn learn(&mut self, secret: &str) {
        let secret = secret.trim();
        let is_long_enough = secret.chars().nth(SHORTEST - 1).is_some();
        if is_long_enough && !secret.eq_ignore_ascii_case(NO_SECRET) && !self.secrets.contains(secret) {
            self.secrets.extend(forms(secret).into_iter().filter(|form| form.len() >= SHORTEST));
        }
    }

    /// `text` with secrets hidden.
    pub fn bytes<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        let places = self.places(text);
        if places.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut masked = Vec::with_capacity(text.len());
        let mut from = 0;
        for place in places {
            masked.extend_from_slice(&text[from..place.start]);
            masked.extend_from_slice(MASK.as_bytes());
            from = place.end;
        }
        masked.extend_from_slice(&text[from..]);
        Cow::Owned(masked)
    }

    /// `text` with secrets hidden.
    pub fn text(&self, text: &str) -> String {
        // Secrets are texts: what is left between them is text, too.
        String::from_utf8_lossy(&self.bytes(text.as_bytes())).into_owned()
    }

    /// `value` with secrets hidden in its texts, its numbers and the keys of its objects.
    pub fn json(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Number(number) if self.has(&number.to_string()) => MASK.into(),
            Value::Array(items) => items.iter().map(|item| self.json(item)).collect(),
            Value::Object(map) => Value::Object(self.object(map)),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    /// As [`Masker::json`].
    pub fn object(&self, map: &Map<String, Value>) -> Map<String, Value> {
        map.iter().map(|(key, item)| (self.text(key), self.json(item))).collect()
    }

    /// How many bytes at the end of `text`, in which secrets are hidden already, may be the beginning of another one.
    pub fn begun(&self, text: &[u8]) -> usize {
        let begun = |secret: &String| {
            let most = text.len().min(secret.len() - 1);
            (1..=most).rev().find(|length| text.ends_with(&secret.as_bytes()[..*length]))
        };
        self.secrets.iter().filter_map(begun).max().unwrap_or_default()
    }

    /// Whether there is a secret in `text`.
    fn has(&self, text: &str) -> bool {
        self.search.as_ref().is_some_and(|search| search.is_match(text))
    }

    /// Where secrets stand, in order. Those that overlap are one place.
    fn places(&self, text: &[u8]) -> Vec<Range<usize>> {
        let Some(search) = self.search.as_ref().filter(|search| search.is_match(text)) else {
            return Vec::new();
        };
        let mut found: Vec<Range<usize>> =
            search.find_overlapping_iter(text).map(|found| found.range()).collect();
        found.sort_by_key(|place| place.start);
        let mut places: Vec<Range<usize>> = Vec::with_capacity(found.len());
        for place in found {
            match places.last_mut() {
                Some(last) if place.start < last.end => last.end = last.end.max(place.end),
                Some(_) | None => places.push(place),
            }
        }
        places
    }
}

/// What of a variable must not be seen.
pub fn secrets_of_variable(key: &str, value: &str) -> Vec<String> {
    let sensitive = is_secret_name(key);
    let mut secrets =
        serde_json::from_str(value).map(|json| secrets_in_json(&json, sensitive)).unwrap_or_default();
    if sensitive {
        secrets.push(value.to_owned());
    }
    secrets
}

/// The texts in `value` that are secret: all when `sensitive`, else those below a key with a secret name.
pub fn secrets_in_json(value: &Value, sensitive: bool) -> Vec<String> {
    match value {
        Value::String(text) if sensitive => vec![text.clone()],
        Value::Array(items) => items.iter().flat_map(|item| secrets_in_json(item, sensitive)).collect(),
        Value::Object(map) => map
            .iter()
            .flat_map(|(key, item)| secrets_in_json(item, sensitive || is_secret_name(key)))
            .collect(),
        Value::Number(number) if sensitive => vec![number.to_string()],
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use test_case::test_case;

    use super::*;

    fn masker(secrets: &[&str]) -> Masker {
        let mut masker = Masker::default();
        masker.add(secrets.iter().map(|secret| (*secret).to_owned()));
        masker
    }

    const ODD: &str = "p@ss w/ö'\"\\€.*[a-z]+$";

    #[test_case("p@ss w/ö'\"\\€.*[a-z]+$" ; "as it is, signs of patterns among it")]
    #[test_case(r#"p@ss w/ö\'"\\€.*[a-z]+$"# ; "by repr")]
    #[test_case(r#"p@ss w/\xf6\'"\\\u20ac.*[a-z]+$"# ; "by ascii")]
    #[test_case(r#"p@ss w/\xc3\xb6\'"\\\xe2\x82\xac.*[a-z]+$"# ; "bytes")]
    #[test_case(r#"p@ss w/\u00f6'\"\\\u20ac.*[a-z]+$"# ; "by json")]
    #[test_case(r#"p@ss w/\\u00f6'\\\"\\\\\\u20ac.*[a-z]+$"# ; "by json in json")]
    #[test_case("p%40ss%20w%2F%C3%B6%27%22%5C%E2%82%AC.%2A%5Ba-z%5D%2B%24" ; "in an address")]
    #[test_case("p%40ss+w%2F%C3%B6%27%22%5C%E2%82%AC.%2A%5Ba-z%5D%2B%24" ; "in a form")]
    #[test_case("cEBzcyB3L8O2JyJc4oKsLipbYS16XSsk" ; "by base64")]
    fn a_secret_is_hidden_in_every_form(form: &str) {
        let masker = masker(&[ODD]);
        assert_eq!(masker.text(&format!("<{form}>")), "<***>");
        let url = format!("postgres://me:{form}@host/db?x=1, {form}{form}");
        assert_eq!(masker.text(&url), "postgres://me:***@host/db?x=1, ******");
        let log = [b"\xff\0", form.as_bytes(), b"\xff"].concat();
        assert_eq!(masker.bytes(&log).as_ref(), b"\xff\0***\xff");
    }

    #[test_case("abcd", "abcd" ; "too short")]
    #[test_case("äöüß", "äöüß" ; "too short in characters")]
    #[test_case("a\"\"b", r#"a\"\"b"# ; "too short, however it is written")]
    #[test_case("Airflow", "Airflow" ; "the word that is no secret")]
    #[test_case("", "" ; "nothing")]
    #[test_case("     ", "     " ; "nothing but blanks")]
    fn what_is_no_secret_is_shown(secret: &str, text: &str) {
        assert_eq!(masker(&[secret]).text(text), text);
    }

    #[test_case(&["abcdef", "defghi"], "x abcdefghi y", "x *** y" ; "one ends in another")]
    #[test_case(&["hunter2", "hunter2000"], "hunter2000 hunter2", "*** ***" ; "one begins like another")]
    #[test_case(&["under", "thunderstorm"], "thunderstorms and under", "***s and ***" ; "one within another")]
    #[test_case(&["aaaaa"], "aaaaaaa!", "***!" ; "one overlaps itself")]
    #[test_case(&["first", "other"], "firstother", "******" ; "one after another")]
    fn nothing_is_left_of_secrets_that_overlap(secrets: &[&str], text: &str, expected: &str) {
        assert_eq!(masker(secrets).text(text), expected);
    }

    #[test]
    fn secrets_are_hidden_in_all_their_forms() {
        let masker = masker(&["p@ss/word", "hunter2", "hunter2000", "say \"hi\" there", "abc"]);
        assert_eq!(masker.text("pw p@ss/word, hunter2000 and hunter2"), "pw ***, *** and ***");
        assert_eq!(masker.text("postgres://u:p%40ss%2Fword@h/d"), "postgres://u:***@h/d");
        assert_eq!(masker.text(r#"{"x": "say \"hi\" there"}"#), r#"{"x": "***"}"#);
        assert_eq!(masker.text("abc"), "abc");
        assert_eq!(masker.bytes(b"\xffhunter2\xff").as_ref(), b"\xff***\xff");
    }

    #[test]
    fn a_key_of_many_lines_is_hidden_line_by_line() {
        let masker = masker(&["-----BEGIN KEY-----\nMIIEvAIBADANBg\nkqhkiG9w0BAQ\n-----END KEY-----"]);
        assert_eq!(masker.text("x MIIEvAIBADANBg y"), "x *** y");
        let whole = "a -----BEGIN KEY-----\\nMIIEvAIBADANBg\\nkqhkiG9w0BAQ\\n-----END KEY----- b";
        assert_eq!(masker.text(whole), "a *** b", "and where it stands in one line");
        assert_eq!(masker.text(&whole.replace("\\n", "\n")), "a *** b");
    }

    #[test]
    fn the_beginning_of_a_secret_is_noticed() {
        let masker = masker(&["hunter2000", "terrier"]);
        assert_eq!(masker.begun(b"x hunter200"), 9);
        assert_eq!(masker.begun(b"x hunter"), 6, "of both the longer one");
        assert_eq!(masker.begun(b"t"), 1);
        assert_eq!(masker.begun(b""), 0);
        assert_eq!(Masker::default().begun(b"hunter"), 0);
    }

    #[test]
    fn values_keep_their_shape() {
        let masker = masker(&["hunter2", "123456"]);
        let value = json!({"a": ["pw=hunter2", 1, null, {"hunter2": true}], "pin": 123_456, "b": 12});
        let masked = json!({"a": ["pw=***", 1, null, {"***": true}], "pin": "***", "b": 12});
        assert_eq!(masker.json(&value), masked);
    }

    #[test]
    fn what_stands_below_a_secret_name_is_secret() {
        let extra = json!({"sslmode": "require", "auth": {"user": "joe", "pin": 123_456}, "list": [{"token": "t0ken"}]});
        assert_eq!(secrets_in_json(&extra, false), ["joe", "123456", "t0ken"]);
    }
}
