"""A task that ends the process which all task processes of the worker are forked from, while another one is at work."""

import os
import signal
import time
from pathlib import Path

from airflow.sdk import DAG, task

MARKS = Path(__file__).parent


def wait_for(mark):
    end = time.monotonic() + 60
    while not (MARKS / mark).exists():
        if time.monotonic() > end:
            raise TimeoutError(mark)
        time.sleep(0.05)


def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def server():
    """The first of the Python processes that this one comes from."""
    pid = os.getpid()
    while "python" in os.readlink(f"/proc/{parent(pid)}/exe").rpartition("/")[2]:
        pid = parent(pid)
    return pid


with DAG("orphans", schedule=None):

    @task
    def at_work():
        (MARKS / "at_work").touch()
        wait_for("server_gone")
        return os.getpid()

    @task
    def ends_it():
        wait_for("at_work")
        found = server()
        os.kill(found, signal.SIGKILL)
        (MARKS / "server_gone").touch()
        return found

    @task
    def afterwards(before):
        if server() == before:
            raise ValueError("it is the same one")
        return server()

    ended = ends_it()
    at_work() >> afterwards(ended)
