//! Tasks that cannot be carried out: their state, their log and their page say why.

use serde_json::{Value, json};

use crate::{platform::Platform, raw::plain};

const DAG: &str = r#"
dag_id: lost
tasks:
  connection: {sql: {conn_id: warehouze, sql: SELECT 1}}
  request: {http: {conn_id: nowhere, url: /x}}
  undefined:
    bash: |
      echo fine
      echo {{ dss }}
  syntax: {bash: "echo {{ ds"}
  variable: {bash: "echo {{ var.value.colour }}"}
  environment: {bash: "true", env: {REGION: "{{ nothing.here }}"}}
"#;

const REASONS: [(&str, &str); 6] = [
    (
        "connection",
        "`sql.conn_id` names the connection `warehouze`, which does not exist; add it with `tradewind connections add warehouze \
         --conn-uri URI`, or set TRADEWIND_CONN_WAREHOUZE",
    ),
    ("request", "`http.conn_id` names the connection `nowhere`, which does not exist"),
    ("undefined", "template error in `bash`, line 2, column 9: `dss` is not defined; did you mean `ds`?"),
    ("syntax", "template error in `bash`, line 1, column 9: syntax error: unexpected end of input"),
    (
        "variable",
        "template error in `bash`, line 1, column 12: there is no variable `colour`; set it with `tradewind variables set colour \
         VALUE`",
    ),
    ("environment", "template error in `env.REGION`, line 1, column 4: `nothing` is not defined"),
];

/// Puts the DAG into its folder.
pub fn write(platform: &Platform) {
    std::fs::write(platform.dags().join("lost.yaml"), DAG).unwrap();
}

/// A run of it fails; what each task says about itself.
pub async fn explain_themselves(platform: &Platform) {
    platform.until_known("lost").await;
    let body = json!({"dag_run_id": "r", "logical_date": "2026-01-01T00:00:00Z"});
    let (status, answer) = platform.api("POST", "/dags/lost/dagRuns", Some(body)).await;
    assert!(status.is_success(), "{answer:#}");
    let failed = |answer: &Value| answer["state"] == "failed";
    platform.until("the run failed", "/dags/lost/dagRuns/r", failed).await;
    let authorization = platform.authorization();
    for (task, reason) in REASONS {
        let path = format!("/api/v2/dags/lost/dagRuns/r/taskInstances/{task}");
        let (_, instance) = platform.ask("GET", &path, None).await;
        assert_eq!(instance["state"], "failed", "{instance:#}");
        let headers = [("Authorization", &*authorization), ("Accept", "text/plain")];
        let log = platform.send_raw(&format!("GET {path}/logs/1"), &headers, b"").await;
        assert!(log.body.contains(reason), "no {reason:?} in the log of {task}: {}", log.body);
        let headers = [("Authorization", &*authorization), ("Accept", "text/html")];
        let page = platform.send_raw(&format!("GET /dags/lost/runs/r/tasks/{task}"), &headers, b"").await;
        // The note above the log begins with a capital.
        let (prose, shown) = (page.prose(), plain(reason));
        assert!(prose.matches(&shown[1..]).count() >= 2, "no {shown:?} in note and log of {task}: {prose}");
    }
}
