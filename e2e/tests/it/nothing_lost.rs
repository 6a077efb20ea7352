//! Whatever is killed while a run is under way, the run ends, and every effect is recorded exactly once.

use std::time::Duration;

use serde_json::{Value, json};
use tokio_postgres::{Client, NoTls};

use crate::{platform::Platform, servers::PATIENCE};

const TASKS: usize = 200;

// Without retries, a try that used one up would fail the run.
const DAG: &str = "
dag_id: many
max_active_tasks: 64
tasks:
  first: {bash: 'echo began'}
  held: {bash: 'until [ -e GATE ]; do sleep 0.05; done; echo let go'}
  each:
    depends_on: first
    expand: {n: [NUMBERS]}
    bash: 'sleep 0.2; echo {{ n }}'
  last: {bash: 'echo over', depends_on: [each, held]}
";

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_whatever_is_killed() {
    let mut platform = Platform::new().await;
    let numbers: Vec<String> = (0..TASKS).map(|n| n.to_string()).collect();
    let gate = platform.folder.path().join("gate");
    let dag = DAG.replace("NUMBERS", &numbers.join(", ")).replace("GATE", gate.to_str().unwrap());
    std::fs::write(platform.dags().join("many.yaml"), dag).unwrap();
    platform.start("scheduler");
    platform.start("worker-1");
    platform.until_known("many").await;
    platform.trigger("many", "r", json!({})).await;
    // The only worker so far has it, and keeps it: whenever that one is killed, a try is lost.
    let is_running = |answer: &Value| answer["state"] == "running";
    platform.until("one is held", "/dags/many/dagRuns/r/taskInstances/held", is_running).await;
    platform.start("worker-2");
    let mut database = connect(&platform).await;

    until_done(&database, 10).await;
    platform.kill("scheduler");
    platform.start("scheduler");

    until_done(&database, 30).await;
    platform.kill("worker-1");
    std::fs::write(&gate, "").unwrap();
    platform.start("worker-3");

    until_done(&database, 50).await;
    platform.kill("webserver");
    platform.start("webserver");

    until_done(&database, 70).await;
    flush(&platform).await;

    until_done(&database, 90).await;
    platform.redis.restart();

    until_done(&database, 110).await;
    platform.restart_postgres().await;
    database = connect(&platform).await;

    platform.until_healthy().await;
    let ended = |answer: &Value| answer["state"] == "success" || answer["state"] == "failed";
    let run = platform.until("the run ended", "/dags/many/dagRuns/r", ended).await;
    assert_eq!(run["state"], "success", "{run:#}\n{}", platform.logs());
    check_records(&database).await;
}

async fn check_records(database: &Client) {
    let count = async |query: &str| -> i64 { database.query_one(query, &[]).await.unwrap().get(0) };
    let all = i64::try_from(TASKS + 3).unwrap();
    assert_eq!(count("SELECT count(*) FROM task_instance WHERE state = 'success'").await, all);
    assert_eq!(count("SELECT count(*) FROM task_instance").await, all);
    assert_eq!(
        count("SELECT count(*) FROM task_try WHERE state = 'success'").await,
        all,
        "one success for each"
    );
    let twice = "SELECT count(*) FROM (SELECT 1 FROM task_try WHERE state = 'success'
                 GROUP BY run_key, index HAVING count(*) > 1) AS twice";
    assert_eq!(count(twice).await, 0, "no success is recorded twice");
    let lost = "SELECT count(*) FROM task_try WHERE state <> 'success'";
    let lost = count(lost).await;
    assert!(lost > 0, "a worker was killed while it ran tasks, so tries were lost");
    // A lost try raises max_tries with try_number: with no retries both end as far apart as they began.
    assert_eq!(count("SELECT count(*) FROM task_instance WHERE max_tries <> try_number - 1").await, 0);
    assert_eq!(count("SELECT count(*) FROM xcom WHERE key = 'return_value'").await, all, "every XCom once");
    assert_eq!(count("SELECT count(*) FROM inbox").await, 0, "nothing waits to be applied");
}

async fn until_done(database: &Client, wanted: i64) {
    let began = std::time::Instant::now();
    loop {
        let row = database
            .query_one("SELECT count(*) FROM task_instance WHERE state = 'success'", &[])
            .await
            .unwrap();
        if row.get::<_, i64>(0) >= wanted {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "only {} of {wanted} tasks are done", row.get::<_, i64>(0));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
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
