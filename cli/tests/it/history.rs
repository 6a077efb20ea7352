//! The runs of an Airflow move over: beside a leader, once, and so that its schedules go on.

use std::process::Command;

use chrono::{DurationRound, TimeDelta};
use runtime::clock::Clock;
use serde_json::{Value, json};

use crate::{
    binary::Place,
    migrate::{airflow, execute},
    records::migrated,
    whole::{Standalone, until},
};

/// `pickle.dumps({"n": 1}, 5)`, as Airflow 2 keeps it.
const PICKLE: &str = "'\\x80057d948c016e944b01732e'";

fn asked(url: &str, query: &str) -> Value {
    let query = format!("SELECT coalesce(json_agg(found), '[]') FROM ({query}) found");
    let psql = Command::new("psql").args([url, "-At", "--set=ON_ERROR_STOP=1", "--command", &query]).output();
    serde_json::from_slice(&psql.unwrap().stdout).unwrap()
}

/// What becomes of the runs of each DAG, and why.
fn told(place: &Place, url: &str, more: &[&str]) -> Vec<(String, String, String)> {
    let command = ["migrate-from-airflow", "--from", url, "--history", "-o", "json", "--fernet-key"];
    let key = ["MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="];
    let rows = place.run(&[&command[..], &key, more].concat()).json();
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let rows = rows.as_array().unwrap().iter().filter(|row| row["kind"] == "history");
    rows.map(|row| (text(row, "name"), text(row, "what"), text(row, "why"))).collect()
}

/// A DAG as if its file had been read: every version of a run needs one.
fn read_here(url: &str, dag_id: &str, cursor: &str) {
    execute(
        url,
        &format!(
            "WITH v AS (INSERT INTO dag_version (dag_id, number, hash, file, body, source) VALUES ('{dag_id}', 1, '', 'f.yaml', '{{}}', '')
                        RETURNING id)
             INSERT INTO dag (dag_id, version_id, is_paused, file, owner, schedule, schedule_description, parsed_at, cursor_start, cursor_end)
             SELECT '{dag_id}', id, true, 'f.yaml', '', '', '', now(), {cursor}, {cursor} FROM v"
        ),
    );
}

/// Four runs of `nightly`, which has an hourly schedule there: a manual one, two that have ended and one that has not.
fn some_runs(url: &str, version: u8) {
    let (date, conf) = match version {
        2 => ("execution_date", PICKLE),
        _ => ("logical_date", "'{\"n\": 1}'"),
    };
    execute(
        url,
        &format!(
            "INSERT INTO dag_run (id, dag_id, run_id, run_type, state, {date}, data_interval_start, data_interval_end, start_date, end_date, conf)
             VALUES
                 (71, 'nightly', 'scheduled__1', 'scheduled', 'failed', '2026-01-01T00:00Z', '2026-01-01T00:00Z', '2026-01-01T01:00Z',
                  '2026-01-01T01:00:01Z', '2026-01-01T01:00:09Z', NULL),
                 (72, 'nightly', 'scheduled__2', 'scheduled', 'success', '2026-01-01T01:00Z', '2026-01-01T01:00Z', '2026-01-01T02:00Z',
                  '2026-01-01T02:00:01Z', '2026-01-01T02:00:09Z', NULL),
                 (73, 'nightly', 'mine', 'manual', 'success', '2026-01-05T00:30Z', '2026-01-05T00:00Z', '2026-01-05T00:00Z',
                  '2026-01-05T00:30:01Z', '2026-01-05T00:30:09Z', {conf}),
                 (74, 'nightly', 'scheduled__3', 'scheduled', 'running', '2026-01-01T02:00Z', '2026-01-01T02:00Z', '2026-01-01T03:00Z',
                  '2026-01-01T03:00:01Z', NULL, NULL),
                 (75, 'nightly', 'not a name', 'manual', 'success', '2026-01-05T00:31Z', NULL, NULL, NULL, NULL, NULL);
             INSERT INTO task_instance (dag_id, run_id, task_id, map_index, state, try_number, max_tries, start_date, end_date, pool, queue,
                 priority_weight, operator)
             VALUES
                 ('nightly', 'scheduled__1', 'load', -1, 'failed', 2, 1, '2026-01-01T01:00:05Z', '2026-01-01T01:00:09Z', 'etl', 'default', 3,
                  'BashOperator'),
                 ('nightly', 'scheduled__1', 'tell', -1, 'upstream_failed', 0, 0, NULL, NULL, 'a pool', 'a queue', 1, 'PythonOperator'),
                 ('nightly', 'mine', 'many', 10, 'success', 1, 0, '2026-01-05T00:30:01Z', '2026-01-05T00:30:02Z', 'etl', NULL, 1, 'x'),
                 ('nightly', 'mine', 'many', 2, 'shutdown', 1, 0, '2026-01-05T00:30:01Z', '2026-01-05T00:30:02Z', 'etl', NULL, 1, 'x'),
                 ('nightly', 'mine', 'stray', -1, 'running', 1, 0, '2026-01-05T00:30:01Z', NULL, 'etl', NULL, 1, 'x')"
        ),
    );
    let value = if version == 2 { "'[1, 2]'::bytea" } else { "'[1, 2]'" };
    execute(
        url,
        &format!(
            "INSERT INTO xcom (dag_id, run_id, task_id, map_index, key, value) VALUES
                 ('nightly', 'mine', 'many', 10, 'return_value', {value}), ('nightly', 'mine', 'gone', -1, 'return_value', {value})"
        ),
    );
    if version == 3 {
        execute(
            url,
            "INSERT INTO dag_run_note VALUES (73, 'by hand');
             UPDATE dag_run SET run_after = logical_date, triggering_user_name = 'ada' WHERE id = 73;
             INSERT INTO task_instance_history (dag_id, run_id, task_id, try_number, state, start_date, end_date) VALUES
                 ('nightly', 'scheduled__1', 'load', 1, 'up_for_retry', '2026-01-01T01:00:01Z', '2026-01-01T01:00:04Z'),
                 ('nightly', 'scheduled__1', 'gone', 1, 'failed', '2026-01-01T01:00:01Z', '2026-01-01T01:00:04Z')",
        );
    }
}

