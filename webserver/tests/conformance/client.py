"""Uses Tradewind through Airflow's official client, which checks every answer against Airflow's schema.

    python client.py http://127.0.0.1:8080 USER PASSWORD

Needs the DAGs `pipeline` and `slow` of tests/it/app.rs and a scheduler. Ends with status 1 at the first surprise.
"""

import sys
import time
from datetime import datetime, timezone

import airflow_client.client as airflow
from airflow_client.client.api import (
    config_api,
    connection_api,
    dag_api,
    dag_run_api,
    dag_source_api,
    dag_stats_api,
    dag_version_api,
    event_log_api,
    import_error_api,
    job_api,
    monitor_api,
    pool_api,
    task_api,
    task_instance_api,
    variable_api,
    version_api,
    x_com_api,
)


def token(host, user, password):
    import json
    import urllib.request

    body = json.dumps({"username": user, "password": password}).encode()
    request = urllib.request.Request(f"{host}/auth/token", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 201, answer.status
        return json.load(answer)["access_token"]


def refused(status, act):
    try:
        act()
    except airflow.ApiException as fault:
        assert fault.status == status, f"wanted {status}, was {fault.status}: {fault.body}"
    else:
        raise AssertionError(f"wanted {status}, was accepted")


def wait(get, wanted):
    for _ in range(200):
        got = get()
        if wanted(got):
            return got
        time.sleep(0.05)
    raise AssertionError(f"never came: {got}")


def dags(api):
    dag = dag_api.DAGApi(api)
    listed = dag.get_dags(limit=10, tags=["a"])
    assert [row.dag_id for row in listed.dags] == ["pipeline"], listed
    assert dag.get_dag("pipeline").description == "A DAG to test with"
    details = dag.get_dag_details("pipeline")
    assert details.timezone == "UTC" and details.latest_dag_version.version_number == 1
    assert dag.patch_dag("pipeline", airflow.DAGPatchBody(is_paused=True)).is_paused
    assert not dag.patch_dags(airflow.DAGPatchBody(is_paused=False), dag_id_pattern="~").dags[0].is_paused
    assert dag.get_dag_tags().tags == ["a", "b"]
    refused(404, lambda: dag.get_dag("nothing"))

    tasks = task_api.TaskApi(api)
    assert len(tasks.get_tasks("pipeline").tasks) == 5
    assert tasks.get_task("pipeline", "each").is_mapped
    versions = dag_version_api.DagVersionApi(api)
    assert versions.get_dag_versions("pipeline").total_entries == 1
    assert versions.get_dag_version("pipeline", 1).dag_id == "pipeline"
    assert "dag_id: pipeline" in dag_source_api.DagSourceApi(api).get_dag_source("pipeline", accept="application/json").content


def runs(api):
    run = dag_run_api.DagRunApi(api)
    body = airflow.TriggerDAGRunPostBody(dag_run_id="mine", logical_date=None, conf={"day": "2026-02-03"}, note="why")
    made = run.trigger_dag_run("pipeline", body)
    assert made.dag_run_id == "mine" and made.conf == {"day": "2026-02-03"} and made.note == "why", made
    refused(409, lambda: run.trigger_dag_run("pipeline", body))
    dated = airflow.TriggerDAGRunPostBody(logical_date=datetime(2026, 1, 5, tzinfo=timezone.utc))
    assert run.trigger_dag_run("pipeline", dated).logical_date.year == 2026
    ended = wait(lambda: run.get_dag_run("pipeline", "mine"), lambda got: got.end_date)
    assert ended.state == "failed" and ended.run_type == "manual", ended
    assert run.get_dag_runs("~", state=["failed"], run_id_pattern="mine", order_by=["-start_date"]).total_entries == 1
    batch = run.get_list_dag_runs_batch("~", airflow.DAGRunsBatchBody(dag_ids=["pipeline"], page_limit=1))
    assert len(batch.dag_runs) == 1
    assert run.patch_dag_run("pipeline", "mine", airflow.DAGRunPatchBody(note="now")).note == "now"
    assert dag_stats_api.DagStatsApi(api).get_dag_stats(dag_ids=["pipeline"]).dags[0].stats


def instances(api):
    ti = task_instance_api.TaskInstanceApi(api)
    listed = ti.get_task_instances("pipeline", "mine", state=["failed", "upstream_failed"])
    assert sorted(row.task_id for row in listed.task_instances) == ["check", "report"], listed
    assert ti.get_task_instance("pipeline", "mine", "check").state == "failed"
    assert ti.get_mapped_task_instance("pipeline", "mine", "each", 1).map_index == 1
    assert ti.get_mapped_task_instances("pipeline", "mine", "each").total_entries == 3
    assert ti.get_task_instance_tries("pipeline", "mine", "check").task_instances[0].try_number == 1
    assert ti.get_task_instance_try_details("pipeline", "mine", "check", 1).state == "failed"
    assert ti.get_task_instance_dependencies("pipeline", "mine", "check").dependencies
    batch = ti.get_task_instances_batch("~", "~", airflow.TaskInstancesBatchBody(task_ids=["check"]))
    assert batch.total_entries >= 1
    log = ti.get_log("pipeline", "mine", "check", 1, accept="application/json")
    assert log is not None
    body = airflow.PatchTaskInstanceBody(new_state="success", note="by hand")
    assert len(ti.patch_task_instance_dry_run("pipeline", "mine", "check", body).task_instances) == 1
    assert ti.patch_task_instance("pipeline", "mine", "check", body).task_instances[0].state == "success"
    check = airflow.ClearTaskInstancesBodyTaskIdsInner("check")
    clear = airflow.ClearTaskInstancesBody(dag_run_id="mine", dry_run=False, only_failed=False, task_ids=[check])
    assert ti.post_clear_task_instances("pipeline", clear).task_instances[0].task_id == "check"

    x = x_com_api.XComApi(api)
    assert x.get_xcom_entries("pipeline", "mine", "extract").xcom_entries[0].key == "return_value"
    names = {"dag_id": "pipeline", "dag_run_id": "mine", "task_id": "extract"}
    entry = x.get_xcom_entry(**names, xcom_key="return_value", deserialize=True)
    assert entry.actual_instance.value["rows"] == 3


def stopping(api):
    run = dag_run_api.DagRunApi(api)
    run.trigger_dag_run("slow", airflow.TriggerDAGRunPostBody(dag_run_id="s", logical_date=None))
    ti = task_instance_api.TaskInstanceApi(api)
    wait(lambda: ti.get_task_instance("slow", "s", "nap"), lambda got: got.state == "running")
    refused(409, lambda: run.delete_dag_run("slow", "s"))
    assert run.patch_dag_run("slow", "s", airflow.DAGRunPatchBody(state="failed")).state == "failed"
    # The client itself cannot read the answer to a dry run: two of its schemas match every task instance.
    assert run.clear_dag_run("slow", "s", airflow.DAGRunClearBody(dry_run=False)).actual_instance.dag_run_id == "s"
    run.patch_dag_run("slow", "s", airflow.DAGRunPatchBody(state="failed"))
    run.delete_dag_run("slow", "s")
    refused(404, lambda: run.get_dag_run("slow", "s"))


def settings(api):
    pools = pool_api.PoolApi(api)
    assert pools.post_pool(airflow.PoolBody(name="warehouse", slots=2)).open_slots == 2
    assert pools.patch_pool("warehouse", airflow.PoolPatchBody(slots=3)).slots == 3
    assert pools.get_pools(order_by=["name"]).total_entries == 2
    pools.delete_pool("warehouse")
    refused(404, lambda: pools.get_pool("warehouse"))

    variables = variable_api.VariableApi(api)
    assert variables.post_variable(airflow.VariableBody(key="city", value="Oslo")).value == "Oslo"
    assert variables.patch_variable("city", airflow.VariableBody(key="city", value="Bergen")).value == "Bergen"
    assert variables.get_variables(variable_key_pattern="cit").total_entries == 1
    variables.delete_variable("city")

    connections = connection_api.ConnectionApi(api)
    body = airflow.ConnectionBody(connection_id="db", conn_type="postgres", host="h", password="hunter2", port=5432)
    assert connections.post_connection(body).password == "***"
    assert connections.get_connection("db").port == 5432
    assert connections.get_connections().total_entries == 1
    connections.delete_connection("db")


def platform(api):
    assert monitor_api.MonitorApi(api).get_health().metadatabase.status == "healthy"
    assert version_api.VersionApi(api).get_version().version.startswith("3.")
    assert config_api.ConfigApi(api).get_config(accept="application/json").sections
    assert import_error_api.ImportErrorApi(api).get_import_errors().total_entries == 0
    events = event_log_api.EventLogApi(api)
    line = events.get_event_logs(dag_id="pipeline", order_by=["-when"]).event_logs[0]
    assert events.get_event_log(line.event_log_id).event == line.event
    assert job_api.JobApi(api).get_jobs(is_alive=True).total_entries >= 1


def main(host, user, password):
    configuration = airflow.Configuration(host=host)
    configuration.access_token = token(host, user, password)
    with airflow.ApiClient(configuration) as api:
        for part in (dags, runs, instances, stopping, settings, platform):
            part(api)
            print(f"{part.__name__}: as Airflow's")


main(*sys.argv[1:4])
