//! Answering what is asked of timetables that plugins bring: each question is one child of the fork server, which cannot take long.

use std::{convert::Infallible, time::Duration};

use domain::timetable::asked::Answer;
use futures_util::future::join_all;
use queue::{Bell, BellKind};
use store::timetable_question::Open;
use tokio::time::{Instant, sleep};
use tracing::warn;

use crate::{Scheduler, bridge::Bridge};

/// Questions that are answered at the same time.
const AT_ONCE: u32 = 4;
/// How often is looked for questions even if no bell rings.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Answers questions until it is dropped.
pub async fn answer(scheduler: &Scheduler, bridge: &Bridge) -> Infallible {
    let mut bells = scheduler.queue.subscribe(&[BellKind::Timetable]).await;
    loop {
        match scheduler.store.timetable_questions(AT_ONCE).await {
            Ok(open) if open.is_empty() => {}
            Ok(open) => {
                join_all(open.iter().map(|open| answer_one(scheduler, bridge, open))).await;
                continue;
            }
            Err(error) => {
                warn!(%error, "cannot look what timetables are asked");
                sleep(LOOK_EVERY).await;
            }
        }
        let until = Instant::now() + LOOK_EVERY;
        while let Some(bell) = bells.next(until.saturating_duration_since(Instant::now())).await {
            if matches!(bell, Bell::Timetable | Bell::Missed) {
                break;
            }
        }
    }
}

async fn answer_one(scheduler: &Scheduler, bridge: &Bridge, open: &Open) {
    let answer = bridge.ask(&open.question, &scheduler.store).await.unwrap_or_else(Answer::failed);
    if let Some(fault) = &answer.fault {
        warn!(timetable = open.question.class, fault, "a timetable cannot answer");
    }
    if let Err(error) = scheduler.store.answer_timetable(open.id, &answer).await {
        warn!(%error, "an answer of a timetable is lost");
        // It would be found again at once.
        sleep(LOOK_EVERY).await;
    }
}
