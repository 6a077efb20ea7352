//! `conn`: connections.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Object, ObjectRepr, from_args};
use minijinja::{Error, ErrorKind, State, Value};
use serde_json::Value as Json;
use store::connection::Connection;

use super::json;
use super::lookups::{Lookups, wrong};

/// `conn`.
#[derive(Debug)]
pub(super) struct Connections(Arc<Lookups>);

impl Connections {
    /// The object `conn`.
    pub(super) fn value(lookups: Arc<Lookups>) -> Value {
        Value::from_object(Connections(lookups))
    }

    fn look_up(&self, conn_id: &str) -> Result<Value, Error> {
        match self.0.connection(conn_id)? {
            Some(connection) => Ok(Value::from_object(OneConnection(connection))),
            None => {
                self.0.miss_a_connection();
                Err(wrong(format!(
                    "there is no connection `{conn_id}`; add it with `tradewind connections add {conn_id} --conn-uri URI`"
                )))
            }
        }
    }
}

impl Object for Connections {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(self.look_up(key.as_str()?).unwrap_or_else(Value::from))
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<connections>")
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        if method != "get" {
            return Err(Error::from(ErrorKind::UnknownMethod));
        }
        let (conn_id, default): (&str, Option<Value>) = from_args(args)?;
        match (self.0.connection(conn_id)?, default) {
            (None, Some(default)) => Ok(default),
            (Some(_), _) | (None, None) => self.look_up(conn_id),
        }
    }
}

#[derive(Debug)]
struct OneConnection(Arc<Connection>);

impl Object for OneConnection {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let it = &self.0;
        let optional = |text: &Option<String>| text.as_deref().map_or(Value::from(()), Value::from);
        Some(match key.as_str()? {
            "conn_id" => Value::from(it.conn_id.as_str()),
            "conn_type" => Value::from(it.conn_type.as_str()),
            "description" => optional(&it.description),
            "host" => optional(&it.host),
            "login" => optional(&it.login),
            "password" => optional(&it.password),
            "schema" => optional(&it.schema),
            "port" => it.port.map_or(Value::from(()), Value::from),
            "extra" => Value::from(Json::from(it.extra.clone()).to_string()),
            "extra_dejson" => json::value(&it.extra),
            "uri" => Value::from(it.uri()),
            _ => return None,
        })
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.conn_id)
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        match method {
            "get_uri" => from_args::<()>(args).map(|()| Value::from(self.0.uri())),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}
