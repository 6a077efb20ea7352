//! The conversation with one child: it asks, we answer.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::UnixStream;

use crate::frame::{self, Asked, MAX_FRAME, Malformed};

/// The conversation cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The child sent something else than a frame.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The socket is broken.
    #[error("the connection to the child broke: {0}")]
    Broken(#[from] std::io::Error),
}

/// The socket on the standard input of a child.
#[derive(Debug)]
pub struct Channel {
    stream: UnixStream,
    // What was read of the next frame, so that a read that is given up loses nothing.
    begun: Vec<u8>,
}

impl Channel {
    /// Speaks over this socket.
    #[must_use]
    pub fn new(stream: UnixStream) -> Self {
        Self { stream, begun: Vec::new() }
    }

    /// The next thing that the child asks or tells; `None` when it has closed its side. May be dropped and called again.
    ///
    /// # Errors
    /// When it is no frame, or the socket broke.
    pub async fn next(&mut self) -> Result<Option<Asked>, Fault> {
        loop {
            let wanted = self.wanted()?;
            if self.begun.len() >= wanted && wanted > 4 {
                let asked = frame::asked(&self.begun[4..wanted])?;
                self.begun.drain(..wanted);
                return Ok(Some(asked));
            }
            let room = (wanted - self.begun.len()).min(1 << 20);
            self.begun.reserve(room);
            // Only as much as belongs to this frame: whatever carries descriptors must be read on its own.
            let read = (&mut self.stream).take(room as u64).read_buf(&mut self.begun).await?;
            if read == 0 {
                return Ok(None);
            }
        }
    }

    // How many bytes the frame that has begun has with its length, or those of the length alone.
    fn wanted(&self) -> Result<usize, Malformed> {
        let Some(length) = self.begun.first_chunk::<4>() else { return Ok(4) };
        let length = u32::from_be_bytes(*length) as usize;
        match length {
            0 => Err(Malformed("it is empty".to_owned())),
            1..=MAX_FRAME => Ok(4 + length),
            _ => Err(Malformed(format!("it has {length} bytes; at most {MAX_FRAME} are allowed"))),
        }
    }

    /// Says something that was not asked for: the first word in every conversation.
    ///
    /// # Errors
    /// When the socket broke.
    pub async fn tell(&mut self, body: &Value) -> Result<(), Fault> {
        self.answer(0, body).await
    }

    /// Answers a question.
    ///
    /// # Errors
    /// When the socket broke.
    pub async fn answer(&mut self, id: i64, body: &Value) -> Result<(), Fault> {
        Ok(self.stream.write_all(&frame::answer(id, body, None)).await?)
    }

    /// Answers that a question cannot be answered; the child raises it as an error.
    ///
    /// # Errors
    /// When the socket broke.
    pub async fn refuse(&mut self, id: i64, error: &Value) -> Result<(), Fault> {
        Ok(self.stream.write_all(&frame::answer(id, &Value::Null, Some(error))).await?)
    }

    /// Answers with a descriptor beside the body.
    ///
    /// # Errors
    /// When the socket broke.
    pub async fn hand_over(&mut self, id: i64, body: &Value, descriptor: &OwnedFd) -> Result<(), Fault> {
        let bytes = frame::answer(id, body, None);
        let sent = send_with(&self.stream, &bytes, &[descriptor]).await?;
        Ok(self.stream.write_all(&bytes[sent..]).await?)
    }
}

/// Writes the beginning of `bytes` with descriptors beside it. Returns how much was written.
pub(crate) async fn send_with(
    stream: &UnixStream,
    bytes: &[u8],
    descriptors: &[&OwnedFd],
) -> std::io::Result<usize> {
    let raw: Vec<_> = descriptors.iter().map(|descriptor| descriptor.as_raw_fd()).collect();
    let send = || {
        let rights = [ControlMessage::ScmRights(&raw)];
        let parts = [std::io::IoSlice::new(bytes)];
        sendmsg::<()>(stream.as_raw_fd(), &parts, &rights, MsgFlags::MSG_NOSIGNAL, None).map_err(Into::into)
    };
    stream.async_io(Interest::WRITABLE, send).await
}
