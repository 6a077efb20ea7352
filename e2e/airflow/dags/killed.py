"""Task processes that end without a word: while the file is read, before and in the work, after its result, in callbacks."""

import datetime
import os
import signal
import sys

import pendulum

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, BaseOperator, get_current_context, task


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def die_at_first(context):
    if context["ti"].try_number == 1:
        die()


class DiesBefore(BaseOperator):
    def pre_execute(self, context):
        die_at_first(context)

    def execute(self, context):
        return context["ti"].try_number


class DiesAfter(BaseOperator):
    def execute(self, context):
        context["ti"].xcom_push("pushed", context["ti"].try_number)
        return context["ti"].try_number

    def post_execute(self, context, result=None):
        die_at_first(context)


again = {"retries": 1, "retry_delay": datetime.timedelta(seconds=1)}

with DAG("killed", schedule=None, start_date=pendulum.datetime(2020, 1, 1), catchup=False, default_args=again):

    @task
    def once():
        context = get_current_context()
        die_at_first(context)
        return context["ti"].try_number

    @task
    def always():
        die()

    @task
    def leaves():
        """As `sys.exit` would, but nobody can catch it."""
        os._exit(7)

    @task
    def exits():
        sys.exit(3)

    @task
    def exits_well():
        sys.exit(0)

    @task
    def interrupted():
        os.kill(os.getpid(), signal.SIGTERM)

    @task(on_success_callback=die)
    def dies_glad():
        return "done"

    @task(on_failure_callback=die, retries=0)
    def dies_sad():
        raise ValueError("on purpose")

    @task(on_retry_callback=die)
    def dies_retrying(ti=None):
        if ti.try_number == 1:
            raise ValueError("on purpose")
        return ti.try_number

    once() >> EmptyOperator(task_id="after_once")
    always() >> EmptyOperator(task_id="after_always")
    DiesBefore(task_id="before")
    DiesAfter(task_id="after")
    leaves()
    exits()
    exits_well()
    interrupted()
    dies_glad() >> EmptyOperator(task_id="after_glad")
    dies_sad()
    dies_retrying()
