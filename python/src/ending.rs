//! How a child of the fork server ends: the server tells, and when there is none any more the kernel.

use std::os::fd::OwnedFd;
use std::process::ExitStatus;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::sync::oneshot;

/// The end of a child, before it has come.
#[derive(Debug)]
pub struct Ending(Source);

/// Who tells it.
#[derive(Debug)]
enum Source {
    /// The server; the descriptor is that of the process.
    Server(oneshot::Receiver<ExitStatus>, Option<OwnedFd>),
    /// The kernel, which says no more than that it has come.
    Kernel(oneshot::Receiver<()>),
}

impl Ending {
    /// Of the child with this number, which the server has just started.
    pub(crate) fn of(pid: u32, told: oneshot::Receiver<ExitStatus>) -> Self {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        // None when it has ended already, or where the kernel has no such thing.
        let process = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        Self(Source::Server(told, process))
    }

    /// How it ended; `None` when the server died before it, so that nobody knows. May be dropped and called again until it has
    /// answered.
    pub async fn wait(&mut self) -> Option<ExitStatus> {
        if let Source::Server(told, process) = &mut self.0 {
            match told.await {
                Ok(status) => return Some(status),
                // The server's children live on without it.
                Err(_) => self.0 = Source::Kernel(watch(process.take())),
            }
        }
        if let Source::Kernel(ended) = &mut self.0 {
            let _seen = ended.await;
        }
        None
    }
}

/// A thread for each child of a dead server, of which there are few and seldom; it ends with the child.
fn watch(process: Option<OwnedFd>) -> oneshot::Receiver<()> {
    let (seen, ended) = oneshot::channel();
    if let Some(process) = process {
        std::thread::spawn(move || {
            let mut process = [PollFd::new(&process, PollFlags::IN)];
            while poll(&mut process, None).is_err_and(|error| error == rustix::io::Errno::INTR) {}
            let _nobody_waits = seen.send(());
        });
    }
    ended
}
