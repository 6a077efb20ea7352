//! The triggers that a worker holds: taken while there is room, run in one process, given back in the end.
//!
//! A trigger is held under the worker's lease like a try: when the lease is over, another worker takes it, and what is still said here is
//! refused by the records. There is no kind of process of its own for triggers: whoever runs a task has what its trigger needs, its
//! environment and its network, and a lease already.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use domain::deferral::{Fired, Word};
use domain::id::TryKey;
use queue::{Bell, BellKind, LogId};
use serde_json::Value;
use store::masked_xcom::Masked;
use tokio::time::Instant;

use super::{SILENCE, Term, Worker, attempt_of, ticket_of};
use crate::operator::told_in_log;
use crate::output::{Masker, Tail};
use crate::triggers::answers;
use crate::triggers::held::{Held, Logs};
use crate::triggers::runner::{Heard, Runner};
use crate::triggers::said::{self, Changes};

/// Most triggers that one worker holds. Source: Airflow's `[triggerer] capacity`.
const CAPACITY: usize = 1_000;
/// How often the records are asked even if no bell rings: for triggers of workers that are gone, and for those that nobody waits for any more.
const LOOK: Duration = Duration::from_secs(5);
/// First and longest pause before the process is started again that has just died.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// A process that has lived for so long may be started again at once.
const STEADY: Duration = Duration::from_secs(60);
/// Most lines of the log that are read before what a trigger has said counts.
const MOST_LINES: usize = 1_000;
/// How long a process without triggers is kept.
const IDLE: Duration = Duration::from_secs(300);

impl Worker {
    /// Holds triggers until the term closes.
    pub(super) async fn hold_triggers(self: Arc<Self>, term: Arc<Term>) {
        if !self.station.nursery.has_environment() {
            return;
        }
        let mut keeper = Keeper::new(&self, &term);
        let mut bells = self.queue.subscribe(&[BellKind::Deferral, BellKind::Stop]).await;
        let mut look_at = Instant::now();
        loop {
            tokio::select! {
                biased;
                () = term.closing.cancelled() => break,
                () = tokio::time::sleep_until(look_at) => {
                    keeper.look().await;
                    look_at = Instant::now() + LOOK;
                }
                bell = bells.next(SILENCE) => match bell {
                    Some(Bell::Deferral | Bell::Missed) => look_at = Instant::now(),
                    Some(Bell::Stop(ticket)) => keeper.cancel_of(attempt_of(ticket)).await,
                    Some(
                        Bell::Engine | Bell::Config | Bell::Timetable | Bell::Changed { .. } | Bell::Question(_) | Bell::Answer(_),
                    )
                    | None => {}
                },
                heard = keeper.hear() => keeper.take_in(heard).await,
            }
            if keeper.lacks_a_runner() {
                look_at = look_at.min(keeper.not_before);
            }
        }
        keeper.close().await;
    }
}

struct Keeper<'a> {
    worker: &'a Worker,
    term: &'a Term,
    held: HashMap<i64, Held>,
    /// Those that the process is to run, and does not yet.
    fresh: BTreeSet<i64>,
    /// Those that it is to end.
    cancelled: BTreeSet<i64>,
    /// What was said and could not be recorded yet.
    unposted: Vec<Fired>,
    /// What is to be shown of XComs that come with it.
    unmasked: Vec<Masked>,
    runner: Option<Runner<'a>>,
    since: Instant,
    /// When something was held last.
    busy: Instant,
    not_before: Instant,
    pause: Duration,
    secrets: Vec<String>,
    masker: Masker,
}

