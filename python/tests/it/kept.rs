//! What was read of a DAG file serves for several tasks: where nobody can tell, and nowhere else.

use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use python::{Child, DagFile, Launch, Target};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use crate::ground::Ground;

/// What became of a task.
#[derive(Debug)]
struct Ran {
    /// It found its file read.
    kept: bool,
    printed: String,
    log: String,
    /// What it told, by the names of the messages.
    told: Vec<String>,
}

impl Ran {
    fn succeeded(&self) -> bool {
        self.told.iter().any(|kind| kind == "SucceedTask")
    }
}

/// Starts a task; it waits for its first word.
async fn launch(ground: &Ground, file: &str, own: &[(&str, &str)]) -> (Child, u32) {
    let mut environment = ground.variables();
    environment.extend(own.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let file = Some(DagFile { bundle: "dags", path: file });
    let launch =
        Launch { target: Target::Task, environment: &environment, folder: ground.root(), memory: None, file };
    let child = ground.zygote.launch(&launch).await.unwrap();
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.pid)).unwrap();
    let parent = stat.rsplit(") ").next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    (child, parent)
}

async fn go_on(child: Child, parent: u32, ground: &Ground, file: &str, task: &str) -> Ran {
    let (mut channel, mut end, [mut stdout, _stderr, mut logs]) = child.apart();
    channel.tell(&details(file, task)).await.unwrap();
    let mut told = Vec::new();
    while let Ok(Some(asked)) = channel.next().await {
        told.push(asked.body["type"].as_str().unwrap().to_owned());
        let answer = match asked.body["type"].as_str() {
            Some("GetVariable") => json!({"type": "VariableResult", "key": "color", "value": "blue"}),
            _ => Value::Null,
        };
        channel.answer(asked.id, &answer).await.unwrap();
    }
    let (mut printed, mut log) = (String::new(), String::new());
    stdout.read_to_string(&mut printed).await.unwrap();
    logs.read_to_string(&mut log).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(30), end.wait()).await;
    assert!(ended.unwrap().is_some_and(|status| status.success()), "{told:?} {printed} {log}");
    Ran { kept: parent != ground.zygote.pid(), printed, log, told }
}

async fn run(ground: &Ground, file: &str, own: &[(&str, &str)]) -> Ran {
    let (child, parent) = launch(ground, file, own).await;
    go_on(child, parent, ground, file, "act").await
}

fn details(file: &str, task: &str) -> Value {
    let at = "2026-01-01T00:00:00Z";
    json!({
        "type": "StartupDetails",
        "ti": {
            "id": "00000000-0000-0000-0000-000000000007", "task_id": task, "dag_id": file.trim_end_matches(".py"), "run_id": "r", "try_number": 1,
            "dag_version_id": "00000000-0000-0000-0000-000000000000", "map_index": -1, "hostname": "here", "queue": "default",
        },
        "dag_rel_path": file, "bundle_info": {"name": "dags", "version": null}, "start_date": at, "sentry_integration": "",
        "ti_context": {
            "dag_run": {
                "dag_id": file.trim_end_matches(".py"), "run_id": "r", "logical_date": at, "data_interval_start": at,
                "data_interval_end": at, "run_after": at, "start_date": at, "end_date": null, "clear_number": 0,
                "run_type": "manual", "state": "running", "conf": {}, "triggering_user_name": null, "consumed_asset_events": [],
                "partition_key": null,
            },
            "task_reschedule_count": 0, "max_tries": 0, "should_retry": false, "next_method": null, "next_kwargs": null,
            "variables": [], "connections": [], "xcom_keys_to_clear": [],
        },
    })
}

/// A file with a DAG of its name and the task `act`, which does `body`.
fn dag(top: &str, name: &str, body: &str) -> String {
    let body = body.lines().map(|line| format!("        {line}\n")).collect::<String>();
    format!(
        "from airflow.sdk import DAG, task\n{top}\n\nwith DAG(\"{name}\", schedule=None):\n\n    @task\n    def act():\n{body}\n    act()\n"
    )
}

