//! A connection as one URI, in Airflow 3's form.
//!
//! `type://login:password@host:port/schema?extra=...`, every part percent-encoded. A host with a protocol of its own gives
//! `type://protocol://login:password@host`. Extras that are texts are the query; any other extra is JSON in `__extra__`.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::Connection;
use crate::Error;

const EXTRA: &str = "__extra__";

pub(super) fn parse(conn_id: &str, text: &str) -> Result<Connection, Error> {
    let wrong =
        |what: &str| Error::Invalid(format!("the URI of the connection `{conn_id}` is wrong: {what}"));
    let (scheme, rest) = text
        .split_once("://")
        .ok_or_else(|| wrong("write type://login:password@host:port/schema, or JSON"))?;
    if scheme.is_empty() {
        return Err(wrong("it begins with the type of the connection, such as postgres://"));
    }
    let (protocol, rest) = split_protocol(rest);
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, password, place) = split_login(authority);
    let (host, port) = split_port(place).ok_or_else(|| wrong("the port is not a number from 1 to 65535"))?;
    let decode = |part: &str| decode(part, false).ok_or_else(|| wrong("a %-escape is not UTF-8"));
    let host = some(host).map(decode).transpose()?;
    Ok(Connection {
        conn_id: conn_id.to_owned(),
        conn_type: normal_type(scheme),
        description: None,
        host: match protocol {
            Some(protocol) => Some(format!("{protocol}://{}", host.unwrap_or_default())),
            None => host,
        },
        login: some(login).map(decode).transpose()?,
        password: password.map(decode).transpose()?,
        schema: some(path).map(decode).transpose()?,
        port,
        extra: parse_query(query).ok_or_else(|| wrong("the extra is not a JSON object"))?,
    })
}

pub(super) fn write(connection: &Connection) -> String {
    let mut uri = format!("{}://", connection.conn_type.to_lowercase().replace('_', "-"));
    let host = match connection
        .host
        .as_deref()
        .map(|host| host.split_once("://").map_or((None, host), |(p, h)| (Some(p), h)))
    {
        Some((Some(protocol), host)) => {
            push(&mut uri, format_args!("{protocol}://"));
            host
        }
        Some((None, host)) => host,
        None => "",
    };
    let mut has_login = false;
    if let Some(login) = &connection.login {
        has_login = true;
        uri.push_str(&percent_encoded(login));
    }
    if let Some(password) = &connection.password {
        has_login = true;
        push(&mut uri, format_args!(":{}", percent_encoded(password)));
    }
    if has_login || (host.is_empty() && connection.port.is_some()) {
        uri.push('@');
    }
    uri.push_str(&percent_encoded(host));
    if let Some(port) = connection.port {
        push(&mut uri, format_args!(":{port}"));
    }
    if let Some(schema) = some(connection.schema.as_deref().unwrap_or_default()) {
        push(&mut uri, format_args!("/{}", percent_encoded(schema)));
    }
    if !connection.extra.is_empty() {
        let slash = if connection.schema.as_deref().is_none_or(str::is_empty) { "/" } else { "" };
        push(&mut uri, format_args!("{slash}?{}", write_query(&connection.extra)));
    }
    uri
}

/// Airflow's names: `postgresql` is `postgres`, and a dash is written for an underscore.
fn normal_type(scheme: &str) -> String {
    match scheme.to_lowercase().as_str() {
        "postgresql" => "postgres".to_owned(),
        other => other.replace('-', "_"),
    }
}

/// A protocol of the host's own, and what follows it.
fn split_protocol(rest: &str) -> (Option<&str>, &str) {
    match rest.split_once("://") {
        Some((protocol, after)) if !protocol.contains(['@', ':', '/', '?']) => (Some(protocol), after),
        Some(_) | None => (None, rest),
    }
}

/// The login, which may be empty, the password, and what follows them.
fn split_login(authority: &str) -> (&str, Option<&str>, &str) {
    let (login, place) = authority.rsplit_once('@').unwrap_or(("", authority));
    match login.split_once(':') {
        Some((login, password)) => (login, Some(password), place),
        None => (login, None, place),
    }
}

/// The host and the port; `None` when the port is none.
fn split_port(place: &str) -> Option<(&str, Option<u16>)> {
    // The colons of an IPv6 address stand in brackets.
    let after_brackets = place.rfind(']').map_or(0, |at| at + 1);
    let Some(colon) = place[after_brackets..].rfind(':').map(|at| at + after_brackets) else {
        return Some((place, None));
    };
    let (host, port) = (&place[..colon], &place[colon + 1..]);
    if port.is_empty() {
        return Some((host, None));
    }
    port.parse().ok().filter(|port| *port > 0).map(|port| (host, Some(port)))
}

