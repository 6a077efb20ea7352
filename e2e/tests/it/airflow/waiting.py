"""Tasks that wait without a worker, in every way that Airflow has."""

import datetime
import os

from airflow.providers.standard.sensors.date_time import DateTimeSensorAsync
from airflow.sdk import BaseOperator, dag
from airflow.sdk.bases.sensor import BaseSensorOperator

GATE = "{{ dag_run.conf['gate'] }}"


class Through(BaseOperator):
    template_fields = ("path",)

    def __init__(self, path=GATE, how="open", patience=None, **kwargs):
        super().__init__(**kwargs)
        self.path, self.how, self.patience = path, how, patience

    def execute(self, context):
        from gates import Gate

        print("before the gate")
        context["ti"].xcom_push(key="before", value=41)
        self.defer(
            trigger=Gate(self.path, self.how), method_name="passed", kwargs={"extra": 1}, timeout=self.patience
        )

    def passed(self, context, event, extra):
        assert isinstance(event["at"], datetime.datetime), event
        before = context["ti"].xcom_pull(task_ids=self.task_id, key="before")
        print("behind the gate")
        return before + extra


class Twice(Through):
    def passed(self, context, event, extra):
        from gates import Gate

        if extra == 2:
            return "twice"
        self.defer(trigger=Gate(self.path, self.how), method_name="passed", kwargs={"extra": 2})


class Look(BaseSensorOperator):
    template_fields = ("path",)

    def __init__(self, path=GATE, **kwargs):
        super().__init__(**kwargs)
        self.path = path

    def poke(self, context):
        print("looks for", self.path)
        return os.path.exists(self.path)


def told(context):
    with open(context["dag_run"].conf["gate"] + ".failed", "a") as file:
        print(context["ti"].task_id, type(context["exception"]).__name__, file=file)


@dag(schedule=None)
def waiting():
    Look(task_id="looks", mode="reschedule", poke_interval=1, timeout=600)
    Look(task_id="gives_up", path="/nowhere", mode="reschedule", poke_interval=1, timeout=3, soft_fail=True)
    when = "{{ (dag_run.run_after + macros.timedelta(seconds=1)).isoformat() }}"
    DateTimeSensorAsync(task_id="moment", target_time=when)
    Through(task_id="through")
    Twice(task_id="twice")
    Through(task_id="ended", how="end")
    Through(task_id="broken", how="break", on_failure_callback=told)
    late = datetime.timedelta(seconds=2)
    Through(task_id="late", path="/nowhere", patience=late, on_failure_callback=told)
    Through(task_id="stopped", path="/nowhere")


waiting()
