//! Notifications: `on_success`, `on_failure`, `on_retry`, `on_skipped` and `on_deadline`.

use super::{
    diagnostic::{Problem, alternatives},
    fields::{Fields, Given},
    keys::{NOTIFICATION, Place},
    node::{Entry, Node, shown},
    operator::check_header,
    reading::Reading,
    values,
};
use crate::alert::{AlertEvent, Alerts, MAX_NOTIFICATIONS, MAX_RECIPIENTS, Notification};

/// What one mapping says, by event; whatever it leaves out comes from the one below. An explicit `null` is said.
#[derive(Debug, Clone, Default)]
pub(super) struct Notices {
    success: Given<Vec<Notification>>,
    failure: Given<Vec<Notification>>,
    retry: Given<Vec<Notification>>,
    skipped: Given<Vec<Notification>>,
    deadline: Given<Vec<Notification>>,
}

impl Notices {
    /// What a task, or the defaults for tasks, say.
    pub(super) fn of_task(fields: &Fields<'_>, reading: &mut Reading<'_>) -> Self {
        Self {
            retry: list(AlertEvent::Retry, fields, reading),
            skipped: list(AlertEvent::Skipped, fields, reading),
            ..Self::of_ends(fields, reading)
        }
    }

    /// What a DAG says about its runs.
    pub(super) fn of_dag(fields: &Fields<'_>, reading: &mut Reading<'_>) -> Self {
        Self { deadline: list(AlertEvent::Deadline, fields, reading), ..Self::of_ends(fields, reading) }
    }

    fn of_ends(fields: &Fields<'_>, reading: &mut Reading<'_>) -> Self {
        Self {
            success: list(AlertEvent::Success, fields, reading),
            failure: list(AlertEvent::Failure, fields, reading),
            ..Self::default()
        }
    }

    /// What is said here, and below it what `base` says. A list replaces the one below it.
    pub(super) fn over(self, base: &Self) -> Self {
        Self {
            success: self.success.or_else(|| base.success.clone()),
            failure: self.failure.or_else(|| base.failure.clone()),
            retry: self.retry.or_else(|| base.retry.clone()),
            skipped: self.skipped.or_else(|| base.skipped.clone()),
            deadline: self.deadline.or_else(|| base.deadline.clone()),
        }
    }

    pub(super) fn alerts(self) -> Alerts {
        let list = |given: Given<Vec<Notification>>| given.flatten().unwrap_or_default();
        Alerts {
            on_success: list(self.success),
            on_failure: list(self.failure),
            on_retry: list(self.retry),
            on_skipped: list(self.skipped),
            on_deadline: list(self.deadline),
        }
    }
}

fn list(event: AlertEvent, fields: &Fields<'_>, reading: &mut Reading<'_>) -> Given<Vec<Notification>> {
    let entry = fields.entry(event.key())?;
    if entry.value.is_null() {
        return Some(None);
    }
    let owner = fields.named(event.key());
    let Some(items) = entry.value.list() else {
        let message = format!("{owner} must be a list, this is {}", entry.value.describe());
        reading.add(
            Problem::new(entry.value.at, message).hint("for example [{webhook: {url: https://example.org}}]"),
        );
        return None;
    };
    if items.len() > MAX_NOTIFICATIONS {
        let message = format!("{owner} has more than {MAX_NOTIFICATIONS} notifications");
        reading.add(Problem::new(entry.value.at, message));
        return None;
    }
    Some(Some(items.iter().filter_map(|item| one(item, &owner, reading)).collect()))
}

