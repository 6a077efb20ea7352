//! The web server as a program uses it.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use crate::records::Run;

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much of an unexpected answer is shown, in characters.
const SHOWN: usize = 300;

/// A signed-in client.
pub struct Api {
    client: Client,
    base: String,
    token: String,
}

impl Api {
    /// Signs in at the web server on `port`.
    pub async fn sign_in(port: u16, password: &str) -> Result<Api> {
        let client = Client::builder().timeout(PATIENCE).build()?;
        let base = format!("http://127.0.0.1:{port}");
        let request = client
            .post(format!("{base}/auth/token"))
            .json(&json!({"username": "admin", "password": password}));
        let answer = answer_of(request).await.context("cannot sign in")?;
        let token = answer["access_token"]
            .as_str()
            .context("there is no access_token in the answer to /auth/token")?;
        Ok(Api { token: token.to_owned(), client, base })
    }

    /// Creates a run and answers with its names.
    pub async fn trigger(&self, dag_id: &str) -> Result<Run> {
        let url = format!("{}/api/v2/dags/{dag_id}/dagRuns", self.base);
        let request = self.client.post(url).bearer_auth(&self.token).json(&json!({"logical_date": null}));
        let answer = answer_of(request).await.with_context(|| format!("cannot trigger {dag_id}"))?;
        let run_id =
            answer["dag_run_id"].as_str().context("there is no dag_run_id in the answer to a trigger")?;
        Ok(Run { dag_id: dag_id.to_owned(), run_id: run_id.to_owned() })
    }
}

/// Whether the web server on `port` answers with a whole page.
pub async fn first_page(client: &Client, port: u16) -> bool {
    match client.get(format!("http://127.0.0.1:{port}/")).send().await {
        Ok(answer) => {
            answer.status().is_success() && answer.text().await.is_ok_and(|page| page.contains("</html>"))
        }
        Err(_) => false,
    }
}

async fn answer_of(request: RequestBuilder) -> Result<Value> {
    let answer = request.send().await?;
    let status = answer.status();
    let text = answer.text().await?;
    if !status.is_success() {
        bail!("the web server answers {status}: {}", text.chars().take(SHOWN).collect::<String>());
    }
    serde_json::from_str(&text).context("the answer is not JSON")
}