#[tokio::test]
async fn a_file_is_read_once_for_tasks_that_follow_each_other_and_none_sees_another() {
    let Some(ground) = Ground::lay_keeping(8).await else { return };
    let top = "import atexit, os, random, sys, logging\natexit.register(print, \"bye\")\nprint(\"read by\", __name__.split(\"_\")[0])\nos.environ[\"OF_THE_FILE\"] = \"set\"\n\
               seen = []\nlogging.getLogger(\"of.the.file\").setLevel(logging.ERROR)";
    let body = "import numbers\nseen.append(1)\n\
        print(\"seen\", len(seen), os.environ[\"OF_THE_FILE\"], os.environ[\"OWN\"], \"LEFT\" in os.environ, os.getcwd())\n\
        print(\"left\", hasattr(sys.modules[\"numbers\"], \"left\"), logging.getLogger(\"of.the.file\").level, len(logging.getLogger(\"x\").handlers))\n\
        print(\"chance\", random.random())\n\
        numbers.left = True\nos.environ[\"LEFT\"] = \"x\"\nos.chdir(\"/\")\nlogging.getLogger(\"x\").addHandler(logging.NullHandler())\n\
        logging.getLogger(\"of.the.file\").error(\"loud\")\nlogging.getLogger(\"of.the.file\").info(\"quiet\")";
    ground.file("once.py", &dag(top, "once", body));
    let mut ran = Vec::new();
    for number in 0..4 {
        ran.push(run(&ground, "once.py", &[("OWN", &format!("own{number}"))]).await);
    }
    assert_eq!(ran.iter().map(|ran| ran.kept).collect::<Vec<_>>(), [false, true, true, true]);
    let root = fs::canonicalize(ground.root()).unwrap();
    for (number, ran) in ran.iter().enumerate() {
        assert!(ran.succeeded(), "{ran:?}");
        let expected = format!(
            "read by unusual\nseen 1 set own{number} False {}\nleft False 40 0\nchance ",
            root.display()
        );
        assert!(ran.printed.starts_with(&expected), "{} is not {expected}", ran.printed);
        assert!(
            ran.printed.ends_with("\nbye\n") && ran.printed.matches("bye").count() == 1,
            "{}",
            ran.printed
        );
        assert!(ran.log.contains("loud") && !ran.log.contains("quiet"), "{}", ran.log);
    }
    let shapes: Vec<Vec<String>> = ran.iter().map(|ran| ran.log.lines().map(shape).collect()).collect();
    assert_eq!(shapes[0], shapes[3], "the log is the same, and each line of it is of this task");
    let chances: std::collections::HashSet<&str> =
        ran.iter().map(|ran| ran.printed.rsplit("chance ").next().unwrap()).collect();
    assert_eq!(chances.len(), 4, "{chances:?}");
}

/// What a line of the log says, and the names of all that it tells beside.
fn shape(line: &str) -> String {
    let event: Value = serde_json::from_str(line).unwrap();
    let mut names: Vec<&String> = event.as_object().unwrap().keys().collect();
    names.sort();
    format!("{} {} {names:?}", event["event"], event["level"])
}

#[tokio::test]
async fn what_has_changed_is_read_by_the_next_task() {
    let Some(ground) = Ground::lay_keeping(8).await else { return };
    ground.file("helper.py", "WORD = 'one'");
    ground.file("words.txt", "red");
    let top = "import os, helper\nwords = open(os.path.join(os.path.dirname(__file__), 'words.txt')).read()\n\
               there = os.path.exists(os.path.join(os.path.dirname(__file__), 'new.txt'))";
    ground.file("changing.py", &dag(top, "changing", "print(helper.WORD, words, there)"));
    let runs = async |times: usize| {
        let mut last = None;
        for _ in 0..times {
            last = Some(run(&ground, "changing.py", &[]).await);
        }
        last.unwrap()
    };
    let ran = runs(5).await;
    assert!(ran.kept && ran.printed == "one red False\n", "{ran:?}");
    for (file, text, printed) in [
        ("helper.py", "WORD = 'other'", "other red False\n"),
        ("words.txt", "green", "other green False\n"),
        ("new.txt", "", "other green True\n"),
    ] {
        ground.file(file, text);
        assert_eq!(runs(1).await.printed, printed, "{file}");
        let ran = runs(5).await;
        assert!(ran.kept && ran.printed == printed, "{ran:?}");
    }
    ground.file("changing.py", &dag(top, "changing", "print(\"anew\")"));
    assert_eq!(runs(1).await.printed, "anew\n");
}

