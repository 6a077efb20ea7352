"""A process that has read one DAG file and forks a child for each task of it: the task finds the file read.

It is a task's process in everything until the file has been read: Airflow's own frame around it, its log, its standard streams. A
child goes on from there with sockets of its own in their places, so that for the code of the file nothing has happened between.
"""

import contextlib
import gc
import json
import os
import pathlib
import socket
import sys
import time

from tradewind_bridge import wire, witness

# What is printed while the file is read is said again by each task. More of it than this is nobody's habit.
MOST_PRINTED = 32 << 10


def become(link, order, start, run):
    """Reads the file of an order; never returns. `link` leads to the fork server."""
    pairs = [socket.socketpair() for _ in range(wire.DESCRIPTORS)]
    # Should more be printed than anybody hears, that is an error and not an endless wait.
    for _, theirs in pairs:
        theirs.setblocking(False)
    heard, ends = [ours for ours, _ in pairs], [theirs for _, theirs in pairs]
    log = ends.pop().detach()
    # Where Airflow's frame puts a task's streams beside where they are.
    places = [(0, ends[0].fileno()), (1, ends[1].fileno()), (2, ends[2].fileno()), (log,)]
    keeper = Keeper(link, order, heard, places)

    def target():
        if not keeper.becomes_a_task():
            os._exit(0)  # what the file wants to be done at the end is for its tasks to do
        run()

    start(*ends, log, target)


class Keeper:
    def __init__(self, link, order, heard, places):
        self.link, self.heard, self.places = link, heard, places
        self.file, self.folder = order["file"], order["folder"]
        self.given = dict(order["environment"])
        self.children = {}

    def becomes_a_task(self):
        """True in each child; false when the file cannot be kept, or when no other order will come and no child is left."""
        try:
            return self.read() and self.serve()
        except (BrokenPipeError, ConnectionError):  # the fork server has ended; the tasks go on
            return False

    def read(self):
        """Reads the file, and tells the fork server whether what came of it may serve again, and for how long."""
        witnessing = witness.Witness()
        bag = None
        try:
            make = self.prepare()
            self.printed()
            with witnessing, unanswered(witnessing):
                bag = make()
        except BaseException as error:  # whatever it is: a task that reads the file itself shall tell
            witnessing.doubts(f"{type(error).__name__}: {error}")
        self.said = self.printed()
        self.judge(witnessing, bag)
        files = witnessing.looked_at
        if witnessing.doubt is not None:
            wire.say(self.link, {"apart": {"reason": witnessing.doubt, "files": files}})
            return False
        self.changes = changed(self.given, dict(os.environ))
        self.install(bag)
        gc.collect()
        gc.freeze()
        wire.say(self.link, {"kept": {"files": files, "environment": {name: self.given.get(name) for name in witnessing.names}}})
        return True

    def judge(self, witnessing, bag):
        if bag is not None and (bag.import_errors or not bag.dags):
            witnessing.doubts("nothing comes of it")
        if any(name.startswith("_AIRFLOW_PARSING_CONTEXT") for name in witnessing.names):
            witnessing.doubts("it asks for which task it is read")
        if any(len(text) >= MOST_PRINTED for text in self.said):
            witnessing.doubts("it prints very much")

    def prepare(self):
        """Finds the file as Airflow's task runner does. Source: Airflow 3.3.2 `task_runner.parse`."""
        from airflow.dag_processing.bundles.manager import DagBundlesManager
        from airflow.dag_processing.dagbag import BundleDagBag

        os.chdir(self.folder)
        bundle = DagBundlesManager().get_bundle(name=self.file["bundle"], version=None)
        bundle.initialize()
        self.arguments = {
            "dag_folder": os.fspath(pathlib.Path(bundle.path, self.file["path"])), "safe_mode": False, "load_op_links": False,
            "bundle_path": bundle.path, "bundle_name": self.file["bundle"],
        }
        return lambda: BundleDagBag(**self.arguments)

    def install(self, bag):
        from airflow.dag_processing import dagbag

        make, log = dagbag.BundleDagBag, self.places[3][0]

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
        """Forks a child for each order."""
        more = True
        while more or self.children:
            ready = wire.readable([*self.children, *([self.link.fileno()] if more else [])])
            for ended in ready & self.children.keys():
                pid = self.children.pop(ended)
                os.close(ended)
                wire.say(self.link, {"ended": {"pid": pid, "status": os.waitpid(pid, 0)[1]}})
            if self.link.fileno() in ready:
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
        wire.lead(pid)
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
        for descriptor, places in zip(descriptors, self.places):
            for place in places:
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


@contextlib.contextmanager
def unanswered(witnessing):
    """Nobody answers what is asked meanwhile: the answer may be another one for the next task."""
    from airflow.sdk.execution_time import task_runner

    def asked(name):
        if name == "SUPERVISOR_COMMS":
            witnessing.doubts("it asks for a variable, a connection or something else of the records")
        raise AttributeError(f"module {task_runner.__name__!r} has no attribute {name!r}")

    task_runner.__getattr__ = asked
    try:
        yield
    finally:
        del task_runner.__getattr__


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
