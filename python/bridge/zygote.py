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
import select
import signal
import socket
import struct
import sys
import threading

from tradewind_bridge import arguments, context, moved, reading

PREFIX = struct.Struct(">I")
DESCRIPTORS = 4


def main():
    control = take_control()
    try:
        entries, start = prepare(sys.argv[1:])
    except BaseException as error:  # whatever it is, whoever started us must learn of it
        say(control, {"unfit": {"reason": f"{type(error).__name__}: {error}"}})
        raise
    threads = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    say(control, {"ready": {"threads": threads}})
    # What is alive now lives for ever: collecting it in a child would only copy its pages.
    gc.collect()
    gc.freeze()
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
    warm(task_runner)
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


def warm(task_runner):
    from airflow.sdk.execution_time import comms
    from pydantic import JsonValue, TypeAdapter

    # Building the validator of all messages takes longer than everything else that a child does.
    known = {id(kind): TypeAdapter(kind) for kind in (comms.ToTask, JsonValue)}
    for module in (comms, task_runner):
        if getattr(module, "TypeAdapter", None) is TypeAdapter:
            module.TypeAdapter = Adapters(TypeAdapter, known)
    rehearse(task_runner)


class Adapters:
    """Pydantic's `TypeAdapter`, but those that every child needs are there already."""

    def __init__(self, make, known):
        self.make, self.known = make, known

    def __call__(self, kind, *args, **kwargs):
        if not args and not kwargs and id(kind) in self.known:
            return self.known[id(kind)]
        return self.make(kind, *args, **kwargs)

    def __getitem__(self, kind):
        return self.make[kind]


REHEARSAL = """
from airflow.sdk import dag, task

@dag(schedule=None)
def rehearsal():
    @task
    def act():
        return 1

    act()

rehearsal()
"""


def rehearse(task_runner):
    """Reads one small DAG file and renders one template, so that what is imported on the way is there."""
    import pathlib
    import tempfile

    from airflow.dag_processing.dagbag import BundleDagBag
    from airflow.sdk.api.client import get_hostname
    from airflow.sdk.listener import get_listener_manager
    from airflow.sdk.plugins_manager import integrate_macros_plugins
    from airflow.serialization.serialized_objects import DagSerialization

    integrate_macros_plugins()
    get_listener_manager()
    get_hostname()
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "rehearsal.py")
        file.write_text(REHEARSAL)
        before = set(sys.modules)
        bag = BundleDagBag(
            dag_folder=str(file), bundle_path=pathlib.Path(folder), bundle_name="rehearsal", safe_mode=False,
            load_op_links=False,
        )
        dag = bag.dags["rehearsal"]
        DagSerialization.to_dict(dag)
        dag.get_template_env().from_string("{{ 1 }}").render()
        sys.path[:] = [entry for entry in sys.path if entry != folder]
        for name in set(sys.modules) - before:
            if name.startswith("unusual_prefix_"):
                del sys.modules[name]


def serve(control, entries, start):
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    children, orphans = set(), Orphans()
    while True:
        ready, _, _ = select.select([control, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            tell_ends(control, children)
            orphans.end_with(children)
        if control in ready:
            order, descriptors = hear(control)
            if order is None:
                os._exit(0)
            if order["target"] == "parse":
                orphans.adopt()
            try:
                pid = os.fork()
            except OSError as error:
                say(control, {"refused": {"launch": order["launch"], "reason": str(error)}})
                close_all(descriptors)
                continue
            if pid == 0:
                become_child(control, (woken, wake), order, descriptors, entries, start)
            close_all(descriptors)
            children.add(pid)
            say(control, {"launched": {"launch": order["launch"], "pid": pid}})


def become_child(control, pipe, order, descriptors, entries, start):
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setpgid(0, 0)
    control.close()
    close_all(pipe)
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


class Orphans:
    """What a DAG file has started and what left its group: a daemon. It is ended when the child is that it may come from.

    What tasks leave behind is the worker's business.
    """

    PR_SET_CHILD_SUBREAPER = 36

    def __init__(self):
        self.adopts, self.suspects = False, {}

    def adopt(self):
        """From now on orphans below this process become its children (Linux)."""
        if not self.adopts and sys.platform == "linux":
            import ctypes

            self.adopts = ctypes.CDLL(None).prctl(self.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0

    def end_with(self, children):
        """Some child has ended, these still run. Nobody can tell whose an orphan is: it ends with the last one that was there."""
        found = self.found(children) if self.adopts else set()
        self.suspects = {pid: self.suspects.get(pid, children) & children for pid in found}
        for pid, suspects in self.suspects.items():
            if not suspects:
                os.kill(pid, signal.SIGKILL)

    @staticmethod
    def found(children):
        try:
            with open(f"/proc/self/task/{os.getpid()}/children") as file:
                return {int(pid) for pid in file.read().split()} - children
        except OSError:  # a kernel that does not tell
            return set()


def tell_ends(control, children):
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if pid in children:
            children.discard(pid)
            say(control, {"ended": {"pid": pid, "status": status}})


def hear(control):
    prefix, descriptors = b"", []
    while len(prefix) < PREFIX.size:
        part, received, _, _ = socket.recv_fds(control, PREFIX.size - len(prefix), DESCRIPTORS)
        if not part:
            return None, []
        prefix += part
        descriptors += received
    (left,) = PREFIX.unpack(prefix)
    body = bytearray()
    while left > len(body):
        part = control.recv(left - len(body))
        if not part:
            return None, []
        body += part
    return json.loads(body), descriptors


def say(control, packet):
    body = json.dumps(packet).encode()
    control.sendall(PREFIX.pack(len(body)) + body)


def close_all(descriptors):
    for descriptor in descriptors:
        os.close(descriptor)
