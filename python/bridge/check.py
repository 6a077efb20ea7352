"""Says whether this environment's Airflow is one that the bridge knows: versions, the messages' version, and the entry points used."""

import importlib
import importlib.metadata
import inspect
import json
import sys

ENTRY_POINTS = {
    "airflow.sdk.execution_time.supervisor:_fork_main":
        ["requests", "child_stdout", "child_stderr", "log_fd", "target"],
    "airflow.sdk.execution_time.task_runner:main": [],
    "airflow.dag_processing.processor:_parse_file_entrypoint": [],
    "airflow.dag_processing.processor:_parse_file": ["msg", "log"],
    "airflow.sdk.execution_time.task_runner:RuntimeTaskInstance.get_template_context": ["self"],
    "airflow.jobs.triggerer_job_runner:TriggerRunnerSupervisor.run_in_process": [],
}


def main():
    found = {"python": sys.version.split()[0], "problems": []}
    for name in ("apache-airflow-core", "apache-airflow-task-sdk", "apache-airflow-providers-standard"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found["problems"].append(f"the package {name} is not installed")
    if not found["problems"]:
        found["messages"] = version_of_messages(found["problems"])
        for place, parameters in ENTRY_POINTS.items():
            problem = fault_of(place, parameters)
            if problem:
                found["problems"].append(problem)
    print(json.dumps(found))


def version_of_messages(problems):
    from importlib.resources import files

    schema = files("airflow.sdk.execution_time").joinpath("schema/schema.json")
    try:
        return json.loads(schema.read_text()).get("api_version")
    except (OSError, ValueError) as error:
        problems.append(f"the schema of the messages cannot be read: {error}")
        return None


def fault_of(place, parameters):
    module, _, path = place.partition(":")
    try:
        value = importlib.import_module(module)
        for name in path.split("."):
            value = getattr(value, name)
    except (ImportError, AttributeError) as error:
        return f"{place} is not there: {error}"
    known = list(inspect.signature(value).parameters)
    if parameters and known[: len(parameters)] != parameters:
        return f"{place} takes {', '.join(known)} and not {', '.join(parameters)}"
    return None


main()
