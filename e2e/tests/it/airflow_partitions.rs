//! Partitions of Python files on the command line, where there is no scheduler.

use std::{fs, process::Command};

use serde_json::{Value, json};

use crate::{airflow_environment::environment, servers::tradewind};

const PLUGINS: &str = "AIRFLOW__CORE__PLUGINS_FOLDER";
const PLUGIN: &str =
    "from airflow.example_dags.plugins.custom_partition_mapper import PrefixStripMapperPlugin\n";

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_knows_partitions() {
    let Some(environment) = environment().await else { return };
    let place = tempfile::tempdir().unwrap();
    let (home, plugins) = (place.path().join("home"), place.path().join("plugins"));
    fs::create_dir(&home).unwrap();
    fs::create_dir(&plugins).unwrap();
    std::os::unix::fs::symlink(environment.folder(), home.join("python")).unwrap();
    fs::write(plugins.join("stripping.py"), PLUGIN).unwrap();
    fs::write(place.path().join("parts.py"), include_str!("airflow/parts.py")).unwrap();
    fs::write(place.path().join("mapped.py"), include_str!("airflow/mapped.py")).unwrap();
    let run = |args: &[&str]| {
        let mut command = Command::new(tradewind());
        command.args(args).current_dir(place.path()).env("TRADEWIND_HOME", &home).env(PLUGINS, &plugins);
        let ended = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (ended.status.code(), text(&ended.stdout), text(&ended.stderr))
    };
    let next = ["dags", "next-execution", "parts.py", "--after", "2026-01-05T07:00:00", "-n", "2"];
    let (_, said, noted) = run(&[&next[..], &["--output", "json"]].concat());
    let told: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said} {noted}"));
    assert_eq!(told[0]["executions"], json!(["2026-01-06T06:00:00Z", "2026-01-07T06:00:00Z"]));
    assert_eq!(told[0]["partition_keys"], json!(["2026-01-05", "2026-01-06"]));

    let (code, said, noted) = run(&["dags", "test", "parts.py", "--partition-key", "2026-01-05"]);
    let all = said + &noted;
    assert!(
        code == Some(0) && all.contains("it is about 2026-01-05 2026-01-05 00:00:00+00:00 None"),
        "{all}"
    );
    let (code, said, noted) = run(&["dags", "test", "parts.py", "--partition-key", "soon"]);
    assert!(code != Some(0) && noted.contains("soon"), "{said} {noted}");

    let (code, _, noted) = run(&["dags", "validate", "mapped.py"]);
    assert!(code == Some(1) && noted.contains("PrefixStripMapper is not known"), "{noted}");
    assert!(noted.contains("asked about every event"), "{noted}");
}
