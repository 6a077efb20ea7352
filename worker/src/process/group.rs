//! Process groups: a task's process leads one, and whatever it starts belongs to it.

use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::time::Instant;

use super::others;

/// How long to wait for a group to vanish after SIGKILL. A process stuck in the kernel (a dead network disk)
/// cannot be killed before the kernel lets go of it.
const AFTER_KILL: Duration = Duration::from_secs(2);
/// First and longest pause between two looks at a group that is ending.
const PAUSES: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(50));

/// A process group, named by the id of the process that leads or led it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Group(Pid);

impl Group {
    /// The group that process `pid` leads; none for ids that would mean "everybody" to the kernel.
    pub(crate) fn led_by(pid: u32) -> Option<Group> {
        i32::try_from(pid).ok().filter(|pid| *pid > 1).map(|pid| Group(Pid::from_raw(pid)))
    }

    /// Its number.
    pub(crate) fn id(self) -> i32 {
        self.0.as_raw()
    }

    /// Asks every process of the group to end.
    pub(crate) fn terminate(self) {
        self.signal(Signal::SIGTERM);
    }

    /// Ends every process of the group at once.
    pub(crate) fn kill(self) {
        self.signal(Signal::SIGKILL);
    }

    /// Whether any process of the group is left. Those that ended and were handed to us are reaped on the way.
    pub(crate) fn is_alive(self) -> bool {
        if killpg(self.0, None) == Err(Errno::ESRCH) {
            return false;
        }
        self.reap();
        killpg(self.0, None) != Err(Errno::ESRCH)
    }

    /// Ends what is left of the group after its leader: SIGTERM, `grace`, SIGKILL. Returns whether anything was left.
    pub(crate) async fn end_rest(self, grace: Duration) -> bool {
        if !self.is_alive() {
            return false;
        }
        self.terminate();
        if !self.gone_within(grace).await {
            self.kill();
            self.gone_within(AFTER_KILL).await;
        }
        true
    }

    async fn gone_within(self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut pause = PAUSES.0;
        while self.is_alive() {
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
        true
    }

    fn signal(self, signal: Signal) {
        // An empty group is the only other failure that can be met, and the best one.
        if killpg(self.0, signal) == Err(Errno::EPERM) {
            others::signal(self.0, signal);
        }
    }

    /// Reaps orphans of the group that became our children (see `orphans`). Its leader is never among them: the
    /// leader is reaped by whoever waits for it, before this is called.
    fn reap(self) {
        let members = Pid::from_raw(-self.0.as_raw());
        while let Ok(status) = waitpid(members, Some(WaitPidFlag::WNOHANG)) {
            if status == WaitStatus::StillAlive {
                return;
            }
        }
    }
}
