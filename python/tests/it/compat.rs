//! Files written for Airflow 1.10 and 2, through Airflow's own parser.

use std::fs;

use python::{Limits, Parsed};

use crate::ground::Ground;
use crate::parsing::{dag_ids, read};

const ARGUMENTS: &str = include_str!("old/arguments.py");

async fn parse(ground: &Ground, name: &str, text: &str) -> Parsed {
    read(ground, name, text, Limits::default()).await.unwrap()
}

fn error(parsed: &Parsed) -> &str {
    parsed.errors.values().next().unwrap()
}

#[tokio::test]
async fn every_name_of_older_versions_is_found() {
    let Some(ground) = Ground::lay().await else { return };
    ground.file("names.txt", include_str!("old/names.txt"));
    let parsed = parse(&ground, "names.py", include_str!("old/names.py")).await;
    assert!(parsed.errors.is_empty(), "{parsed:?}");
    assert_eq!(parsed.dags[0]["dag"]["description"], "[]");
    let told = |name: &str| parsed.old.iter().filter(|old| old.text.contains(name)).count();
    assert_eq!(told("`airflow.operators.bash_operator.BashOperator`"), 1, "told once");
    assert_eq!(told("`airflow.operators.bash.BashOperator`"), 0, "what Airflow has itself is its own affair");
}

#[tokio::test]
async fn old_arguments_mean_what_they_meant() {
    let Some(ground) = Ground::lay().await else { return };
    let parsed = parse(&ground, "arguments.py", ARGUMENTS).await;
    assert!(parsed.errors.is_empty(), "{}", error(&parsed));
    assert_eq!(parsed.dags.len(), 4);
    let timetable = |id: &str| {
        let dag = parsed.dags.iter().find(|dag| dag["dag"]["dag_id"] == id).unwrap();
        &dag["dag"]["timetable"]
    };
    assert_eq!(timetable("old_arguments")["__var"]["expression"], "0 0 * * *");
    assert_eq!(timetable("old_decorated")["__type"], "airflow.timetables.simple.AssetTriggeredTimetable");
    assert_eq!(timetable("interval")["__var"]["delta"], 21_600.0);
    let both = &timetable("both")["__type"];
    assert_eq!(both, "airflow.timetables.simple.NullTimetable", "the new name counts");
    let line = ARGUMENTS.lines().position(|line| line.contains("provide_context=True, task_")).unwrap() + 1;
    let told: Vec<&str> = parsed
        .old
        .iter()
        .filter(|old| old.line as usize == line && old.file.ends_with("arguments.py"))
        .map(|old| old.text.as_str())
        .collect();
    assert_eq!(
        told,
        [
            "PythonOperator: the argument `provide_context` has no meaning any more",
            "PythonOperator: the argument `task_concurrency` is called `max_active_tis_per_dag` now",
        ]
    );
}

#[tokio::test]
async fn what_has_no_successor_says_what_to_do() {
    let Some(ground) = Ground::lay().await else { return };
    for (import, advice) in [
        ("airflow.operators.subdag_operator import SubDagOperator", "TaskGroup"),
        ("airflow.operators.subdag import SubDagOperator", "TriggerDagRunOperator"),
        ("airflow.operators.postgres_operator import PostgresOperator", "SQLExecuteQueryOperator"),
        ("airflow.api.common.experimental.trigger_dag import trigger_dag", "REST API"),
        ("airflow.contrib.operators.ssh_operator import SSHOperator", "apache-airflow-providers-ssh"),
        ("airflow.hooks.hive_hooks import HiveCliHook", "apache-airflow-providers-apache-hive"),
        ("airflow.contrib.operators.unheard_of import X", "airflow.contrib was removed"),
        ("airflow.operators.bash_operator import Bashoperator", "cannot import name"),
        ("airflow.operators.unheard_of import X", "No module named"),
    ] {
        let parsed = parse(&ground, "gone.py", &format!("from airflow import DAG\nfrom {import}\n")).await;
        let error = error(&parsed);
        assert!(error.contains(advice) && error.contains("line 2"), "{import}: {error}");
    }
}

#[tokio::test]
async fn it_can_be_switched_off() {
    let Some(ground) = Ground::lay_with(false).await else { return };
    let parsed = parse(&ground, "arguments.py", ARGUMENTS).await;
    assert!(error(&parsed).contains("No module named 'airflow.operators.bash_operator'"), "{parsed:?}");
    let parsed =
        parse(&ground, "dag.py", "from airflow import DAG\nDAG('x', schedule_interval=None)\n").await;
    assert!(error(&parsed).contains("schedule_interval"), "{parsed:?}");
}

#[tokio::test]
async fn the_files_that_were_read_on_the_way_are_told() {
    let Some(ground) = Ground::lay().await else { return };
    fs::create_dir_all(ground.folder.path().join("team/shared")).unwrap();
    ground.file("team/shared/__init__.py", "");
    let helper = ground.file("team/shared/names.py", "NAME = 'made'\n");
    ground.file("team/config.yaml", "a: 1\n");
    ground.file("not_read.py", "from airflow import DAG\n");
    let text = "from airflow import DAG\nfrom pathlib import Path\nfrom team.shared.names import NAME\n\
                here = Path(__file__).parent\n(here / 'config.yaml').read_text()\n\
                cache = here / 'cache'\ncache.exists() and cache.read_text()\ncache.write_text('x')\ndag = DAG(NAME)\n";
    for round in ["as a source", "as what Python made of it"] {
        let parsed = parse(&ground, "team/dag.py", text).await;
        assert_eq!(dag_ids(&parsed), ["made"], "{parsed:?}");
        let root = format!("{}/", ground.root());
        let mut read: Vec<&str> = parsed
            .read
            .iter()
            .map(|file| file.path.to_str().unwrap().strip_prefix(&root).unwrap())
            .filter(|file| !file.contains("__pycache__"))
            .collect();
        read.sort_unstable();
        let expected = ["team/config.yaml", "team/dag.py", "team/shared/__init__.py", "team/shared/names.py"];
        assert_eq!(read, expected, "{round}");
        let about = fs::metadata(&helper).unwrap();
        let found = parsed.read.iter().find(|file| file.path.to_str() == Some(&helper)).unwrap();
        let since = about.modified().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
        assert_eq!((u128::from(found.modified), found.length), (since.as_nanos(), about.len()));
    }
}
