//! A Redis of a test's own.

use queue::Queue;
use redis::aio::MultiplexedConnection;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A running Redis on a free port, with a folder of its own; it is killed when this is dropped.
pub(crate) struct Server {
    port: u16,
    password: Option<&'static str>,
    process: Option<Child>,
    dir: TempDir,
}

impl Server {
    pub(crate) fn start() -> Server {
        Server::start_with(None)
    }

    pub(crate) fn start_with(password: Option<&'static str>) -> Server {
        // Somebody else may take the free port first.
        (0..5).find_map(|_| Server::try_start(password)).expect("Redis did not start on five ports")
    }

    fn try_start(password: Option<&'static str>) -> Option<Server> {
        let mut server = Server {
            port: free_port(),
            password,
            process: None,
            dir: tempfile::tempdir().expect("a temporary folder"),
        };
        server.run().then_some(server)
    }

    /// Starts the process again after [`Server::kill`], empty and on the same port.
    pub(crate) fn restart(&mut self) {
        assert!(self.process.is_none(), "it runs already");
        assert!(self.run(), "Redis did not start again on port {}", self.port);
    }

    /// As `kill -9` does it.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("to kill our own child");
            process.wait().expect("to reap our own child");
        }
    }

    /// Sends the process a signal, `STOP` or `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.process.as_ref().expect("a running Redis").id();
        let status = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status();
        assert!(status.expect("the kill command").success());
    }

    pub(crate) fn url(&self) -> String {
        let login = self.password.map(|password| format!(":{password}@")).unwrap_or_default();
        format!("redis://{login}127.0.0.1:{}/0", self.port)
    }

    pub(crate) fn url_without_password(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    pub(crate) fn queue(&self) -> Queue {
        Queue::redis(&self.url(), "tw").expect("a good URL")
    }

    /// A connection for doing things behind the queue's back.
    pub(crate) async fn client(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.url()).expect("a good URL");
        client.get_multiplexed_async_connection().await.expect("a connection")
    }

    /// Waits until this many clients are blocked in a command.
    pub(crate) async fn blocked(&self, count: usize) {
        let mut client = self.client().await;
        let wanted = format!("blocked_clients:{count}\r\n");
        let deadline = Instant::now() + crate::LONG;
        loop {
            let info: String =
                redis::cmd("INFO").arg("clients").query_async(&mut client).await.expect("INFO");
            if info.contains(&wanted) {
                return;
            }
            assert!(Instant::now() < deadline, "never {count} blocked clients: {info}");
            tokio::task::yield_now().await;
        }
    }

    fn run(&mut self) -> bool {
        let mut command = Command::new("redis-server");
        command.args([
            "--port",
            &self.port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        command.arg("--dir").arg(self.dir.path());
        if let Some(password) = self.password {
            command.args(["--requirepass", password]);
        }
        let process = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut process = process.expect("redis-server must be installed (apt-get install redis-server)");
        let output = process.stdout.take().expect("a piped output");
        self.process = Some(process);
        let (ready, is_ready) = mpsc::channel();
        // Reads on after the first lines, or Redis would one day block on a full pipe.
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if line.contains("Ready to accept connections") {
                    let _ = ready.send(());
                }
            }
        });
        let started = is_ready.recv_timeout(Duration::from_secs(10)).is_ok();
        if !started {
            self.kill();
        }
        started
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|socket| socket.local_addr()).expect("a free port").port()
}
