"""What plugins say of a DAG: the next runs of its timetable, the weights of its tasks; and what a timetable says when somebody asks it.

They are programs, and this is the process in which they may run. They are asked for what Airflow's scheduler asks them for, of the DAG as
it is serialized; their answers stand beside it, under the key `tradewind`. Source: Airflow 3.3.2 `serialization/definitions/dag.py:420`,
`models/taskinstance.py:783`.
"""

import calendar
import contextlib
import datetime
import json
import os
import signal

LAST_RUNS = "TRADEWIND_LAST_RUNS"
QUESTION = "TRADEWIND_QUESTION"
AIRFLOWS_OWN = "airflow.timetables."
WITH_ASSETS = "airflow.timetables.assets.AssetOrTimeSchedule"
MOST_RUNS = 200
LONGEST = 500
# Seconds for the plugins of one DAG.
PATIENCE = 5.0
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


class TooSlow(BaseException):
    """No `Exception`, so that a plugin that catches all of these does not catch it."""


def last_runs():
    """The last run by schedule of each DAG: data interval and `run_after`, in microseconds. Meant for nobody else."""
    return json.loads(os.environ.pop(LAST_RUNS, "{}"))


def question():
    """What a timetable is to be asked in this process, instead of reading a file. Meant for nobody else."""
    return json.loads(os.environ.pop(QUESTION, "null"))


def answer(asked):
    from airflow.serialization.decoders import decode_timetable

    kinds = {"manual": by_hand, "between": between}
    [(kind, about_what)] = asked["about"].items()
    try:
        with patience():
            timetable = decode_timetable({"__type": asked["class"], "__var": asked["arguments"]})
            return kinds[kind](timetable, about_what)
    except (Exception, TooSlow) as error:
        return {"fault": words(error)}


def by_hand(timetable, run):
    """The data interval and the name of a run that somebody starts. Source: `api_fastapi/core_api/datamodels/dag_run.py:246`."""
    from airflow.timetables.base import DataInterval
    from airflow.utils.types import DagRunType

    interval, said = None, {}
    if run["data_interval"] is not None:
        interval = DataInterval(*map(moment, run["data_interval"]))
    elif run["logical_date"] is not None:
        interval = timetable.infer_manual_data_interval(run_after=moment(run["logical_date"]))
    if interval is not None:
        said["data_interval"] = [micros(at) for at in interval]
    if names_runs(timetable):
        kind = DagRunType(run["run_type"])
        said["run_id"] = str(timetable.generate_run_id(run_type=kind, run_after=moment(run["run_after"]), data_interval=interval))
    return said


def between(timetable, dates):
    """The runs between two dates that have passed. Source: `serialization/definitions/dag.py:467`, `models/backfill.py:570`."""
    from airflow.timetables.base import TimeRestriction

    restriction = TimeRestriction(moment(dates["from"]), moment(dates["to"]), catchup=True)
    now, info, runs = datetime.datetime.now(datetime.timezone.utc), None, []
    while len(runs) < dates["most"]:
        info = timetable.next_dagrun_info_v2(last_dagrun_info=info, restriction=restriction)
        if info is None:
            break
        run = moments(info)
        if run[0] > dates["to"] or run[1] >= int(now.timestamp() * 1_000_000):
            break
        runs.append(run)
    return {"runs": runs}


def names_runs(timetable):
    """It has names of its own for its runs."""
    return not type(timetable).generate_run_id.__module__.startswith(AIRFLOWS_OWN)


def ask(result, last):
    for serialized in result.serialized_dags:
        data = serialized.data
        is_timetable, weighed = has_timetable(data["dag"].get("timetable")), weighed_tasks(data["dag"])
        if is_timetable or weighed:
            data["tradewind"] = answers(data, is_timetable, weighed, last)


def has_timetable(timetable):
    kind = timetable["__type"] if timetable else AIRFLOWS_OWN
    if kind == WITH_ASSETS:
        return has_timetable(timetable["__var"]["timetable"])
    return not kind.startswith(AIRFLOWS_OWN)


