//! Logs of tries, in pieces: structured lines with a token to go on with, or the whole as a stream of lines.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Bytes, Data, Path},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::{Stream, StreamExt};
use runtime::logs::{LogLine, Stream as Channel};
use serde_json::{Value, json};
use store::view::api_log::LogPlace;

use super::{
    query::{Query, accepts},
    shape,
};
use crate::{AppState, auth::Viewer, error::Error, log};

/// Bytes of the log that one answer of structured lines is made from.
const PIECE: u64 = 256 << 10;
/// Most of them when the whole is asked for in one answer.
const LONGEST: u64 = 8 << 20;

pub(super) async fn get(
    state: Data<AppState>,
    _viewer: Viewer,
    request: HttpRequest,
    path: Path<(String, String, String, u32)>,
    query: Query,
) -> Result<HttpResponse, Error> {
    let (dag_id, run_id, task_id, number) = path.into_inner();
    let map_index = query.number("map_index")?.unwrap_or(-1);
    let found = log::place(&state, &dag_id, &run_id, &task_id, map_index, Some(number)).await;
    if matches!(found, Err(Error::NotFound(_))) {
        return Err(Error::NotFound("TaskInstance not found".to_owned()));
    }
    let place = found?;
    if accepts(&request, "application/x-ndjson") {
        let lines = lines(log::whole(AppState::clone(&state), place));
        return Ok(HttpResponse::Ok().content_type("application/x-ndjson").streaming(lines));
    }
    if accepts(&request, "text/plain") {
        let whole = log::whole(AppState::clone(&state), place);
        return Ok(HttpResponse::Ok().content_type("text/plain; charset=utf-8").streaming(whole));
    }
    let from = query.text("token").map(|token| read_token(&state, &place, token)).transpose()?.unwrap_or(0);
    let limit = if query.flag("full_content")?.unwrap_or(false) { LONGEST } else { PIECE };
    Ok(HttpResponse::Ok().json(structured(&state, &place, from, limit).await?))
}

pub(super) async fn external(_viewer: Viewer) -> Result<HttpResponse, Error> {
    let refusal = "Task log handler does not support external logs.".to_owned();
    std::future::ready(Err(Error::Invalid(refusal))).await
}

async fn structured(state: &AppState, place: &LogPlace, from: u64, limit: u64) -> Result<Value, Error> {
    let mut bytes = Vec::new();
    let mut next = from;
    let mut is_last = false;
    while (bytes.len() as u64) < limit && !is_last {
        let part = log::read(state, place, next, limit - bytes.len() as u64).await?;
        let grew = !part.bytes.is_empty();
        (next, is_last) = (part.next(), part.is_last());
        bytes.extend_from_slice(&part.bytes);
        if !grew {
            break;
        }
    }
    // A line that is not whole yet belongs to the next piece.
    let whole = if is_last {
        bytes.len()
    } else {
        bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)
    };
    let whole = if whole == 0 { bytes.len() } else { whole };
    let next = next - (bytes.len() - whole) as u64;
    let content: Vec<Value> = LogLine::parse_all(&bytes[..whole]).map(|line| event(&line)).collect();
    let token = if is_last { Value::Null } else { token(state, place, next).into() };
    Ok(json!({"content": content, "continuation_token": token}))
}

fn event(line: &LogLine<'_>) -> Value {
    let (logger, level) = match line.stream {
        Channel::Output => ("task.stdout", "info"),
        Channel::Error => ("task.stderr", "error"),
        Channel::Tradewind => ("tradewind", "info"),
    };
    let mut event = json!({"event": line.text, "level": level, "logger": logger});
    if let (Some(at), Value::Object(fields)) = (line.at, &mut event) {
        fields.shift_insert(0, "timestamp".to_owned(), shape::moment(at));
    }
    event
}

/// The same lines one by one, however the log was cut into pieces.
fn lines(pieces: impl Stream<Item = Result<Bytes, Error>>) -> impl Stream<Item = Result<Bytes, Error>> {
    let ended = pieces.map(Some).chain(futures_util::stream::iter([None]));
    ended.scan(Vec::new(), |rest: &mut Vec<u8>, piece| {
        let out = match piece {
            Some(Ok(bytes)) => {
                rest.extend_from_slice(&bytes);
                let whole = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
                let tail = rest.split_off(whole);
                Ok(ndjson(&std::mem::replace(rest, tail)))
            }
            Some(Err(fault)) => Err(fault),
            None => Ok(ndjson(&std::mem::take(rest))),
        };
        std::future::ready(Some(out))
    })
}

fn ndjson(log: &[u8]) -> Bytes {
    let lines = LogLine::parse_all(log).map(|line| format!("{}\n", event(&line)));
    lines.collect::<String>().into()
}

// The token is signed, so that it is only good for the try that it was made for.
fn token(state: &AppState, place: &LogPlace, from: u64) -> String {
    let mark = state.keys.form_token(&subject(place, from));
    URL_SAFE_NO_PAD.encode(format!("{from}.{mark}"))
}

fn read_token(state: &AppState, place: &LogPlace, token: &str) -> Result<u64, Error> {
    let bad = || Error::Invalid("Bad Signature. Please use only the tokens provided by the API.".to_owned());
    let text =
        URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(bad)?;
    let (from, mark) = text.split_once('.').ok_or_else(bad)?;
    let from: u64 = from.parse().map_err(|_| bad())?;
    if state.keys.is_form_token(&subject(place, from), mark) { Ok(from) } else { Err(bad()) }
}

fn subject(place: &LogPlace, from: u64) -> String {
    format!("log {} {} {} {from}", place.run_key, place.index, place.try_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_whole_however_the_log_is_cut() {
        let log = "2026-01-02T03:04:05.006Z O one\n2026-01-02T03:04:06.000Z E two\nhalf";
        for size in 1..log.len() {
            let pieces = log.as_bytes().chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece)));
            let out: Vec<Bytes> =
                lines(futures_util::stream::iter(pieces)).map(Result::unwrap).collect().await;
            let text = String::from_utf8(out.concat()).unwrap();
            let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert_eq!(events.len(), 3, "{size}: {text}");
            assert_eq!(
                events[0],
                json!({"timestamp": "2026-01-02T03:04:05.006Z", "event": "one", "level": "info", "logger": "task.stdout"})
            );
            assert_eq!((&events[1]["level"], &events[2]["event"]), (&json!("error"), &json!("half")));
        }
    }
}
