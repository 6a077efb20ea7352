#!/usr/bin/env python3
"""How fast Airflow itself and Tradewind are with the same DAG files, one after the other on this machine.

    bench.py [--only PART ...] [--short] [--python FOLDER]          PART is one of: fan chains shells memory parse

Both have the same number of places for tasks and otherwise what they come with. Where Airflow cannot be installed nothing is measured, and that is said. Exit
status: 0, or 1 when a goal is missed.
"""

import argparse
import dataclasses
import datetime
import os
import pathlib
import shutil
import subprocess
import sys
import time

from platforms import ROOT, Airflow, Tradewind, installed, known_dags, until

HERE = pathlib.Path(__file__).resolve().parent
PLACES = 16
# The longest that a run, and that reading all files, may take; in seconds.
PATIENCE = 1200
PARTS = ("fan", "chains", "shells", "memory", "parse")


@dataclasses.dataclass
class Sizes:
    """How much is measured."""

    fan: int = 200
    shells: int = 500
    short_chain: int = 40
    long_chain: int = 10
    files: int = 1000

    def write(self, folder):
        """Tells the workloads."""
        numbers = f"{self.fan}, {self.shells}, {self.short_chain}, {self.long_chain}"
        (folder / "sizes.py").write_text(f"FAN, SHELLS, SHORT_CHAIN, LONG_CHAIN = {numbers}\n")


SHORT = Sizes(fan=20, shells=20, short_chain=4, long_chain=2, files=50)
ONE_FILE = """from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG("many_{number}", schedule=None):
    for name in {tasks}:
        EmptyOperator(task_id=name)
"""


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def seconds(platform, dag_id, run_id):
    """How long a run of the DAG took, from the wish to its end in the records."""
    api = platform.api
    wished = datetime.datetime.now(datetime.timezone.utc)
    api.ask("POST", f"/api/v2/dags/{dag_id}/dagRuns", {"dag_run_id": run_id, "logical_date": None})

    def ended():
        found = api.ask("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")
        return found if found["state"] in ("success", "failed") else None

    found = until(f"{dag_id} in {platform.name}", ended, PATIENCE)
    if found["state"] != "success":
        raise RuntimeError(f"{dag_id} failed in {platform.name}")
    return (moment(found["end_date"]) - wished).total_seconds()


def private_memory(pids):
    """The memory in MB that these processes share with no other."""
    total = 0
    for pid in pids:
        try:
            lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
    return total / 1024


def family(roots):
    """These processes and all that came of them."""
    parents = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
    found = set(roots)
    while True:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        if not more:
            return found
        found |= more


def memory_of_a_task(platform):
    """What one running task adds to the private memory of all processes together; in MB."""
    api = platform.api
    roots = [process.pid for process in platform.processes.running]
    before = private_memory(family(roots))
    api.ask("POST", "/api/v2/dags/waiting/dagRuns", {"dag_run_id": "memory", "logical_date": None})
    path = "/api/v2/dags/waiting/dagRuns/memory/taskInstances?limit=100"

    def all_run():
        states = [ti["state"] for ti in api.ask("GET", path)["task_instances"]]
        return len(states) == 8 and all(state == "running" for state in states)

    until(f"all tasks run in {platform.name}", all_run, 120)
    time.sleep(3)
    after = private_memory(family(roots))
    until("their end", lambda: api.ask("GET", "/api/v2/dags/waiting/dagRuns/memory")["state"] == "success", 120)
    return (after - before) / 8


def runs(start, work, python, dags, only, sizes):
    """The figures of one platform over the workloads."""
    platform = start(work, python, dags, work / "plugins", places=PLACES)
    try:
        known_dags(platform, {"warm", "fan", "shells", "waiting", "chain_short", "chain_long"})
        seconds(platform, "warm", "warm")
        told = {}
        if "fan" in only:
            told["fan"] = sizes.fan / seconds(platform, "fan", "measured")
        if "chains" in only:
            told["chain_short"] = seconds(platform, "chain_short", "measured") / sizes.short_chain
            told["chain_long"] = seconds(platform, "chain_long", "measured") / sizes.long_chain
        if "shells" in only:
            told["shells"] = sizes.shells / seconds(platform, "shells", "measured")
        if "memory" in only:
            told["memory"] = memory_of_a_task(platform)
        return told
    finally:
        platform.stop()


