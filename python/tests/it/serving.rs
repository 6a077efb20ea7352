//! The fork server's own life.

use std::path::PathBuf;

use futures_util::FutureExt;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use python::{Environment, Error, Launch, Setup, Target, Unfit, Zygote};

use crate::airflow::environment;
use crate::ground::Ground;

fn setup(interpreter: PathBuf) -> Setup {
    Setup { interpreter, environment: Vec::new(), preload: Vec::new() }
}

#[tokio::test]
async fn an_interpreter_that_is_missing_or_has_no_airflow_is_said() {
    let missing = Zygote::start(&setup("/nonexistent/python".into())).await.unwrap_err();
    assert!(matches!(missing, Error::Interpreter { .. }), "{missing}");
    let bare = Zygote::start(&setup("/usr/bin/python3".into())).await.unwrap_err().to_string();
    assert!(bare.contains("airflow") || bare.contains("cannot start"), "{bare}");
    let home = tempfile::tempdir().unwrap();
    let unfit = Environment::of(home.path()).check().await.unwrap_err();
    assert!(matches!(unfit, Unfit::Missing(_)), "{unfit}");
    assert!(unfit.to_string().contains("tradewind python setup"));
}

#[tokio::test]
async fn the_environment_is_one_that_is_known() {
    let Some(environment) = environment().await else { return };
    let nowhere = environment.clone().with_plugins_folder(Some("/nonexistent/plugins".into()));
    let unfit = nowhere.check().await.unwrap_err();
    assert!(unfit.to_string().contains("no folder /nonexistent/plugins with plugins"), "{unfit}");
    let found = environment.check().await.unwrap();
    assert!(found.airflow.starts_with("3.3."), "{found:?}");
    assert_eq!(found.messages, python::message::API_VERSION);
}

#[tokio::test]
async fn children_run_side_by_side_and_their_ends_are_told() {
    let Some(ground) = Ground::lay().await else { return };
    let environment = ground.variables();
    let launch = Launch {
        target: Target::Parse,
        environment: &environment,
        folder: ground.root(),
        memory: None,
        file: None,
    };
    let mut children = Vec::new();
    for _ in 0..3 {
        children.push(ground.zygote.launch(&launch).await.unwrap());
    }
    let pids: Vec<u32> = children.iter().map(|child| child.pid).collect();
    assert!(pids[0] != pids[1] && pids[1] != pids[2]);
    for (place, child) in children.into_iter().enumerate() {
        let pid = Pid::from_raw(child.pid as i32);
        let (_channel, mut end, _output) = child.apart();
        kill(pid, if place == 0 { Signal::SIGKILL } else { Signal::SIGTERM }).unwrap();
        assert!(!end.wait().await.unwrap().success());
    }
}

#[tokio::test]
async fn the_death_of_the_server_is_noticed_and_told() {
    let Some(ground) = Ground::lay().await else { return };
    let environment = ground.variables();
    let launch = Launch {
        target: Target::Parse,
        environment: &environment,
        folder: ground.root(),
        memory: None,
        file: None,
    };
    let child = ground.zygote.launch(&launch).await.unwrap();
    let orphan = Pid::from_raw(child.pid as i32);
    kill(Pid::from_raw(ground.zygote.pid() as i32), Signal::SIGKILL).unwrap();
    let (_channel, mut end, _output) = child.apart();
    assert!(matches!(ground.zygote.launch(&launch).await, Err(Error::Gone(_))));
    assert!(ground.zygote.is_gone());
    assert!(end.wait().now_or_never().is_none(), "its child lives on");
    kill(orphan, Signal::SIGKILL).unwrap();
    assert!(end.wait().await.is_none(), "nobody knows how it ended");
}