def weighed_tasks(dag):
    from airflow.task.weight_rule import WeightRule

    tasks = [task["__var"] for task in dag.get("tasks", [])]
    rules = {task["task_id"]: task.get("weight_rule") or task.get("partial_kwargs", {}).get("weight_rule") for task in tasks}
    return [task_id for task_id, rule in rules.items() if rule is not None and not WeightRule.is_valid(rule)]


def answers(data, is_timetable, weighed, last):
    from airflow.serialization.serialized_objects import DagSerialization

    told = {}
    try:
        with patience():
            dag = DagSerialization.from_dict(data)
            if weighed:
                told["weights"] = {task_id: weight(dag.get_task(task_id)) for task_id in weighed}
            if is_timetable:
                timetable, restriction = plain(dag.timetable), dag._time_restriction
                told["timetable"] = about(timetable)
    except (Exception, TooSlow) as error:
        return {"fault": words(error)}
    if is_timetable:
        known = last.get(dag.dag_id)
        told["timetable"]["listing"] = listing(timetable, restriction, known and run_info(known))
    return told


def weight(task):
    from airflow.models.taskinstance import TaskInstance

    try:
        # As a task instance is created: before its first try.
        return int(task.weight_rule.get_weight(TaskInstance(task=task, run_id="", map_index=-1, dag_version_id=None)))
    except Exception as error:
        return {"fault": words(error)}


def plain(timetable):
    """The one of times, where there are assets, too."""
    from airflow.timetables.assets import AssetOrTimeSchedule

    return plain(timetable.timetable) if isinstance(timetable, AssetOrTimeSchedule) else timetable


def about(timetable):
    return {
        "summary": str(timetable.summary),
        "description": str(timetable.description or ""),
        "is_partitioned": bool(timetable.partitioned),
        "is_partitioned_at_runtime": bool(timetable.partitioned_at_runtime),
        "names_runs": names_runs(timetable),
        "is_aperiodic": not timetable.periodic,
    }


def run_info(micros):
    from airflow.timetables.base import DagRunInfo, DataInterval

    start, end, run_after = map(moment, micros)
    return DagRunInfo(run_after=run_after, data_interval=DataInterval(start=start, end=end))


def listing(timetable, restriction, last):
    """The next runs, each asked for as if the one before had been created."""
    runs, names, has_more, fault = [], [], False, None
    asked_at = datetime.datetime.now(datetime.timezone.utc)
    try:
        with patience():
            while len(runs) < MOST_RUNS:
                info = timetable.next_dagrun_info_v2(last_dagrun_info=last, restriction=restriction)
                if info is None:
                    break
                run = moments(info)
                names.append(name(timetable, run))
                runs.append(run)
                last = info
            has_more = len(runs) == MOST_RUNS
    except (Exception, TooSlow) as error:
        fault = words(error)
    said = {"asked_at": micros(asked_at), "runs": runs, "has_more": has_more, "fault": fault}
    usual = [f"scheduled__{moment(end).isoformat()}" for _, end, _ in runs]
    return said if names[: len(runs)] == usual else {**said, "names": names[: len(runs)]}


def name(timetable, run):
    """What Airflow's scheduler would call a run: it has its moments from the records, in UTC."""
    from airflow.timetables.base import DataInterval
    from airflow.utils.types import DagRunType

    start, end, run_after = map(moment, run)
    interval = DataInterval(start=start, end=end)
    return str(timetable.generate_run_id(run_type=DagRunType.SCHEDULED, run_after=run_after, data_interval=interval))


def moments(info):
    if info.data_interval is None:
        raise ValueError(f"its run after {info.run_after} has no data interval")
    return [micros(at) for at in (*info.data_interval, info.run_after)]


def moment(micros):
    import pendulum

    return pendulum.instance(EPOCH + datetime.timedelta(microseconds=micros))


def micros(moment):
    from airflow._shared.timezones.timezone import coerce_datetime

    aware = coerce_datetime(moment)
    return calendar.timegm(aware.utctimetuple()) * 1_000_000 + aware.microsecond


@contextlib.contextmanager
def patience():
    def give_up(*_):
        raise TooSlow(f"it took longer than {PATIENCE:g} seconds")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def words(error):
    if isinstance(error, TooSlow):
        return str(error)
    return f"{type(error).__name__}: {error}"[:LONGEST]
