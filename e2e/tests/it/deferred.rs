//! Tasks of Airflow DAG files that wait without a worker: sensors that look again later, and triggers, whatever becomes of those who hold them.
//! Skipped, and said so, where Airflow cannot be installed.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use serde_json::{Value, json};
use tokio_postgres::{Client, NoTls};

use crate::{airflow_environment::environment, platform::Platform, servers::PATIENCE};

const RUN: &str = "/dags/waiting/dagRuns/once";
const SECRET: &str = "s3cr3t-pheasant";

struct Scene {
    platform: Platform,
    database: Client,
    gate: PathBuf,
}

impl Scene {
    async fn new(python: &Path) -> Scene {
        let mut platform = Platform::new().await;
        let home = platform.folder.path().join("home");
        fs::create_dir_all(&home).unwrap();
        std::os::unix::fs::symlink(python, home.join("python")).unwrap();
        let write = |name: &str, text: &str| fs::write(platform.dags().join(name), text).unwrap();
        write("gates.py", include_str!("airflow/gates.py"));
        write("waiting.py", include_str!("airflow/waiting.py"));
        let (database, connection) = tokio_postgres::connect(&platform.database_url(), NoTls).await.unwrap();
        tokio::spawn(async move { drop(connection.await) });
        let gate = platform.folder.path().join("gate");
        for name in ["scheduler", "worker-1"] {
            platform.start(name);
        }
        let variable = json!({"key": "api_key", "value": SECRET});
        assert!(platform.api("POST", "/variables", Some(variable)).await.0.is_success());
        platform.until_known("waiting").await;
        Scene { platform, database, gate }
    }

    async fn until_task(&self, task: &str, state: &str) -> Value {
        let what = format!("{task} is {state}");
        let path = format!("{RUN}/taskInstances/{task}");
        self.platform.until(&what, &path, |ti| ti["state"] == state).await
    }

    async fn log(&self, task: &str) -> String {
        let path = format!("{RUN}/taskInstances/{task}/logs/1");
        self.platform.api("GET", &path, None).await.1.to_string()
    }

    /// Who holds the trigger of a task.
    async fn holder(&self, task: &str) -> Option<String> {
        let query = "SELECT j.pid FROM deferral d JOIN task_instance t USING (run_key, index) \
                     JOIN job j ON j.id = d.worker WHERE t.task_id = $1";
        let row = self.database.query_opt(query, &[&task]).await.unwrap()?;
        self.platform.name_of(row.get(0)).map(str::to_owned)
    }

