"""The fork server's processes that have read a DAG file: which there are, for which tasks they are good, and when they end."""

import collections
import json
import os
import signal
import socket
import time

from tradewind_bridge import wire, witness

# How long what was read is good at most, and how long a file is remembered that was read once; in seconds.
LIFE = 60
# How long tasks wait for a file to be read before they do so themselves, and how long reading it may take at all.
WAIT, PATIENCE = 2, 60
# How long a file is left alone that cannot be kept while it stays as it is.
PAUSE = 600
# One that became stale with fewer tasks than this was not worth its while, and is left alone for a shorter time.
WORTH, SHORT_PAUSE = 3, 60
MOST_REMEMBERED = 1_000
# Each task that waits holds descriptors here, each that runs one in its nest, and a process may open 1,024 as a rule.
MOST_WAITING, MOST_RUNNING = 64, 512
# What a process of ours does not take in so many seconds it never will.
STUCK = 5


class Nest:
    """One of them, as the fork server sees it."""

    def __init__(self, file, pid, link):
        self.file, self.pid, self.link = file, pid, link
        self.born = self.used = time.monotonic()
        self.files = self.environment = None
        self.waiting, self.tasks, self.served = {}, set(), 0

    @property
    def is_ready(self):
        return self.files is not None

    @property
    def ends_at(self):
        return self.born + (LIFE if self.is_ready else PATIENCE)

    @property
    def is_slow(self):
        return not self.is_ready and time.monotonic() - self.born >= WAIT

    @property
    def due_at(self):
        """When something is to be done about it."""
        return self.born + WAIT if self.waiting and not self.is_ready else self.ends_at

    def is_fresh(self):
        return all(witness.look(path) == seen for path, seen in self.files.items())

    def is_for(self, environment):
        """Whether a task with this environment would read the same."""
        return all(environment.get(name) == value for name, value in self.environment.items())

    def end(self):
        """Ends it now. Its tasks go on as children of the fork server."""
        os.kill(self.pid, signal.SIGKILL)


