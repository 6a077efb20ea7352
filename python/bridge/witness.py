"""What the reading of a DAG file depended on: whether what came of it holds for another task, and for how long.

A file is read anew for every task. What was read once may serve for others only where nobody can tell the difference, so whoever is
in doubt says no: a file that asks for the time, for chance, for a variable, for the network, or that changes anything outside of
its process, is read by each task itself.
"""

import datetime
import os
import signal
import stat
import sys
import threading

import _random

MOST_THINGS = 500
# Their reasons are their own: they write the log, look at sources, and read the configuration.
BYSTANDERS = (
    "logging", "structlog", "warnings", "linecache", "airflow.configuration", "airflow._shared.configuration",
    "airflow.sdk._shared.configuration",
)
IMPORTER = "<frozen importlib._bootstrap_external>"

CLOCKS = {"now", "utcnow", "today"}
MOMENTS = {
    "time": {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time", "localtime", "gmtime",
             "strftime", "ctime", "asctime"},
    "posix": {"urandom", "getrandom", "getpid", "getppid", "times", "getloadavg", "sched_getaffinity", "statvfs", "umask", "nice",
              "pipe", "dup", "dup2"},
    "_thread": {"start_new_thread"},
    "_uuid": {"generate_time_safe"},
}
LOOKS = {"stat", "lstat", "access", "readlink"}
CHANCE = {"random", "getrandbits", "seed", "getstate", "setstate"}
TELLING = CLOCKS | LOOKS | CHANCE | set().union(*MOMENTS.values())
# Audit events that are looked at; all of the others tell nothing of what is without.
DEEDS = (
    "socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.startfile", "pty.",
    "sqlite3.", "urllib.", "http.client.", "ftplib.", "smtplib.", "imaplib.", "poplib.", "telnetlib.", "os.kill", "os.killpg",
    "signal.pthread_kill", "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod",
    "os.chown", "os.utime", "os.lockf", "os.setxattr", "os.removexattr", "fcntl.", "shutil.", "tempfile.", "resource.",
    "sys.setprofile", "sys.settrace", "sys.addaudithook", "syslog.", "webbrowser.",
)
HARMLESS = {"socket.gethostname", "subprocess.Popen.__init__"}