#[test]
fn ended_runs_move_over_once() {
    for version in [2, 3] {
        let (place, server) = migrated();
        let (url, ours) = (airflow(&server, version), server.url("tradewind"));
        some_runs(&url, version);
        let first = told(&place, &url, &["--apply"]);
        assert!(first.iter().all(|(_, what, why)| what == "later" && why.contains("no file")), "{first:?}");

        read_here(&ours, "nightly", "'2026-01-01T01:30Z'");
        let new = [
            "2 runs with 5 task instances",
            "1 have not ended in Airflow",
            "1 lie behind where the schedule stands here, which creates them itself",
            "1 cannot be taken here, by their names, types or sizes",
        ];
        let dry = told(&place, &url, &[]);
        let (name, what, why) = &dry[1];
        assert_eq!((name.as_str(), what.as_str(), why.as_str()), ("nightly", "new", new.join("; ").as_str()));
        assert_eq!(asked(&ours, "SELECT FROM dag_run"), json!([]), "that was only said");
        assert!(
            told(&place, &url, &["--last", "1"])[1].2.starts_with("0 runs"),
            "the newest has no name for here"
        );
        assert!(told(&place, &url, &["--since", "2026-01-02"])[1].2.starts_with("1 runs with 3"));

        assert_eq!(told(&place, &url, &["--apply", "--xcoms"]), dry);
        check_runs(&ours, version);
        check_instances(&ours, version);

        let again = told(&place, &url, &["--apply"]);
        assert_eq!(
            (again[1].1.as_str(), again[1].2.contains("2 are here already")),
            ("same", true),
            "{again:?}"
        );
        assert_eq!(asked(&ours, "SELECT key FROM dag_run").as_array().unwrap().len(), 2);
    }
}

/// The runs are here, newest first, with everything that is known of them.
fn check_runs(ours: &str, version: u8) {
    let runs = asked(
        ours,
        "SELECT key, run_id, run_type, state, conf, note, triggered_by, run_after::text FROM dag_run ORDER BY key DESC",
    );
    let (note, by, due) = match version {
        2 => (Value::Null, Value::Null, "2026-01-05 00:00:00+00"),
        _ => (json!("by hand"), json!("ada"), "2026-01-05 00:30:00+00"),
    };
    assert_eq!(
        runs,
        json!([
            {"key": -1, "run_id": "mine", "run_type": "manual", "state": "success", "conf": {"n": 1}, "note": note,
             "triggered_by": by, "run_after": due},
            {"key": -2, "run_id": "scheduled__1", "run_type": "scheduled", "state": "failed", "conf": {}, "note": null,
             "triggered_by": null, "run_after": "2026-01-01 01:00:00+00"},
        ])
    );
}

