//! The log of a try, by byte range: from log storage when the try has ended, else from the live log. Never whole.
//!
//! `GET <page of the task>/log?try=N&from=BYTE&max=BYTES` answers text and says in headers where to go on.

use actix_web::{
    HttpResponse,
    http::header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    web::{self, Bytes, Data, Path, Query, ServiceConfig},
};
use domain::id::{DagId, RunId, TaskId};
use queue::{LogId, Ticket};
use runtime::logs::{Error as LogsError, LONGEST_READ, LogKey};
use serde::Deserialize;
use store::view::api_log::LogPlace;

use crate::{AppState, auth::Viewer, error::Error};

/// What one answer has when nothing else is asked for, in bytes.
const USUAL: u64 = 64 << 10;
/// A look this far beyond the range finds the end of a live log, of which no more is kept.
const LOOK: usize = 1 << 20;

/// A part of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Part {
    /// The first byte; greater than asked when earlier ones are not kept any more.
    pub(crate) start: u64,
    /// The bytes.
    pub(crate) bytes: Bytes,
    /// How long the log is so far, as far as is known.
    pub(crate) size: u64,
    /// Nothing will be added.
    pub(crate) ended: bool,
}

impl Part {
    /// The byte to go on from.
    pub(crate) fn next(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// It reaches the end of a log to which nothing will be added.
    pub(crate) fn is_last(&self) -> bool {
        self.ended && self.next() >= self.size
    }
}

/// Which part is wanted.
#[derive(Debug, Clone, Default, Deserialize)]
struct Range {
    #[serde(default, rename = "try")]
    try_number: Option<u32>,
    #[serde(default)]
    from: u64,
    max: Option<u64>,
    #[serde(default)]
    map_index: Option<i32>,
    #[serde(default)]
    download: bool,
}

/// The log of a task instance; of a mapped one with `map_index` in the query.
pub(crate) fn routes(config: &mut ServiceConfig) {
    config.route("/dags/{dag_id}/runs/{run_id}/tasks/{task_id}/log", web::get().to(task));
}

/// Reads up to `max` bytes (at most 1 MiB) from byte `from` on.
pub(crate) async fn read(state: &AppState, place: &LogPlace, from: u64, max: u64) -> Result<Part, Error> {
    let max = max.clamp(1, LONGEST_READ);
    match stored(state, place, from, max).await {
        Err(LogsError::NotFound(_)) => live(state, place, from, max).await,
        Ok(part) if part.is_last() && place.goes_on => continued(state, place, from, max, part).await,
        stored => Ok(stored?),
    }
}

/// Where the log of a try is kept.
pub(crate) fn key(place: &LogPlace) -> LogKey {
    LogKey {
        dag_id: place.dag_id.clone(),
        run_id: place.run_id.clone(),
        task_id: place.task_id.clone(),
        map_index: place.map_index,
        try_number: place.try_number,
    }
}

async fn stored(state: &AppState, place: &LogPlace, from: u64, max: u64) -> Result<Part, LogsError> {
    let key = key(place);
    let size = state.logs.size(&key).await?;
    let start = from.min(size);
    let bytes = if start == size { Bytes::new() } else { state.logs.read_range(&key, start, max).await? };
    Ok(Part { start, bytes, size, ended: true })
}

async fn live(state: &AppState, place: &LogPlace, from: u64, max: u64) -> Result<Part, Error> {
    let log = LogId(Ticket { run: place.run_key, index: place.index, try_number: place.try_number });
    let chunk = state.queue.read(&log, from, usize::try_from(max).unwrap_or(usize::MAX)).await?;
    let next = chunk.next();
    let mut end = (next, chunk.end_of_log);
    if chunk.bytes.len() as u64 >= max {
        let beyond = state.queue.read(&log, next, LOOK).await?;
        end = (beyond.next(), beyond.end_of_log);
    }
    // A try that is over without a log in storage and without a live one left none.
    let ended = end.1 || (place.is_over && chunk.bytes.is_empty());
    Ok(Part { start: chunk.start, bytes: chunk.bytes.into(), size: end.0, ended })
}

/// A try that is taken up again under its number writes behind what it has left in storage.
async fn continued(
    state: &AppState,
    place: &LogPlace,
    from: u64,
    max: u64,
    stored: Part,
) -> Result<Part, Error> {
    let begin = from.max(stored.size);
    // Further on there is nothing: who asks there wants to know how much there is.
    if begin - stored.size > LOOK as u64 {
        return Ok(Part { ended: false, ..stored });
    }
    let more = live(state, place, begin, max).await?;
    let size = stored.size.max(more.size);
    let part = if stored.bytes.is_empty() { more } else { stored };
    Ok(Part { size, ended: false, ..part })
}

type TaskPath = Path<(String, String, String)>;

async fn task(
    state: Data<AppState>,
    _viewer: Viewer,
    path: TaskPath,
    range: Query<Range>,
) -> Result<HttpResponse, Error> {
    let (dag_id, run_id, task_id) = path.into_inner();
    let map_index = range.map_index.unwrap_or(-1);
    let place = place(&state, &dag_id, &run_id, &task_id, map_index, range.try_number).await?;
    send(&state, &place, &range).await
}

/// Finds a try; without a number the newest.
pub(crate) async fn place(
    state: &AppState,
    dag_id: &str,
    run_id: &str,
    task_id: &str,
    map_index: i32,
    try_number: Option<u32>,
) -> Result<LogPlace, Error> {
    let (dag_id, run_id, task_id) = (DagId::new(dag_id)?, RunId::new(run_id)?, TaskId::new(task_id)?);
    let found = state.store.log_place(&dag_id, &run_id, &task_id, map_index, try_number).await?;
    found
        .ok_or_else(|| Error::NotFound(format!("there is no such try of task `{task_id}` in run `{run_id}`")))
}

async fn send(state: &AppState, place: &LogPlace, range: &Range) -> Result<HttpResponse, Error> {
    if range.download {
        return Ok(download(state.clone(), place.clone()));
    }
    let part = read(state, place, range.from, range.max.unwrap_or(USUAL)).await?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/plain; charset=utf-8"))
        .insert_header(("X-Log-Start", part.start))
        .insert_header(("X-Log-Next", part.next()))
        .insert_header(("X-Log-Size", part.size))
        .insert_header(("X-Log-End", part.is_last().to_string()))
        .body(part.bytes))
}

/// The whole log as a file, passed on piece by piece.
fn download(state: AppState, place: LogPlace) -> HttpResponse {
    let name = format!("{}-try-{}.log", place.task_id, place.try_number);
    let name: String = name
        .chars()
        .map(|letter| if letter.is_ascii_graphic() && letter != '"' { letter } else { '_' })
        .collect();
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/plain; charset=utf-8"))
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")))
        .streaming(whole(state, place))
}

/// Every part of a log in order, up to where it ends now.
pub(crate) fn whole(
    state: AppState,
    place: LogPlace,
) -> impl futures_util::Stream<Item = Result<Bytes, Error>> {
    futures_util::stream::unfold(Some(0), move |from| {
        let (state, place) = (state.clone(), place.clone());
        async move {
            let from = from?;
            let part = match read(&state, &place, from, LONGEST_READ).await {
                Ok(part) => part,
                Err(fault) => return Some((Err(fault), None)),
            };
            let next = part.next();
            (!part.bytes.is_empty()).then_some((Ok(part.bytes), Some(next)))
        }
    })
}
