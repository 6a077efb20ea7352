"""Calls what an Airflow DAG file has called when a run misses a deadline.

What is to be called stands in the environment, beside the request to read the file, since Airflow's requests know no such callbacks. It is
called as Airflow calls it: a function by the code of its executors, a coroutine by its trigger. Source: Airflow 3.3.2
`sdk/execution_time/callback_supervisor.py`, `triggers/callback.py`, `models/deadline.py`.
"""

import asyncio
import importlib.util
import json
import os
import sys

CALL = "TRADEWIND_DEADLINE"
# The begin of the name that Airflow gives to the module of a DAG file.
DAG_FILE = "unusual_prefix_"


def asked():
    """What is to be called, if anything is. Meant for nobody else."""
    written = os.environ.pop(CALL, None)
    return None if written is None else json.loads(written)


def call(asked, request, log):
    file, folder, path = os.fspath(request.file), os.fspath(request.bundle_path), asked["path"]
    if folder not in sys.path:
        sys.path.append(folder)
    error = None
    try:
        kwargs = {**given(asked["kwargs"]), "context": context(asked["context"])}
        if asked["is_async"]:
            asyncio.run(wait_for(path, kwargs, file))
            log.info(f"Callback executed successfully: {path}")
        else:
            error = call_function(path, kwargs, file, folder, log)
    except (Exception, SystemExit) as raised:
        error = f"{type(raised).__name__}: {raised}"
        log.exception(f"Callback raised an error: {path}")
    if error is not None:
        log.error(f"Callback failed: {path}\n{error}")


def given(kwargs):
    """What the file gives the callback, as it comes out of the column of Airflow's database: a moment without a zone has one there."""
    from airflow.sdk.serde import deserialize
    from airflow.serialization.serialized_objects import BaseSerialization

    written = {name: deserialize(value) for name, value in kwargs.items()}
    return BaseSerialization.deserialize(BaseSerialization.serialize(written))


def context(told):
    import pendulum

    deadline = told["deadline"]
    return {**told, "deadline": {**deadline, "deadline_time": pendulum.parse(deadline["deadline_time"])}}


def call_function(path, kwargs, file, folder, log):
    from airflow.sdk.execution_time.callback_supervisor import execute_callback

    _, error = execute_callback(path, kwargs, os.path.relpath(file, folder), folder, log)
    return error


async def wait_for(path, kwargs, file):
    from airflow.sdk._shared.module_loading import accepts_context, import_string

    module = path.rpartition(".")[0]
    if module.startswith(DAG_FILE):
        load(module, file)
    callback, context = import_string(path), kwargs.pop("context")
    await (callback(**kwargs, context=context) if accepts_context(callback) else callback(**kwargs))


def load(name, file):
    """Airflow's triggerer knows no modules of DAG files; here a coroutine may stand in one."""
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
