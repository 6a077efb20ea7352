//! A failure is told to a webhook, by whichever scheduler is there to tell it.

use std::time::Duration;

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::platform::Platform;

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_told_to_a_webhook_and_listed() {
    let mut platform = Platform::new().await;
    let receiver = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", receiver.local_addr().unwrap());
    let text = format!("tasks: {{a: {{bash: exit 3, on_failure: [{{webhook: {{url: '{url}'}}}}]}}}}");
    std::fs::write(platform.dags().join("sad.yaml"), text).unwrap();
    let heard = tokio::spawn(hear(receiver));
    platform.start("scheduler");
    platform.start("scheduler-2");
    platform.start("worker");
    platform.until_known("sad").await;
    platform.trigger("sad", "one", serde_json::json!({})).await;
    let said = tokio::time::timeout(Duration::from_secs(60), heard).await.unwrap().unwrap();
    assert_eq!(
        (&said["event"], &said["task_id"], &said["run_id"]),
        (&"failure".into(), &"a".into(), &"one".into())
    );
    let sent = |answer: &Value| answer["alerts"][0]["state"] == "sent";
    let list = platform.until("the alert is listed as sent", "/alerts?dag_id=sad", sent).await;
    assert_eq!((&list["total_entries"], &list["alerts"][0]["attempts"]), (&1.into(), &1.into()));
}

/// Takes one request, and returns its body.
async fn hear(receiver: TcpListener) -> Value {
    let (mut stream, _) = receiver.accept().await.unwrap();
    let mut request = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk).await.unwrap();
        request.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&request);
        let body = text.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str(body).ok());
        if let Some(body) = body {
            stream.write_all(b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            return body;
        }
        assert!(read > 0, "the request broke off: {text}");
    }
}
