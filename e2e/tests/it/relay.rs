//! A network that can be cut: a relay between one process and PostgreSQL. While it is cut nothing gets through, connections neither
//! open nor end, and nobody is told; what was under way arrives when it is mended, as late as that may be.

use std::path::PathBuf;

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};
use tokio_postgres::config::Host;

/// It stops with its value.
pub struct Relay {
    port: u16,
    user: String,
    database: String,
    open: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Relay {
    /// To the database with this URL.
    pub async fn to(url: &str) -> Self {
        let config: tokio_postgres::Config = url.parse().unwrap();
        let (Some(Host::Unix(folder)), Some(number)) =
            (config.get_hosts().first(), config.get_ports().first())
        else {
            panic!("{url} is not a socket");
        };
        let socket = folder.join(format!(".s.PGSQL.{number}"));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (open, is_open) = watch::channel(true);
        let accepting = tokio::spawn(accept(listener, socket, is_open));
        let [user, database] = [config.get_user(), config.get_dbname()].map(|name| name.unwrap().to_owned());
        Self { port, user, database, open, accepting }
    }

    /// The URL of the database on this way.
    pub fn url(&self) -> String {
        format!("postgres://{}@127.0.0.1:{}/{}", self.user, self.port, self.database)
    }

    /// Nothing gets through any more.
    pub fn cut(&self) {
        self.open.send_replace(false);
    }

    /// Everything gets through again, what had been under way first.
    pub fn mend(&self) {
        self.open.send_replace(true);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, socket: PathBuf, open: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(serve(client, socket.clone(), open.clone()));
    }
}

async fn serve(client: TcpStream, socket: PathBuf, mut open: watch::Receiver<bool>) {
    if open.wait_for(|open| *open).await.is_err() {
        return;
    }
    // A server that is away turns the client away.
    let Ok(server) = UnixStream::connect(socket).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::join!(pump(from_client, to_server, open.clone()), pump(from_server, to_client, open));
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut open: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let length = from.read(&mut buffer).await.unwrap_or(0);
        if open.wait_for(|open| *open).await.is_err() {
            return;
        }
        if length == 0 || to.write_all(&buffer[..length]).await.is_err() {
            drop(to.shutdown().await);
            return;
        }
    }
}