fn parse_query(query: &str) -> Option<Map<String, Value>> {
    let mut extra = Map::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (key, value) = (decode(key, true)?, decode(value, true)?);
        if key == EXTRA {
            return serde_json::from_str(&value).ok();
        }
        extra.insert(key, Value::String(value));
    }
    Some(extra)
}

fn write_query(extra: &Map<String, Value>) -> String {
    let texts: Option<Vec<String>> = extra
        .iter()
        .map(|(key, value)| match value {
            Value::String(text) if key != EXTRA => {
                Some(format!("{}={}", percent_encoded(key), percent_encoded(text)))
            }
            Value::String(_)
            | Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => None,
        })
        .collect();
    texts.map_or_else(
        || format!("{EXTRA}={}", percent_encoded(&serde_json::to_string(extra).unwrap_or_default())),
        |texts| texts.join("&"),
    )
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn push(uri: &mut String, part: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = uri.write_fmt(part);
}

/// `text` as it stands in a URI: everything but letters, digits and `-_.~` escaped, as Python's `quote(text, safe="")`.
#[must_use]
pub fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            push(&mut encoded, format_args!("%{byte:02X}"));
        }
    }
    encoded
}

/// An incomplete escape stands for itself. In a query a plus sign is a space.
fn decode(text: &str, in_query: bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escape = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let escape = escape.filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        match (first, escape.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            (b'+', _) if in_query => {
                bytes.push(b' ');
                rest = tail;
            }
            (byte, _) => {
                bytes.push(*byte);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn fields(uri: &str) -> [Option<String>; 6] {
        let c = parse("test", uri).unwrap();
        [Some(c.conn_type), c.login, c.password, c.host, c.port.map(|port| port.to_string()), c.schema]
    }

    #[test]
    fn reads_what_people_write() {
        let some = |text: &str| (text != "-").then(|| text.to_owned());
        for (uri, wanted) in [
            (
                "postgresql://ann:s3cret@db:5432/flights",
                ["postgres", "ann", "s3cret", "db", "5432", "flights"],
            ),
            ("postgres://ann:p%40s%3As@db", ["postgres", "ann", "p@s:s", "db", "-", "-"]),
            ("google-cloud-platform://", ["google_cloud_platform", "-", "-", "-", "-", "-"]),
            ("http://https://ann@example.org:8443", ["http", "ann", "-", "https://example.org", "8443", "-"]),
            ("fs:///%2Ftmp%2Fx", ["fs", "-", "-", "-", "-", "/tmp/x"]),
            ("http://:token@h", ["http", "-", "token", "h", "-", "-"]),
            ("http://@:8080", ["http", "-", "-", "-", "8080", "-"]),
            ("postgres://%5B::1%5D:5432/d", ["postgres", "-", "-", "[::1]", "5432", "d"]),
        ] {
            assert_eq!(fields(uri), wanted.map(some), "{uri}");
        }
        let extra = |uri| parse("test", uri).unwrap().extra;
        assert_eq!(json!(extra("a://h?x=1&y=a+b%2Bc&z")), json!({"x": "1", "y": "a b+c", "z": ""}));
        assert_eq!(json!(extra("a://h/?__extra__=%7B%22n%22%3A%201%7D")), json!({"n": 1}));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for uri in [
            "s3cret",
            "://s3cret@h",
            "a://u:s3cret@h:99999",
            "a://u:s3cret@h:0",
            "a://u:s3cret%FF@h",
            "a://u:s3cret@h?__extra__=s3cret",
        ] {
            let error = parse("test", uri).unwrap_err().to_string();
            assert!(error.contains("`test`") && !error.contains("s3cret"), "{uri}: {error}");
        }
    }

    fn text() -> impl Strategy<Value = Option<String>> {
        prop::option::of("[a-z@:/?#%&=+ \u{e9}.-]{1,12}")
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            (login, password, schema) in (text(), text(), text()),
            host in prop::option::of("[a-z0-9.:/ \u{e9}-]{1,12}"),
            port in prop::option::of(1_u16..),
            extra in prop::collection::vec(("[a-z_&= ]{1,6}", "[ -~]{0,8}"), 0..4),
            deep in any::<bool>(),
        ) {
            let mut extra: Map<String, Value> = extra.into_iter().map(|(key, value)| (key, json!(value))).collect();
            if deep {
                extra.insert("deep".to_owned(), json!({"list": [1, null]}));
            }
            let host = host.filter(|host| !host.contains("://") && host != "://");
            let connection = Connection {
                conn_id: "test".to_owned(),
                conn_type: "my_type".to_owned(),
                description: None,
                host, login, password, schema, port, extra,
            };
            let uri = connection.uri();
            prop_assert_eq!(&Connection::parse("test", &uri).unwrap(), &connection, "{}", uri);
            let text = connection.json().to_string();
            prop_assert_eq!(&Connection::parse("test", &text).unwrap(), &connection);
        }
    }
}
