#!/usr/bin/env python3
"""Runs the same Airflow DAG files in Airflow itself and in Tradewind, and says where the two differ.

    diff.py both      [--examples] [--only GLOB ...] [--keep FILE]
    diff.py record    [--examples] [--only GLOB ...] --keep FILE
    diff.py compare   [--examples] [--only GLOB ...] --recorded FILE

With --schedules it is about the DAG files of `schedules/` instead, with Airflow's schedules switched on. Of them only DAGs that are
paused when they come are started by hand; of all of them the runs that nobody started are compared, too.

Both are asked through the same REST API, so one pair of eyes looks at both. Per run the state and the data interval are compared, and
per task instance the state, the try number and the XComs. What may differ is listed in `allowed.json`, each with a reason.

Everything is made below --work. Exit status: 0 when all is equal, 1 when not, 2 when something could not be tried.
"""

import argparse
import concurrent.futures
import fnmatch
import json
import pathlib
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.parse

from platforms import ROOT, Airflow, Tradewind, installed, known_dags, until

HERE = pathlib.Path(__file__).resolve().parent
RUN = "diff"
# A Monday that is past: later than the start of every example.
DATE = "2026-11-02T00:00:00Z"
# The longest that a run may take; in seconds.
PATIENCE = 1200
# How long a question stands before it is answered; in seconds. Airflow fails a task whose answer comes before its scheduler has heard
# from the executor that the task's process ended.
THOUGHT = 10
# How long no run may have come or ended until all that comes by itself is there; in seconds.
QUIET = 10
# How many runs are under way at a time.
AT_ONCE = 3
FINISHED = ("success", "failed")
LEFT_OUT = shutil.ignore_patterns("__pycache__")


def lay_out(folder, python, examples, ours):
    """The DAG files of both: `ours`, and with `examples` all that Airflow and its providers ship."""
    dags, plugins = folder / "dags", folder / "plugins"
    for made in (dags, plugins):
        shutil.rmtree(made, ignore_errors=True)
    shutil.copytree(ours, dags, ignore=LEFT_OUT)
    plugins.mkdir()
    if examples:
        shutil.copytree(HERE / "plugins", plugins, dirs_exist_ok=True, ignore=LEFT_OUT)
        where = "import airflow, pathlib; print(pathlib.Path(airflow.__file__).parent)"
        package = pathlib.Path(subprocess.check_output([python, "-c", where], text=True).strip())
        for found in sorted([package / "example_dags", *package.glob("providers/**/example_dags")]):
            name = "_".join(found.relative_to(package).parts[:-1]) or "core"
            shutil.copytree(found, dags / name, ignore=LEFT_OUT)
            shutil.rmtree(dags / name / "plugins", ignore_errors=True)
    return dags, plugins


def is_chosen(name, only):
    return any(fnmatch.fnmatchcase(name, glob) for glob in only)


def answer_questions(api, dag_id, asked):
    """Gives each open question of the run its first option. `asked` has the moments at which they were first seen."""
    for detail in api.all(f"/dags/{dag_id}/dagRuns/{RUN}/hitlDetails", "hitl_details"):
        instance = detail["task_instance"]
        path = f"/api/v2/dags/{dag_id}/dagRuns/{RUN}/taskInstances/{instance['task_id']}/{instance['map_index']}/hitlDetails"
        since = asked.setdefault(path, time.monotonic())
        if detail["response_received"] or time.monotonic() - since < THOUGHT:
            continue
        given = {name: spec.get("value") if isinstance(spec, dict) else spec for name, spec in detail["params"].items()}
        api.ask("PATCH", path, {"chosen_options": detail["options"][:1], "params_input": given})


