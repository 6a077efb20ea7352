"""A task that is mapped over a thousand elements, and one that waits for all of them."""

import pendulum

from airflow.sdk import DAG, task

with DAG("many", schedule=None, start_date=pendulum.datetime(2020, 1, 1), catchup=False, max_active_tasks=1000):

    @task
    def numbers():
        return list(range(1000))

    @task
    def double(number):
        return 2 * number

    @task
    def total(values):
        return sum(values)

    total(double.expand(number=numbers()))
