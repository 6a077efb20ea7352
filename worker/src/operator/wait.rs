//! `wait_for` where a worker has to look: a file, an answer of a server, a row. One look; "not yet" gives the slot back until the next.

use std::io::ErrorKind;
use std::path::PathBuf;

use domain::outcome::{RETURN_VALUE, TryResult};
use domain::wait::{Until, WaitFor};
use futures_util::future::BoxFuture;
use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::{Done, On, Work, http, sql};
use crate::template::{Error, Renderer};

/// Renders what is looked for.
pub(crate) async fn prepare(wait: &WaitFor, renderer: &mut Renderer<'_>) -> Result<Box<dyn Work>, Error> {
    Ok(match &wait.until {
        Until::File(path) => Box::new(File(renderer.text("wait_for.file", path).await?)),
        Until::Http { conn_id, url, status, contains } => {
            let (headers, method) = (IndexMap::new(), "GET");
            let request =
                http::Written { conn_id: conn_id.as_deref(), method, url, headers: &headers, body: None };
            let request = http::prepare(request, renderer).await?;
            let contains = match contains {
                Some(text) => Some(renderer.text("wait_for.expect.contains", text).await?),
                None => None,
            };
            Box::new(Http { request, status: *status, contains })
        }
        Until::Sql { conn_id, sql } => Box::new(Row(sql::prepare(conn_id, sql, None, renderer).await?)),
        // Nobody has to look for these: the scheduler watches them, and takes the task back.
        Until::Time(_) | Until::For(_) | Until::Dag(_) => Box::new(Watched),
    })
}

fn not_yet(reason: impl Into<String>) -> Done {
    Done::ended(TryResult::Rescheduled, reason)
}

fn found() -> Done {
    Done::success(IndexMap::new())
}

fn begin(on: &On<'_>, what: &str) {
    on.begin(&format!("look {} for {what}", on.assignment.pokes + 1));
}

struct File(String);

impl Work for File {
    fn fields(&self) -> Map<String, Value> {
        Map::from_iter([("filepath".to_owned(), self.0.clone().into())])
    }

    fn run<'a>(&'a self, on: &'a On<'a>) -> BoxFuture<'a, Done> {
        Box::pin(async move {
            let folder = on.assignment.folder.clone().unwrap_or_else(|| PathBuf::from("/"));
            let path = folder.join(&self.0);
            begin(on, &format!("the file {}", path.display()));
            let looked = tokio::select! {
                looked = tokio::fs::metadata(&path) => looked,
                cause = on.ended_from_outside() => {
                    return Done::cut_short(cause, on.assignment).unwrap_or_else(|| Done::failed("stopped"));
                }
            };
            match looked {
                Ok(_) => found(),
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                    not_yet(format!("there is no {}", path.display()))
                }
                Err(error) => Done::failed(format!("cannot look at {}: {error}", path.display())),
            }
        })
    }
}

struct Http {
    request: http::Http,
    status: Option<u16>,
    contains: Option<String>,
}

impl Work for Http {
    fn fields(&self) -> Map<String, Value> {
        self.request.fields()
    }

    fn run<'a>(&'a self, on: &'a On<'a>) -> BoxFuture<'a, Done> {
        Box::pin(async move {
            begin(on, &format!("an answer of {}", self.request.whole_url()));
            tokio::select! {
                answer = self.request.probe() => match answer {
                    Ok((status, body)) => self.judge(status, &body),
                    Err(http::Silence::Never(reason)) => Done::failed_for_good(reason),
                    // A server that is not up yet is what many wait for.
                    Err(http::Silence::Now(reason)) => not_yet(reason),
                },
                cause = on.ended_from_outside() => {
                    Done::cut_short(cause, on.assignment).unwrap_or_else(|| Done::failed("stopped"))
                }
            }
        })
    }
}

impl Http {
    fn judge(&self, status: u16, body: &str) -> Done {
        let is_wanted = self.status.map_or(status < 400, |wanted| wanted == status);
        if !is_wanted {
            return not_yet(format!("the server answered {status}"));
        }
        match &self.contains {
            Some(text) if !body.contains(text.as_str()) => {
                not_yet(format!("the server answered {status}, without {text:?} in it"))
            }
            Some(_) | None => found(),
        }
    }
}

struct Row(sql::Sql);

impl Work for Row {
    fn fields(&self) -> Map<String, Value> {
        self.0.fields()
    }

    fn run<'a>(&'a self, on: &'a On<'a>) -> BoxFuture<'a, Done> {
        Box::pin(async move {
            let done = self.0.run(on).await;
            if done.result != TryResult::Success {
                return done;
            }
            let first = first_value(done.xcoms.get(RETURN_VALUE));
            if first.is_some_and(counts) { found() } else { not_yet("the query found nothing that counts") }
        })
    }
}

fn first_value(rows: Option<&Value>) -> Option<&Value> {
    rows?.as_array()?.first()?.as_object()?.values().next()
}

/// Source: Airflow's `SqlSensor`, for which 0, "0" and an empty text do not count.
fn counts(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !matches!(text.as_str(), "" | "0"),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

struct Watched;

impl Work for Watched {
    fn fields(&self) -> Map<String, Value> {
        Map::new()
    }

    fn run<'a>(&'a self, on: &'a On<'a>) -> BoxFuture<'a, Done> {
        on.begin("nothing: the scheduler watches this");
        Box::pin(async { not_yet("the scheduler watches this") })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use test_case::test_case;

    use super::*;

    #[test_case(json!([{"n": 3}]), true)]
    #[test_case(json!([{"z": 0, "a": 1}]), false; "the first column counts")]
    #[test_case(json!([{"n": "0"}]), false)]
    #[test_case(json!([{"n": ""}]), false; "an empty text")]
    #[test_case(json!([{"n": null}]), false)]
    #[test_case(json!([{"n": false}]), false; "a no")]
    #[test_case(json!([{"n": "2026-01-01"}]), true; "a text")]
    #[test_case(json!([]), false; "no row")]
    fn rows(rows: Value, is_found: bool) {
        assert_eq!(first_value(Some(&rows)).is_some_and(counts), is_found);
    }
}