/// Tops of files, by what they depend on beside files.
const APART: [(&str, &str); 22] = [
    ("a folder that is made", "import os\nos.makedirs('/tmp', exist_ok=True)"),
    (
        "a connection",
        "from airflow.sdk import Connection\ntry:\n    Connection.get('none')\nexcept Exception:\n    pass",
    ),
    ("a secret", "from airflow.sdk.log import mask_secret\nmask_secret('hidden')"),
    ("a link", "import os\nos.readlink('/proc/self')"),
    ("the age of a file", "import os\nage = os.stat(__file__).st_mtime"),
    ("the day", "import datetime\nnow = datetime.datetime.now()"),
    ("the day of pendulum", "import pendulum\nnow = pendulum.now()"),
    ("the time", "import time\nnow = time.time()"),
    ("chance", "import random\ndraw = random.random()"),
    ("chance that is none", "import random\nrandom.seed(42)"),
    ("an id", "import uuid\ndraw = uuid.uuid4()"),
    ("the process", "import os\nown = os.getpid()"),
    ("a variable", "from airflow.sdk import Variable\ncolor = Variable.get('color')"),
    (
        "a variable with a default",
        "from airflow.sdk import Variable\ncolor = Variable.get('color', default='red')",
    ),
    ("the task", "from airflow.sdk import get_parsing_context\nwhich = get_parsing_context()"),
    ("the environment", "import os\nall_of_it = dict(os.environ)"),
    (
        "a thread",
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
    ),
    ("a program", "import subprocess\nsubprocess.run(['true'])"),
    ("the network", "import socket\nsocket.gethostbyname('localhost')"),
    (
        "a file that is written",
        "import os\nopen(os.path.join(os.path.dirname(__file__), 'made'), 'w').close()",
    ),
    ("a file that is held open", "import os\nheld = open(__file__)"),
    ("the day of an older file", "from airflow.utils.dates import days_ago\nstart = days_ago(1)"),
];

#[tokio::test]
async fn what_depends_on_more_than_files_is_read_by_each_task() {
    let Some(ground) = Ground::lay_keeping(8).await else { return };
    for (number, (on, top)) in APART.iter().enumerate() {
        let name = format!("apart{number}");
        let file = format!("{name}.py");
        ground.file(&file, &dag(top, &name, "pass"));
        for _ in 0..3 {
            let ran = run(&ground, &file, &[]).await;
            assert!(!ran.kept && ran.succeeded(), "{on}: {ran:?}");
        }
    }
}

#[tokio::test]
async fn a_task_in_another_environment_reads_the_file_itself() {
    let Some(ground) = Ground::lay_keeping(8).await else { return };
    let top = "import os\nplace = os.environ.get('PLACE', 'nowhere')";
    ground.file("place.py", &dag(top, "place", "print(place)"));
    for (place, kept) in [("home", false), ("home", true), ("away", false), ("home", true)] {
        let ran = run(&ground, "place.py", &[("PLACE", place), ("OTHER", place)]).await;
        assert_eq!((ran.printed, ran.kept), (format!("{place}\n"), kept));
    }
    let ran = run(&ground, "place.py", &[]).await;
    assert_eq!((ran.printed.as_str(), ran.kept), ("nowhere\n", false));
}

#[tokio::test]
async fn a_task_tells_what_is_secret_whoever_has_read_its_file() {
    let Some(ground) = Ground::lay_keeping(8).await else { return };
    let body = "from airflow.sdk import Variable\nfrom airflow.sdk.log import mask_secret\nmask_secret(Variable.get(\"color\"))\nprint(\"done\")";
    ground.file("masking.py", &dag("", "masking", body));
    for kept in [false, true, true] {
        let ran = run(&ground, "masking.py", &[]).await;
        assert!(ran.kept == kept && ran.succeeded(), "{ran:?}");
        let told = |kind: &str| ran.told.iter().filter(|told| *told == kind).count();
        assert!(told("GetVariable") == 1 && told("MaskSecret") >= 1, "{ran:?}");
    }
}

