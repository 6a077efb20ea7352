//! DAG files, good ones and bad ones, through Airflow's own parser.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::future::BoxFuture;
use python::message::{Reply, Request as Asking};
use python::{Answers, Failure, Limits, ParseRequest, Parsed, parse};

use crate::ground::Ground;

const GOOD: &str = r#"
from airflow.sdk import DAG, task

with DAG("good", schedule="@daily", tags=["a"]):

    @task
    def one():
        return 1

    one()
"#;

/// Knows one variable, and remembers what was asked.
#[derive(Default)]
struct Records(Mutex<Vec<Asking>>);

impl Answers for Records {
    fn answer(&self, asking: Asking) -> BoxFuture<'_, Reply> {
        self.0.lock().unwrap().push(asking.clone());
        Box::pin(async move {
            match asking {
                Asking::GetVariable { key } => {
                    Reply::variable(&key, Some("from_the_records").filter(|_| key == "known"))
                }
                Asking::GetConnection { conn_id } => Reply::connection(&conn_id, None),
                Asking::GetVariableKeys { .. }
                | Asking::PutVariable { .. }
                | Asking::DeleteVariable { .. }
                | Asking::MaskSecret { .. }
                | Asking::DagFileParsingResult { .. } => Reply::noted(),
            }
        })
    }
}

pub async fn read(ground: &Ground, name: &str, text: &str, limits: Limits) -> Result<Parsed, Failure> {
    read_on(ground, name, text, &BTreeMap::new(), limits).await
}

/// As when the schedules of its DAGs have created these runs last.
pub async fn read_on(
    ground: &Ground,
    name: &str,
    text: &str,
    last_runs: &BTreeMap<String, [i64; 3]>,
    limits: Limits,
) -> Result<Parsed, Failure> {
    let (file, environment) = (ground.file(name, text), ground.variables());
    let request = ParseRequest {
        file: &file,
        folder: ground.root(),
        bundle: "dags",
        last_runs,
        callbacks: &[],
        question: None,
        deadline: None,
        environment: &environment,
    };
    parse(&ground.zygote, &request, limits, &Records::default()).await
}

/// What a timetable answers.
pub async fn ask(ground: &Ground, question: &serde_json::Value) -> serde_json::Value {
    let environment = ground.variables();
    let request = ParseRequest {
        file: ground.root(),
        folder: ground.root(),
        bundle: "dags",
        last_runs: &BTreeMap::new(),
        callbacks: &[],
        question: Some(question),
        deadline: None,
        environment: &environment,
    };
    let parsed = parse(&ground.zygote, &request, Limits::default(), &Records::default()).await.unwrap();
    assert!(parsed.dags.is_empty() && parsed.errors.is_empty(), "{parsed:?}");
    parsed.answer.unwrap()
}

