//! A leader for tests: the real engine, whose decisions are written to the real store, and a worker that takes no time.
//! A task whose command contains `fail` fails, one that contains `wait` keeps running, the condition of one that contains `again` never
//! holds, any other succeeds at once.

use std::time::Duration;

use domain::{
    dag::Operator,
    engine::{
        Engine, Snapshot,
        decision::Decisions,
        event::Event,
        obstacle::Question,
        record::{AdmissionRecord, VersionId},
    },
    id::{DagId, QueueName, TryKey},
    intent::{Message, Wish},
    outcome::{Outcome, TryResult},
    wait::{TriggerDag, TriggerRequest},
};
use indexmap::IndexMap;
use queue::{Bell, BellKind, Bells, Note, Queue};
use runtime::clock::Clock;
use serde_json::json;
use store::{
    LeaderProof, Store, adhoc,
    job::{Kind, NewJob},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long a leader waits for a bell before it looks by itself.
const LOOK: Duration = Duration::from_millis(100);

pub(crate) struct Leader {
    store: Store,
    queue: Queue,
    clock: Clock,
    proof: LeaderProof,
    engine: Engine,
    adhoc: Option<VersionId>,
    worker: Uuid,
}

impl Leader {
    /// Leads until `stop`, from the moment on at which this returns.
    pub(crate) async fn start(store: Store, queue: Queue, proof: LeaderProof, stop: CancellationToken) {
        let bells = queue.subscribe(&[BellKind::Engine, BellKind::Config, BellKind::Question]).await;
        let worker = Uuid::new_v4();
        let job = NewJob {
            id: worker,
            kind: Kind::Worker,
            hostname: "workshop".to_owned(),
            pid: 1,
            queues: vec![QueueName::default_queue()],
            slots: 64,
        };
        store.register(&job).await.unwrap();
        let snapshot = store.load(&proof).await.unwrap();
        let clock = Clock::system();
        let memory = Snapshot {
            dags: snapshot.dags,
            runs: snapshot.runs,
            backfills: snapshot.backfills,
            pools: snapshot.pools,
            admission: AdmissionRecord::default(),
            durations: snapshot.durations,
            workers: snapshot.workers,
            assets: snapshot.assets,
            next_run: snapshot.next_run.0,
        };
        let engine = Engine::restore(memory, clock.now());
        let leader = Self { store, queue, clock, proof, engine, adhoc: None, worker };
        tokio::spawn(leader.lead(bells, stop));
    }

    async fn lead(mut self, mut bells: Bells, stop: CancellationToken) {
        loop {
            self.turn().await;
            tokio::select! {
                () = stop.cancelled() => return,
                bell = bells.next(LOOK) => match bell {
                    None | Some(Bell::Engine) => {}
                    Some(Bell::Question(note)) => {
                        self.turn().await;
                        self.reply(&note).await;
                    }
                    Some(_) => self.refresh().await,
                },
            }
        }
    }

    async fn reply(&self, note: &Note) {
        let question: Question = serde_json::from_str(&note.text).unwrap();
        let answer = self.engine.answer(&question, self.clock.now());
        self.queue.answer(&note.id, serde_json::to_string(&answer).unwrap()).await.unwrap();
    }

    async fn refresh(&mut self) {
        let now = self.clock.now();
        let pools = self.store.pool_records().await.unwrap();
        let flags = self.store.paused_flags().await.unwrap();
        self.engine.handle(Event::Pools(pools), now);
        let flags = flags.into_iter().map(|flag| (flag.dag_id, flag.is_paused)).collect();
        self.engine.handle(Event::Flags(flags), now);
    }

    async fn turn(&mut self) {
        loop {
            let messages = self.store.read(1_000).await.unwrap();
            let mut consumed = Vec::new();
            for (id, message) in messages {
                consumed.push(id);
                self.take_in(message).await;
            }
            let decisions = self.engine.poll(self.clock.now());
            if decisions.is_empty() && consumed.is_empty() {
                return;
            }
            self.store.commit(&self.proof, &decisions, &consumed).await.unwrap();
            let ready: Vec<TryKey> = decisions.ready.iter().map(|ready| ready.attempt).collect();
            self.work(&ready).await;
            for question in &decisions.questions {
                let before = self.store.standing(question).await.unwrap();
                self.engine.handle(Event::Past { run: question.run, before }, self.clock.now());
            }
            self.answer_backfills(&decisions).await;
            let changed = decisions.changed.into_iter().map(|(dag_id, run_id)| Bell::Changed {
                dag_id: dag_id.to_string(),
                run_id: Some(run_id.to_string()),
            });
            self.queue.ring_all(&changed.collect::<Vec<_>>()).await.unwrap();
        }
    }

    async fn answer_backfills(&mut self, decisions: &Decisions) {
        for survey in &decisions.surveys {
            let found = self.store.survey(survey).await.unwrap();
            let (dag_id, backfill) = (survey.dag_id.clone(), survey.backfill);
            self.engine.handle(Event::Surveyed { dag_id, backfill, found }, self.clock.now());
        }
        for recall in &decisions.recalls {
            let run = self.store.run(&recall.dag_id, &recall.run_id).await.unwrap().map(Box::new);
            let (backfill, ordinal) = (recall.place.id, recall.place.ordinal);
            let event = Event::Recalled { dag_id: recall.dag_id.clone(), backfill, ordinal, run };
            self.engine.handle(event, self.clock.now());
        }
    }

    async fn take_in(&mut self, message: Message) {
        let now = self.clock.now();
        let intent = match message {
            Message::Outcome(outcome) => return self.engine.handle(Event::Outcome(Box::new(outcome)), now),
            Message::Fired(fired) => return self.engine.handle(Event::Fired(Box::new(fired)), now),
            Message::Intent(intent) => intent,
        };
        let (dag_id, run_id) = intent.wish.subject();
        if dag_id.is_some_and(|dag_id| dag_id.as_str() == adhoc::DAG_ID)
            && let Some(record) = self.store.adhoc_dag(self.adhoc).await.unwrap()
        {
            self.adhoc = Some(record.version);
            self.engine.handle(Event::Dag(Box::new(record)), now);
        }
        if let (Some(dag_id), Some(run_id)) = (dag_id, run_id)
            && !matches!(intent.wish, Wish::Trigger(_))
            && !self.engine.knows_run(dag_id, run_id)
            && let Some(run) = self.store.run(dag_id, run_id).await.unwrap()
        {
            self.engine.handle(Event::Run(Box::new(run)), now);
        }
        self.engine.handle(Event::Intent(Box::new(intent)), now);
    }

    async fn work(&mut self, ready: &[TryKey]) {
        let claimed = self.store.claim(self.worker, ready).await.unwrap();
        let mut outcomes = Vec::new();
        for claimed in claimed {
            let (dag, _) = self.store.version(claimed.version).await.unwrap().unwrap();
            let operator = &dag.task(claimed.task_id.as_str()).unwrap().operator;
            if let Operator::TriggerDag(task) = operator {
                outcomes.push(Message::Outcome(self.trigger(claimed.attempt, task)));
                continue;
            }
            let Operator::Bash { command } = operator else { panic!("only bash is played here") };
            if !command.contains("wait") {
                outcomes.push(Message::Outcome(self.outcome(claimed.attempt, command)));
            }
        }
        self.store.post(&outcomes).await.unwrap();
    }

    fn trigger(&self, attempt: TryKey, task: &TriggerDag) -> Outcome {
        let request = TriggerRequest {
            dag_id: DagId::new(&task.dag_id).unwrap(),
            run_id: None,
            logical_date: None,
            conf: task.conf.clone(),
            then: task.then.clone(),
        };
        let (result, trigger) = (TryResult::Deferred, Some(Box::new(request)));
        Outcome { result, trigger, xcoms: IndexMap::new(), ..self.outcome(attempt, "") }
    }

    fn outcome(&self, attempt: TryKey, command: &str) -> Outcome {
        let fails = command.contains("fail");
        let now = self.clock.now();
        Outcome {
            attempt,
            result: match (fails, command.contains("again")) {
                (true, _) => TryResult::Failed,
                (false, true) => TryResult::Again,
                (false, false) => TryResult::Success,
            },
            started_at: now,
            ended_at: now,
            worker: self.worker,
            exit_code: Some(i32::from(fails)),
            reason: fails.then(|| "exit code 1".to_owned()),
            rendered_map_index: command.contains("named").then(|| format!("named {}", attempt.ti.index)),
            xcoms: IndexMap::from([("return_value".to_owned(), json!({"rows": 3, "from": command}))]),
            asset_events: Vec::new(),
            pokes: None,
            trigger: None,
            question: None,
            deferral: None,
            resume_at: None,
        }
    }
}
