"""Processes that lost their parent: they become children of the fork server (Linux), which tells them from those that it started."""

import os
import signal
import sys


class Orphans:
    """What a DAG file has started and what left its group: a daemon. It is ended when the child is that it may come from.

    What tasks leave behind is the worker's business, so nothing is ended before the first file is read.
    """

    PR_SET_CHILD_SUBREAPER = 36

    def __init__(self):
        self.adopts, self.ends, self.suspects = False, False, {}

    def adopt(self, to_end):
        """From now on orphans below this process become its children (Linux), and are ended if they shall be."""
        self.ends = self.ends or to_end
        if not self.adopts and sys.platform == "linux":
            import ctypes

            self.adopts = ctypes.CDLL(None).prctl(self.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0

    def end_with(self, children):
        """Some child has ended, these still run. Nobody can tell whose an orphan is: it ends with the last one that was there."""
        found = self.found(children) if self.adopts and self.ends else set()
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
