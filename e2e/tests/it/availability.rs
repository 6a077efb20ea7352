//! Two schedulers, three workers, PostgreSQL and Redis: whatever is killed, stopped, cut off, emptied, restarted or full, the platform
//! goes on by itself and soon, and the records say in the end that nothing was lost and nothing ran twice.
//!
//! Whatever is hit holds something at that moment: tasks that wait for a file which the test makes only afterwards.

use std::{
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio_postgres::{Client, NoTls};

use crate::{
    audit,
    platform::Platform,
    relay::Relay,
    servers::{PATIENCE, tradewind},
};

/// Slots of each worker.
const SLOTS: usize = 4;
/// Instances of `held`: they leave room for others on three workers.
const HELD: usize = 6;
/// Instances of `held` in the DAG that fills all slots of three workers and then waits in the queue.
const CROWD: usize = 40;
/// Longest take-over that a test accepts, also on a machine that does other things: the figures that it prints are much smaller on a
/// quiet one.
const TAKE_OVER: Duration = Duration::from_secs(10);
/// A log longer than what the full disk takes.
const LONG_LOG: usize = 400_000;

// Without retries, a try that used one up would fail its run.
const DAG: &str = "
dag_id: NAME
max_active_tasks: 64
max_active_runs: 16
tasks:
  first: {bash: 'NOTE'}
  held:
    expand: {n: [HELD]}
    bash: 'until [ -e FOLDER/gate-$TRADEWIND_RUN_ID ]; do sleep 0.05; done; NOTE'
  each:
    depends_on: first
    expand: {n: [EACH]}
    bash: 'sleep 0.05; NOTE'
  last: {bash: 'NOTE', depends_on: [each, held]}
";

const NOTE: &str = "echo $TRADEWIND_RUN_ID $TRADEWIND_TASK_ID $TRADEWIND_MAP_INDEX $TRADEWIND_TRY_NUMBER | tee -a FOLDER/effects";

const NOISY: &str = "
dag_id: noisy
tasks:
  shout: {queue: full, bash: 'head -c LENGTH /dev/zero | tr \"\\0\" x | fold -w 100; NOTE'}
  whisper: {queue: full, bash: 'echo still here; NOTE', depends_on: shout}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_takes_over_whatever_becomes_of_the_leader() {
    let mut scene = Scene::new().await;
    let behind_c = Relay::to(&scene.platform.database_url()).await;
    scene.platform.start("scheduler-a");
    scene.until_leading("scheduler-a").await;
    scene.platform.start("scheduler-b");
    for worker in ["worker-1", "worker-2", "worker-3"] {
        scene.platform.start_worker(worker, SLOTS);
    }
    scene.platform.until_known("rounds").await;

    scene.hold("killed").await;
    let hit = Instant::now();
    scene.platform.kill("scheduler-a");
    scene.carries_on("killed", "scheduler-b", hit, "kill -9 of the leader").await;

    scene.platform.start_behind(&behind_c, "scheduler-c", &["scheduler"]);
    scene.until_standing_by("scheduler-c").await;
    scene.hold("stopped").await;
    let hit = Instant::now();
    scene.platform.process("scheduler-b").signal(Signal::SIGSTOP);
    scene.carries_on("stopped", "scheduler-c", hit, "SIGSTOP of the leader").await;
    let before = scene.lease().await;
    scene.platform.process("scheduler-b").signal(Signal::SIGCONT);
    scene.until_deposed("scheduler-b").await;
    assert_eq!(scene.lease().await, before, "a leader that wakes up changes nothing");

    scene.hold("cut").await;
    let hit = Instant::now();
    behind_c.cut();
    scene.carries_on("cut", "scheduler-b", hit, "the network of the leader is cut").await;
    let before = scene.lease().await;
    scene.until_deposed("scheduler-c").await;
    behind_c.mend();
    scene.until_standing_by("scheduler-c").await;
    assert_eq!(scene.lease().await, before, "what was on its way changes nothing");

    scene.hold("asked").await;
    let hit = Instant::now();
    scene.platform.process("scheduler-b").signal(Signal::SIGTERM);
    scene.carries_on("asked", "scheduler-c", hit, "SIGTERM of the leader").await;

    // All slots are held, so what else is ready is in the queue: it is lost with its memory.
    scene.platform.trigger("crowd", "emptied", json!({})).await;
    scene.until_count("all slots are held", running("emptied"), 3 * SLOTS).await;
    scene.until_count("some wait in the queue", waiting("emptied"), 1).await;
    flush(&scene.platform).await;
    scene.platform.restart_postgres().await;
    scene.database = connect(&scene.platform).await;
    scene.open_gate("emptied");

    scene.all_succeed(&["killed", "stopped", "cut", "asked", "emptied"]).await;
    audit::is_clean(&scene.database).await;
    // No worker was lost, so no try was repeated, and no task did anything twice.
    let instances = audit::effects_are_single(&scene.database, &scene.effects(), &[]).await;
    assert_eq!(instances, 4 * (HELD + 30 + 2) + CROWD + 4 + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_cut_off_loses_its_tries_once() {
    let mut scene = Scene::new().await;
    let behind_1 = Relay::to(&scene.platform.database_url()).await;
    scene.platform.start("scheduler-a");
    let worker = ["worker", "--parallelism", "4", "--drain-timeout", "5s"];
    scene.platform.start_behind(&behind_1, "worker-1", &worker);
    scene.hear_all_outcomes().await;
    scene.platform.until_known("rounds").await;
    scene.platform.until_known("noisy").await;
    scene.platform.trigger("rounds", "lost", json!({})).await;
    // It is the only worker, so all its slots hold tries of this run.
    scene.until_count("all slots are held", running("lost"), SLOTS).await;
    behind_1.cut();

    // It has room for what the other one loses.
    scene.platform.start_worker("worker-2", 2 * SLOTS);
    scene.start_worker_on_a_full_disk("worker-3");
    scene.platform.trigger("noisy", "full", json!({})).await;
    scene.all_succeed(&["full"]).await;
    scene.a_lost_log_is_told("worker-3").await;

    let second = "SELECT count(*) FROM task_instance t JOIN dag_run r ON r.key = t.run_key
                  WHERE r.run_id = $1 AND t.task_id = 'held' AND t.state = 'running' AND t.try_number = 2";
    scene.until_count("the lost tries run elsewhere", (second, "lost"), SLOTS).await;
    // The processes of the first tries live on and end now too: their worker cannot tell.
    scene.open_gate("lost");
    scene.all_succeed(&["lost"]).await;
    let before = scene.history().await;
    behind_1.mend();
    scene.until_said("worker-1", "this worker begins anew").await;
    scene.platform.trigger("rounds", "again", json!({})).await;
    scene.open_gate("again");
    scene.all_succeed(&["again"]).await;

    // Whatever a worker reported comes once more, long after its time, that of the lost tries too.
    scene.repeat_all_outcomes(&before).await;
    audit::is_clean(&scene.database).await;
    let first_tries: Vec<String> = (0..HELD).map(|n| format!("lost held {n}")).collect();
    let first_tries: Vec<&str> = first_tries.iter().map(String::as_str).collect();
    audit::effects_are_single(&scene.database, &scene.effects(), &first_tries).await;
    let repeated = "SELECT count(*) FROM task_try WHERE state <> 'success'";
    let repeated: i64 = scene.database.query_one(repeated, &[]).await.unwrap().get(0);
    assert_eq!(repeated, i64::try_from(SLOTS).unwrap(), "each was queued again once");
}

/// The platform, a connection to its database, and what the tests do with both.
struct Scene {
    platform: Platform,
    database: Client,
}

/// A query for a count, with the run that it is about.
type Count<'a> = (&'static str, &'a str);

fn running(run_id: &str) -> Count<'_> {
    let query = "SELECT count(*) FROM task_instance t JOIN dag_run r ON r.key = t.run_key
                 WHERE r.run_id = $1 AND t.task_id = 'held' AND t.state = 'running'";
    (query, run_id)
}

fn waiting(run_id: &str) -> Count<'_> {
    let query = "SELECT count(*) FROM task_instance t JOIN dag_run r ON r.key = t.run_key
                 WHERE r.run_id = $1 AND t.task_id = 'held' AND t.state = 'queued'";
    (query, run_id)
}

fn done<'a>(run_id: &'a str, task: &str) -> Count<'a> {
    let query = match task {
        "held" => {
            "SELECT count(*) FROM task_instance t JOIN dag_run r ON r.key = t.run_key
             WHERE r.run_id = $1 AND t.task_id = 'held' AND t.state = 'success'"
        }
        _ => {
            "SELECT count(*) FROM task_instance t JOIN dag_run r ON r.key = t.run_key
             WHERE r.run_id = $1 AND t.task_id <> 'held' AND t.state = 'success'"
        }
    };
    (query, run_id)
}

