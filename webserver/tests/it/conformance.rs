//! Airflow's official Python client against this server. Needs `pip install apache-airflow-client==3.3.2`; says that it skips
//! where that is not installed. `TRADEWIND_CONFORMANCE_PYTHON` names another interpreter than `python3`.

use std::{env, path::Path};

use store::account::Role;
use tokio::process::Command;

use crate::app::{App, PASSWORD};

#[tokio::test]
async fn the_official_client_works_unchanged() {
    let python = env::var("TRADEWIND_CONFORMANCE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let probe = Command::new(&python).args(["-c", "import airflow_client.client"]).output().await;
    if !probe.is_ok_and(|probe| probe.status.success()) {
        println!("skipped: {python} has no apache-airflow-client (pip install apache-airflow-client==3.3.2)");
        return;
    }
    let app = App::start().await;
    app.account("ann", Role::Admin).await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/client.py");
    let output = Command::new(&python)
        .arg(script)
        .args([app.origin.as_str(), "ann", PASSWORD])
        .output()
        .await
        .unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    println!("{said}");
}
