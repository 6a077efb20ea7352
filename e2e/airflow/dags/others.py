"""Other runs and assets."""

import pendulum

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.providers.standard.sensors.external_task import ExternalTaskSensor
from airflow.sdk import DAG, Asset, Metadata, task

written = Asset("written", uri="file:///tmp/written.csv")
start = pendulum.datetime(2020, 1, 1)

with DAG("others_started", schedule=None, start_date=start, catchup=False):

    @task
    def conf(dag_run=None):
        return dag_run.conf

    conf()

with DAG("others", schedule=None, start_date=start, catchup=False):
    started = TriggerDagRunOperator(
        task_id="start",
        trigger_dag_id="others_started",
        trigger_run_id="by_others",
        conf={"from": "{{ run_id }}"},
        logical_date="2026-11-03T00:00:00Z",
        wait_for_completion=True,
        poke_interval=1,
        reset_dag_run=True,
    )
    seen = ExternalTaskSensor(
        task_id="seen",
        external_dag_id="others_started",
        external_task_id="conf",
        execution_date_fn=lambda logical_date: pendulum.datetime(2026, 11, 3, tz="UTC"),
        poke_interval=1,
        timeout=60,
    )

    @task(outlets=[written])
    def write():
        yield Metadata(written, {"rows": 7})

    @task(inlets=[written])
    def read(inlet_events=None):
        events = inlet_events[written]
        return {"some": len(events) > 0, "rows": events[-1].extra["rows"]}

    started >> seen >> EmptyOperator(task_id="behind")
    write() >> read()
