"""Callbacks of DAGs, and of tasks that are killed before they can run their own."""

import os
import signal
from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG, task

TOLD = Path(__file__).parent / "told"


def tell(word):
    def callback(context):
        ti = context["ti"]
        line = f"{word} {context['run_id']} {ti.task_id} {ti.try_number} {context['dag_run'].conf}"
        print(f"told: {line}")
        with TOLD.open("a") as file:
            file.write(line + "\n")

    return callback


def raises(context):
    raise ValueError("this callback is broken")


with DAG("good", schedule=None, on_success_callback=tell("dag-success"), on_failure_callback=tell("wrong")):

    @task(on_success_callback=tell("task-success"))
    def fine():
        return 1

    fine()

with DAG("bad", schedule=None, on_failure_callback=[tell("dag-failure"), raises]):

    @task(retries=1, retry_delay=timedelta(seconds=1), on_retry_callback=tell("task-retry"), on_failure_callback=tell("task-failure"))
    def killed(ti=None):
        if ti.try_number == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        raise ValueError("it fails by itself")

    killed()
