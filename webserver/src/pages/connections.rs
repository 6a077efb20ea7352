//! Connections: list and form.

use askama::Template;

use super::parts::{Field, Pager, Shell};

/// The list and the form.
#[derive(Debug, Template)]
#[template(path = "connections.html")]
pub(crate) struct ConnectionsPage {
    pub(crate) shell: Shell,
    pub(crate) rows: Vec<ConnectionRow>,
    pub(crate) pager: Pager,
    pub(crate) editing: bool,
    pub(crate) problem: Option<String>,
    pub(crate) form: Vec<Field>,
}

/// One connection, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConnectionRow {
    pub(crate) conn_id: String,
    pub(crate) conn_type: String,
    pub(crate) description: String,
    /// Host and port.
    pub(crate) host: String,
    pub(crate) login: String,
    pub(crate) schema: String,
}
