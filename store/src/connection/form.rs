//! A connection as JSON, in Airflow's form.

use serde_json::{Map, Value, json};

use super::Connection;
use crate::Error;

pub(super) fn parse(conn_id: &str, text: &str) -> Result<Connection, Error> {
    let mut connection = Connection { conn_id: conn_id.to_owned(), ..Connection::default() };
    for (key, value) in &fields(conn_id, text)? {
        set(&mut connection, key, value)?;
    }
    Ok(connection)
}

pub(super) fn write(connection: &Connection) -> Value {
    json!({
        "conn_type": connection.conn_type,
        "description": connection.description,
        "host": connection.host,
        "login": connection.login,
        "password": connection.password,
        "schema": connection.schema,
        "port": connection.port,
        "extra": connection.extra,
    })
}

/// What serde says may quote the text, and the text may hold a password: only the place is told.
fn fields(conn_id: &str, text: &str) -> Result<Map<String, Value>, Error> {
    serde_json::from_str(text).map_err(|error| {
        Error::Invalid(format!(
            "the connection `{conn_id}` is not a JSON object: line {}, column {}",
            error.line(),
            error.column()
        ))
    })
}

fn set(connection: &mut Connection, key: &str, value: &Value) -> Result<(), Error> {
    let conn_id = connection.conn_id.as_str();
    match key {
        // Whoever reads the form gives the name.
        "conn_id" | "connection_id" => {}
        "conn_type" => connection.conn_type = text_of(conn_id, key, value)?.unwrap_or_default(),
        "description" => connection.description = text_of(conn_id, key, value)?,
        "host" => connection.host = text_of(conn_id, key, value)?,
        "login" => connection.login = text_of(conn_id, key, value)?,
        "password" => connection.password = text_of(conn_id, key, value)?,
        "schema" => connection.schema = text_of(conn_id, key, value)?,
        "port" => connection.port = port(conn_id, value)?,
        "extra" => connection.extra = extra(conn_id, value)?,
        other => {
            return Err(Error::Invalid(format!(
                "the connection `{conn_id}` has the unknown key `{other}`: use conn_type, description, host, login, \
                 password, schema, port and extra"
            )));
        }
    }
    Ok(())
}

fn text_of(conn_id: &str, key: &str, value: &Value) -> Result<Option<String>, Error> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        Value::Number(number) => Ok(Some(number.to_string())),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            Err(Error::Invalid(format!("`{key}` of the connection `{conn_id}` is not a text")))
        }
    }
}

fn port(conn_id: &str, value: &Value) -> Result<Option<u16>, Error> {
    let text = text_of(conn_id, "port", value)?;
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let port = text.parse().ok().filter(|port| *port > 0);
    port.map(Some).ok_or_else(|| {
        Error::Invalid(format!("the port of the connection `{conn_id}` is not a number from 1 to 65535"))
    })
}

/// An object, or an object written into a text.
fn extra(conn_id: &str, value: &Value) -> Result<Map<String, Value>, Error> {
    let wrong = || Error::Invalid(format!("`extra` of the connection `{conn_id}` is not a JSON object"));
    match value {
        Value::Null => Ok(Map::new()),
        Value::Object(extra) => Ok(extra.clone()),
        Value::String(text) if text.trim().is_empty() => Ok(Map::new()),
        Value::String(text) => serde_json::from_str(text).map_err(|_| wrong()),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_airflows_form() {
        let text =
            r#"{"conn_type": "http", "host": "h", "port": "80", "extra": "{\"a\": 1}", "conn_id": "x"}"#;
        let connection = parse("test", text).unwrap();
        assert_eq!((connection.conn_id.as_str(), connection.port), ("test", Some(80)));
        assert_eq!(connection.extra["a"], 1);
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for (text, said) in [
            (r#"{"password": "s3cret""#, "not a JSON object: line 1"),
            (r#"{"conn_type": "a", "pasword": "s3cret"}"#, "unknown key `pasword`"),
            (
                r#"{"conn_type": "a", "password": ["s3cret"]}"#,
                "`password` of the connection `test` is not a text",
            ),
            (r#"{"conn_type": "a", "port": 70000}"#, "from 1 to 65535"),
            (
                r#"{"conn_type": "a", "extra": "s3cret"}"#,
                "`extra` of the connection `test` is not a JSON object",
            ),
        ] {
            let error = parse("test", text).unwrap_err().to_string();
            assert!(error.contains(said) && !error.contains("s3cret"), "{error}");
        }
    }
}
