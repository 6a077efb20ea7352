//! The servers and processes that a test of the whole needs. Everything ends with its value, also when a test fails.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Longest that a test waits for one thing.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A process that is killed when its value goes.
pub struct Process {
    child: Child,
    pub log: PathBuf,
}

impl Process {
    /// Starts a program with its output in a file.
    pub fn start(command: &mut Command, log: PathBuf) -> Self {
        let file = std::fs::File::options().create(true).append(true).open(&log).unwrap();
        let child = command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file).spawn();
        Self { child: child.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}")), log }
    }

    /// kill -9, and waits until it is gone.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// It ended by itself.
    fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A Redis on a free port, with nothing but its memory.
pub struct Redis {
    process: Option<Process>,
    port: u16,
    folder: PathBuf,
    options: Vec<String>,
}

impl Redis {
    pub fn start(folder: &Path) -> Self {
        Self::start_with(folder, &[])
    }

    /// Starts one with more options. Another process may take the free port first: then on another.
    pub fn start_with(folder: &Path, options: &[&str]) -> Self {
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        let try_start = |_| {
            let (folder, options) = (folder.to_path_buf(), options.clone());
            let mut redis = Self { process: None, port: free_port(), folder, options };
            redis.launch().then_some(redis)
        };
        (0..5).find_map(try_start).unwrap_or_else(|| panic!("Redis did not start on five ports"))
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// kill -9, then a new one with an empty memory on the same port.
    pub fn restart(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
        assert!(self.launch(), "Redis did not start again on port {}", self.port);
    }

    /// Starts it, and waits until it accepts connections or ends.
    fn launch(&mut self) -> bool {
        let mut command = Command::new("redis-server");
        command.args([
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--port",
            &self.port.to_string(),
        ]);
        command.arg("--dir").arg(&self.folder).args(&self.options);
        let log = self.folder.join("redis.log");
        // Each start is told by what it says itself, not by what an earlier one said.
        drop(std::fs::remove_file(&log));
        let mut process = Process::start(&mut command, log);
        let deadline = Instant::now() + PATIENCE;
        while !process.said().contains("Ready to accept connections") {
            if process.has_ended() || Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.process = Some(process);
        true
    }
}

/// A port that nobody listens on right now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The binary beside the tests.
pub fn tradewind() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let folder = tests.parent().and_then(Path::parent).unwrap();
    let program = folder.join("tradewind");
    assert!(program.exists(), "{} is missing: `cargo build --package cli` makes it", program.display());
    program
}

/// The root of the project.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}