/// So is what belongs to them.
fn check_instances(ours: &str, version: u8) {
    let instances = "SELECT index, task_id, map_index, state, try_number, pool, queue, reason FROM task_instance ORDER BY run_key, index";
    let is = |row: &Value| {
        let name = format!("{}[{}] {}", row["task_id"], row["map_index"], row["state"]).replace('"', "");
        format!("{} {name} {} {}", row["index"], row["pool"], row["queue"]).replace('"', "")
    };
    let found = asked(ours, instances);
    let found: Vec<String> = found.as_array().unwrap().iter().map(is).collect();
    assert_eq!(
        found,
        [
            "0 load[-1] failed etl default",
            "1 tell[-1] upstream_failed default_pool default",
            "0 many[2] failed etl default",
            "1 many[10] success etl default",
            "2 stray[-1] none etl default",
        ]
    );
    let tries = asked(ours, "SELECT try_number, state FROM task_try WHERE run_key = -2 ORDER BY try_number");
    let last = json!({"try_number": 2, "state": "failed"});
    let tries_there = match version {
        2 => json!([last]),
        _ => json!([{"try_number": 1, "state": "up_for_retry"}, last]),
    };
    assert_eq!(tries, tries_there);
    let xcoms = asked(ours, "SELECT task_id, map_index, value FROM xcom");
    assert_eq!(xcoms, json!([{"task_id": "many", "map_index": 10, "value": [1, 2]}]));
    let audit = asked(ours, "SELECT extra FROM event_log WHERE event = 'migrate_history'");
    assert_eq!(audit, json!([{"extra": {"runs": 2, "task_instances": 5}}]));
}

#[test]
fn a_leader_goes_on_behind_them_and_runs_them_again() {
    let (place, server) = migrated();
    let (url, ours) = (airflow(&server, 3), server.url("tradewind"));
    let now = Clock::system().now().duration_trunc(TimeDelta::hours(1)).unwrap();
    let hour = |before| now - TimeDelta::hours(before);
    for before in 3..8 {
        let (start, end) = (hour(before + 1), hour(before));
        let id = format!("scheduled__{}", end.format("%Y-%m-%dT%H:%M:%S+00:00"));
        execute(
            &url,
            &format!(
                "INSERT INTO dag_run (dag_id, run_id, run_type, state, logical_date, run_after, data_interval_start, data_interval_end,
                     start_date, end_date)
                 VALUES ('nightly', '{id}', 'scheduled', 'success', '{start}', '{end}', '{start}', '{end}', '{end}', '{end}');
                 INSERT INTO task_instance (dag_id, run_id, task_id, state, try_number, max_tries, start_date, end_date, pool)
                 VALUES ('nightly', '{id}', 'old', 'success', 1, 0, '{end}', '{end}', 'default_pool'),
                        ('nightly', '{id}', 'both', 'success', 1, 0, '{end}', '{end}', 'default_pool')"
            ),
        );
    }
    told(&place, &url, &["--apply"]);
    place.file(
        "dags/nightly.yaml",
        "dag_id: nightly\nschedule: {cron: '0 * * * *', data_interval: true}\nstart_date: 2020-01-01\ncatchup: true\ntasks:\n  both: {bash: echo}\n  \
         new: {bash: echo, depends_on: both}\n",
    );
    let standalone = Standalone::start(&place);
    until(|| place.run(&["dags", "list", "-o", "plain"]).good().contains("nightly"));
    let moved = told(&place, &url, &["--apply"]);
    assert_eq!(moved[1].2, "5 runs with 10 task instances");
    let keys =
        || asked(&ours, "SELECT key, state FROM dag_run WHERE run_type = 'scheduled' ORDER BY run_after");
    assert_eq!(keys().as_array().unwrap().len(), 5, "it is paused: {}", keys());

    let oldest = hour(8).format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let run_id = format!("scheduled__{}", hour(7).format("%Y-%m-%dT%H:%M:%S+00:00"));
    place.run(&["tasks", "clear", "nightly", "--run-id", &run_id, "--yes"]).good();
    place.run(&["dags", "unpause", "nightly"]).good();
    until(|| place.run(&["tasks", "state", "nightly", "new", &oldest]).good() == "success\n");
    // Airflow has run up to three hours ago; three more were due.
    until(|| {
        let all = keys();
        let made = all.as_array().unwrap().iter().filter(|run| run["key"].as_i64() > Some(0));
        made.filter(|run| run["state"] == "success").count() >= 3
    });
    let all = keys();
    let keys: Vec<i64> = all.as_array().unwrap().iter().map(|run| run["key"].as_i64().unwrap()).collect();
    assert_eq!(keys[..8], [-5, -4, -3, -2, -1, 1, 2, 3], "none was made again, in the order of their dates");
    let states = asked(
        &ours,
        "SELECT task_id, state, try_number FROM task_instance WHERE run_key = -5 ORDER BY index",
    );
    assert_eq!(
        states,
        json!([
            {"task_id": "both", "state": "success", "try_number": 2},
            {"task_id": "old", "state": "success", "try_number": 1},
            {"task_id": "new", "state": "success", "try_number": 1},
        ])
    );
    standalone.stop();
}
