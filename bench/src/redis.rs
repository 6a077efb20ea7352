//! A Redis of the benchmark's own, set up as `docker-compose.yml` does it.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;

use crate::folder::Folder;
use crate::process::{self, Running};

const PATIENCE: Duration = Duration::from_secs(20);
const ANSWER: Duration = Duration::from_secs(1);

/// A running server on a free port of 127.0.0.1.
pub struct Redis {
    running: Running,
    port: u16,
    password: String,
}

impl Redis {
    /// Starts a server with its files in `folder`.
    pub async fn start(folder: &Folder, logs: &Path) -> Result<Redis> {
        let home = folder.private("redis")?;
        let port = process::free_port()?;
        let password = process::random_password()?;
        let settings = home.join("redis.conf");
        let text = format!(
            "bind 127.0.0.1\nport {port}\nrequirepass {password}\nmaxmemory-policy noeviction\nsave \"\"\nappendonly no\n"
        );
        fs::write(&settings, text).context("cannot write redis.conf")?;
        let mut command = Command::new(program()?);
        command.arg(&settings).current_dir(&home);
        let running = Running::start("redis", command, logs, Signal::SIGTERM)?;
        let mut redis = Redis { running, port, password };
        redis.wait_until_ready().await?;
        Ok(redis)
    }

    /// The URL of its first database.
    pub fn url(&self) -> String {
        format!("redis://:{}@127.0.0.1:{}/0", self.password, self.port)
    }

    /// The process id of the server.
    pub fn pid(&self) -> i32 {
        self.running.pid()
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let began = Instant::now();
        while !self.answers() {
            self.running.check()?;
            if began.elapsed() > PATIENCE {
                bail!("Redis was not ready in time");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    fn answers(&self) -> bool {
        let ask = || -> std::io::Result<String> {
            let mut stream =
                TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], self.port)), ANSWER)?;
            stream.set_read_timeout(Some(ANSWER))?;
            stream.write_all(format!("AUTH {}\r\nPING\r\nQUIT\r\n", self.password).as_bytes())?;
            let mut text = String::new();
            stream.take(1024).read_to_string(&mut text)?;
            Ok(text)
        };
        ask().is_ok_and(|text| text.contains("PONG"))
    }
}

/// The server's program.
pub fn program() -> Result<PathBuf> {
    process::find("redis-server", &[]).context("there is no redis-server on PATH: install Redis")
}
