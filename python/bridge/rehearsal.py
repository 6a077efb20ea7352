"""What every task would do first is done once before the fork: what is imported on the way is there, caches are full, and Python has seen
the code at work, which it makes faster on the spot. In a child each of that would cost time, and a copy of the memory that it changes.
"""

import contextlib
import contextvars
import os
import pathlib
import signal
import socket
import sys
import tempfile

from tradewind_bridge import wire

# Python makes code faster when it has run some times.
TIMES = 12
FILE = """
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import dag, task

@dag(schedule=None)
def rehearsal():
    @task
    def python(number):
        return number

    python(1) >> BashOperator(task_id="bash", bash_command="true {{ run_id }}")

rehearsal()
"""


def warm(task_runner):
    from airflow.sdk.execution_time import comms
    from pydantic import JsonValue, TypeAdapter

    # Building the validator of all messages takes longer than everything else that a child does.
    known = {id(kind): TypeAdapter(kind) for kind in (comms.ToTask, JsonValue)}
    for module in (comms, task_runner):
        if getattr(module, "TypeAdapter", None) is TypeAdapter:
            module.TypeAdapter = Adapters(TypeAdapter, known)
    with tempfile.TemporaryDirectory() as folder, left_alone(folder):
        file = pathlib.Path(folder, "rehearsal.py")
        file.write_text(FILE)
        rehearse_reading(file)
        if may_run():
            try:
                contextvars.copy_context().run(rehearse_tasks, task_runner, file)
            except Exception as error:  # tasks start more slowly then, and that is all
                print(f"the rehearsal of tasks failed: {type(error).__name__}: {error}", file=sys.stderr)


class Adapters:
    """Pydantic's `TypeAdapter`, but those that every child needs are there already."""

    def __init__(self, make, known):
        self.make, self.known = make, known

    def __call__(self, kind, *args, **kwargs):
        if not args and not kwargs and id(kind) in self.known:
            return self.known[id(kind)]
        return self.make(kind, *args, **kwargs)

    def __getitem__(self, kind):
        return self.make[kind]


@contextlib.contextmanager
def left_alone(folder):
    """Nothing of the rehearsal stays that a task could find."""
    modules, environment, handler = set(sys.modules), dict(os.environ), signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)
        os.environ.clear()
        os.environ.update(environment)
        sys.path[:] = [entry for entry in sys.path if entry != folder]
        for name in set(sys.modules) - modules:
            if name.startswith("unusual_prefix_"):
                del sys.modules[name]


def rehearse_reading(file):
    """Reads one small DAG file and renders one template."""
    from airflow.dag_processing.dagbag import BundleDagBag
    from airflow.sdk.api.client import get_hostname
    from airflow.sdk.listener import get_listener_manager
    from airflow.sdk.plugins_manager import integrate_macros_plugins
    from airflow.serialization.serialized_objects import DagSerialization

    integrate_macros_plugins()
    get_listener_manager()
    get_hostname()
    bag = BundleDagBag(
        dag_folder=str(file), bundle_path=file.parent, bundle_name="rehearsal", safe_mode=False, load_op_links=False,
    )
    dag = bag.dags["rehearsal"]
    DagSerialization.to_dict(dag)
    dag.get_template_env().from_string("{{ 1 }}").render()


def may_run():
    """Whether nobody would notice: a plugin that listens to tasks, or whoever collects traces, must not hear of this one."""
    from airflow.sdk.configuration import conf
    from airflow.sdk.listener import get_listener_manager

    return not get_listener_manager().has_listeners and not conf.getboolean("traces", "otel_on", fallback=False)


def rehearse_tasks(task_runner, file):
    """Runs the tasks of the small file as Airflow's task runner does. Source: Airflow 3.3.2 `task_runner.main`."""
    import setproctitle  # noqa: F401 - every task has a title
    import structlog
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.sdk.log import configure_logging, reset_logging

    bundle = next(iter(DagBundlesManager().get_all_dag_bundles())).name
    with open(os.devnull, "wb", buffering=0) as nowhere:
        reset_logging()
        # No logger may remember where this one wrote to.
        configure_logging(json_output=True, output=nowhere, sending_to_supervisor=True, cache_logger_on_first_use=False)
        log = structlog.get_logger(logger_name="task")
        try:
            for _ in range(TIMES):
                for task_id in ("python", "bash"):
                    rehearse_task(task_runner, details(bundle, file, task_id), log)
        finally:
            task_runner.__dict__.pop("SUPERVISOR_COMMS", None)
            reset_logging()


def rehearse_task(task_runner, first, log):
    from airflow.sdk.execution_time.comms import CommsDecoder, ToSupervisor, ToTask

    ours, theirs = socket.socketpair()
    with ours, theirs:
        # Every question of such a task is answered with nothing.
        for number, body in enumerate([first, None, None, None, None]):
            theirs.sendall(frame(number, body))
        task_runner.SUPERVISOR_COMMS = CommsDecoder[ToTask, ToSupervisor](log=log, socket=ours)
        message = task_runner.get_startup_details()
        ti = task_runner.parse(message, log)
        context = ti.get_template_context()
        state, _, error = task_runner.run(ti, context, log)
        context["exception"] = error
        task_runner.finalize(ti, state, context, log, error)
        if error is not None:
            raise error


def frame(number, body):
    import msgspec

    packed = msgspec.msgpack.encode([number, body, None])
    return wire.PREFIX.pack(len(packed)) + packed


def details(bundle, file, task_id):
    at, nothing = "2026-01-01T00:00:00Z", "00000000-0000-0000-0000-000000000000"
    return {
        "type": "StartupDetails",
        "ti": {
            "id": nothing, "task_id": task_id, "dag_id": "rehearsal", "run_id": "rehearsal", "try_number": 1, "dag_version_id": nothing,
            "map_index": -1, "hostname": "", "queue": "default",
        },
        "dag_rel_path": str(file), "bundle_info": {"name": bundle, "version": None}, "start_date": at, "sentry_integration": "",
        "ti_context": {
            "dag_run": {
                "dag_id": "rehearsal", "run_id": "rehearsal", "logical_date": at, "data_interval_start": at, "data_interval_end": at,
                "run_after": at, "start_date": at, "end_date": None, "clear_number": 0, "run_type": "manual", "state": "running",
                "conf": {}, "triggering_user_name": None, "consumed_asset_events": [], "partition_key": None,
            },
            "task_reschedule_count": 0, "max_tries": 0, "should_retry": False, "next_method": None, "next_kwargs": None,
            "variables": [], "connections": [], "xcom_keys_to_clear": [],
        },
    }
