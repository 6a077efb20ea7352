"""The fork server's processes that have read a DAG file: which there are, for which tasks they are good, and when they end."""

import collections
import json
import os
import select
import socket
import time

from tradewind_bridge import wire, witness

# Most of them, each for a file. The one that was used least lately gives way.
MOST = 8
# How long what was read is good at most, in seconds, and how long a file is remembered that was read once.
LIFE = 60
# How long a file is left alone that cannot be kept.
PAUSE = 600
MOST_REMEMBERED = 1_000
# A nest that became stale with fewer tasks than this was not worth its while.
WORTH = 3


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

    def fits(self, environment):
        """Whether a task with this environment would read the same."""
        return all(environment.get(name) == value for name, value in self.environment.items()) and self.is_fresh()

    def is_fresh(self):
        return all(witness.look(path) == seen for path, seen in self.files.items())


class Nests:
    def __init__(self, hatch, cold, control):
        self.hatch, self.cold, self.control = hatch, cold, control
        self.by_file, self.by_link = {}, {}
        self.seen, self.left_alone = collections.OrderedDict(), collections.OrderedDict()

    def links(self):
        return list(self.by_link)

    def forget(self):
        """In a child of the fork server: closes all that belongs to them."""
        for link, nest in self.by_link.items():
            link.close()
            for _, _, descriptors in nest.waiting.values():
                wire.close_all(descriptors)

    def tasks(self):
        return set().union(*(nest.tasks | {nest.pid} for nest in self.by_link.values()))

    def patience(self):
        """How long until one of them is too old, in seconds."""
        born = min((nest.born for nest in self.by_file.values()), default=None)
        return None if born is None else max(0.0, born + LIFE - time.monotonic())

    def retire_old(self):
        for nest in list(self.by_file.values()):
            if time.monotonic() - nest.born >= LIFE and nest.is_ready:
                self.retire(nest)

    def take(self, body, order, descriptors):
        """Whether a task is the business of a nest now."""
        file, now = order.get("file"), time.monotonic()
        if file is None or self.is_left_alone(file):
            return False
        nest = self.by_file.get(file)
        if nest is not None and nest.is_ready and not nest.fits(dict(order["environment"])):
            if nest.is_fresh():  # another task's environment is no reason to read it anew
                return False
            self.retire(nest)
            if nest.served < WORTH:
                self.leave_alone(file, {})
            nest = None
        if nest is None:
            if now - self.seen.get(file, -LIFE) >= LIFE:
                remember(self.seen, file, now)
                return False
            nest = self.make(file, order, descriptors)
            if nest is None:
                return False
        nest.used = now
        nest.waiting[order["launch"]] = (body, order, descriptors)
        if nest.is_ready:
            self.send(nest, order["launch"])
        return True

    def make(self, file, order, descriptors):
        if len(self.by_file) >= MOST:
            self.retire(min(self.by_file.values(), key=lambda nest: nest.used))
        ours, theirs = socket.socketpair()
        try:
            pid = self.hatch(theirs, [ours.fileno(), *descriptors], order)
        except OSError:
            ours.close()
            return None
        finally:
            theirs.close()
        nest = self.by_file[file] = self.by_link[ours] = Nest(file, pid, ours)
        return nest

    def send(self, nest, launch):
        body, _, descriptors = nest.waiting[launch]
        try:
            wire.hand_on(nest.link, body, descriptors)
            nest.served += 1
        except OSError:  # it has died, and that is told
            pass

    def retire(self, nest):
        """It takes no other task, and ends when its last one has."""
        if self.by_file.get(nest.file) is nest:
            del self.by_file[nest.file]
        try:
            nest.link.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def hear(self, link, children):
        nest = self.by_link[link]
        try:
            body, _ = wire.hear(link)
        except OSError:
            body = None
        if body is None:
            return self.bury(nest)
        ((kind, said),) = json.loads(body).items()
        if kind == "kept":
            nest.files, nest.environment = said["files"], said["environment"]
            for launch, (_, order, _) in list(nest.waiting.items()):
                if nest.fits(dict(order["environment"])):
                    self.send(nest, launch)
                else:
                    self.cold(*nest.waiting.pop(launch)[1:])
        elif kind == "apart":
            self.leave_alone(nest.file, said["files"])
            wire.say(self.control, {"apart": {"file": nest.file, "reason": said["reason"]}})
            self.bury(nest)
        else:
            if kind == "launched":
                nest.tasks.add(said["pid"])
                children.add(said["pid"])
            elif kind == "ended":
                nest.tasks.discard(said["pid"])
                children.discard(said["pid"])
            if kind != "ended":
                wire.close_all(nest.waiting.pop(said["launch"])[2])
            wire.say(self.control, {kind: said})

    def bury(self, nest):
        """It is no more. What waited for it does without."""
        self.retire(nest)
        while nest.waiting:
            _, (_, order, descriptors) = nest.waiting.popitem()
            self.cold(order, descriptors)
        del self.by_link[nest.link]
        nest.link.close()

    def is_left_alone(self, file):
        until, files = self.left_alone.get(file, (0, {}))
        if time.monotonic() >= until:
            return False
        if all(witness.look(path) == seen for path, seen in files.items()):
            return True
        del self.left_alone[file]
        return False

    def leave_alone(self, file, files):
        remember(self.left_alone, file, (time.monotonic() + PAUSE, files))


def remember(what, key, value):
    what[key] = value
    what.move_to_end(key)
    if len(what) > MOST_REMEMBERED:
        what.popitem(last=False)
