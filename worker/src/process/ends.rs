//! How processes end, in words for people.

use nix::sys::signal::Signal;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It ended by itself with this code.
    Exit(i32),
    /// A signal killed it.
    Signal(i32),
}

impl End {
    /// From what the system reports.
    pub(crate) fn of(status: std::process::ExitStatus) -> End {
        use std::os::unix::process::ExitStatusExt;
        match (status.code(), status.signal()) {
            (Some(code), _) => End::Exit(code),
            (None, Some(signal)) => End::Signal(signal),
            (None, None) => End::Exit(-1),
        }
    }

    /// The exit code, or 128 plus the signal as shells count.
    pub(crate) const fn code(self) -> i32 {
        match self {
            End::Exit(code) => code,
            End::Signal(signal) => 128 + signal,
        }
    }

    /// Whether this end may come from the kernel's out-of-memory killer.
    pub(crate) const fn may_be_out_of_memory(self) -> bool {
        self.code() == 137
    }

    /// What happened, in words. `out_of_memory` says that the kernel counted such a kill meanwhile.
    pub(crate) fn words(self, out_of_memory: bool) -> String {
        match self {
            End::Exit(126) => "exit code 126: the command was found but cannot be executed".to_owned(),
            End::Exit(127) => "exit code 127: command not found".to_owned(),
            // A shell reports the signal that killed its last command in this way.
            End::Exit(code @ 129..=192) => {
                format!("exit code {code}: a command in it was {}", killed_by(code - 128, out_of_memory))
            }
            End::Exit(code) => format!("exit code {code}"),
            End::Signal(signal) => killed_by(signal, out_of_memory),
        }
    }
}

fn killed_by(signal: i32, out_of_memory: bool) -> String {
    let name = Signal::try_from(signal).map_or("unknown", Signal::as_str);
    if signal == Signal::SIGKILL as i32 && out_of_memory {
        return format!("killed by the kernel because memory ran out (signal {signal}, {name})");
    }
    let said = format!("killed by signal {signal} ({name})");
    match meaning(signal) {
        Some(meaning) => format!("{said}: {meaning}"),
        None => said,
    }
}

fn meaning(signal: i32) -> Option<&'static str> {
    let known = [
        (Signal::SIGKILL, "out of memory, or killed by someone"),
        (Signal::SIGSEGV, "it touched memory that is not its own, a bug in the program or a library"),
        (Signal::SIGABRT, "it gave up by itself, usually after printing why"),
        (Signal::SIGBUS, "it read a file that had become shorter, or the disk or memory is full"),
        (Signal::SIGILL, "it was built for another processor"),
        (Signal::SIGFPE, "it divided by zero"),
        (Signal::SIGPIPE, "it wrote to a program that had already ended"),
        (Signal::SIGTERM, "it was asked to end"),
        (Signal::SIGXCPU, "it used more processor time than its limit"),
        (Signal::SIGXFSZ, "it wrote a file larger than its limit"),
    ];
    known.iter().find(|(known, _)| *known as i32 == signal).map(|(_, meaning)| *meaning)
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(End::Exit(2), false, "exit code 2")]
    #[test_case(End::Exit(127), false, "exit code 127: command not found")]
    #[test_case(End::Exit(126), false, "exit code 126: the command was found but cannot be executed")]
    #[test_case(End::Signal(9), false, "killed by signal 9 (SIGKILL): out of memory, or killed by someone")]
    #[test_case(End::Signal(9), true, "killed by the kernel because memory ran out (signal 9, SIGKILL)")]
    #[test_case(End::Signal(15), true, "killed by signal 15 (SIGTERM): it was asked to end")]
    #[test_case(End::Signal(10), false, "killed by signal 10 (SIGUSR1)")]
    #[test_case(End::Signal(64), false, "killed by signal 64 (unknown)")]
    #[test_case(
        End::Exit(137),
        true,
        "exit code 137: a command in it was killed by the kernel because memory ran out (signal 9, SIGKILL)"
    )]
    fn ends_are_explained(end: End, out_of_memory: bool, words: &str) {
        assert_eq!(end.words(out_of_memory), words);
    }
}
