"""Setups and teardowns, and the state of a run that ends with them."""

import pendulum

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, setup, task, teardown


def life(name, work, ends_badly=False):
    with DAG(name, schedule=None, start_date=pendulum.datetime(2020, 1, 1), catchup=False):

        @setup
        def make():
            return "cluster"

        @teardown
        def remove(what):
            if ends_badly:
                raise ValueError("it does not go away")
            return f"removed {what}"

        made = make()
        done = task(work)()
        end = remove(made)
        made >> done >> EmptyOperator(task_id="after") >> end
        done >> EmptyOperator(task_id="behind")


def works():
    return "worked"


def fails():
    raise ValueError("on purpose")


life("lifetimes", works)
life("lifetimes_failed", fails)
life("lifetimes_left", works, ends_badly=True)
