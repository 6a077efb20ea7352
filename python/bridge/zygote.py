"""The fork server: imports Airflow once, then forks a child for each task or DAG file that it is told to start.

Descriptor 0 is a stream socket. Every packet is a length of four bytes and JSON. An order comes with four descriptors beside its
length: the child's requests, standard output, standard error, and log. What is said back is in `python/src/packet.rs`.

Only the standard library is used here; of Airflow, only what its own supervisor and DAG processor use to start their children. What
older DAG files need is in the modules beside this one.
"""

import gc
import importlib
import json
import os
import resource
import signal
import socket
import sys
import threading

from tradewind_bridge import arguments, context, kept, moved, nests, orphans, other_user, pages, reading, rehearsal, wire


def main():
    control = take_control()
    try:
        entries, start = prepare(sys.argv[1:])
    except BaseException as error:  # whatever it is, whoever started us must learn of it
        wire.say(control, {"unfit": {"reason": f"{type(error).__name__}: {error}"}})
        raise
    threads = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    wire.say(control, {"ready": {"threads": threads}})
    # What is alive now lives for ever: collecting it in a child would only copy its pages.
    gc.collect()
    gc.freeze()
    pages.gather()
    serve(control, entries, start)


def take_control():
    control = socket.socket(fileno=os.dup(0))
    # No child may find our socket where its own should be.
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return control


def prepare(preload):
    """Imports what every child needs, and fills the caches that each child would otherwise fill anew."""
    from airflow.dag_processing import processor
    from airflow.sdk.execution_time import supervisor, task_runner

    for name in ("airflow.sdk.serde", "airflow.serialization.serialized_objects", *preload):
        try:
            importlib.import_module(name)
        except ImportError:
            continue
    rehearsal.warm(task_runner)
    other_user.install(task_runner)
    reading.install(processor)
    if os.environ.get("TRADEWIND_AIRFLOW_COMPAT") != "off":
        for part in (moved, arguments, context):
            part.install()
    entries = {"task": task_runner.main, "parse": processor._parse_file_entrypoint, "trigger": run_triggers}
    return entries, supervisor._fork_main


def run_triggers():
    # What triggers need is imported where it is needed: tasks and files do without.
    from airflow.jobs.triggerer_job_runner import TriggerRunnerSupervisor

    # Classes of triggers may stand in files beside those of DAGs.
    sys.path.append(os.getcwd())

    TriggerRunnerSupervisor.run_in_process()


def most_kept():
    """For how many DAG files a process is kept that has read it."""
    # It is found out what a file depends on, and its tasks waited for, by means of Linux; of Python, by one that is known.
    can = sys.platform == "linux" and hasattr(os, "pidfd_open") and isinstance(getattr(os.environ, "_data", None), dict)
    given = os.environ.get("TRADEWIND_AIRFLOW_KEPT_FILES", "")
    return int(given) if can and given.isdecimal() else 0


def serve(control, entries, start):
    server = Server(control, entries, start)
    while True:
        server.turn()


class Server:
    def __init__(self, control, entries, start):
        self.control, self.entries, self.start = control, entries, start
        self.woken, self.wake = os.pipe()
        os.set_blocking(self.wake, False)
        signal.set_wakeup_fd(self.wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.children, self.orphans = set(), orphans.Orphans()
        self.nests = nests.Nests(most_kept(), self.hatch, self.fork, control)

    def turn(self):
        """Waits until there is something to do, and does it."""
        links = self.nests.links()
        ready = wire.readable([self.control.fileno(), self.woken, *links], self.nests.patience())
        for link in links.keys() & ready:
            self.nests.hear(links[link], self.children)
        if self.woken in ready:
            os.read(self.woken, 4096)
            self.tell_ends()
            self.orphans.end_with(self.children | self.nests.by_pid.keys())
        if self.control.fileno() in ready:
            body, descriptors = wire.hear(self.control)
            if body is None:
                os._exit(0)
            order = json.loads(body)
            if order["target"] == "parse":
                self.orphans.adopt(to_end=True)
            if not self.nests.take(body, order, descriptors):
                self.fork(order, descriptors)
        self.nests.retire_old()

    def tell_ends(self):
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self.nests.by_pid:
                self.nests.ended(pid, self.children)
            elif pid in self.children:
                self.children.discard(pid)
                wire.say(self.control, {"ended": {"pid": pid, "status": status}})

    def fork(self, order, descriptors):
        """Starts a child that begins from nothing."""
        try:
            pid = os.fork()
        except OSError as error:
            wire.say(self.control, {"refused": {"launch": order["launch"], "reason": str(error)}})
            wire.close_all(descriptors)
            return
        if pid == 0:
            self.leave()
            become_child(order, descriptors, self.entries, self.start)
        wire.close_all(descriptors)
        wire.lead(pid)
        self.children.add(pid)
        wire.say(self.control, {"launched": {"launch": order["launch"], "pid": pid}})

    def hatch(self, link, others, order):
        """Starts a child that reads the file of an order and then takes orders itself."""
        # Should it die, its children are ours.
        self.orphans.adopt(to_end=False)
        pid = os.fork()
        if pid == 0:
            wire.close_all(others)
            self.leave()
            os.environ.clear()
            os.environ.update(order["environment"])
            kept.become(link, order, self.start, self.entries["task"])
        return pid

    def leave(self):
        """A child has nothing of the server."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setpgid(0, 0)
        self.control.close()
        wire.close_all([self.woken, self.wake])
        self.nests.forget()


def become_child(order, descriptors, entries, start):
    os.environ.clear()
    os.environ.update(order["environment"])
    requests, stdout, stderr = (socket.socket(fileno=descriptor) for descriptor in descriptors[:3])
    entry = entries[order["target"]]

    def target():
        # Inside of Airflow's own frame, so that what goes wrong here is told like everything else that does.
        if order["memory"] is not None:
            resource.setrlimit(resource.RLIMIT_AS, (order["memory"], order["memory"]))
        os.chdir(order["folder"])
        numpy = sys.modules.get("numpy")
        if numpy is not None:  # unlike `random` it does not notice that it was copied
            numpy.random.seed()
        entry()

    start(requests, stdout, stderr, descriptors[3], target)
