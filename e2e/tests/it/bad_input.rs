//! Whatever is wrong, somebody is told what, where, and what to do: on a page, in the API's error, in a task's log, or by an
//! exit status and a line. One platform for all of it.

mod files;
mod processes;
mod requests;
mod tasks;

use crate::platform::Platform;

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_is_explained() {
    let mut platform = Platform::new().await;
    files::write(&platform);
    tasks::write(&platform);
    platform.start("scheduler");
    platform.start("worker");
    files::are_explained(&platform).await;
    tasks::explain_themselves(&platform).await;
    requests::tricks_with_names_lead_nowhere(&platform).await;
    requests::bodies_are_refused(&platform).await;
    requests::wrong_passwords_are_refused(&platform).await;
    processes::say_why_they_do_not_start(&platform).await;
    processes::say_what_is_wrong_with_the_database(&platform).await;
    processes::say_what_is_wrong_with_redis(&platform).await;
    for name in ["scheduler", "worker", "webserver"] {
        is_structured(name, &platform.said(name));
    }
    requests::a_database_that_is_gone_is_named(&mut platform).await;
}

/// Every line of a process's log is an object, and none is about a panic or a bug.
fn is_structured(name: &str, said: &str) {
    for line in said.lines() {
        let entry: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{name}: {error}: {line}"));
        assert!(entry["level"] != "ERROR" && !line.contains("panicked"), "{name}: {line}");
    }
}
