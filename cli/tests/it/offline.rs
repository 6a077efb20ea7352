//! Commands that need neither server nor database, and everything that can be wrong before one is asked.

use std::process::Stdio;

use serde_json::json;

use crate::{
    binary::{Place, ended_in_time},
    impostor::{self, Refusal},
};

const GOOD: &str = "dag_id: good\nschedule: \"0 6 * * *\"\ntasks: {a: {bash: 'true'}}\n";

#[test]
fn wrong_usage_ends_with_2() {
    let place = Place::new();
    for args in [
        &["dgas"][..],
        &["dags", "list", "--output", "xml"],
        &["dags", "trigger", "good", "--conf", "[1]"],
        &["dags", "trigger", "good", "--conf", "{"],
        &["dags", "trigger", "good", "--logical-date", "tomorrow"],
        &["dags", "trigger", "good", "--run-id", "a b"],
        &["dags", "show", "../../etc/passwd"],
        &["dags", "next-execution", "good", "-n", "0"],
        &["dags", "list-runs"],
        &["tasks", "clear", "good"],
        &["tasks", "clear", "good", "--run-id", "r", "--task-regex", "("],
        &["pools", "set", "p", "-2"],
        &["connections", "set", "c"],
        &["users", "create", "--username", "u", "--role", "king"],
        &["jobs", "check", "--job-type", "Janitor"],
        &["db", "clean", "--older-than", "soon"],
    ] {
        let ended = place.run(args);
        assert_eq!(ended.status, Some(2), "{args:?}: {ended:#?}");
        assert!(ended.stderr.contains("error:") && ended.stdout.is_empty(), "{args:?}: {ended:#?}");
    }
    assert!(place.run(&["dgas"]).stderr.contains("similar subcommand exists: 'dags'"));
}

#[test]
fn broken_files_are_explained_with_their_place_and_end_with_1() {
    let place = Place::new();
    for (name, contents, words) in [
        (
            "cycle.yaml",
            &b"tasks:\n  a: {bash: x, depends_on: b}\n  b: {bash: x, depends_on: a}\n"[..],
            &["cycle.yaml:2:28", "in a circle: a -> b -> a"][..],
        ),
        ("key.yaml", b"tasks:\n  a: {bahs: x}\n", &["key.yaml:2:", "`bahs`", "bash"]),
        (
            "type.yaml",
            b"max_active_runs: many\ntasks: {a: {bash: x}}\n",
            &["type.yaml:1:18", "max_active_runs"],
        ),
        ("cron.yaml", b"schedule: \"99 * * * *\"\ntasks: {a: {bash: x}}\n", &["cron.yaml:1:", "99"]),
        (
            "twice.yaml",
            b"dag_id: d\ntasks: {a: {bash: x}}\n---\ndag_id: d\ntasks: {a: {bash: x}}\n",
            &["twice.yaml:4:9", "defined twice", "first on line 1"],
        ),
        (
            "tasks.yaml",
            b"tasks:\n  a: {bash: x}\n  a: {bash: y}\n",
            &["tasks.yaml:3:3", "`a` appears twice", "first on line 2"],
        ),
        (
            "preset.yaml",
            b"schedule: '@dialy'\ntasks: {a: {bash: x}}\n",
            &["preset.yaml:1:11", "did you mean `@daily`?"],
        ),
        ("upstream.yaml", b"tasks: {a: {bash: x, depends_on: nobody}}\n", &["nobody"]),
        ("binary.yaml", b"\x7fELF\x00\x01", &["not a text file"]),
        ("latin.yaml", b"description: caf\xe9\n", &["UTF-8"]),
        ("empty.yaml", b"", &["empty.yaml:1:1"]),
        ("syntax.yaml", b"tasks: {a: [}\n", &["syntax.yaml:1:"]),
        ("id.yaml", b"dag_id: ../etc\ntasks: {a: {bash: x}}\n", &["../etc"]),
    ] {
        let file = place.file(name, contents);
        let ended = place.run(&["dags", "validate", &file]).bad(1, words);
        assert!(ended.stderr.contains(&format!("error: {file} has ")), "{ended:#?}");
        place.run(&["dags", "test", &file]).bad(1, words);
        place.run(&["dags", "next-execution", &file]).bad(1, words);
    }
    let big = place.file("big.yaml", vec![b'#'; 10 << 20]);
    place.run(&["dags", "validate", &big]).bad(1, &["10485760 bytes", "at most 1048576"]);
    place.run(&["dags", "validate", "missing.yaml"]).bad(1, &["missing.yaml", "No such file"]);
    let airflow = place.file("airflow.py", "from airflow.sdk import DAG\n");
    place
        .run(&["dags", "validate", &airflow])
        .bad(1, &["airflow.py:1:1", "no Python environment with Airflow", "tradewind python setup"]);
    place.run(&["dags", "test", "missing.yaml"]).bad(1, &["missing.yaml", "No such file"]);
}