def run(platform, dag_id):
    """Runs a DAG once, and tells what became of it."""
    api, asked = platform.api, {}
    try:
        api.ask("PATCH", f"/api/v2/dags/{dag_id}", {"is_paused": False})
        conf = json.loads((HERE / "conf.json").read_text()).get(dag_id, {})
        body = {"dag_run_id": RUN, "logical_date": DATE, "conf": conf}
        api.ask("POST", f"/api/v2/dags/{dag_id}/dagRuns", body)
        path = f"/api/v2/dags/{dag_id}/dagRuns/{RUN}"

        def ended():
            found = api.ask("GET", path)
            if found["state"] in FINISHED:
                return found
            try:
                answer_questions(api, dag_id, asked)
            except urllib.error.HTTPError:
                pass
            return None

        try:
            found = until(f"{dag_id} in {platform.name}", ended, PATIENCE)
        except TimeoutError:
            found = api.ask("GET", path)
        told = {name: found[name] for name in ("state", "run_type", "data_interval_start", "data_interval_end")}
        told["tasks"] = instances(api, dag_id, RUN)
    except urllib.error.HTTPError as error:
        told = {"refused": f"{error.code}"}
    print(f"{platform.name}: {dag_id}: {told.get('state', told)}", flush=True)
    return told


def instances(api, dag_id, run_id):
    found, run_id = {}, urllib.parse.quote(run_id, safe="")
    for ti in api.all(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances", "task_instances"):
        index = ti["map_index"]
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{ti['task_id']}/xcomEntries"
        keys = [entry["key"] for entry in api.all(f"{path}?map_index={index}", "xcom_entries") if entry["map_index"] == index]
        xcoms = {
            key: api.ask("GET", f"/api/v2{path}/{urllib.parse.quote(key, safe='')}?map_index={index}&stringify=false")["value"]
            for key in keys
        }
        for choice in xcoms.get("skipmixin_key") or {}:
            # Airflow writes a set: its order is another one in each process.
            xcoms["skipmixin_key"][choice].sort()
        name = ti["task_id"] if index < 0 else f"{ti['task_id']}[{index}]"
        found[name] = {"state": ti["state"], "try_number": ti["try_number"], "xcoms": xcoms}
    return dict(sorted(found.items()))


def settle(platform, names):
    """Waits until all that comes by itself has ended."""
    seen, since = None, time.monotonic()

    def settled():
        nonlocal seen, since
        states = [[run["state"] for run in platform.api.all(f"/dags/{name}/dagRuns", "dag_runs")] for name in names]
        if states != seen or not all(state in FINISHED for found in states for state in found):
            seen, since = states, time.monotonic()
        return time.monotonic() - since > QUIET

    try:
        until(f"the runs in {platform.name}", settled, PATIENCE)
    except TimeoutError as error:
        print(error, flush=True)


def unasked(api, dag_id):
    """The runs that nobody started, as far as they do not depend on when they came."""
    found = []
    for run in api.all(f"/dags/{dag_id}/dagRuns", "dag_runs"):
        if run["run_type"] == "manual":
            continue
        names = ["run_type", "state", "logical_date", "data_interval_start", "data_interval_end", "partition_key"]
        names += ["run_after"] if run["run_type"] == "scheduled" else []
        # The id of a run about a partition ends with letters at random.
        names += ["dag_run_id"] if run["logical_date"] else []
        told = {name: run[name] for name in names}
        found.append({**told, "tasks": instances(api, dag_id, run["dag_run_id"])})
    found.sort(key=lambda told: (str(told["logical_date"]), str(told["partition_key"])))
    return {str(number): told for number, told in enumerate(found)}


def is_started(platform, name, theirs):
    """DAGs with a schedule are started by hand when they are paused as they come, which is for Airflow to say."""
    if theirs:
        return "run_type" in theirs.get(name, ())
    return platform.api.ask("GET", f"/api/v2/dags/{name}")["is_paused"]


def record(platform, only, schedules, theirs=None):
    """Runs all that is to run, some at a time; then stops the platform. `theirs` is what the other one did."""
    try:
        names = sorted(name for name in known_dags(platform, frozenset(theirs or ())) if is_chosen(name, only))
        started = [name for name in names if not schedules or is_started(platform, name, theirs)]
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            told = dict(zip(started, pool.map(lambda name: run(platform, name), started)))
        if schedules:
            settle(platform, names)
            for name in names:
                told.setdefault(name, {})["runs"] = unasked(platform.api, name)
        return told
    finally:
        platform.stop()


def differences(theirs, ours):
    """Each as the DAG, the place in it, and both values."""
    for dag_id in sorted(theirs.keys() | ours.keys()):
        left, right = theirs.get(dag_id), ours.get(dag_id)
        if left is None or right is None:
            yield dag_id, "dag", left and "known", right and "known"
            continue
        yield from within(dag_id, "", left, right)


def within(dag_id, place, left, right):
    if isinstance(left, dict) and isinstance(right, dict):
        for name in sorted(left.keys() | right.keys()):
            yield from within(dag_id, f"{place}/{name}", left.get(name), right.get(name))
    elif left != right:
        yield dag_id, place, left, right


def report(theirs, ours):
    """Prints what differs, and says whether all of it is allowed."""
    allowed = json.loads((HERE / "allowed.json").read_text())
    used, bad = set(), {}
    for dag_id, place, left, right in differences(theirs, ours):
        rule = next(
            (
                number
                for number, rule in enumerate(allowed)
                if fnmatch.fnmatchcase(dag_id, rule["dag"]) and fnmatch.fnmatchcase(place, rule["place"])
            ),
            None,
        )
        if rule is None:
            bad.setdefault(dag_id, []).append((place, left, right))
        else:
            used.add(rule)
    for dag_id, found in bad.items():
        print(f"\n{dag_id}")
        for place, left, right in found[:40]:
            print(f"  {place}: Airflow {shown(left)}, Tradewind {shown(right)}")
    each = [run for told in theirs.values() for run in (told, *told.get("runs", {}).values())]
    tasks = sum(len(run.get("tasks", {})) for run in each)
    print(f"\n{len(theirs)} DAGs, {tasks} task instances; {len(bad)} DAGs differ; {len(used)} of {len(allowed)} allowed differences seen")
    return not bad


def shown(value):
    text = json.dumps(value)
    return text if len(text) <= 200 else text[:200] + "..."


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=("both", "record", "compare"))
    parser.add_argument("--examples", action="store_true", help="also all that Airflow and its providers ship")
    parser.add_argument("--schedules", action="store_true", help="the DAGs that need schedules, instead of the others")
    parser.add_argument("--only", nargs="+", default=["*"], help="DAGs, as patterns")
    parser.add_argument("--keep", type=pathlib.Path, help="keep here what Airflow did")
    parser.add_argument("--recorded", type=pathlib.Path, help="what Airflow did once")
    parser.add_argument("--python", type=pathlib.Path, help="an environment with the packages that the files need")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "target/airflow-diff", help="where everything is made")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    work = options.work.resolve()
    python = (options.python.resolve() / "bin/python") if options.python else installed(work / "python")
    ours = HERE / ("schedules" if options.schedules else "dags")
    dags, plugins = lay_out(work, python, options.examples, ours)
    if options.what == "compare":
        theirs = json.loads(options.recorded.read_text())
        theirs = {name: told for name, told in theirs.items() if is_chosen(name, options.only)}
    else:
        airflow = Airflow(work, python, dags, plugins, schedules=options.schedules)
        theirs = record(airflow, options.only, options.schedules)
        if options.keep:
            options.keep.write_text(json.dumps(theirs, indent=1, sort_keys=True) + "\n")
    if options.what == "record":
        return 0
    chosen = sorted(theirs) if options.what == "compare" else options.only
    ours = record(Tradewind(work, python, dags, plugins), chosen, options.schedules, theirs)
    (work / "tradewind.json").write_text(json.dumps(ours, indent=1, sort_keys=True) + "\n")
    return 0 if report(theirs, ours) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, TimeoutError, subprocess.CalledProcessError) as error:
        print(f"diff.py: {error}", file=sys.stderr)
        sys.exit(2)