impl<'a> Keeper<'a> {
    fn new(worker: &'a Worker, term: &'a Term) -> Keeper<'a> {
        let now = Instant::now();
        Keeper {
            worker,
            term,
            held: HashMap::new(),
            fresh: BTreeSet::new(),
            cancelled: BTreeSet::new(),
            unposted: Vec::new(),
            unmasked: Vec::new(),
            runner: None,
            since: now,
            busy: now,
            not_before: now,
            pause: PAUSES.0,
            secrets: Vec::new(),
            masker: Masker::default(),
        }
    }

    /// What the process says; for ever silent while there is none.
    async fn hear(&mut self) -> Heard {
        match &mut self.runner {
            Some(runner) => runner.hear().await,
            None => std::future::pending().await,
        }
    }

    /// Compares what is held with the records, and takes more.
    async fn look(&mut self) {
        self.post().await;
        let known: HashSet<i64> = self.held.keys().copied().collect();
        match self.worker.store.triggers_of(self.term.id).await {
            Ok(recorded) => {
                let recorded: HashSet<i64> = recorded.into_iter().collect();
                for id in known.difference(&recorded) {
                    self.cancel(*id).await;
                }
            }
            Err(error) => return tracing::debug!(%error, "cannot compare triggers with the records"),
        }
        self.mind_the_runner().await;
        let room = CAPACITY.saturating_sub(self.held.len());
        if room > 0 && self.term.lease.is_fresh() && Instant::now() >= self.not_before {
            self.take(room).await;
        }
        self.start_if_needed().await;
    }

    async fn take(&mut self, room: usize) {
        let (store, queues) = (&self.worker.store, &self.worker.settings.queues);
        match store.take_triggers(self.term.id, queues, room).await {
            Ok(taken) => {
                for trigger in taken {
                    self.fresh.insert(trigger.id);
                    self.held.insert(trigger.id, Held::new(trigger));
                }
            }
            Err(error) => tracing::debug!(%error, "no triggers can be taken now"),
        }
    }

    /// There are triggers, and no process for them.
    fn lacks_a_runner(&self) -> bool {
        self.runner.is_none() && !self.held.is_empty()
    }

    async fn mind_the_runner(&mut self) {
        if let Some(runner) = self.runner.as_ref().filter(|runner| runner.hangs()) {
            tracing::error!(
                "the process of triggers hangs: one of them does not let the others go on. It is started anew"
            );
            runner.kill();
        }
        if !self.held.is_empty() {
            self.busy = Instant::now();
        } else if self.busy.elapsed() > IDLE
            && let Some(runner) = self.runner.take()
        {
            runner.end(self.worker.station.grace).await;
            tracing::info!("the process of triggers has nothing to do, and has ended");
        }
    }

    async fn start_if_needed(&mut self) {
        if !self.lacks_a_runner() || Instant::now() < self.not_before {
            return;
        }
        let started = tokio::select! {
            started = Runner::start(&self.worker.station) => started,
            () = self.term.closing.cancelled() => return,
        };
        match started {
            Ok(runner) => {
                self.since = Instant::now();
                self.fresh = self.held.keys().copied().collect();
                self.cancelled.clear();
                self.runner = Some(runner);
            }
            // Somebody else may be able to.
            Err(reason) => {
                tracing::error!(%reason, "triggers cannot run here; they are given back");
                self.not_before = Instant::now() + PAUSES.1;
                self.give_back().await;
            }
        }
    }

    async fn take_in(&mut self, heard: Heard) {
        match heard {
            Heard::Line(line) => self.log(&line).await,
            Heard::Ended(end) => self.bury(end).await,
            Heard::Asked(id, body) => {
                let reply = match Changes::of(&body) {
                    Some(changes) => self.exchange(changes).await,
                    None => self.answer(body).await,
                };
                if let Some(runner) = &mut self.runner {
                    runner.answer(id, reply).await;
                }
            }
        }
    }

    async fn answer(&mut self, body: Value) -> python::message::Reply {
        let (reply, secrets) =
            answers::answer(body, &self.worker.station, &self.worker.records, &self.masker).await;
        if !secrets.is_empty() {
            self.held.values().for_each(|held| held.hide(&secrets));
            self.masker.add(secrets.iter().cloned());
            self.secrets.extend(secrets);
            self.secrets.sort_unstable();
            self.secrets.dedup();
        }
        reply
    }

    /// Takes in what triggers have said, and says which are to begin and to end.
    async fn exchange(&mut self, changes: Changes) -> python::message::Reply {
        let words = changes.words();
        if !words.is_empty() {
            for _ in 0..MOST_LINES {
                let Some(line) = self.line_before().await else { break };
                self.log(&line).await;
            }
        }
        for (id, word) in words {
            // Only its first word counts, and nobody waits for the rest.
            let Some(held) = self.held.remove(&id) else { continue };
            self.cancelled.insert(id);
            let (attempt, number) = (held.attempt(), held.trigger.number);
            self.unmasked.extend(held.masked_xcoms(&word, &self.masker));
            held.finish(&self.worker.archive).await;
            let (worker, at) = (self.term.id, self.worker.station.clock.now());
            self.unposted.push(Fired { attempt, number, worker, at, word: self.masked(word) });
        }
        self.post().await;
        let hostname = &self.worker.station.hostname;
        let fresh = std::mem::take(&mut self.fresh);
        let to_create = fresh.iter().filter_map(|id| Some(self.held.get(id)?.order(hostname))).collect();
        let to_cancel: Vec<i64> = std::mem::take(&mut self.cancelled).into_iter().collect();
        python::message::Reply::Body(said::orders(to_create, &to_cancel))
    }

    async fn line_before(&mut self) -> Option<Vec<u8>> {
        match &mut self.runner {
            Some(runner) => runner.line_before().await,
            None => None,
        }
    }

    // Its traceback is shown in the log of its task, which does not know what is secret here.
    fn masked(&self, word: Word) -> Word {
        match word {
            Word::Failed(Some(lines)) => {
                Word::Failed(Some(lines.iter().map(|line| self.masker.text(line)).collect()))
            }
            Word::Failed(None) | Word::Event(_) | Word::Ended { .. } => word,
        }
    }

    /// Records what was said. What cannot be recorded now is kept and tried again; what was said of a trigger that somebody else holds
    /// meanwhile is dropped by the records.
    async fn post(&mut self) {
        while let Some(masked) = self.unmasked.last() {
            if let Err(error) = self.worker.store.mask_xcom(masked).await {
                return tracing::warn!(%error, "what is shown of XComs of triggers cannot be recorded now");
            }
            self.unmasked.pop();
        }
        while !self.unposted.is_empty() {
            let most = self.unposted.len().min(store::deferral::MOST_TRIGGERS);
            match self.worker.store.post_fired(&self.unposted[..most]).await {
                Ok(posted) => {
                    if posted < most {
                        tracing::info!(
                            dropped = most - posted,
                            "triggers spoke that are not held here any more"
                        );
                    }
                    self.unposted.drain(..most);
                    // A bell that is not heard costs the engine's next look at the inbox, nothing more.
                    let _ = self.worker.queue.ring(Bell::Engine).await;
                }
                Err(error) => return tracing::warn!(%error, "what triggers said cannot be recorded now"),
            }
        }
    }

    /// A line of the log of a trigger goes into the log of its task, everything else into that of this worker.
    async fn log(&mut self, line: &[u8]) {
        let event: Option<Value> = serde_json::from_slice(line).ok();
        let id = event.as_ref().and_then(|event| event.get("trigger_id")?.as_i64());
        let held = id.and_then(|id| self.held.remove_entry(&id));
        match (event, held) {
            (Some(event), Some((id, mut held))) => {
                let (source, text) = told_in_log(&event);
                held.line(Some(source), &text, &self.logs()).await;
                self.held.insert(id, held);
            }
            (Some(event), None) => {
                tracing::debug!("triggers: {}", self.masker.text(&told_in_log(&event).1));
            }
            (None, _) => {
                tracing::info!("triggers: {}", self.masker.text(String::from_utf8_lossy(line).trim_end()))
            }
        }
    }

    fn logs(&self) -> Logs<'_> {
        Logs {
            station: &self.worker.station,
            archive: &self.worker.archive,
            queue: &self.worker.queue,
            live: self.worker,
            limit: self.worker.settings.log_limit,
            secrets: &self.secrets,
        }
    }

    /// The process has died: its triggers begin anew in another one.
    async fn bury(&mut self, end: Option<std::process::ExitStatus>) {
        let Some(runner) = self.runner.take() else { return };
        runner.end(Duration::ZERO).await;
        let how = end.map_or_else(|| "its fork server died".to_owned(), |end| end.to_string());
        tracing::error!(how, triggers = self.held.len(), "the process of triggers has died");
        let is_steady = self.since.elapsed() >= STEADY;
        self.pause = if is_steady { PAUSES.0 } else { (self.pause * 2).min(PAUSES.1) };
        self.not_before = Instant::now() + self.pause;
        for id in self.held.keys().copied().collect::<Vec<_>>() {
            if let Some(mut held) = self.held.remove(&id) {
                let note = format!("the process of its trigger has died ({how}); the trigger begins anew");
                held.line(None, &note, &self.logs()).await;
                self.held.insert(id, held);
            }
        }
    }

    /// Somebody has ended or cleared a task that waits.
    async fn cancel_of(&mut self, attempt: TryKey) {
        let of_it = self.held.iter().find(|(_, held)| held.attempt() == attempt).map(|(id, _)| *id);
        if let Some(id) = of_it {
            self.cancel(id).await;
        }
    }

    // What it logs from now on is nobody's.
    async fn cancel(&mut self, id: i64) {
        if let Some(held) = self.held.remove(&id) {
            held.finish(&self.worker.archive).await;
            if !self.fresh.remove(&id) {
                self.cancelled.insert(id);
            }
        }
    }

    async fn give_back(&mut self) {
        let ids: Vec<i64> = self.held.keys().copied().collect();
        for (_, held) in self.held.drain() {
            held.finish(&self.worker.archive).await;
        }
        self.fresh.clear();
        if ids.is_empty() {
            return;
        }
        match self.worker.store.give_back_triggers(self.term.id, &ids).await {
            Ok(()) => drop(self.worker.queue.ring(Bell::Deferral).await),
            Err(error) => {
                tracing::warn!(%error, "triggers are not given back; others take them when the lease is over")
            }
        }
    }

    /// Ends the process, and gives back what is held. What was said and could not be recorded is said again elsewhere.
    async fn close(mut self) {
        if let Some(runner) = self.runner.take() {
            runner.end(self.worker.station.grace).await;
        }
        self.post().await;
        self.give_back().await;
    }
}

impl crate::triggers::held::Tails for Worker {
    fn tail(&self, attempt: TryKey) -> Arc<Tail> {
        self.live.open(LogId(ticket_of(attempt)))
    }
}