#[test]
fn one_broken_file_hides_no_other() {
    let place = Place::new();
    let (good, bad) =
        (place.file("dags/good.yaml", GOOD), place.file("dags/bad.yaml", "tasks: {a: {bahs: x}}\n"));
    let ended = place.run(&["dags", "validate", "dags"]).bad(1, &["dags/bad.yaml:1:"]);
    assert_eq!(ended.stdout, "dags/good.yaml: ok (good)\n");
    let json = place.run(&["dags", "validate", &good, &bad, "--output", "json"]).bad(1, &[]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json[0]["dags"], &json[0]["errors"]), (&json!(["good"]), &json!([])));
    assert_eq!((&json[1]["dags"], &json[1]["errors"][0]["line"]), (&json!([]), &json!(1)));

    let copy = place.file("dags/copy.yaml", GOOD);
    place.run(&["dags", "validate", &good, &copy]).bad(1, &["`good` is defined in", "good.yaml too"]);
    place.file("none/readme.txt", "");
    place.run(&["dags", "validate", "none"]).bad(1, &["no DAG file"]);
}

#[test]
fn next_executions_are_told_for_every_dag_of_a_file() {
    let place = Place::new();
    let zoned =
        "dag_id: zoned\nschedule: {cron: \"30 2 * * *\", timezone: Europe/Berlin}\ntasks: {a: {bash: x}}\n";
    let never = "dag_id: never\nschedule: null\ntasks: {a: {bash: x}}\n";
    let file = place.file("several.yaml", format!("{GOOD}---\n{zoned}---\n{never}"));
    let args = [
        "dags",
        "next-execution",
        &file,
        "--num-executions",
        "3",
        "--after",
        "2026-03-27T06:00:00Z",
        "-o",
        "json",
    ];
    let wanted = json!([
        {"dag_id": "good", "executions": ["2026-03-27T06:00:00Z", "2026-03-28T06:00:00Z", "2026-03-29T06:00:00Z"]},
        // On the 29th the clocks leave 02:30 out: it fires an hour later, which is 03:30 there.
        {"dag_id": "zoned", "executions": ["2026-03-28T01:30:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"]},
        {"dag_id": "never", "executions": []},
    ]);
    assert_eq!(place.run(&args).json(), wanted);
    let plain = place.run(&["dags", "next-execution", &file, "--after", "2026-03-27", "-o", "plain"]).good();
    assert_eq!(plain, "good\t2026-03-27T06:00:00Z\nzoned\t2026-03-27T01:30:00Z\n");
    assert_eq!(
        place.run(&["dags", "next-execution", &file, "-o", "json"]).json()[0]["executions"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn without_a_database_the_error_says_what_to_do() {
    let place = Place::new();
    for args in [
        &["dags", "list"][..],
        &["dags", "next-execution", "good"],
        &["db", "check"],
        &["jobs", "check", "--job-type", "SchedulerJob"],
        &["users", "list"],
        &["variables", "get", "x"],
    ] {
        place.run(args).bad(1, &["error: ", "tradewind standalone", "--database-url"]);
    }
    place.run(&["db", "check", "--database-url", "mysql://h/d"]).bad(1, &["--database-url", "postgres://"]);
    let nobody = ["db", "check", "--database-url", "postgres://u:hunter2@127.0.0.1:1/d"];
    let ended = place.run(&nobody).bad(1, &["cannot reach the database", "127.0.0.1:1", "refused"]);
    assert!(!ended.stderr.contains("hunter2"), "{ended:#?}");
}

#[test]
fn a_server_that_turns_us_away_is_quoted() {
    let place = Place::new();
    for (refusal, words) in [
        (
            Refusal { code: "28P01", message: "password authentication failed for user \"u\"" },
            "password in the URL is wrong",
        ),
        (Refusal { code: "3D000", message: "database \"d\" does not exist" }, "createdb d"),
    ] {
        let port = impostor::listen(refusal);
        let url = format!("postgres://u:hunter2@127.0.0.1:{port}/d");
        let ended = place.run(&["db", "check", "--database-url", &url]).bad(1, &[refusal.message, words]);
        assert!(!ended.stderr.contains("hunter2"), "{ended:#?}");
    }
}

#[test]
fn a_home_that_cannot_be_written_is_named() {
    let place = Place::new();
    let file = place.file("file", "");
    let home = format!("{file}/home");
    place
        .run(&["dags", "list", "--home", &home, "--database-url", "postgres://127.0.0.1:1/d"])
        .bad(1, &["the home folder", &home, "cannot be used"]);
}

#[test]
fn a_dags_folder_that_cannot_be_made_is_named() {
    let place = Place::new();
    let folder = format!("{}/dags", place.file("file", ""));
    let words = [&*folder, "--dags or TRADEWIND_DAGS_FOLDER"];
    place.run(&["standalone", "--port", "0", "--dags", &folder]).bad(1, &words);
}

#[test]
fn the_configuration_tells_where_values_come_from() {
    let place = Place::new();
    let mut command = place.command(&["config", "list", "--output", "json", "--dags", "/flag/dags"]);
    command
        .env("TRADEWIND_PORT", "9090")
        .env("TRADEWIND_SECRET_KEY", "not for anybody's eyes")
        .env("TRADEWIND_PROT", "1");
    let output = command.output().unwrap();
    let list: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let find = |name: &str| list.as_array().unwrap().iter().find(|row| row["name"] == name).unwrap().clone();
    assert_eq!(
        (&find("dags_folder")["value"], &find("dags_folder")["origin"]),
        (&json!("/flag/dags"), &json!("flag"))
    );
    assert_eq!((&find("port")["value"], &find("port")["origin"]), (&json!("9090"), &json!("environment")));
    assert_eq!(find("host")["origin"], "default");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("anybody"));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.matches("did you mean TRADEWIND_PORT?").count(), 1, "{said}");

    assert_eq!(place.run(&["config", "get-value", "port"]).good(), "8080\n");
    place.run(&["config", "get-value", "prot"]).bad(1, &["`prot`", "port"]);
    let mut command = place.command(&["config", "list"]);
    let output = command.env("TRADEWIND_PARALLELISM", "none").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("TRADEWIND_PARALLELISM is \"none\""));
    place
        .run(&["scheduler", "--policy", "shortst"])
        .bad(1, &["TRADEWIND_POLICY", "did you mean `shortest`?"]);
    place.run(&["scheduler", "--fair-share", "maybe"]).bad(1, &["--fair-share", "true or false"]);
}