    async fn until_held(&self, task: &str, holds: impl Fn(&str) -> bool) -> String {
        let began = Instant::now();
        loop {
            if let Some(holder) = self.holder(task).await.filter(|holder| holds(holder)) {
                return holder;
            }
            let waited = began.elapsed();
            assert!(waited < PATIENCE, "nobody holds the trigger of {task}\n{}", self.platform.logs());
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }

    /// The process in which the trigger of a task runs, once it is another one than that.
    async fn until_runs_elsewhere(&self, task: &str, than: Option<i32>) -> i32 {
        let began = Instant::now();
        loop {
            let log = self.log(task).await;
            let told = log.rsplit("waits in process ").next().filter(|_| log.contains("waits in process "));
            let pid = told.and_then(|rest| rest.split(' ').next()?.parse().ok());
            if let Some(pid) = pid.filter(|pid| Some(*pid) != than) {
                return pid;
            }
            let waited = began.elapsed();
            assert!(waited < PATIENCE, "the trigger of {task} never began: {log}\n{}", self.platform.logs());
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_wait_without_a_worker_whatever_becomes_of_it() {
    let Some(environment) = environment().await else { return };
    let mut scene = Scene::new(environment.folder()).await;
    let conf = json!({"gate": scene.gate});
    scene.platform.trigger("waiting", "once", conf).await;

    for task in ["through", "twice", "ended", "broken", "stopped"] {
        scene.until_task(task, "deferred").await;
    }
    scene.until_task("looks", "up_for_reschedule").await;
    scene.until_task("moment", "success").await;
    scene.until_task("gives_up", "skipped").await;
    let late = scene.until_task("late", "failed").await;
    assert_eq!(late["try_number"], 1);

    // The process of triggers is killed: another one goes on with all of them.
    let pid = scene.until_runs_elsewhere("through", None).await;
    let killed = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
    assert_eq!(killed, Ok(()));
    let pid = scene.until_runs_elsewhere("through", Some(pid)).await;

    // Whoever waits no longer has no trigger any more.
    let stop = json!({"new_state": "failed"});
    let path = format!("{RUN}/taskInstances/stopped");
    let (status, answer) = scene.platform.api("PATCH", &path, Some(stop)).await;
    assert!(status.is_success(), "{answer:#}");
    scene.until_task("stopped", "failed").await;
    assert_eq!(scene.holder("stopped").await, None);

    // The worker is killed: another one takes its triggers.
    assert_eq!(scene.until_held("through", |_| true).await, "worker-1");
    scene.platform.start("worker-2");
    scene.platform.kill("worker-1");
    scene.until_held("through", |holder| holder == "worker-2").await;
    scene.until_runs_elsewhere("through", Some(pid)).await;

    fs::write(&scene.gate, "").unwrap();
    let ended = |run: &Value| run["state"] == "success" || run["state"] == "failed";
    let run = scene.platform.until("the run ended", RUN, ended).await;
    assert_eq!(run["state"], "failed", "some of its tasks are to fail");
    check_states(&scene).await;
    check_results(&scene).await;
    check_logs(&scene).await;
    let left = scene.database.query_one("SELECT count(*) FROM deferral", &[]).await.unwrap();
    assert_eq!(left.get::<_, i64>(0), 0, "nothing is left of any deferral");
}

async fn check_states(scene: &Scene) {
    let (_, tis) = scene.platform.api("GET", &format!("{RUN}/taskInstances?limit=100"), None).await;
    let one = |ti: &Value| {
        let text = |name: &str| ti[name].as_str().unwrap_or_default().to_owned();
        // The worker may have been killed in the middle of a look, which is a try that was lost.
        let number = if ti["task_id"] == "looks" { 1 } else { ti["try_number"].as_i64().unwrap() };
        (text("task_id"), text("state"), number)
    };
    let mut found: Vec<_> = tis["task_instances"].as_array().unwrap().iter().map(one).collect();
    found.sort();
    let expected = [
        ("broken", "failed"),
        ("ended", "success"),
        ("gives_up", "skipped"),
        ("late", "failed"),
        ("looks", "success"),
        ("moment", "success"),
        ("stopped", "failed"),
        ("through", "success"),
        ("twice", "success"),
    ];
    let expected: Vec<_> =
        expected.iter().map(|(task, state)| ((*task).to_owned(), (*state).to_owned(), 1)).collect();
    assert_eq!(found, expected, "{}", scene.platform.logs());
}

async fn check_results(scene: &Scene) {
    for (task, value) in
        [("through", json!(42)), ("twice", json!("twice")), ("ended", json!("ended by its trigger"))]
    {
        let path = format!("{RUN}/taskInstances/{task}/xcomEntries/return_value");
        assert_eq!(scene.platform.api("GET", &path, None).await.1["value"], value, "{task}");
    }
    // Callbacks of failures run in processes of the tasks, and see the errors that Airflow has for this.
    let failed = fs::read_to_string(scene.gate.with_extension("failed")).unwrap_or_default();
    let mut failed: Vec<&str> = failed.lines().collect();
    failed.sort_unstable();
    assert_eq!(failed, ["broken TaskDeferralError", "late TaskDeferralTimeout"]);
}

async fn check_logs(scene: &Scene) {
    let log = scene.log("through").await;
    let order = ["before the gate", "the trigger waits in process", "has died", "behind the gate"];
    let places: Vec<_> = order.iter().map(|text| log.find(text)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?} in {log}");
    assert!(log.contains("with ***") && !log.contains(SECRET), "{log}");
    let broken = scene.log("broken").await;
    assert!(
        broken.contains("Trigger failed") && broken.contains("ValueError: the gate is broken"),
        "{broken}"
    );
    let looks = scene.log("looks").await;
    assert!(looks.matches("looks for").count() > 1, "every look is in the log: {looks}");
}
