"""A process that has read one DAG file and forks a child for each task of it: the task finds the file read.

It is a task's process in everything until the file has been read: Airflow's own frame around it, its log, its standard streams. A
child goes on from there with sockets of its own in their places, so that for the code of the file nothing has happened between.
"""

import gc
import json
import os
import pathlib
import select
import socket
import sys
import time

from tradewind_bridge import wire, witness

# What is printed while the file is read is said again by each task. More of it than this is nobody's habit.
MOST_PRINTED = 32 << 10


def become(link, order, start, run):
    """Reads the file of an order; never returns. `link` leads to the fork server."""
    streams = [socket.socketpair() for _ in range(4)]
    for _, theirs in streams:
        theirs.setblocking(False)
    heard, ends = [ours for ours, _ in streams], [theirs for _, theirs in streams]
    log = ends[3].detach()
    keeper = Keeper(link, order, heard, [0, 1, 2, log])

    def target():
        if keeper.read() and keeper.serve():
            run()

    start(*ends[:3], log, target)


class Keeper:
    def __init__(self, link, order, heard, places):
        self.link, self.heard, self.places = link, heard, places
        self.file, self.bundle, self.folder = order["file"], order["bundle"], order["folder"]
        self.given = dict(order["environment"])
        self.children = {}

    def read(self):
        """Reads the file, and tells the fork server whether what came of it can be used again, and how long."""
        from airflow.sdk.execution_time import task_runner

        witnessing = witness.Witness(self.folder)
        path = self.prepare()
        self.printed()
        task_runner.__getattr__ = lambda name: self.asked(witnessing, name)
        try:
            with witnessing:
                bag = path()
        except BaseException as error:
            witnessing.doubts(f"{type(error).__name__}: {error}")
        finally:
            del task_runner.__getattr__
        said = self.printed()
        if not hasattr(os, "pidfd_open"):
            witnessing.doubts("this system cannot wait for its children")
        if witnessing.doubt is None and (bag.import_errors or not bag.dags):
            witnessing.doubts("nothing came of it")
        if any(len(text) >= MOST_PRINTED for text in said):
            witnessing.doubts("it prints very much")
        if witnessing.doubt is not None:
            wire.say(self.link, {"apart": {"reason": witnessing.doubt, "files": witnessing.looked_at}})
            return False
        self.said = said
        self.changes = changed(self.given, dict(os.environ))
        self.install(bag)
        gc.collect()
        gc.freeze()
        names = {name: self.given.get(name) for name in witnessing.names}
        wire.say(self.link, {"kept": {"files": witnessing.looked_at, "environment": names}})
        return True

    def prepare(self):
        """Finds the file as Airflow's task runner does. Source: Airflow 3.3.2 `task_runner.parse`."""
        from airflow.dag_processing.bundles.manager import DagBundlesManager
        from airflow.dag_processing.dagbag import BundleDagBag

        os.chdir(self.folder)
        bundle = DagBundlesManager().get_bundle(name=self.bundle, version=None)
        bundle.initialize()
        self.arguments = {
            "dag_folder": os.fspath(pathlib.Path(bundle.path, self.file)), "safe_mode": False, "load_op_links": False,
            "bundle_path": bundle.path, "bundle_name": self.bundle,
        }
        return lambda: BundleDagBag(**self.arguments)

    @staticmethod
    def asked(witnessing, name):
        # There is nobody who could answer it, and the answer may be another one for the next task.
        if name == "SUPERVISOR_COMMS":
            witnessing.doubts("it asks for a variable, a connection or something else of the records")
        raise AttributeError(f"module 'airflow.sdk.execution_time.task_runner' has no attribute {name!r}")

    def install(self, bag):
        from airflow.dag_processing import dagbag

        make, log = dagbag.BundleDagBag, self.places[3]

        def found(*args, **kwargs):
            if args or kwargs != self.arguments:
                return make(*args, **kwargs)
            for place, text in zip((1, 2), self.said):
                write(place, text)
            write(log, as_of_now(self.said[2]))
            return bag

        dagbag.BundleDagBag = found

    def printed(self):
        """What went to standard output, standard error and the log since it was asked last."""
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        return [drained(stream) for stream in self.heard[1:]]

    def serve(self):
        """Forks a child for each order. True in the child; false when there will be no other order and no child is left."""
        more = True
        while more or self.children:
            ready, _, _ = select.select([*self.children, *([self.link] if more else [])], [], [])
            for ended in [entry for entry in ready if entry is not self.link]:
                pid = self.children.pop(ended)
                os.close(ended)
                wire.say(self.link, {"ended": {"pid": pid, "status": os.waitpid(pid, 0)[1]}})
            if self.link in ready:
                body, descriptors = wire.hear(self.link)
                more = body is not None
                if more and self.fork(json.loads(body), descriptors):
                    return True
        return False

    def fork(self, order, descriptors):
        launch = order["launch"]
        try:
            pid = os.fork()
        except OSError as error:
            wire.say(self.link, {"refused": {"launch": launch, "reason": str(error)}})
            wire.close_all(descriptors)
            return False
        if pid == 0:
            self.hand_over(order, descriptors)
            return True
        wire.close_all(descriptors)
        self.children[os.pidfd_open(pid)] = pid
        wire.say(self.link, {"launched": {"launch": launch, "pid": pid}})
        return False

    def hand_over(self, order, descriptors):
        """Makes this a process of its own with the streams of the task."""
        os.setpgid(0, 0)
        self.link.close()
        for stream in self.heard:
            stream.close()
        wire.close_all(self.children)
        for descriptor, place in zip(descriptors, self.places):
            os.dup2(descriptor, place)
        wire.close_all(descriptors)
        os.environ.clear()
        os.environ.update(order["environment"])
        for name, value in self.changes.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        numpy = sys.modules.get("numpy")
        if numpy is not None:
            numpy.random.seed()


def changed(before, after):
    """What the environment has become, as changes; `None` is gone."""
    changes = {name: value for name, value in after.items() if before.get(name) != value}
    return changes | {name: None for name in before.keys() - after.keys()}


def drained(stream):
    stream.setblocking(False)
    text = b""
    while len(text) < MOST_PRINTED:
        try:
            part = stream.recv(1 << 16)
        except BlockingIOError:
            break
        if not part:
            break
        text += part
    return text


def write(descriptor, text):
    while text:
        text = text[os.write(descriptor, text):]


def as_of_now(lines):
    """Lines of the structured log, as if they had been written now and for this task."""
    from structlog.contextvars import get_contextvars

    about, now, said = get_contextvars(), time.time(), []
    for line in lines.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            said.append(line)
            continue
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1e6):06}Z"
        said.append(json.dumps({**event, "timestamp": moment, **{name: about[name] for name in about.keys() - event.keys()}}).encode())
    return b"".join(line + b"\n" for line in said)
