"""Tries: what is tried again, what is not, and what is left behind."""

import datetime

import pendulum

from airflow.exceptions import AirflowFailException
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task

again = {"retries": 2, "retry_delay": datetime.timedelta(seconds=1)}

with DAG("tries", schedule=None, start_date=pendulum.datetime(2020, 1, 1), catchup=False, default_args=again):

    @task
    def second_time(ti=None):
        if ti.try_number == 1:
            ti.xcom_push("seen", "first try")
            raise ValueError("not the first time")
        return ti.try_number

    @task
    def for_good():
        raise AirflowFailException("no other try would help")

    @task(retries=1)
    def never():
        raise ValueError("never")

    @task(execution_timeout=datetime.timedelta(seconds=1), retries=0)
    def too_long():
        import time

        time.sleep(60)

    @task
    def left_behind(ti=None):
        return [ti.xcom_pull(task_ids="second_time", key=key) for key in ("seen", "return_value")]

    second_time() >> left_behind()
    [for_good(), never(), too_long()] >> EmptyOperator(task_id="count", trigger_rule="all_failed")
    BashOperator(task_id="skips", bash_command="exit 99") >> EmptyOperator(task_id="behind")
    BashOperator(task_id="fails", bash_command="exit 3", retries=0)
    EmptyOperator(task_id="no_process")
