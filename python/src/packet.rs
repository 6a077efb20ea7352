//! What is said to a fork server and by it: a length of four bytes, then JSON.

use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::OwnedWriteHalf;

use crate::channel::send_with;
use crate::zygote::{DagFile, Target};

/// Longest packet, in bytes: an environment may be large.
const MAX_PACKET: usize = 8 << 20;

/// To the fork server: start a child. Its descriptors travel beside the length.
#[derive(Debug, Serialize)]
pub(crate) struct Order<'a> {
    pub(crate) launch: u64,
    pub(crate) target: Target,
    pub(crate) environment: &'a [(String, String)],
    pub(crate) folder: &'a str,
    /// Most bytes of memory that the child may map.
    pub(crate) memory: Option<u64>,
    /// The DAG file that the child will read first.
    pub(crate) file: Option<DagFile<'a>>,
}

/// From the fork server.
#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Said {
    /// It has imported everything and takes orders.
    Ready {
        /// Threads that importing left behind: a fork would lose them.
        threads: Vec<String>,
    },
    /// It cannot start at all.
    Unfit {
        /// Why.
        reason: String,
    },
    /// A child runs.
    Launched {
        /// Which order that was.
        launch: u64,
        /// Its process.
        pid: u32,
    },
    /// No child was started.
    Refused {
        /// Which order that was.
        launch: u64,
        /// Why.
        reason: String,
    },
    /// Every task reads this DAG file itself.
    Apart {
        /// Its path below the folder of DAG files.
        file: String,
        /// Why what was read once does not serve for others.
        reason: String,
    },
    /// A child has ended.
    Ended {
        /// Its process.
        pid: u32,
        /// As `waitpid` tells it.
        status: i32,
    },
}

/// Sends an order.
pub(crate) async fn send(
    stream: &mut OwnedWriteHalf,
    order: &Order<'_>,
    descriptors: &[&OwnedFd],
) -> std::io::Result<()> {
    let body = serde_json::to_vec(order)?;
    let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= MAX_PACKET);
    let Some(length) = length else {
        let what = format!("the environment has {} bytes; at most {MAX_PACKET} are allowed", body.len());
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, what));
    };
    let length = length.to_be_bytes();
    let sent = send_with(stream.as_ref(), &length, descriptors).await?;
    stream.write_all(&length[sent..]).await?;
    stream.write_all(&body).await
}

/// Reads what it says next; `None` at the end.
pub(crate) async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Option<Said>> {
    let mut length = [0; 4];
    if let Err(error) = stream.read_exact(&mut length).await {
        return if error.kind() == std::io::ErrorKind::UnexpectedEof { Ok(None) } else { Err(error) };
    }
    let length = u32::from_be_bytes(length) as usize;
    if length > MAX_PACKET {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "a packet that is too long"));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some(serde_json::from_slice(&body)?))
}
