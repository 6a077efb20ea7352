//! Real processes and their ends.

use std::io::{BufRead, BufReader};
use std::time::Instant;

use domain::outcome::TryResult;
use domain::outcome::TryResult::{Failed, FailedForGood, Skipped, Success};
use runtime::logs::Stream;
use serde_json::json;
use test_case::test_case;

use crate::fixture::{Bench, bash, end};

#[test_case("true", Success, 0, "")]
#[test_case("exit 3", Failed, 3, "exit code 3")]
#[test_case("exit 99", Skipped, 99, "exit code 99 means skipped")]
#[test_case("no-such-program", Failed, 127, "exit code 127: command not found")]
#[test_case("touch x; ./x", Failed, 126, "exit code 126: the command was found but cannot be executed")]
#[test_case(
    "kill -KILL $$",
    Failed,
    137,
    "killed by signal 9 (SIGKILL): out of memory, or killed by someone"
)]
#[test_case(
    "kill -SEGV $$",
    Failed,
    139,
    "killed by signal 11 (SIGSEGV): it touched memory that is not its own, a bug in the program or a library"
)]
#[test_case(
    "sh -c 'kill -TERM $$'; exit $?",
    Failed,
    143,
    "exit code 143: a command in it was killed by signal 15 (SIGTERM): it was asked to end"
)]
#[test_case("sh -c 'exit 3'", Failed, 3, "exit code 3"; "a plain command")]
#[test_case(
    "sh -c 'kill -KILL $$'",
    Failed,
    137,
    "killed by signal 9 (SIGKILL): out of memory, or killed by someone"; "a plain command is killed"
)]
#[tokio::test]
async fn ends_are_explained(script: &str, result: TryResult, code: i32, reason: &str) {
    let finished = Bench::task(&bash(script)).run().await;
    assert_eq!(end(&finished), (result, Some(code), reason));
}

#[tokio::test]
async fn both_streams_are_read_in_lines_and_told_apart() {
    let bench = Bench::task(&bash("echo out; echo err >&2; printf 'no end'"));
    bench.run().await;
    assert_eq!(bench.lines.of(Stream::Output), ["out", "no end"]);
    assert_eq!(bench.lines.of(Stream::Error), ["err"]);
    let notes = bench.lines.of(Stream::Tradewind);
    assert!(notes[0].starts_with("testhost starts try 2: bash as process "), "{notes:?}");
    assert!(notes[1].starts_with("success after 0."), "{notes:?}");
}

#[tokio::test]
async fn a_line_without_an_end_is_shown_soon() {
    let bench = Bench::task(&bash("printf 'asking: '; sleep 300"));
    let (finished, ()) = tokio::join!(bench.run(), async {
        bench.lines.wait_for("asking: ").await;
        bench.cancel.cancel();
    });
    assert_eq!(finished.reason.as_deref(), Some("stopped by you"));
}

#[tokio::test]
async fn a_progress_bar_flows() {
    let bench = Bench::task(&bash("while :; do printf '\\r%s' working; sleep 0.02; done"));
    tokio::join!(bench.run(), async {
        bench.lines.wait_for("working").await;
        bench.cancel.cancel();
    });
}

#[tokio::test]
async fn a_task_that_takes_too_long_is_stopped() {
    let bench = Bench::task(&json!({"bash": "sleep 300", "execution_timeout": "100ms"}).to_string());
    let finished = bench.run().await;
    assert_eq!(end(&finished), (Failed, Some(143), "stopped after execution_timeout 100ms"));
}

#[tokio::test]
async fn what_ignores_sigterm_is_killed() {
    let bench = Bench::task(&bash("trap '' TERM; echo ready; while :; do sleep 0.1; done"));
    let began = Instant::now();
    let (finished, ()) = tokio::join!(bench.run(), async {
        bench.lines.wait_for("ready").await;
        bench.cancel.cancel();
    });
    assert_eq!(end(&finished), (Failed, Some(137), "stopped by you"));
    assert!(began.elapsed() >= bench.settings.grace);
}

/// A pipe whose other end only the processes of a task hold: it ends when all of them have.
fn lifeline(bench: &Bench) -> (String, impl FnOnce() + Send + 'static) {
    let path = bench.home.path().join("lifeline");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let name = path.display().to_string();
    let wait = move || {
        let ended = BufReader::new(std::fs::File::open(path).unwrap()).lines().map_while(Result::ok).count();
        assert_eq!(ended, 0);
    };
    (name, wait)
}

