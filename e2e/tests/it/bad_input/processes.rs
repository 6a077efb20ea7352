//! Processes that cannot start: each ends with status 1 and says what to change.

use std::{process::Command, time::Duration};

use tokio_postgres::{NoTls, error::SqlState};

use crate::{
    platform::Platform,
    servers::{PATIENCE, Process, Redis, free_port},
};

const ALL: [&str; 3] = ["scheduler", "worker", "webserver"];

/// A taken port, a home that cannot be written, a setting that cannot be.
pub async fn say_why_they_do_not_start(platform: &Platform) {
    let port = platform.port.to_string();
    let in_use = format!(
        "port {port} is in use by another program; stop that one, or choose another port with --port"
    );
    fails(platform.command(&["webserver", "--port", &port]), &[&in_use]).await;
    // Before it makes anything in a new home.
    let home = platform.folder.path().join("new-home");
    let mut standalone = platform.command(&["standalone", "--port", &port]);
    standalone
        .env("TRADEWIND_HOME", &home)
        .env_remove("TRADEWIND_DATABASE_URL")
        .env_remove("TRADEWIND_REDIS_URL");
    fails(standalone, &[&in_use]).await;
    assert!(!home.join("postgres").exists());

    let file = platform.folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let home = file.join("home").display().to_string();
    for process in ["scheduler", "worker", "webserver", "standalone"] {
        let words = [&*format!("the home folder {home} cannot be used"), "--home or TRADEWIND_HOME"];
        fails(platform.command(&[process, "--home", &home]), &words).await;
    }
    let logs = file.join("logs").display().to_string();
    fails(platform.command(&["worker", "--logs-url", &logs]), &["--logs-url or TRADEWIND_LOGS_URL", &logs])
        .await;
    let mut nobody = platform.command(&["worker"]);
    nobody.env_remove("TRADEWIND_REDIS_URL");
    fails(nobody, &["this process needs Redis: set TRADEWIND_REDIS_URL or give --redis-url"]).await;
}

/// A database that is not there, does not know us, or has other tables.
pub async fn say_what_is_wrong_with_the_database(platform: &Platform) {
    let url = platform.database_url();
    let of = |database: &str| format!("{}/{database}", url.rsplit_once('/').unwrap().0);
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("CREATE ROLE locked LOGIN PASSWORD 'right'").await.unwrap();
    client.batch_execute("CREATE DATABASE empty").await.unwrap();
    client.batch_execute("CREATE DATABASE newer").await.unwrap();
    let locked = url.replacen("postgres://tradewind@", "postgres://locked:wrong@", 1);
    ask_for_passwords(platform, &client, &locked).await;
    assert!(platform.command(&["db", "migrate", "--database-url", &of("newer")]).status().unwrap().success());
    let (newer, connection) = tokio_postgres::connect(&of("newer"), NoTls).await.unwrap();
    tokio::spawn(connection);
    newer
        .batch_execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('99999999999999')")
        .await
        .unwrap();

    for (url, words) in [
        (of("nowhere"), ["database \"nowhere\" does not exist", "create it with `createdb nowhere`"]),
        (
            locked,
            [
                "password authentication failed for user \"locked\"",
                "the user name or the password in the URL is wrong",
            ],
        ),
        (
            of("newer"),
            [
                "the database has the schema 99999999999999",
                "a newer Tradewind has already run `tradewind db migrate`",
            ],
        ),
        (of("empty"), ["the database has the schema none", "run `tradewind db migrate`"]),
    ] {
        for process in ALL {
            fails(platform.command(&[process, "--database-url", &url]), &words).await;
        }
    }
    fails(platform.command(&["db", "migrate", "--database-url", &of("newer")]), &["a newer Tradewind"]).await;
    let old = "DELETE FROM __diesel_schema_migrations; \
               INSERT INTO __diesel_schema_migrations (version) VALUES ('20200101000000')";
    newer.batch_execute(old).await.unwrap();
    let old = ["the database has the schema 20200101000000", "run `tradewind db migrate`"];
    fails(platform.command(&["scheduler", "--database-url", &of("newer")]), &old).await;

    // One that may still come is waited for, and that is said.
    let mut refused =
        platform.command(&["scheduler", "--database-url", "postgres://u:hunter2@127.0.0.1:1/d"]);
    let waiting = Process::start(&mut refused, platform.folder.path().join("waiting.log"));
    until_said(&waiting, &["waiting for the database", "Connection refused", "is the server running"]).await;
    assert!(!waiting.said().contains("hunter2"), "{}", waiting.said());
}

/// A Redis that wants another password ends a process; one that is away does not.
pub async fn say_what_is_wrong_with_redis(platform: &Platform) {
    let redis = Redis::start_with(platform.folder.path(), &["--requirepass", "right"]);
    let url = redis.url();
    for url in [url.clone(), url.replacen("redis://", "redis://:wrong@", 1)] {
        for process in ALL {
            let words =
                ["Redis does not let us in", "the user name or the password in its URL is wrong or missing"];
            fails(platform.command(&[process, "--redis-url", &url]), &words).await;
        }
    }
    let nobody = format!("redis://127.0.0.1:{}", free_port());
    let mut worker = platform.command(&["worker", "--redis-url", &nobody, "--queues", "nothing"]);
    let running = Process::start(&mut worker, platform.folder.path().join("without-redis.log"));
    until_said(
        &running,
        &["starting without Redis", "Connection refused", "\"ready\"", "the ready queue cannot be read now"],
    )
    .await;
}

/// Runs a command that must end with status 1 and these words, and no panic.
async fn fails(command: Command, words: &[&str]) {
    let shown = format!("{command:?}");
    let ended = tokio::process::Command::from(command).kill_on_drop(true).output();
    let output = tokio::time::timeout(PATIENCE, ended)
        .await
        .unwrap_or_else(|_| panic!("{shown} did not end"))
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{shown}: {said}");
    let error = said.lines().last().unwrap_or_default();
    assert!(error.starts_with("error: ") && !said.contains("panicked"), "{shown}: {said}");
    for word in words {
        assert!(error.contains(word), "{shown}: no {word:?} in {said}");
    }
}

async fn until_said(process: &Process, words: &[&str]) {
    let all = async {
        while !words.iter().all(|word| process.said().contains(word)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let heard = tokio::time::timeout(PATIENCE, all).await;
    assert!(heard.is_ok(), "not all of {words:?}: {}", process.said());
}

/// Has the server ask the role `locked` for its password, and waits until it does.
async fn ask_for_passwords(platform: &Platform, client: &tokio_postgres::Client, url: &str) {
    let rules = platform.folder.path().join("postgres-home/postgres.hba");
    let before = std::fs::read_to_string(&rules).unwrap();
    std::fs::write(&rules, format!("local all locked scram-sha-256\n{before}")).unwrap();
    client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    let asked = async {
        while tokio_postgres::connect(url, NoTls).await.err().and_then(|error| error.code().cloned())
            != Some(SqlState::INVALID_PASSWORD)
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap();
}
