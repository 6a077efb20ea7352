//! Hides secrets in what people see: logs, reasons, rendered fields. Source of the rules: Airflow's secrets masker.

use std::borrow::Cow;
use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, MatchKind};
use serde_json::Value;

use crate::secret::{MASK, is_secret_name};

/// Shorter texts are not hidden: they would turn ordinary words into stars (Airflow's `min_length_masked_secret`).
const SHORTEST: usize = 5;

/// Replaces known secrets by `***`.
#[derive(Debug, Default)]
pub struct Masker {
    secrets: BTreeSet<String>,
    search: Option<AhoCorasick>,
}

impl Masker {
    /// Learns secrets. Each is also known in the forms it takes in a URL and in JSON, and line by line.
    pub fn add(&mut self, secrets: impl IntoIterator<Item = String>) {
        let before = self.secrets.len();
        for secret in secrets {
            for form in forms(&secret) {
                self.secrets.extend(
                    form.lines().map(str::trim).filter(|line| line.len() >= SHORTEST).map(str::to_owned),
                );
            }
        }
        if self.secrets.len() > before {
            let search = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&self.secrets);
            self.search = search.ok();
        }
    }

    /// `text` with secrets hidden.
    pub fn bytes<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        match &self.search {
            Some(search) if search.is_match(text) => {
                Cow::Owned(search.replace_all_bytes(text, &self.stars()))
            }
            Some(_) | None => Cow::Borrowed(text),
        }
    }

    /// `text` with secrets hidden.
    pub fn text(&self, text: &str) -> String {
        match &self.search {
            Some(search) => search.replace_all(text, &self.stars()),
            None => text.to_owned(),
        }
    }

    fn stars(&self) -> Vec<&'static str> {
        vec![MASK; self.secrets.len()]
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

fn forms(secret: &str) -> [String; 3] {
    let json = serde_json::to_string(secret).unwrap_or_default();
    let json = json.trim_matches('"').to_owned();
    [secret.to_owned(), percent_encoded(secret), json]
}

/// As it stands in a URL: everything but letters, digits and `-_.~` escaped, as Python's `quote(text, safe="")`.
fn percent_encoded(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn masker(secrets: &[&str]) -> Masker {
        let mut masker = Masker::default();
        masker.add(secrets.iter().map(|secret| (*secret).to_owned()));
        masker
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
    }

    #[test]
    fn what_stands_below_a_secret_name_is_secret() {
        let extra = json!({"sslmode": "require", "auth": {"user": "joe", "pin": 123_456}, "list": [{"token": "t0ken"}]});
        assert_eq!(secrets_in_json(&extra, false), ["joe", "123456", "t0ken"]);
    }
}
