//! A real Chromium, headless, driven through its driver.

use std::{process::Command, time::Duration};

use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::{Map, Value, json};

use crate::servers::{PATIENCE, Process, free_port};

/// A browser with one window. It is closed with its value.
pub struct Browser {
    pub client: Client,
    _driver: Process,
    _folder: tempfile::TempDir,
}

impl Browser {
    pub async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={port}"));
        let driver = Process::start(&mut command, folder.path().join("driver.log"));
        let client = connect(port, folder.path()).await;
        client.set_window_size(1440, 900).await.unwrap();
        Self { client, _driver: driver, _folder: folder }
    }

    pub async fn goto(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// Waits for an element.
    pub async fn see(&self, css: &str) -> fantoccini::elements::Element {
        let found = self.client.wait().at_most(PATIENCE).for_element(Locator::Css(css)).await;
        match found {
            Ok(element) => element,
            Err(error) => panic!("never saw `{css}`: {error}\n{}", self.text().await),
        }
    }

    pub async fn click(&self, css: &str) {
        self.see(css).await.click().await.unwrap();
    }

    /// Replaces what is in an input.
    pub async fn fill(&self, css: &str, text: &str) {
        let input = self.see(css).await;
        input.clear().await.unwrap();
        input.send_keys(text).await.unwrap();
    }

    /// Waits until the page, or a part of it, says something.
    pub async fn read(&self, css: &str, wanted: &str) {
        let wait = async {
            loop {
                let text = match self.client.find(Locator::Css(css)).await {
                    Ok(element) => element.text().await.unwrap_or_default(),
                    Err(_) => String::new(),
                };
                if text.contains(wanted) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            panic!("`{css}` never said {wanted:?}; the page says:\n{}", self.text().await);
        }
    }

    pub async fn text(&self) -> String {
        match self.client.find(Locator::Css("body")).await {
            Ok(body) => body.text().await.unwrap_or_default(),
            Err(error) => error.to_string(),
        }
    }

    pub async fn path(&self) -> String {
        self.client.current_url().await.unwrap().path().to_owned()
    }

    /// Leaves a mark that a reload would wipe away.
    pub async fn mark(&self) {
        self.client.execute("window.mark = 'here'", Vec::new()).await.unwrap();
    }

    /// Whether the page is still the one that was marked.
    pub async fn is_marked(&self) -> bool {
        self.client.execute("return window.mark === 'here'", Vec::new()).await.unwrap() == Value::Bool(true)
    }

    /// What the page's scripts complained about.
    pub async fn is_accessible(&self) -> Vec<String> {
        let script = "
            const bad = [];
            for (const image of document.querySelectorAll('img:not([alt])')) bad.push('img without alt');
            for (const field of document.querySelectorAll('input:not([type=hidden]), select, textarea')) {
                if (!field.labels?.length && !field.getAttribute('aria-label')) bad.push('field without label: ' + field.name);
            }
            for (const button of document.querySelectorAll('button, a[href]')) {
                const name = button.getAttribute('aria-label') || button.textContent.trim() || button.title;
                if (!name) bad.push('control without a name: ' + button.outerHTML.slice(0, 80));
            }
            if (!document.documentElement.lang) bad.push('no language');
            if (document.querySelectorAll('h1').length !== 1) bad.push('not exactly one h1');
            return bad;";
        let found = self.client.execute(script, Vec::new()).await.unwrap();
        found.as_array().unwrap().iter().map(ToString::to_string).collect()
    }
}

async fn connect(port: u16, folder: &std::path::Path) -> Client {
    let profile = format!("--user-data-dir={}", folder.join("profile").display());
    let args = json!([
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-sync",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-dev-shm-usage",
        profile,
    ]);
    let mut capabilities = Map::new();
    capabilities.insert("goog:chromeOptions".into(), json!({"args": args}));
    let began = std::time::Instant::now();
    loop {
        let mut builder = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
        match builder.capabilities(capabilities.clone()).connect(&format!("http://127.0.0.1:{port}")).await {
            Ok(client) => return client,
            Err(error) => assert!(began.elapsed() < PATIENCE, "no browser: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