class Witness:
    """Watches this process while it reads a file."""

    def __init__(self):
        prefixes = {sys.prefix, sys.base_prefix}
        self.libraries = tuple(os.path.join(path, "") for path in prefixes | {os.path.realpath(path) for path in prefixes})
        self.doubt = None
        self.looked_at, self.names = {}, {}
        self.watches = False

    def __enter__(self):
        self.before = standing()
        os.environ._data = Noted(os.environ._data, self)
        sys.addaudithook(self.heard)
        self.watches = True
        sys.setprofile(self.called)
        return self

    def __exit__(self, *_):
        self.watches = False
        sys.setprofile(None)
        os.environ._data = dict(os.environ._data)
        after = standing()
        for what in (what for what, was in self.before.items() if after[what] != was):
            self.doubts(f"it changes {what}")
        numpy = sys.modules.get("numpy")
        if numpy is not None and self.mentions(b"random"):
            self.doubts("it may draw from numpy's chance")

    def doubts(self, reason):
        if self.doubt is None:
            self.doubt = reason

    def mentions(self, word):
        for path, seen in self.looked_at.items():
            if seen is None or not stat.S_ISREG(seen[0]):
                continue
            try:
                with open(path, "rb") as file:
                    if word in file.read(1 << 20):
                        return True
            except OSError:
                return True
        return False

    def heard(self, event, args):
        """An audit hook."""
        if not self.watches:
            return
        if event in ("os.listdir", "os.scandir"):
            self.looks_at("." if args[0] is None else args[0])
        elif event == "open" or event.startswith(DEEDS) and event not in HARMLESS:
            frame = sys._getframe(1)
            # What Python keeps of the sources that it imports tells nothing.
            is_importing = frame.f_code.co_filename == IMPORTER
            if event == "open":
                self.opened(*args, is_importing)
            elif not is_importing and self.is_of_the_file(frame):
                self.doubts(f"it does something outside of its process ({event})")

    def opened(self, path, mode, flags, is_importing):
        if not isinstance(path, (str, bytes, os.PathLike)):
            return
        writes = not mode.startswith("r") or "+" in mode if isinstance(mode, str) else bool(flags & (os.O_WRONLY | os.O_RDWR))
        if not writes:
            self.looks_at(path)
        elif not is_importing:
            self.doubts("it writes a file")

    def looks_at(self, path):
        """What a path names is part of what came of the file."""
        if not isinstance(path, (str, bytes, os.PathLike)):
            return
        path = os.path.abspath(os.fsdecode(path))
        if path.endswith(".pyc") and not path.startswith(self.libraries):
            path = source_of(path)
        if path.startswith(self.libraries) or path in self.looked_at:
            return
        seen = self.looked_at[path] = look(path)
        if len(self.looked_at) > MOST_THINGS:
            self.doubts("it looks at very many files")
        if seen is not None and not (stat.S_ISREG(seen[0]) or stat.S_ISDIR(seen[0])) or path.startswith(("/proc/", "/sys/", "/dev/")):
            self.doubts(f"it reads {path}")

    def called(self, frame, event, function):
        """A profile function: sees calls of what is written in C, and so the clock."""
        if event != "c_call" or function.__name__ not in TELLING or not self.watches:
            return
        name, owner = function.__name__, getattr(function, "__self__", None)
        module = getattr(function, "__module__", None)
        is_asking = (
            name in CLOCKS and isinstance(owner, type) and issubclass(owner, datetime.date)
            or name in MOMENTS.get(module, ())
            or isinstance(owner, _random.Random)
        )
        if not is_asking and not (name in LOOKS and module == "posix"):
            return
        self.watches = False
        try:
            if is_asking:
                if self.is_of_the_file(frame):
                    self.doubts(f"it depends on when or where it is read (`{name}` in {frame.f_code.co_filename}:{frame.f_lineno})")
            else:
                self.stats(frame)
        finally:
            self.watches = True

    def stats(self, frame):
        """Somebody looks whether there is a file. What path that is, only the caller knows."""
        if frame.f_code.co_filename == IMPORTER or not self.is_of_the_file(frame):
            return
        caller = frame.f_globals.get("__name__")
        if caller == "posixpath":  # `realpath` and the like follow links
            return
        known = frame.f_locals
        if caller in ("genericpath", "pathlib"):
            for name in ("path", "s", "filename", "self"):
                if name in known:
                    return self.looks_at(known[name])
        self.doubts(f"it looks at files in {frame.f_code.co_filename}:{frame.f_lineno}")

    @staticmethod
    def is_of_the_file(frame):
        """Whether this happens for the file, or for something that it imports: and not for what reads files, or a bystander."""
        while frame is not None:
            name = frame.f_globals.get("__name__", "")
            if name == "tradewind_bridge.kept" or any(name == other or name.startswith(f"{other}.") for other in BYSTANDERS):
                return False
            if frame.f_code.co_name == "<module>":
                return True
            frame = frame.f_back
        return False


class Noted(dict):
    """The environment. Which of it was read is noted."""

    def __init__(self, data, witness):
        super().__init__(data)
        self.witness, self.own = witness, set()

    def note(self, key):
        if self.witness.watches and key not in self.own:
            self.witness.names[os.fsdecode(key)] = True

    def __getitem__(self, key):
        self.note(key)
        return super().__getitem__(key)

    def __contains__(self, key):
        self.note(key)
        return super().__contains__(key)

    def __setitem__(self, key, value):
        self.own.add(key)
        super().__setitem__(key, value)

    def __delitem__(self, key):
        self.note(key)
        self.own.add(key)
        super().__delitem__(key)

    def __iter__(self):
        if self.witness.watches and self.witness.is_of_the_file(sys._getframe(1)):
            self.witness.doubts("it reads the whole environment")
        return super().__iter__()


def standing():
    """What a process has beside its memory, and what a child of it would not have or would have to share."""
    try:
        threads = len(os.listdir("/proc/self/task"))
    except OSError:
        threads = threading.active_count()
    return {"the number of threads": threads, "open files": open_files(), "timers": signal.getitimer(signal.ITIMER_REAL)[0] > 0}


def open_files():
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:  # that of the listing itself
            continue
    return found


def source_of(path):
    import importlib.util

    try:
        return importlib.util.source_from_cache(path)
    except ValueError:
        return path


def look(path):
    """What tells one state of a file from another; `None` when there is none."""
    try:
        about = os.stat(path)
    except (OSError, ValueError):
        return None
    return [about.st_mode, about.st_mtime_ns, about.st_size, about.st_ino]