def parses(start, work, python, dags, files):
    """How long until so many files are known from a cold start, and until a change of one is."""
    shutil.rmtree(dags, ignore_errors=True)
    dags.mkdir()
    for number in range(files):
        (dags / f"many_{number}.py").write_text(ONE_FILE.format(number=number, tasks=["a"]))
    began = time.monotonic()
    platform = start(work, python, dags, work / "plugins", places=PLACES)
    api = platform.api
    try:
        until("all files", lambda: api.ask("GET", "/api/v2/dags?limit=1")["total_entries"] >= files, PATIENCE)
        told = {"cold": time.monotonic() - began}
        changed = time.monotonic()
        changing = files // 2
        (dags / f"many_{changing}.py").write_text(ONE_FILE.format(number=changing, tasks=["a", "b"]))
        tasks = f"/api/v2/dags/many_{changing}/tasks"
        until("the change", lambda: api.ask("GET", tasks)["total_entries"] == 2, PATIENCE)
        told["change"] = time.monotonic() - changed
        return told
    finally:
        platform.stop()


def computing(python):
    """How long the work of one task of the long chain takes with nothing around it; in seconds."""
    text = "import time\ndef f(n): return n if n < 2 else f(n-1) + f(n-2)\nt = time.time(); f(33); print(time.time() - t)"
    return float(subprocess.check_output([python, "-c", text], text=True))


def line(what, unit, theirs, ours, goal=None, more_is_better=True):
    """Prints one figure of both; says whether the goal is met."""
    if theirs is None or ours is None:
        return True
    ratio = ours / theirs if more_is_better else theirs / ours
    verdict = "" if goal is None else f"at least {goal} x: {'met' if ratio >= goal else 'MISSED'}"
    print(f"{what:58} {theirs:10.3g} {ours:10.3g}  {unit:10} {ratio:8.1f} x   {verdict}")
    return goal is None or ratio >= goal


def table(theirs, ours, alone, sizes):
    print(f"\n{'':58} {'Airflow':>10} {'Tradewind':>10}")
    met = [
        line(f"{sizes.fan} no-op Python tasks at once", "tasks/s", theirs.get("fan"), ours.get("fan"), 10),
        line(f"{sizes.shells} BashOperators", "tasks/s", theirs.get("shells"), ours.get("shells")),
        line(f"chain of {sizes.short_chain} fibo(10): per task", "s", theirs.get("chain_short"), ours.get("chain_short"), 20, False),
    ]
    if "chain_long" in theirs:
        line(f"chain of {sizes.long_chain} fibo(33): per task", "s", theirs["chain_long"], ours["chain_long"], None, False)
        print(f"  the work of such a task alone: {alone:.2f} s")
    line("private memory of a running task", "MB", theirs.get("memory"), ours.get("memory"), None, False)
    if "memory" in ours:
        is_light = ours["memory"] < 25
        print(f"  below 25 MB: {'met' if is_light else 'MISSED'}")
        met.append(is_light)
    line(f"{sizes.files} files known after a cold start", "s", theirs.get("cold"), ours.get("cold"), None, False)
    line("a change of one of them known", "s", theirs.get("change"), ours.get("change"), None, False)
    return all(met)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "target/airflow-diff", help="where everything is made")
    parser.add_argument("--python", type=pathlib.Path, help="the folder of an environment with Airflow, instead of one of its own")
    parser.add_argument("--short", action="store_true", help="a little of everything: whether it works, not how fast it is")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    work, sizes = options.work.resolve(), SHORT if options.short else Sizes()
    try:
        python = (options.python.resolve() / "bin/python") if options.python else installed(work / "python")
    except (subprocess.CalledProcessError, OSError) as error:
        print(f"SKIPPED: the speed of Airflow itself is not measured, because it cannot be installed: {error}")
        return 0
    (work / "plugins").mkdir(exist_ok=True)
    dags = work / "dags"
    shutil.rmtree(dags, ignore_errors=True)
    shutil.copytree(HERE / "speed", dags)
    sizes.write(dags)
    print(f"load before: {os.getloadavg()[0]:.2f}; {os.cpu_count()} processors", flush=True)
    theirs, ours = ({}, {}) if set(options.only) == {"parse"} else tuple(
        runs(start, work, python, dags, options.only, sizes) for start in (Airflow, Tradewind)
    )
    if "parse" in options.only:
        for start, told in ((Airflow, theirs), (Tradewind, ours)):
            told.update(parses(start, work, python, dags, sizes.files))
    met = table(theirs, ours, computing(python), sizes)
    return 0 if met or options.short else 1


if __name__ == "__main__":
    sys.exit(main())
