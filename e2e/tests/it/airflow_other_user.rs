//! Tasks with `run_as_user`, by a stand-in for `sudo` that does what it would: it changes the user, which only root can.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use serde_json::{Value, json};

use crate::{airflow_environment::environment, platform::Standalone};

const NOBODY: u32 = 65_534;

/// Refuses while there is a file `refuses` beside it.
const SUDO: &str = r#"#!/bin/sh
while true; do
    case "$1" in
        -n | -E | -H) shift ;;
        -u) user=$2; shift 2 ;;
        *) break ;;
    esac
done
if [ -e "$(dirname "$0")/refuses" ]; then
    echo "sudo: a password is required" >&2
    exit 1
fi
export HOME=/nonexistent
exec setpriv --reuid "$user" --regid 65534 --clear-groups "$@"
"#;

fn open(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

async fn trigger(standalone: &Standalone, run_id: &str) {
    let body = json!({"dag_run_id": run_id, "logical_date": null});
    let (status, answer) = standalone.api("POST", "/dags/other_user/dagRuns", Some(body)).await;
    assert!(status.is_success(), "{status} {answer:#}");
}

async fn log(standalone: &Standalone, run_id: &str, task: &str) -> String {
    let path = format!("/dags/other_user/dagRuns/{run_id}/taskInstances/{task}/logs/1");
    standalone.api("GET", &path, None).await.1.to_string()
}

async fn until_state(standalone: &Standalone, run_id: &str, task: &str, state: &str) {
    let path = format!("/dags/other_user/dagRuns/{run_id}/taskInstances/{task}");
    let has_ended = |answer: &Value| answer["state"] == "success" || answer["state"] == "failed";
    let found = standalone.until("it ended", &path, has_ended).await;
    assert_eq!(found["state"], state, "{task}: {}", log(standalone, run_id, task).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_run_as_another_user_and_are_ended_as_well() {
    let Some(environment) = environment().await else { return };
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("skipped: only root can change the user without a real `sudo`");
    }
    let (dags, bin) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(bin.path().join("sudo"), SUDO).unwrap();
    for path in [dags.path(), bin.path(), &bin.path().join("sudo")] {
        open(path);
    }
    fs::write(dags.path().join("other_user.py"), include_str!("airflow/other_user.py")).unwrap();
    let path = format!("{}:{}", bin.path().display(), std::env::var("PATH").unwrap());
    let standalone = Standalone::start_with(dags.path(), &[("PATH", Path::new(&path))]).await;
    let home = standalone.folder.path().join("home");
    open(standalone.folder.path());
    open(&home);
    std::os::unix::fs::symlink(environment.folder(), home.join("python")).unwrap();
    let variable = json!({"key": "api_key", "value": "s3cr3t-pheasant"});
    assert!(standalone.api("POST", "/variables", Some(variable)).await.0.is_success());
    let known = |answer: &Value| answer["dag_id"] == "other_user";
    standalone.until("the DAG is known", "/dags/other_user", known).await;

    trigger(&standalone, "allowed").await;
    for task in ["who", "reads", "shell"] {
        until_state(&standalone, "allowed", task, "success").await;
    }
    let xcom = async |task: &str| {
        let path = format!("/dags/other_user/dagRuns/allowed/taskInstances/{task}/xcomEntries/return_value");
        standalone.api("GET", &path, None).await.1["value"].clone()
    };
    assert_eq!(xcom("who").await, json!([NOBODY, "/nonexistent", "who"]));
    assert_eq!(
        xcom("reads").await,
        json!([0, NOBODY, "/nonexistent", "who"]),
        "only who is told to is another"
    );
    assert_eq!(xcom("shell").await, json!(NOBODY.to_string()), "in a file that needs an old name");
    let said = log(&standalone, "allowed", "who").await;
    assert!(said.contains("the key is ***") && !said.contains("pheasant"), "{said}");

    stop_what_hangs(&standalone).await;
    fs::write(bin.path().join("refuses"), "").unwrap();
    trigger(&standalone, "refused").await;
    until_state(&standalone, "refused", "who", "failed").await;
    let said = log(&standalone, "refused", "who").await;
    for words in ["a password is required", "(sudoers: `WORKER ALL=(nobody) NOPASSWD:SETENV: ALL`)"] {
        assert!(said.contains(words), "{said}");
    }
}

async fn stop_what_hangs(standalone: &Standalone) {
    let path = "/dags/other_user/dagRuns/allowed/taskInstances/hangs";
    let hangs = |answer: &Value| answer.to_string().contains("it hangs as ");
    let said = standalone.until("it hangs", &format!("{path}/logs/1"), hangs).await.to_string();
    let pid: i32 = said.split_once("it hangs as ").unwrap().1.split('.').next().unwrap().parse().unwrap();
    let owner =
        || fs::metadata(format!("/proc/{pid}")).map(|found| std::os::unix::fs::MetadataExt::uid(&found)).ok();
    assert_eq!(owner(), Some(NOBODY));
    let (status, answer) = standalone.api("PATCH", path, Some(json!({"new_state": "failed"}))).await;
    assert!(status.is_success(), "{status} {answer:#}");
    let ended = |answer: &Value| answer["state"] == "failed";
    standalone.until("the run has ended", "/dags/other_user/dagRuns/allowed", ended).await;
    let began = std::time::Instant::now();
    while owner().is_some() {
        assert!(began.elapsed() < std::time::Duration::from_secs(30), "{pid} goes on");
        tokio::task::yield_now().await;
    }
}