impl Scene {
    async fn new() -> Self {
        let platform = Platform::new().await;
        let database = connect(&platform).await;
        let scene = Self { platform, database };
        scene.write_dag("rounds", HELD, 30);
        scene.write_dag("crowd", CROWD, 4);
        scene.write("noisy", &NOISY.replace("LENGTH", &LONG_LOG.to_string()));
        scene
    }

    fn write_dag(&self, name: &str, held: usize, each: usize) {
        let list = |length: usize| (0..length).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
        let dag = DAG.replace("NAME", name).replace("HELD", &list(held)).replace("EACH", &list(each));
        self.write(name, &dag);
    }

    fn write(&self, name: &str, dag: &str) {
        let dag = dag.replace("NOTE", NOTE).replace("FOLDER", self.platform.folder.path().to_str().unwrap());
        std::fs::write(self.platform.dags().join(format!("{name}.yaml")), dag).unwrap();
    }

    fn effects(&self) -> PathBuf {
        self.platform.folder.path().join("effects")
    }

    fn open_gate(&self, run_id: &str) {
        std::fs::write(self.platform.folder.path().join(format!("gate-{run_id}")), "").unwrap();
    }

    /// Begins a run and brings it to where some of its tasks have ended and some are held.
    async fn hold(&self, run_id: &str) {
        self.platform.trigger("rounds", run_id, json!({})).await;
        self.until_count("tasks are held", running(run_id), HELD).await;
        self.until_count("some tasks are done", done(run_id, "others"), 5).await;
    }

