"""Branches, short circuits, and what is behind them."""

import pendulum

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import ShortCircuitOperator
from airflow.sdk import DAG, Label, TaskGroup, task

with DAG("branches", schedule=None, start_date=pendulum.datetime(2020, 1, 1), catchup=False):

    @task.branch
    def choose():
        return ["left", "group.first"]

    @task.branch
    def choose_nothing():
        return None

    @task.short_circuit
    def stop():
        return False

    @task.short_circuit
    def go_on():
        return "yes"

    left, right = EmptyOperator(task_id="left"), EmptyOperator(task_id="right")
    join = EmptyOperator(task_id="join", trigger_rule="none_failed_min_one_success")
    with TaskGroup("group") as group:
        EmptyOperator(task_id="first") >> EmptyOperator(task_id="second")
    chosen = choose()
    chosen >> Label("west") >> left >> join
    chosen >> Label("east") >> right >> join
    chosen >> group >> join
    choose_nothing() >> [EmptyOperator(task_id="never"), EmptyOperator(task_id="neither")]
    stop() >> EmptyOperator(task_id="stopped") >> EmptyOperator(task_id="stopped_too", trigger_rule="all_done")
    go_on() >> EmptyOperator(task_id="went_on")
    gentle = ShortCircuitOperator(
        task_id="gentle", python_callable=lambda: False, ignore_downstream_trigger_rules=False
    )
    gentle >> EmptyOperator(task_id="next_to_gentle") >> EmptyOperator(task_id="judged", trigger_rule="all_done")
