"""Tasks with `run_as_user`: Airflow's task runner reads the file, finds out, and starts anew as that user by means of `sudo`. It only
starts itself; what files written for older Airflow need goes with it, and what `sudo` refuses is told as the reason why the task failed.

Source: Airflow 3.3.2 `sdk/execution_time/task_runner.py`, `startup`.
"""

import datetime
import json
import os
import shutil
import subprocess
import sys

import tradewind_bridge

# In the order in which they need each other.
PARTS = ("notices", "names", "stand_ins", "moved", "arguments", "context", "other_user")
# How long `sudo` may take to say whether it would.
PATIENCE = 30
# What the runner that is started anew does first. It stands in the command that `sudo` writes to the log of the system.
BEGIN = """
import json, os, sys, types
package = sys.modules["tradewind_bridge"] = types.ModuleType("tradewind_bridge")
package.__path__, package.texts = [], {}
for name, text in json.loads(os.environ.pop("TRADEWIND_BRIDGE")):
    module = sys.modules["tradewind_bridge." + name] = types.ModuleType("tradewind_bridge." + name)
    setattr(package, name, module)
    exec(compile(text, f"<tradewind_bridge.{name}>", "exec"), module.__dict__)
package.other_user.go_on()
"""


class Os:
    """The module `os` as the task runner sees it."""

    def __init__(self, task_runner):
        self.task_runner = task_runner

    def __getattr__(self, name):
        return getattr(os, name)

    def execvp(self, file, command):
        # sudo -E -H -u USER PYTHON -c CODE
        if file != "sudo" or len(command) != 8:
            os.execvp(file, command)
        user, python = command[4:6]
        ask_nobody = ["sudo", "-n", *command[1:6], "-c"]
        reason = refusal(user, python, [*ask_nobody, ""])
        if reason is not None:
            self.give_up(reason)
        os.environ["TRADEWIND_BRIDGE"] = json.dumps([(name, tradewind_bridge.texts[name]) for name in PARTS])
        os.execvp(file, [*ask_nobody, BEGIN])

    def give_up(self, reason):
        from airflow.sdk.execution_time.comms import RetryTask

        print(reason, file=sys.stderr, flush=True)
        now = datetime.datetime.now(tz=datetime.timezone.utc)
        self.task_runner.SUPERVISOR_COMMS.send(RetryTask(end_date=now, retry_reason=reason[:500]))
        # The runner ends in its own way on this.
        sys.exit(1)


def install(task_runner):
    task_runner.os = Os(task_runner)


def refusal(user, python, command):
    """Why nothing can be started as a user; none when it can."""
    to_do = f"for `run_as_user: {user}` the user of the worker must be allowed to run everything as `{user}` without a password"
    if shutil.which("sudo") is None:
        return f"there is no `sudo` on the worker's PATH; {to_do}: install it"
    try:
        asked = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return f"`sudo` did not answer in {PATIENCE} s; {to_do}"
    if asked.returncode == 0:
        return None
    said = asked.stderr.strip()[-200:] or f"exit code {asked.returncode}"
    return f"`sudo` does not start {python} as `{user}`: {said}; {to_do} (sudoers: `WORKER ALL=({user}) NOPASSWD:SETENV: ALL`)"


def go_on():
    """Runs the task, as the other user."""
    from airflow.sdk.execution_time import task_runner
    from tradewind_bridge import arguments, context, moved

    if os.environ.get("TRADEWIND_AIRFLOW_COMPAT") != "off":
        for part in (moved, arguments, context):
            part.install()
    task_runner.main()