    /// After the leader was hit, lets the held tasks end. Whoever records that has taken over.
    async fn carries_on(&self, run_id: &str, successor: &str, hit: Instant, what: &str) {
        self.open_gate(run_id);
        self.until_count("a held task has ended in the records", done(run_id, "held"), 1).await;
        let took = hit.elapsed();
        println!("{what}: the first commit of the next leader came after {:.2} s", took.as_secs_f64());
        assert!(took < TAKE_OVER, "{what}: it took {took:?}\n{}", self.platform.logs());
        self.until_leading(successor).await;
    }

    /// Who leads, and the how-manyeth it is.
    async fn lease(&self) -> (String, i64) {
        let query =
            "SELECT j.pid, l.epoch FROM lease l JOIN job j ON j.id = l.holder WHERE l.expires_at > now()";
        match self.database.query_opt(query, &[]).await.unwrap() {
            Some(row) => (self.platform.name_of(row.get(0)).unwrap_or("nobody").to_owned(), row.get(1)),
            None => ("nobody".to_owned(), 0),
        }
    }

    async fn until_leading(&self, name: &str) {
        self.wait(&format!("{name} leads"), async || self.lease().await.0 == name).await;
    }

    /// Waits until a scheduler lives, as its row tells everybody: it tries for the lease from then on.
    async fn until_standing_by(&self, name: &str) {
        let pid = self.platform.process(name).pid().as_raw();
        let query = "SELECT count(*) FROM job WHERE pid = $1 AND kind = 'scheduler' AND state = 'running'
                     AND renewed_at > now() - interval '15 s'";
        let present = async || self.database.query_one(query, &[&pid]).await.unwrap().get::<_, i64>(0) == 1;
        self.wait(&format!("{name} stands by"), present).await;
    }

    /// Waits until a scheduler has noticed that it leads no longer, be it by its own clock or because a commit was refused.
    async fn until_deposed(&self, name: &str) {
        self.until_said(name, "the term ended").await;
    }

    async fn until_said(&self, name: &str, words: &str) {
        let said = async || self.platform.said(name).contains(words);
        self.wait(&format!("{name} says {words:?}"), said).await;
    }

    async fn until_count(&self, what: &str, (query, run_id): Count<'_>, wanted: usize) {
        let wanted = i64::try_from(wanted).unwrap();
        let enough =
            async || self.database.query_one(query, &[&run_id]).await.unwrap().get::<_, i64>(0) >= wanted;
        self.wait(&format!("{what} ({run_id})"), enough).await;
    }

    async fn all_succeed(&mut self, run_ids: &[&str]) {
        self.platform.until_healthy().await;
        let query = "SELECT count(*) FROM dag_run WHERE run_id = ANY($1) AND state = 'success'";
        let all = i64::try_from(run_ids.len()).unwrap();
        let ended =
            async || self.database.query_one(query, &[&run_ids]).await.unwrap().get::<_, i64>(0) == all;
        self.wait(&format!("{run_ids:?} succeeded"), ended).await;
    }

