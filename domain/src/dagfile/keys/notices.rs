//! The keys of notifications.

use super::{Key, Place, Shape, key, nullable};

/// What a DAG may say about its runs.
pub(in crate::dagfile) const ON_RUN: &[Key] = &[
    nullable("on_success", Shape::Notifications, "Whom to tell when a run succeeded: a list."),
    nullable("on_failure", Shape::Notifications, "Whom to tell when a run failed: a list."),
    nullable("on_deadline", Shape::Notifications, "Whom to tell when a run has missed a deadline: a list."),
];

/// What a task, and the defaults for tasks, may say.
pub(in crate::dagfile) const ON_TRY: &[Key] = &[
    nullable("on_success", Shape::Notifications, "Whom to tell when it succeeded: a list."),
    nullable("on_failure", Shape::Notifications, "Whom to tell when its last try failed: a list."),
    nullable("on_retry", Shape::Notifications, "Whom to tell when a try failed and another follows: a list."),
    nullable("on_skipped", Shape::Notifications, "Whom to tell when a try skipped itself: a list."),
];

/// One notification: exactly one of these.
pub(in crate::dagfile) const NOTIFICATION: &[Key] = &[
    key("webhook", Shape::Channel(Place::Webhook), "A POST of a JSON document that says what happened."),
    key(
        "slack",
        Shape::Channel(Place::Slack),
        "A message to an incoming webhook of Slack, or of what is compatible with it.",
    ),
    key("email", Shape::Channel(Place::Email), "An e-mail through the mail server of a connection."),
];

/// The parts of `webhook`.
pub(in crate::dagfile) const WEBHOOK: &[Key] = &[
    key("url", Shape::Text, "The whole URL, or the path when a connection is named."),
    key("conn_id", Shape::Text, "The connection that gives host, credentials and headers."),
    nullable("headers", Shape::Headers, "Further headers."),
    nullable(
        "body",
        Shape::Any,
        "A text, or anything else sent as JSON; a template. Default: what happened.",
    ),
];

/// The parts of `slack`.
pub(in crate::dagfile) const SLACK: &[Key] = &[
    key("url", Shape::Text, "The whole URL. It is a secret: better name a connection."),
    key(
        "conn_id",
        Shape::Text,
        "The connection that gives the URL: its host, and its password as the end of the path.",
    ),
    nullable("text", Shape::Text, "What is said; a template. Default: one line about what happened."),
];

/// The parts of `email`.
pub(in crate::dagfile) const EMAIL: &[Key] = &[
    key("conn_id", Shape::Text, "The connection of the mail server, of type smtp."),
    key("to", Shape::Names, "The recipient, or a list of them."),
    nullable("subject", Shape::Text, "A template. Default: one line about what happened."),
    nullable("body", Shape::Text, "A template. Default: what happened, line by line."),
];
