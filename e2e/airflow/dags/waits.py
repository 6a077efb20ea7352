"""Sensors in both modes, deferral, and a question to people."""

import datetime

import pendulum

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.providers.standard.sensors.date_time import DateTimeSensorAsync
from airflow.providers.standard.sensors.python import PythonSensor
from airflow.sdk import DAG, PokeReturnValue, task

with DAG("waits", schedule=None, start_date=pendulum.datetime(2020, 1, 1), catchup=False):

    PythonSensor(task_id="pokes", python_callable=lambda: True, poke_interval=1)
    PythonSensor(task_id="looks", python_callable=lambda: True, mode="reschedule", poke_interval=1)
    PythonSensor(task_id="in_vain", python_callable=lambda: False, poke_interval=1, timeout=2)
    PythonSensor(task_id="in_vain_softly", python_callable=lambda: False, poke_interval=1, timeout=2, soft_fail=True)
    PythonSensor(task_id="looks_in_vain", python_callable=lambda: False, mode="reschedule", poke_interval=8, timeout=10)

    @task.sensor(poke_interval=1, timeout=10, mode="reschedule")
    def returns():
        return PokeReturnValue(is_done=True, xcom_value="found")

    returns() >> EmptyOperator(task_id="behind")
    DateTimeSensorAsync(task_id="sleeps", target_time=pendulum.datetime(2020, 1, 2))
    DateTimeSensorAsync(
        task_id="sleeps_shortly", target_time="{{ macros.datetime.now(macros.dateutil.tz.UTC) + macros.timedelta(seconds=8) }}"
    )
    HITLOperator(
        task_id="asks",
        subject="Go on?",
        options=["Yes", "No"],
        execution_timeout=datetime.timedelta(minutes=5),
    )
