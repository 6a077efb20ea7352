//! The audit log.

use askama::Template;

use super::parts::{Moment, Pager, Shell};

/// The list, or its searched part (`as_audit`).
#[derive(Debug, Template)]
#[template(path = "audit.html", blocks = ["audit"])]
pub(crate) struct AuditPage {
    pub(crate) shell: Shell,
    pub(crate) q: String,
    pub(crate) rows: Vec<AuditRow>,
    pub(crate) pager: Pager,
}

/// One action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AuditRow {
    pub(crate) id: i64,
    pub(crate) when: Moment,
    pub(crate) who: String,
    pub(crate) what: String,
    /// The DAG, run or task.
    pub(crate) on: String,
    pub(crate) href: Option<String>,
    pub(crate) details: String,
}