#[test]
fn version_and_info_work_anywhere() {
    let place = Place::new();
    let version = place.run(&["version"]).good();
    assert_eq!(place.run(&["--version"]).good(), format!("tradewind {version}"));
    let info = place.run(&["info", "--output", "json"]).json();
    assert_eq!(info["version"], version.trim());
    assert!(info["database"].as_str().unwrap().contains("there is no database"), "{info}");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let place = Place::new();
    let mut child = place.command(&["schema"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = ended_in_time(child);
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn an_asset_that_nobody_makes_is_a_notice_and_no_error() {
    let place = Place::new();
    let report = "dag_id: report\nschedule: {assets: {all: [orders, items]}, or: '0 6 * * *'}\ntasks: {t: {empty: {}}}\n";
    let maker = "dag_id: maker\ntasks: {t: {empty: {}, outlets: orders}}\n";
    let (report, maker) = (place.file("report.yaml", report), place.file("maker.yaml", maker));
    let ended = place.run(&["dags", "validate", &report, &maker]);
    assert_eq!(ended.status, Some(0), "{ended:#?}");
    let told = "the DAG `report` waits for the asset `items`, and no task in these files makes it";
    assert!(ended.stderr.contains(told) && !ended.stderr.contains("`orders`"), "{ended:#?}");
    let json = place.run(&["dags", "validate", &report, "--output", "json"]).json();
    assert_eq!(json[0]["notices"].as_array().map(Vec::len), Some(2));

    let ended = place.run(&["dags", "next-execution", &report, "--num-executions", "1", "--output", "json"]);
    let json = ended.json();
    assert_eq!(json[0]["assets"], json!({"condition": "orders and items"}));
    assert_eq!(json[0]["executions"].as_array().map(Vec::len), Some(1));
    let json = place.run(&["dags", "next-execution", &maker, "--output", "json"]).json();
    assert_eq!(json, json!([{"dag_id": "maker", "executions": []}]));
    let ended = place.run(&["dags", "next-execution", &report]);
    assert!(
        ended.stderr.contains("runs when these assets have been updated: orders and items"),
        "{ended:#?}"
    );
}