#[tokio::test]
async fn the_death_of_who_has_read_the_file_is_nobodys_loss() {
    let Some(ground) = Ground::lay_keeping(8).await else { return };
    ground.file("mortal.py", &dag("", "mortal", "print(\"done\")"));
    assert!(!run(&ground, "mortal.py", &[]).await.kept);
    let (child, reader) = launch(&ground, "mortal.py", &[]).await;
    assert_ne!(reader, ground.zygote.pid());
    kill(Pid::from_raw(reader as i32), Signal::SIGKILL).unwrap();
    let ran = go_on(child, reader, &ground, "mortal.py", "act").await;
    assert_eq!(ran.printed, "done\n", "a task goes on, and its end is told");
    for _ in 0..2 {
        assert_eq!(run(&ground, "mortal.py", &[]).await.printed, "done\n");
    }
    // One that does not answer at all is as good as dead, too.
    let (child, reader) = launch(&ground, "mortal.py", &[]).await;
    assert_ne!(reader, ground.zygote.pid());
    drop(child);
    kill(Pid::from_raw(reader as i32), Signal::SIGKILL).unwrap();
    assert_eq!(run(&ground, "mortal.py", &[]).await.printed, "done\n");
}

#[tokio::test]
async fn no_task_waits_long_for_a_file_that_is_read_slowly() {
    let Some(ground) = Ground::lay_keeping(8).await else { return };
    ground.file(
        "slow.py",
        &dag("import os, time\nif os.environ.get(\"SLOW\"):\n    time.sleep(20)", "slow", "pass"),
    );
    assert!(!run(&ground, "slow.py", &[]).await.kept);
    let began = std::time::Instant::now();
    // It is read for this task, and for longer than anybody waits.
    let (_child, reader) = launch(&ground, "slow.py", &[("SLOW", "x")]).await;
    assert_eq!(reader, ground.zygote.pid());
    let waited = began.elapsed();
    assert!(waited < Duration::from_secs(15), "{waited:?}");
    let (_child, reader) = launch(&ground, "slow.py", &[("SLOW", "x")]).await;
    assert_eq!(reader, ground.zygote.pid(), "those that follow do not wait at all");
    assert!(began.elapsed() - waited < Duration::from_secs(2));
}

#[tokio::test]
async fn what_a_task_leaves_behind_is_not_the_servers_business() {
    let Some(ground) = Ground::lay_keeping(8).await else { return };
    let body = "import subprocess\nprint(subprocess.Popen([\"sleep\", \"60\"], start_new_session=True, stdin=-3, stdout=-3, stderr=-3).pid)";
    ground.file("leaving.py", &dag("", "leaving", body));
    let mut left = Vec::new();
    for _ in 0..3 {
        let pid: i32 = run(&ground, "leaving.py", &[]).await.printed.trim().parse().unwrap();
        left.push(Pid::from_raw(pid));
    }
    for pid in left {
        // It lives.
        kill(pid, Signal::SIGKILL).unwrap();
    }
}

fn children_of(pid: u32) -> Vec<u32> {
    let listed = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    listed.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

#[tokio::test]
async fn only_so_many_files_are_kept_and_none_if_none_shall_be() {
    let Some(ground) = Ground::lay_keeping(1).await else { return };
    for name in ["first", "second"] {
        ground.file(&format!("{name}.py"), &dag("", name, "pass"));
        assert!(!run(&ground, &format!("{name}.py"), &[]).await.kept);
        assert!(run(&ground, &format!("{name}.py"), &[]).await.kept);
    }
    // The task that follows is answered after the one that was displaced has been told to end.
    assert!(run(&ground, "second.py", &[]).await.kept);
    let waited = tokio::time::timeout(Duration::from_secs(10), async {
        while children_of(ground.zygote.pid()).len() > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.unwrap();
    let Some(ground) = Ground::lay_keeping(0).await else { return };
    ground.file("plain.py", &dag("", "plain", "pass"));
    for _ in 0..3 {
        assert!(!run(&ground, "plain.py", &[]).await.kept);
    }
    assert!(children_of(ground.zygote.pid()).is_empty());
}
