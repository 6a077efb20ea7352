//! Live logs, on both backends.

use crate::ready::ticket;
use crate::{LONG, SHORT, conformance};
use bytes::Bytes;
use queue::{LOG_CAP, LiveChunk, LogId, Queue};
use std::time::{Duration, Instant};

conformance!(
    what_was_written_is_read,
    reading_begins_anywhere,
    reading_stops_at_the_limit,
    writing_twice_is_writing_once,
    a_gap_ends_a_chunk,
    nothing_is_written_after_the_end,
    a_log_without_output_ends_too,
    an_unknown_log_is_empty,
    old_output_is_trimmed,
    a_huge_piece_keeps_its_end,
    many_tiny_pieces,
    output_wakes_the_waiting,
    the_end_wakes_the_waiting,
    silence_times_out,
    output_that_is_there_needs_no_wait,
    logs_do_not_mix,
    a_wipe_forgets_logs,
);

const ALL: usize = 1 << 20;

fn log(run: i64) -> LogId {
    LogId(ticket(run, 0))
}

fn piece(run: i64, start: u64, text: &str) -> (LogId, u64, Bytes) {
    (log(run), start, Bytes::from(text.to_owned()))
}

fn chunk(start: u64, text: &str, end_of_log: bool) -> LiveChunk {
    LiveChunk { start, bytes: text.into(), end_of_log }
}

/// Reads from an offset until there is no more, in steps of `max`: the first offset, the bytes, and whether it ended.
async fn read_all(queue: &Queue, log: &LogId, from: u64, max: usize) -> LiveChunk {
    let mut whole = queue.read(log, from, max).await.unwrap();
    loop {
        let more = queue.read(log, whole.next(), max).await.unwrap();
        whole.end_of_log = more.end_of_log;
        if more.bytes.is_empty() {
            return whole;
        }
        assert_eq!(more.start, whole.next());
        assert!(more.bytes.len() <= max);
        whole.bytes.extend(more.bytes);
    }
}

/// Bytes that tell where they stand.
fn pattern(from: u64, len: usize) -> Bytes {
    (from..from + len as u64).map(|offset| (offset % 251) as u8).collect()
}

async fn what_was_written_is_read(queue: Queue) {
    queue.append(&[piece(1, 0, "hello\n"), piece(1, 6, "world\n")]).await.unwrap();
    assert_eq!(queue.read(&log(1), 0, ALL).await, Ok(chunk(0, "hello\nworld\n", false)));
    queue.append(&[piece(1, 12, "bye\n")]).await.unwrap();
    queue.finish(&log(1)).await.unwrap();
    assert_eq!(queue.read(&log(1), 0, ALL).await, Ok(chunk(0, "hello\nworld\nbye\n", true)));
    let binary = Bytes::from((0..=255).collect::<Vec<u8>>());
    queue.append(&[(log(2), 0, binary.clone()), (log(2), 256, Bytes::new())]).await.unwrap();
    assert_eq!(queue.read(&log(2), 0, ALL).await.unwrap().bytes, binary);
}

async fn reading_begins_anywhere(queue: Queue) {
    queue.append(&[piece(1, 0, "abc"), piece(1, 3, "def"), piece(1, 6, "ghi")]).await.unwrap();
    for from in 0..=9_usize {
        let read = queue.read(&log(1), from as u64, ALL).await.unwrap();
        assert_eq!(read, chunk(from as u64, &"abcdefghi"[from..], false));
    }
    assert_eq!(queue.read(&log(1), 50, ALL).await, Ok(chunk(50, "", false)));
    assert_eq!(queue.read(&log(1), u64::MAX, ALL).await, Ok(chunk(u64::MAX, "", false)));
}

async fn reading_stops_at_the_limit(queue: Queue) {
    queue.append(&[piece(1, 0, "abc"), piece(1, 3, "def")]).await.unwrap();
    queue.finish(&log(1)).await.unwrap();
    assert_eq!(queue.read(&log(1), 1, 3).await, Ok(chunk(1, "bcd", false)));
    assert_eq!(queue.read(&log(1), 4, 2).await, Ok(chunk(4, "ef", true)));
    assert_eq!(queue.read(&log(1), 0, 0).await, Ok(chunk(0, "a", false)));
    assert_eq!(read_all(&queue, &log(1), 0, 1).await, chunk(0, "abcdef", true));
    assert_eq!(queue.read(&log(1), 0, usize::MAX).await, Ok(chunk(0, "abcdef", true)));
}

async fn writing_twice_is_writing_once(queue: Queue) {
    let pieces = [piece(1, 0, "abc"), piece(1, 3, "def")];
    queue.append(&pieces).await.unwrap();
    queue.append(&pieces).await.unwrap();
    queue.append(&[piece(1, 4, "efg")]).await.unwrap();
    assert_eq!(queue.read(&log(1), 0, ALL).await, Ok(chunk(0, "abcdefg", false)));
}

async fn a_gap_ends_a_chunk(queue: Queue) {
    queue.append(&[piece(1, 0, "abc"), piece(1, 10, "xyz")]).await.unwrap();
    queue.finish(&log(1)).await.unwrap();
    assert_eq!(queue.read(&log(1), 0, ALL).await, Ok(chunk(0, "abc", false)));
    assert_eq!(queue.read(&log(1), 3, ALL).await, Ok(chunk(10, "xyz", true)));
}