    async fn wait(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let began = Instant::now();
        while !holds().await {
            assert!(began.elapsed() < PATIENCE, "waited in vain until {what}\n{}", self.platform.logs());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Starts a worker of the queue `full` whose files may not grow beyond 64 or 128 KiB: writing more fails as on a full disk.
    fn start_worker_on_a_full_disk(&mut self, name: &str) {
        let worker = self.platform.command(&[]);
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; ulimit -f 128; exec \"$0\" \"$@\""]).arg(tradewind());
        command.args(["worker", "--parallelism", "2", "--queues", "full"]);
        for (variable, value) in worker.get_envs() {
            command.env(variable, value.unwrap());
        }
        self.platform.launch(name, command);
    }

    /// The log has what the disk took, and the worker says what became of the rest.
    async fn a_lost_log_is_told(&self, worker: &str) {
        self.until_said(worker, "the rest of it is lost").await;
        let log = |task: &str| format!("/dags/noisy/dagRuns/full/taskInstances/{task}/logs/1");
        let (status, answer) = self.platform.api("GET", &log("shout"), None).await;
        let length = answer.to_string().len();
        assert!(status.is_success() && length < LONG_LOG, "{status}, {length} bytes");
        let (_, answer) = self.platform.api("GET", &log("whisper"), None).await;
        assert!(answer.to_string().contains("still here"), "{answer:#}");
    }

    /// From now on every message of a worker is also kept for the test.
    async fn hear_all_outcomes(&self) {
        let sql = "CREATE TABLE heard (body json);
                   CREATE FUNCTION hear() RETURNS trigger LANGUAGE plpgsql AS
                   $$ BEGIN INSERT INTO heard VALUES (NEW.body); RETURN NEW; END $$;
                   CREATE TRIGGER hear BEFORE INSERT ON inbox FOR EACH ROW EXECUTE FUNCTION hear()";
        self.database.batch_execute(sql).await.unwrap();
    }

    /// Every message comes once more, and an outcome of each lost try; `before` must still be a part of the history.
    async fn repeat_all_outcomes(&self, before: &[String]) {
        let now = self.history().await;
        assert!(before.iter().all(|line| now.contains(line)), "history changed");
        let sql = "ALTER TABLE inbox DISABLE TRIGGER hear;
                   INSERT INTO inbox (body) SELECT body FROM heard WHERE body::text LIKE '%try_number%';
                   INSERT INTO inbox (body) SELECT jsonb_set(body::jsonb, PATH, '1')::json FROM heard
                   WHERE body::text LIKE '%try_number%'";
        let path = self.try_number_path().await;
        self.database.batch_execute(&sql.replace("PATH", &path)).await.unwrap();
        let empty = async || {
            let left = self.database.query_one("SELECT count(*) FROM inbox", &[]).await.unwrap();
            left.get::<_, i64>(0) == 0
        };
        self.wait("the repeated outcomes were taken in", empty).await;
        assert_eq!(self.history().await, now, "an outcome that comes again changes nothing");
    }

    /// Where an outcome says which try it is about, as PostgreSQL writes a path.
    async fn try_number_path(&self) -> String {
        let query = "SELECT body FROM heard WHERE body::text LIKE '%try_number%' LIMIT 1";
        let body: Value = self.database.query_one(query, &[]).await.unwrap().get(0);
        let path = path_of(&body, "try_number").unwrap_or_else(|| panic!("no try number in {body}"));
        format!("'{{{}}}'", path.join(","))
    }

    /// Every try that was recorded, in words.
    async fn history(&self) -> Vec<String> {
        let query =
            "SELECT format('%s[%s] %s: %s, %s, %s', run_key, index, try_number, state, ended_at, worker)
                     FROM task_try ORDER BY run_key, index, try_number";
        self.database.query(query, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    }
}

fn path_of(value: &Value, name: &str) -> Option<Vec<String>> {
    let object = value.as_object()?;
    if object.contains_key(name) {
        return Some(vec![name.to_owned()]);
    }
    object.iter().find_map(|(key, inner)| {
        let mut path = path_of(inner, name)?;
        path.insert(0, key.clone());
        Some(path)
    })
}

async fn flush(platform: &Platform) {
    let client = redis::Client::open(platform.redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd("FLUSHALL").exec_async(&mut connection).await.unwrap();
}

async fn connect(platform: &Platform) -> Client {
    let (client, connection) = tokio_postgres::connect(&platform.database_url(), NoTls).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    client
}
