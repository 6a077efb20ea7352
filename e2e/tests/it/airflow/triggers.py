"""Tasks whose triggers ask about other runs, and a task that changes the XComs of another."""

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.providers.standard.sensors.external_task import ExternalTaskSensor
from airflow.sdk import DAG, Asset, BaseOperator, TaskGroup, task
from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time.xcom import XCom


class Asks(BaseOperator):
    def execute(self, context):
        from asks import AsksAll

        self.defer(trigger=AsksAll(), method_name="answered")

    def answered(self, context, event):
        return event


with DAG("child", schedule=None):

    @task(outlets=[Asset("orders", uri="s3://shop/orders")])
    def work(ti=None):
        ti.xcom_push(key="left", value=1)
        ti.xcom_push(key="kept", value=2)

    with TaskGroup("inner"):

        @task
        def more():
            return "more"

        more()

    with TaskGroup("plain", prefix_group_id=False):

        @task
        def bare():
            return "bare"

        with TaskGroup("deep"):

            @task
            def down():
                return "down"

            down()

        bare()

    work()

with DAG("defers", schedule=None):
    ways = {
        "run": {},
        "task": {"external_task_id": "work"},
        "group": {"external_task_group_id": "inner"},
        "plain": {"external_task_group_id": "plain"},
    }
    for name, what in ways.items():
        ExternalTaskSensor(
            task_id=f"for_{name}", external_dag_id="child", deferrable=True, poke_interval=1, timeout=120, **what
        )
    calls = TriggerDagRunOperator(
        task_id="calls",
        trigger_dag_id="child",
        trigger_run_id="called",
        wait_for_completion=True,
        deferrable=True,
        poke_interval=1,
    )

    @task
    def leaves(ti=None):
        of = {"dag_id": "child", "run_id": "called", "task_id": "work"}
        XCom.set(key="note", value={"by": ti.task_id}, **of)
        XCom.set(key="kept", value=3, **of)
        XCom.delete(key="left", **of)
        pull = lambda key: ti.xcom_pull(dag_id="child", run_id="called", task_ids="work", key=key)
        seen = [pull(key) for key in ("note", "kept", "left")]
        return seen + [refused(run_id="nobody"), refused(task_id="nobody"), refused(map_index=3)]

    def refused(**change):
        try:
            XCom.set(key="k", value=1, **{"dag_id": "child", "run_id": "called", "task_id": "work", **change})
        except AirflowRuntimeError as error:
            return error.error.detail["message"]

    @task
    def states(ti=None):
        of = {"dag_id": "child", "run_ids": ["called"]}
        groups = {group: ti.get_task_states(task_group_id=group, **of) for group in ("plain", "deep")}
        return {group: sorted(found["called"]) for group, found in groups.items()}

    calls >> [Asks(task_id="asks"), leaves(), states()]