async fn nothing_is_written_after_the_end(queue: Queue) {
    queue.append(&[piece(1, 0, "abc")]).await.unwrap();
    queue.finish(&log(1)).await.unwrap();
    queue.finish(&log(1)).await.unwrap();
    queue.append(&[piece(1, 3, "def")]).await.unwrap();
    assert_eq!(queue.read(&log(1), 0, ALL).await, Ok(chunk(0, "abc", true)));
    assert_eq!(queue.read(&log(1), 3, ALL).await, Ok(chunk(3, "", true)));
}

async fn a_log_without_output_ends_too(queue: Queue) {
    queue.finish(&log(1)).await.unwrap();
    assert_eq!(queue.read(&log(1), 0, ALL).await, Ok(chunk(0, "", true)));
    assert_eq!(queue.wait(&log(1), 0, LONG).await, Ok(true));
}

async fn an_unknown_log_is_empty(queue: Queue) {
    assert_eq!(queue.read(&log(404), 7, ALL).await, Ok(chunk(7, "", false)));
    queue.append(&[]).await.unwrap();
}

async fn old_output_is_trimmed(queue: Queue) {
    const STEP: usize = 10_000;
    let total = 3 * LOG_CAP / STEP as u64 * STEP as u64;
    for batch in (0..total).step_by(STEP).collect::<Vec<_>>().chunks(20) {
        let pieces: Vec<_> = batch.iter().map(|start| (log(1), *start, pattern(*start, STEP))).collect();
        queue.append(&pieces).await.unwrap();
    }
    let kept = read_all(&queue, &log(1), 0, 100_000).await;
    assert_eq!(kept.next(), total);
    let len = kept.bytes.len() as u64;
    assert!((LOG_CAP - STEP as u64..=LOG_CAP + STEP as u64).contains(&len), "{len} bytes");
    assert!(kept.bytes == pattern(kept.start, kept.bytes.len()));
    let middle = queue.read(&log(1), total - 15_000, ALL).await.unwrap();
    assert!(middle.start == total - 15_000 && middle.bytes == pattern(middle.start, 15_000));
}

async fn a_huge_piece_keeps_its_end(queue: Queue) {
    let total = 5 * LOG_CAP + 17;
    queue.append(&[(log(1), 0, pattern(0, total as usize))]).await.unwrap();
    queue.finish(&log(1)).await.unwrap();
    let kept = read_all(&queue, &log(1), 0, ALL).await;
    assert_eq!((kept.next(), kept.end_of_log), (total, true));
    assert!(kept.bytes.len() as u64 >= LOG_CAP && kept.start > 3 * LOG_CAP);
    assert!(kept.bytes == pattern(kept.start, kept.bytes.len()));
}

async fn many_tiny_pieces(queue: Queue) {
    let pieces: Vec<_> = (0..20_000).map(|start| (log(1), start, pattern(start, 1))).collect();
    queue.append(&pieces).await.unwrap();
    let whole = read_all(&queue, &log(1), 0, 65_536).await;
    assert!(whole.start == 0 && whole.bytes == pattern(0, 20_000));
}

async fn output_wakes_the_waiting(queue: Queue) {
    let reader = tokio::spawn({
        let queue = queue.clone();
        async move { queue.wait(&log(1), 3, LONG).await }
    });
    queue.append(&[piece(1, 0, "abc")]).await.unwrap();
    queue.append(&[piece(1, 3, "d")]).await.unwrap();
    assert_eq!(reader.await.unwrap(), Ok(true));
}

async fn the_end_wakes_the_waiting(queue: Queue) {
    queue.append(&[piece(1, 0, "abc")]).await.unwrap();
    let id = log(1);
    let (woken, finished) = tokio::join!(queue.wait(&id, 3, LONG), queue.finish(&id));
    finished.unwrap();
    assert_eq!(woken, Ok(true));
}

async fn silence_times_out(queue: Queue) {
    queue.append(&[piece(1, 0, "abc")]).await.unwrap();
    let started = Instant::now();
    assert_eq!(queue.wait(&log(1), 3, SHORT).await, Ok(false));
    assert!(started.elapsed() >= SHORT);
}

async fn output_that_is_there_needs_no_wait(queue: Queue) {
    queue.append(&[piece(1, 5, "abc")]).await.unwrap();
    for from in [0, 5, 7] {
        assert_eq!(queue.wait(&log(1), from, Duration::ZERO).await, Ok(true));
    }
}

async fn logs_do_not_mix(queue: Queue) {
    let pieces: Vec<_> = (0..50).map(|run| piece(run, 0, &format!("log {run}"))).collect();
    queue.append(&pieces).await.unwrap();
    for run in 0..50 {
        assert_eq!(queue.read(&log(run), 0, ALL).await, Ok(chunk(0, &format!("log {run}"), false)));
    }
}

async fn a_wipe_forgets_logs(queue: Queue) {
    queue.append(&[piece(1, 0, "abc")]).await.unwrap();
    queue.wipe().await.unwrap();
    queue.append(&[piece(1, 3, "def")]).await.unwrap();
    assert_eq!(queue.read(&log(1), 0, ALL).await, Ok(chunk(3, "def", false)));
}