pub fn dag_ids(parsed: &Parsed) -> Vec<&str> {
    parsed.dags.iter().map(|dag| dag["dag"]["dag_id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_good_file_gives_its_dags_and_a_bad_one_its_traceback() {
    let Some(ground) = Ground::lay().await else { return };
    let good = read(&ground, "good.py", GOOD, Limits::default()).await.unwrap();
    assert_eq!((dag_ids(&good), good.errors.len()), (vec!["good"], 0), "{good:?}");
    assert_eq!(good.dags[0]["__version"], 3);

    let bad = read(&ground, "bad.py", "from airflow import DAG\nDAG('bad',)\n1 / 0\n", Limits::default())
        .await
        .unwrap();
    assert!(bad.dags.is_empty());
    let (file, trace) = bad.errors.first_key_value().unwrap();
    assert!(
        file.ends_with("bad.py") && trace.contains("ZeroDivisionError") && trace.contains("line 3"),
        "{bad:?}"
    );
}

#[tokio::test]
async fn a_file_is_answered_what_it_asks() {
    let Some(ground) = Ground::lay().await else { return };
    let text =
        GOOD.replace("\"good\"", "Variable.get(\"known\")").replace("DAG, task", "DAG, Variable, task");
    let parsed = read(&ground, "asks.py", &text, Limits::default()).await.unwrap();
    assert_eq!(dag_ids(&parsed), ["from_the_records"], "{parsed:?}");
    let text = text.replace("\"known\"", "\"unknown\"");
    let parsed = read(&ground, "asks.py", &text, Limits::default()).await.unwrap();
    assert!(parsed.errors.values().any(|trace| trace.contains("unknown")), "{parsed:?}");
}

#[tokio::test]
async fn whatever_a_file_does_it_harms_only_itself() {
    let Some(ground) = Ground::lay().await else { return };
    let impatient = Limits { time: Duration::from_millis(1500), ..Limits::default() };
    let endless = read(&ground, "endless.py", "# airflow dag\nwhile True: pass\n", impatient).await;
    assert!(matches!(endless, Err(Failure::TooSlow(_))), "{endless:?}");

    let gone = read(
        &ground,
        "gone.py",
        "# airflow dag\nimport os\nprint('bye', flush=True)\nos._exit(3)\n",
        Limits::default(),
    );
    let gone = gone.await.unwrap_err().to_string();
    assert!(gone.contains("exit code 3") && gone.contains("bye"), "{gone}");

    let hungry = "# airflow dag\nkept = bytearray(3 << 30)\n";
    let hungry = read(&ground, "hungry.py", hungry, Limits::default()).await.unwrap();
    assert!(hungry.errors.values().any(|trace| trace.contains("MemoryError")), "{hungry:?}");

    let loud = format!("for _ in range(200): print('x' * 100_000)\nprint('the end')\n{GOOD}");
    let loud = read(&ground, "loud.py", &loud, Limits::default()).await.unwrap();
    assert_eq!(dag_ids(&loud), ["good"]);
    assert!(loud.printed.len() <= 8 << 10 && loud.printed.contains("the end"), "{}", loud.printed.len());

    let good = read(&ground, "good.py", GOOD, Limits::default()).await.unwrap();
    assert_eq!(dag_ids(&good), ["good"], "the fork server is unharmed");
}

#[tokio::test]
async fn memory_is_limited_as_somebody_has_said() {
    let Some(ground) = Ground::lay().await else { return };
    // Mapped is enough: nothing of it has to exist.
    let text = |mib: u32| format!("import mmap\nkept = mmap.mmap(-1, {mib} << 20)\n{GOOD}");
    let usual = read(&ground, "usual.py", &text(1200), ground.environment.limits()).await.unwrap();
    assert_eq!(dag_ids(&usual), ["good"], "1.2 of 2 GiB: {usual:?}");
    let environment = ground.environment.clone().with_parse_memory(Some(1 << 30));
    let less = read(&ground, "less.py", &text(1200), environment.limits()).await.unwrap();
    assert!(
        less.errors.values().any(|trace| trace.contains("Cannot allocate memory")),
        "1.2 of 1 GiB: {less:?}"
    );
    let good = read(&ground, "good.py", GOOD, environment.limits()).await.unwrap();
    assert_eq!(dag_ids(&good), ["good"]);
    let without = environment.with_parse_memory(None).limits();
    assert_eq!(dag_ids(&read(&ground, "large.py", &text(3000), without).await.unwrap()), ["good"]);
}

/// The most memory that this process has had, in MiB.
fn most_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

#[tokio::test]
async fn a_file_that_prints_a_gigabyte_is_read_in_bounded_memory_beside_others() {
    let Some(ground) = Ground::lay().await else { return };
    let before = most_memory();
    let text = format!("import sys\nfor _ in range(10_000): print('x' * 100_000)\nprint('the end')\n{GOOD}");
    let endless = "# airflow dag\nwhile True: print('y' * 100_000)\n";
    let impatient = Limits { time: Duration::from_secs(2), ..Limits::default() };
    let (loud, endless, good) = tokio::join!(
        read(&ground, "loud.py", &text, Limits::default()),
        read(&ground, "endless.py", endless, impatient),
        read(&ground, "good.py", GOOD, Limits::default()),
    );
    let loud = loud.unwrap();
    assert_eq!((dag_ids(&loud), dag_ids(&good.unwrap())), (vec!["good"], vec!["good"]));
    assert!(loud.printed_bytes > 1_000_000_000, "{}", loud.printed_bytes);
    assert!(loud.printed.len() <= 8 << 10 && loud.printed.ends_with("the end"), "{}", loud.printed.len());
    assert!(matches!(endless, Err(Failure::TooSlow(_))), "{endless:?}");
    assert!(most_memory() < before + 64, "{before} MiB before and {} now", most_memory());
}

/// Makes many processes, and waits.
const BOMB: &str = r#"
# airflow dag
import os, time
for _ in range(50):
    if os.fork() == 0:
        time.sleep(1000)
time.sleep(1000)
"#;

#[tokio::test]
async fn many_processes_of_a_file_end_with_it() {
    let Some(ground) = Ground::lay().await else { return };
    let place = ground.folder.path().join("group");
    let text =
        format!("import os\nopen({:?}, 'w').write(str(os.getpgrp()))\n{BOMB}", place.to_str().unwrap());
    let impatient = Limits { time: Duration::from_secs(3), ..Limits::default() };
    let bomb = read(&ground, "bomb.py", &text, impatient).await;
    assert!(matches!(bomb, Err(Failure::TooSlow(_))), "{bomb:?}");
    let group: i32 = std::fs::read_to_string(&place).unwrap().parse().unwrap();
    let group = nix::unistd::Pid::from_raw(group);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while nix::sys::signal::killpg(group, None) != Err(nix::errno::Errno::ESRCH) {
        assert!(tokio::time::Instant::now() < deadline, "some of them go on");
        tokio::task::yield_now().await;
    }
    let good = read(&ground, "good.py", GOOD, Limits::default()).await.unwrap();
    assert_eq!(dag_ids(&good), ["good"]);
}

/// Waits until the process is gone. It was killed; the system takes a moment, and who reaps it is its business.
async fn until_gone(pid: i32) {
    let is_gone = || {
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        state.is_empty() || state.contains(") Z ")
    };
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while !is_gone() {
        assert!(tokio::time::Instant::now() < deadline, "it still runs");
        tokio::task::yield_now().await;
    }
}

/// Forks a daemon, as programs do: in a session and a group of its own, with nothing open.
const DAEMON: &str = r#"
# airflow dag
import os, signal, time
told, tell = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.write(tell, str(os.getpid()).encode())
        os.closerange(0, 256)
        time.sleep(1000)
    os._exit(0)
os.wait()
with open(PLACE, "wb") as place:
    place.write(os.read(told, 20))
"#;

#[tokio::test]
async fn a_daemon_that_a_file_starts_does_not_outlive_it() {
    let Some(ground) = Ground::lay().await else { return };
    for (name, end) in [
        ("good.py", GOOD),
        ("gone.py", "os._exit(3)"),
        ("bad.py", "1 / 0"),
        ("killed.py", "os.kill(os.getpid(), 9)"),
    ] {
        let place = ground.folder.path().join("daemon");
        let text = DAEMON.replace("PLACE", &format!("{:?}", place.to_str().unwrap())) + end;
        let read = read(&ground, name, &text, Limits::default()).await;
        assert_eq!(read.is_ok_and(|parsed| dag_ids(&parsed) == ["good"]), name == "good.py");
        let pid: i32 = std::fs::read_to_string(&place).unwrap().parse().unwrap();
        until_gone(pid).await;
        std::fs::remove_file(place).unwrap();
    }
}

#[tokio::test]
async fn the_daemon_of_one_file_does_not_end_another_file() {
    let Some(ground) = Ground::lay().await else { return };
    let place = ground.folder.path().join("daemon");
    let text = DAEMON.replace("PLACE", &format!("{:?}", place.to_str().unwrap()));
    let go_on = ground.folder.path().join("go_on");
    // Its own child has left its group, too, and is there when the other file has ended.
    let waits = format!(
        "# airflow dag\nimport os, subprocess, time\nchild = subprocess.Popen(['sleep', '1000'], start_new_session=True)\n\
         while not os.path.exists({:?}): time.sleep(0.01)\nassert child.poll() is None\n{GOOD}",
        go_on.to_str().unwrap()
    );
    let other = async {
        read(&ground, "gone.py", &(text + "os._exit(3)"), Limits::default()).await.unwrap_err();
        std::fs::write(&go_on, "").unwrap();
    };
    let (waited, ()) = tokio::join!(read(&ground, "waits.py", &waits, Limits::default()), other);
    assert_eq!(dag_ids(&waited.unwrap()), ["good"]);
    until_gone(std::fs::read_to_string(place).unwrap().parse().unwrap()).await;
}

#[tokio::test]
async fn what_a_file_leaves_behind_is_ended_with_it() {
    let Some(ground) = Ground::lay().await else { return };
    let left = ground.folder.path().join("left");
    let text = format!(
        "# airflow dag\nimport subprocess\nchild = subprocess.Popen(['sleep', '1000'])\nopen({:?}, 'w').write(str(child.pid))\n{GOOD}",
        left.to_str().unwrap()
    );
    let parsed = read(&ground, "leaves.py", &text, Limits::default()).await.unwrap();
    assert_eq!(dag_ids(&parsed), ["good"]);
    let pid: i32 = std::fs::read_to_string(left).unwrap().parse().unwrap();
    until_gone(pid).await;
}