fn one(node: &Node, owner: &str, reading: &mut Reading<'_>) -> Option<Notification> {
    let owner = format!("a notification in {owner}");
    let fields = Fields::open(node, node.at, owner.clone(), Place::Notification, reading)?;
    let chosen: Vec<(&'static str, &Entry)> =
        NOTIFICATION.iter().filter_map(|key| fields.entry(key.name).map(|entry| (key.name, entry))).collect();
    let [(name, entry)] = chosen.as_slice() else {
        if !fields.has_strangers {
            let names = alternatives(NOTIFICATION.iter().map(|key| key.name), "or");
            reading.add(Problem::new(node.at, format!("{owner} needs exactly one of {names}")));
        }
        return None;
    };
    let owner = fields.named(name);
    match *name {
        "webhook" => webhook(entry, owner, reading),
        "slack" => slack(entry, owner, reading),
        _ => email(entry, owner, reading),
    }
}

fn webhook(entry: &Entry, owner: String, reading: &mut Reading<'_>) -> Option<Notification> {
    let fields = Fields::open(&entry.value, entry.key_at, owner, Place::Webhook, reading)?;
    let (url, conn_id) = address(&fields, entry, reading)?;
    let headers =
        fields.get("headers", reading, |node| values::texts_by_name(node, check_header)).unwrap_or_default();
    let body = fields.get("body", reading, |node| Ok(node.json()));
    Some(Notification::Webhook { url, conn_id, headers: headers.into_iter().collect(), body })
}

fn slack(entry: &Entry, owner: String, reading: &mut Reading<'_>) -> Option<Notification> {
    let fields = Fields::open(&entry.value, entry.key_at, owner, Place::Slack, reading)?;
    let (url, conn_id) = address(&fields, entry, reading)?;
    let text = fields.get("text", reading, |node| values::text(node));
    Some(Notification::Slack { url, conn_id, text })
}

/// The URL, the connection or both.
fn address(
    fields: &Fields<'_>,
    entry: &Entry,
    reading: &mut Reading<'_>,
) -> Option<(Option<String>, Option<String>)> {
    let has_connection = fields.has("conn_id");
    if !fields.has("url") && !has_connection {
        if !fields.has_strangers {
            let message = format!("{} needs a `url` or a `conn_id`", fields.owner);
            reading.add(Problem::new(entry.key_at, message));
        }
        return None;
    }
    let conn_id = fields.get("conn_id", reading, |node| values::text(node));
    let url = fields.get("url", reading, |node| url(node, has_connection));
    Some((url, conn_id))
}

/// It is no template: where a message goes must not depend on what a task says.
fn url(node: &Node, may_be_path: bool) -> Result<String, Problem> {
    let url = values::text(node)?.trim().to_owned();
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let is_whole = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', '?', '#']));
    let is_template = url.contains("{{") || url.contains("{%");
    if is_template || url.contains(|c: char| c.is_whitespace() || c.is_control()) {
        let message = format!("`{}` is not a URL: blanks and templates cannot stand here", shown(&url));
        return Err(Problem::new(node.at, message));
    }
    if is_whole || (may_be_path && !url.contains("://")) {
        return Ok(url);
    }
    Err(Problem::new(node.at, format!("`{}` is not a whole URL", shown(&url)))
        .hint("start it with https:// or http://, or name a connection with `conn_id`"))
}

fn email(entry: &Entry, owner: String, reading: &mut Reading<'_>) -> Option<Notification> {
    let fields = Fields::open(&entry.value, entry.key_at, owner, Place::Email, reading)?;
    for needed in ["conn_id", "to"] {
        if !fields.has(needed) && !fields.has_strangers {
            let message = format!("{} needs `{needed}`", fields.owner);
            reading.add(Problem::new(entry.key_at, message));
        }
    }
    let conn_id = fields.get("conn_id", reading, |node| values::text(node));
    let to = fields.get("to", reading, |node| recipients(node));
    let subject = fields.get("subject", reading, |node| values::text(node));
    let body = fields.get("body", reading, |node| values::text(node));
    Some(Notification::Email { conn_id: conn_id?, to: to?, subject, body })
}

fn recipients(node: &Node) -> Result<Vec<String>, Problem> {
    let to = if node.list().is_some() { values::list(node, recipient)? } else { vec![recipient(node)?] };
    if to.is_empty() || to.len() > MAX_RECIPIENTS {
        return Err(Problem::new(node.at, format!("an e-mail has 1 to {MAX_RECIPIENTS} recipients")));
    }
    Ok(to)
}

/// Whether the address exists only its server knows.
fn recipient(node: &Node) -> Result<String, Problem> {
    let address = values::text(node)?.trim().to_owned();
    let halves = address.rsplit_once('@');
    let is_address = halves.is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
    if is_address && !address.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Ok(address);
    }
    Err(Problem::new(node.at, format!("`{}` is not an e-mail address", shown(&address)))
        .hint("write it as in ada@example.org"))
}