#[tokio::test]
async fn grandchildren_are_ended_with_their_group() {
    let bench = Bench::task("{bash: sh \"$LIFE_SCRIPT\"}");
    let (pipe, wait) = lifeline(&bench);
    let script = bench.home.path().join("life.sh");
    std::fs::write(&script, format!("(sh -c 'echo deep; sleep 300' & sleep 300) 3>'{pipe}'\n")).unwrap();
    let bench = bench.with_env("LIFE_SCRIPT", script.to_str().unwrap());
    let gone = tokio::task::spawn_blocking(wait);
    tokio::join!(bench.run(), async {
        bench.lines.wait_for("deep").await;
        bench.cancel.cancel();
    });
    tokio::time::timeout(crate::fixture::LIMIT, gone).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_a_finished_task_left_behind_is_ended() {
    let bench = Bench::task("{bash: sh \"$LIFE_SCRIPT\"}");
    let (pipe, wait) = lifeline(&bench);
    let script = bench.home.path().join("life.sh");
    std::fs::write(&script, format!("exec 3>'{pipe}'\nsleep 300 &\necho done\n")).unwrap();
    let bench = bench.with_env("LIFE_SCRIPT", script.to_str().unwrap());
    let gone = tokio::task::spawn_blocking(wait);
    let finished = bench.run().await;
    assert_eq!(finished.result, Success);
    tokio::time::timeout(crate::fixture::LIMIT, gone).await.unwrap().unwrap();
    assert!(bench.lines.all().contains("processes that it had left behind were ended"));
}

#[tokio::test]
async fn the_environment_has_the_context_and_no_secrets() {
    let bench = Bench::dag(
        "params: {day: {type: string, default: x}, n: 3}\ntasks:\n  task: {bash: env, env: {OWN: '{{ ds }}', PATH: '{{ 1 }}:/usr/bin:/bin'}}\n",
    );
    let bench = bench
        .with_conf("day", json!("2013-01-01"))
        .with_env("TRADEWIND_SECRET_KEY", "s3cr3t-value")
        .with_env("TRADEWIND_CONN_DB", "postgres://u:s3cr3t-value@h/d")
        .with_env("AIRFLOW_VAR_X", "s3cr3t-value")
        .with_env("KEPT", "yes");
    assert_eq!(bench.run().await.result, Success);
    let env = bench.lines.of(Stream::Output);
    for wanted in [
        "TRADEWIND_DAG_ID=flights",
        "TRADEWIND_TASK_ID=task",
        "TRADEWIND_RUN_ID=scheduled__2026-01-02T00:00:00+00:00",
        "TRADEWIND_MAP_INDEX=-1",
        "TRADEWIND_TRY_NUMBER=2",
        "TRADEWIND_LOGICAL_DATE=2026-01-02T00:00:00+00:00",
        "TRADEWIND_DATA_INTERVAL_END=2026-01-03T00:00:00+00:00",
        "TRADEWIND_PARAM_DAY=2013-01-01",
        "TRADEWIND_PARAM_N=3",
        "AIRFLOW_CTX_DAG_ID=flights",
        "AIRFLOW_CTX_DAG_OWNER=ann",
        "OWN=2026-01-02",
        "PATH=1:/usr/bin:/bin",
        "KEPT=yes",
    ] {
        assert!(env.iter().any(|line| line == wanted), "no {wanted} in {env:#?}");
    }
    assert!(!bench.lines.all().contains("s3cr3t"), "{env:#?}");
}

#[tokio::test]
async fn a_task_starts_in_the_folder_of_its_file_or_where_it_says() {
    let bench = Bench::task(&bash("pwd"));
    bench.run().await;
    let folder = bench.settings.dags_folder.canonicalize().unwrap();
    assert_eq!(bench.lines.of(Stream::Output), [folder.display().to_string()]);

    // A plain command, which no shell tells its folder.
    let bench = Bench::task(&bash("printenv PWD"));
    bench.run().await;
    let folder = bench.settings.dags_folder.canonicalize().unwrap();
    assert_eq!(bench.lines.of(Stream::Output), [folder.display().to_string()]);

    let bench = Bench::task("{bash: pwd, cwd: '{{ params.where }}'}");
    let finished = bench.run().await;
    assert_eq!(finished.result, FailedForGood);

    let bench = Bench::task("{bash: pwd, cwd: missing}");
    let finished = bench.run().await;
    let reason = finished.reason.unwrap();
    assert!(reason.ends_with("/dags/missing that it should start in does not exist"), "{reason}");
}

#[tokio::test]
async fn a_script_may_be_longer_than_an_argument() {
    let script = format!("echo {}\necho end", "x".repeat(300_000));
    let bench = Bench::task(&bash(&script));
    let finished = bench.run().await;
    assert_eq!(finished.result, Success, "{finished:?}");
    assert_eq!(bench.lines.of(Stream::Output).last().unwrap(), "end");
}

#[tokio::test]
async fn python_runs_and_explains_itself() {
    let bench = Bench::task(
        &json!({"python": "import os\nprint(os.environ['TRADEWIND_TASK_ID'])\nraise SystemExit(4)"})
            .to_string(),
    );
    let finished = bench.run().await;
    assert_eq!(end(&finished), (Failed, Some(4), "exit code 4"));
    assert_eq!(bench.lines.of(Stream::Output), ["task"]);

    let bench = Bench::task("{python: print(1)}").with_env("TRADEWIND_PYTHON", "no-such-python");
    let finished = bench.run().await;
    assert_eq!(finished.result, FailedForGood);
    assert!(finished.reason.unwrap().contains("TRADEWIND_PYTHON"));
}

#[tokio::test]
async fn secrets_are_masked_in_output_and_reason() {
    let bench = Bench::task("{bash: 'echo \"$DB $KEY\"; echo \"$KEY\" >&2; exit 1', env: {DB: '{{ conn.db.uri }}', KEY: '{{ var.value.api_key }}'}}")
        .with_env("TRADEWIND_CONN_DB", "postgres://joe:p%40ssw0rd@h:5432/d")
        .with_env("TRADEWIND_VAR_API_KEY", "k3y-of-the-castle");
    bench.run().await;
    assert_eq!(bench.lines.of(Stream::Output), ["postgres://joe:***@h:5432/d ***"]);
    assert_eq!(bench.lines.of(Stream::Error), ["***"]);
    let fields = serde_json::Value::Object(bench.rendered().await.unwrap()).to_string();
    assert!(fields.contains("postgres://joe:***@h") && !fields.contains("castle"), "{fields}");
}
