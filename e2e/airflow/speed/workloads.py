"""What is measured: many small tasks at once, chains of them, and tasks that only wait."""

import pendulum

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, task
from sizes import FAN, LONG_CHAIN, SHELLS, SHORT_CHAIN


def fibo(number):
    return number if number < 2 else fibo(number - 1) + fibo(number - 2)


def workload(name):
    start = pendulum.datetime(2020, 1, 1)
    return DAG(name, schedule=None, start_date=start, catchup=False, max_active_tasks=1000, is_paused_upon_creation=False)


def chain(name, length, number):
    with workload(name):

        @task
        def step(before, number):
            fibo(number)

        last = None
        for place in range(length):
            last = step.override(task_id=f"step{place}")(last, number)


with workload("warm"):

    @task
    def warm():
        pass

    warm()

with workload("fan"):

    @task
    def nothing():
        pass

    for place in range(FAN):
        nothing.override(task_id=f"nothing{place}")()

with workload("shells"):
    for place in range(SHELLS):
        BashOperator(task_id=f"shell{place}", bash_command="true")

with workload("waiting"):

    @task
    def wait():
        import time

        time.sleep(20)

    for place in range(8):
        wait.override(task_id=f"wait{place}")()

chain("chain_short", SHORT_CHAIN, 10)
chain("chain_long", LONG_CHAIN, 33)
