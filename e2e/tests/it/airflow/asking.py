"""What tasks ask of the platform while they run, and what they change there: runs, assets, variables, XComs, states."""

import json
import os
from datetime import datetime, timedelta

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.providers.standard.sensors.external_task import ExternalTaskSensor
from airflow.sdk import DAG, Asset, AssetAlias, TaskGroup, Variable, task

orders = Asset("orders", uri="s3://shop/orders")
parts = AssetAlias("parts")

with DAG("child", schedule=None, tags=["b", "a"], params={"size": 1}):

    @task
    def work(dag_run=None):
        return dag_run.conf["size"]

    with TaskGroup("inner"):

        @task
        def more():
            return "more"

        more()

    work()

with DAG("starts", schedule=None):
    call = dict(trigger_dag_id="child", trigger_run_id="called", conf={"size": 3})
    first = TriggerDagRunOperator(task_id="first", wait_for_completion=True, poke_interval=1, note="by starts", **call)
    skips = TriggerDagRunOperator(task_id="skips", skip_when_already_exists=True, **call)
    fails = TriggerDagRunOperator(task_id="fails", **call)
    unknown = TriggerDagRunOperator(task_id="unknown", trigger_dag_id="nobody", trigger_run_id="called")
    resets = TriggerDagRunOperator(
        task_id="resets", reset_dag_run=True, wait_for_completion=True, poke_interval=1, trigger_rule="all_done", **call
    )

    @task
    def looks(ti=None):
        dag = ti.get_dag("child")
        return {
            "result": ti.xcom_pull(dag_id="child", run_id="called", task_ids="work"),
            "state": ti.get_dagrun_state("child", "called"),
            "runs": ti.get_dr_count("child", states=["success"]),
            "tasks": ti.get_ti_count("child", task_group_id="inner", states=["success"]),
            "states": ti.get_task_states("child", run_ids=["called"]),
            "ended": sorted(crumb["task_id"] for crumb in ti.get_task_breadcrumbs("child", "called")),
            "dag": [dag.tags, dag.is_paused, dag.relative_fileloc],
        }

    first >> [skips, fails] >> resets >> looks()
    unknown

with DAG("waits", schedule=None):
    for name, what in {"run": {}, "one": {"external_task_id": "work"}, "group": {"external_task_group_id": "inner"}}.items():
        ExternalTaskSensor(task_id=f"for_{name}", external_dag_id="child", poke_interval=1, mode="poke", timeout=60, **what)

    @task
    def before(ti=None):
        run, previous = ti.get_previous_dagrun(), ti.get_previous_ti()
        return [run and run.run_id, previous and previous.state]

    before()

with DAG("keeps", schedule=None):

    @task
    def variables():
        Variable.set("count_one", "1", description="counted")
        Variable.set("count_two", {"a": [2]}, serialize_json=True)
        Variable.set("other", "x")
        keys = list(Variable.keys(prefix="count_"))
        Variable.delete("other")
        return [keys, Variable.get("count_two", deserialize_json=True), Variable.get("other", default="gone")]

    @task(retries=1, retry_delay=timedelta(seconds=1))
    def tries(ti=None, task_state_store=None):
        ti.xcom_push(key="seen", value=ti.xcom_pull(task_ids="tries", key="left"))
        ti.xcom_push(key="left", value=f"try {ti.try_number}")
        task_state_store.set("tries", [*(task_state_store.get("tries") or []), ti.try_number])
        task_state_store.set("gone", True)
        task_state_store.delete("gone")
        ti.xcom_push(key="states", value=[task_state_store.get("tries"), task_state_store.get("gone", "nothing")])
        raise ValueError("it always fails")

    @task(trigger_rule="all_done")
    def reads(ti=None):
        return [ti.xcom_pull(task_ids="tries", key=key) for key in ("left", "seen", "states")]

    @task
    def logs():
        from airflow.sdk.execution_time.comms import ResendLoggingFD
        from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

        sent = SUPERVISOR_COMMS.send(ResendLoggingFD())
        with os.fdopen(sent.fds[0], "w") as log:
            log.write(json.dumps({"event": "over another socket", "level": "info", "logger": "task"}) + "\n")

    tries() >> reads()
    variables()
    logs()

with DAG("makes", schedule=None):

    @task(outlets=[orders, parts])
    def make(outlet_events=None, asset_state_store=None):
        outlet_events[orders].extra = {"rows": 7}
        outlet_events[parts].add(Asset("part-1", uri="s3://shop/parts/1"), extra={"part": 1})
        asset_state_store[orders].set("watermark", "2026-01-01")

    make()

with DAG("uses", schedule=[orders], start_date=datetime(2026, 1, 1)):

    @task(inlets=[orders, parts])
    def use(triggering_asset_events=None, inlet_events=None, asset_state_store=None):
        told = triggering_asset_events[orders]
        newest = inlet_events[orders][-1]
        return {
            "told": [event.extra for event in told],
            "by": newest.source_dag_run.run_id,
            "newest": newest.extra,
            "part": [[event.asset.name, event.extra] for event in inlet_events[parts]],
            "watermark": asset_state_store[orders].get("watermark"),
        }

    use()