class Nests:
    def __init__(self, most, hatch, cold, control):
        self.most, self.hatch, self.cold, self.control = most, hatch, cold, control
        # Those that take tasks, by file; all whose process has not ended, by pid.
        self.by_file, self.by_pid = {}, {}
        self.seen, self.left_alone = collections.OrderedDict(), collections.OrderedDict()

    def links(self):
        return {nest.link.fileno(): nest for nest in self.by_pid.values() if nest.link is not None}

    def patience(self):
        """How long until something is to be done about one of them, in seconds."""
        moments = [nest.due_at for nest in self.by_file.values()]
        return max(0.0, min(moments) - time.monotonic()) if moments else None

    def retire_old(self):
        for nest in [nest for nest in self.by_file.values() if nest.is_slow]:
            self.without(nest)
        for nest in [nest for nest in self.by_file.values() if nest.ends_at <= time.monotonic()]:
            self.retire(nest)
            if not nest.is_ready:
                self.leave_alone(nest.file, {}, PAUSE)
                nest.end()

    def take(self, body, order, descriptors):
        """Whether a task is the business of one of them now."""
        if self.most == 0 or order["file"] is None or order["memory"] is not None:
            return False
        file = order["file"]["path"]
        if self.is_left_alone(file):
            return False
        nest = self.by_file.get(file)
        if nest is not None and nest.is_ready and not nest.is_fresh():
            self.retire(nest)
            if nest.served < WORTH:
                self.leave_alone(file, {}, SHORT_PAUSE)
                return False
            nest = None
        nest = nest or self.make(file, order, descriptors)
        if nest is None or nest.is_slow or nest.is_ready and not nest.is_for(dict(order["environment"])):
            return False
        if len(nest.tasks) >= MOST_RUNNING or sum(len(other.waiting) for other in self.by_pid.values()) >= MOST_WAITING:
            return False
        nest.used = time.monotonic()
        nest.waiting[order["launch"]] = (body, order, descriptors)
        if nest.is_ready:
            self.send(nest, order["launch"])
        return True

    def make(self, file, order, descriptors):
        """A process for a file, unless this is the first task of it for a while: what is needed once is not kept."""
        now = time.monotonic()
        before = self.seen.get(file, -LIFE)
        remember(self.seen, file, now)
        if now - before >= LIFE:
            return None
        if len(self.by_file) >= self.most:
            self.retire(min(self.by_file.values(), key=lambda nest: nest.used))
        ours, theirs = socket.socketpair()
        ours.settimeout(STUCK)
        try:
            pid = self.hatch(theirs, [ours.fileno(), *descriptors], order)
        except OSError:
            ours.close()
            return None
        finally:
            theirs.close()
        nest = self.by_file[file] = self.by_pid[pid] = Nest(file, pid, ours)
        return nest

    def send(self, nest, launch):
        body, _, descriptors = nest.waiting[launch]
        try:
            wire.hand_on(nest.link, body, descriptors)
            nest.served += 1
        except OSError:  # it has died or is stuck; what waits for it is seen to at its end
            self.retire(nest)
            nest.end()

    def retire(self, nest):
        """It takes no other task, and ends when its last one has."""
        if self.by_file.get(nest.file) is nest:
            del self.by_file[nest.file]
        try:
            nest.link.shutdown(socket.SHUT_WR)
        except OSError:  # it has ended
            pass

    def hear(self, nest, children):
        """Takes in what one of them says, or that it will say nothing more."""
        try:
            body, _ = wire.hear(nest.link)
        except OSError:
            body = None
        if body is None:
            self.retire(nest)
            nest.link.close()
            nest.link = None
            self.without(nest)
            return
        ((kind, said),) = json.loads(body).items()
        if kind == "kept":
            self.open(nest, said)
        elif kind == "apart":
            self.retire(nest)
            self.leave_alone(nest.file, said["files"], PAUSE)
            wire.say(self.control, {"apart": {"file": nest.file, "reason": said["reason"]}})
            self.without(nest)
        else:
            if kind == "ended":
                nest.tasks.discard(said["pid"])
                children.discard(said["pid"])
            else:
                wire.close_all(nest.waiting.pop(said["launch"])[2])
            if kind == "launched":
                nest.tasks.add(said["pid"])
                children.add(said["pid"])
            wire.say(self.control, {kind: said})

    def open(self, nest, said):
        nest.files, nest.environment = said["files"], said["environment"]
        for launch, (_, order, descriptors) in list(nest.waiting.items()):
            if nest.is_for(dict(order["environment"])):
                self.send(nest, launch)
            else:
                del nest.waiting[launch]
                self.cold(order, descriptors)

    def without(self, nest):
        """What waits for it reads the file itself."""
        while nest.waiting:
            _, (_, order, descriptors) = nest.waiting.popitem()
            self.cold(order, descriptors)

    def ended(self, pid, children):
        """The process of one of them has ended: the tasks that it had are children of the fork server now, or ended unseen."""
        nest = self.by_pid[pid]
        while nest.link is not None:
            self.hear(nest, children)
        del self.by_pid[pid]
        for task in nest.tasks:
            if not is_running(task):
                children.discard(task)
                wire.say(self.control, {"ended": {"pid": task, "status": signal.SIGKILL}})

    def forget(self):
        """In a child of the fork server: closes all that belongs to them."""
        for nest in self.by_pid.values():
            if nest.link is not None:
                nest.link.close()
            for _, _, descriptors in nest.waiting.values():
                wire.close_all(descriptors)

    def is_left_alone(self, file):
        until, files = self.left_alone.get(file, (0, {}))
        if time.monotonic() < until and all(witness.look(path) == seen for path, seen in files.items()):
            return True
        self.left_alone.pop(file, None)
        return False

    def leave_alone(self, file, files, pause):
        remember(self.left_alone, file, (time.monotonic() + pause, files))


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def remember(what, key, value):
    what[key] = value
    what.move_to_end(key)
    if len(what) > MOST_REMEMBERED:
        what.popitem(last=False)
