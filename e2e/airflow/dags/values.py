"""XComs, templates, params and the context."""

import pendulum

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, Param, get_current_context, task

with DAG(
    "values",
    schedule="@daily",
    start_date=pendulum.datetime(2020, 1, 1, tz="Europe/Berlin"),
    catchup=False,
    params={"size": Param(4, type="integer", minimum=1), "word": "some 'quoted' \"word\""},
    user_defined_macros={"twice": lambda text: text * 2},
    user_defined_filters={"shout": str.upper},
    render_template_as_native_obj=False,
):

    @task(multiple_outputs=True)
    def several():
        return {"one": 1, "two": [2, {"deep": None}], "text": "é ü 漢"}

    @task
    def kinds():
        return {"date": pendulum.datetime(2020, 2, 3, tz="UTC"), "tuple": (1, 2), "set": {3}, "float": 1.5, "none": None}

    @task
    def read(given, ti=None):
        return {
            "given": given,
            "one": ti.xcom_pull(task_ids="several", key="one"),
            "both": list(ti.xcom_pull(task_ids=["several", "pushed"], key="text")),
            "missing": ti.xcom_pull(task_ids="several", key="nothing", default="default"),
        }

    @task
    def context(**given):
        current = get_current_context()
        names = ("ds", "ds_nodash", "ts", "ts_nodash", "ts_nodash_with_tz", "run_id")
        return {
            **{name: given[name] for name in names},
            "start": str(given["data_interval_start"]),
            "end": str(given["data_interval_end"]),
            "logical": str(given["logical_date"]),
            "same": current["run_id"] == given["run_id"],
            "params": dict(given["params"]),
            "conf": given["dag_run"].conf,
            "type": str(given["dag_run"].run_type.value),
            "try": given["ti"].try_number,
            "names": sorted(name for name in given if not name.startswith("_")),
        }

    def push(ti, text):
        ti.xcom_push(key="text", value=text)
        ti.xcom_push(key="number", value=17)

    reads = read(several()["two"])
    kinds()
    context()
    pushed = PythonOperator(
        task_id="pushed",
        python_callable=push,
        op_kwargs={"text": "{{ twice(params.word) | shout }} {{ macros.ds_add(ds, 3) }} {{ dag.dag_id }} {{ task.task_id }}"},
    )
    pushed >> reads
    BashOperator(
        task_id="shell",
        bash_command="echo \"$WHO {{ ds }} {{ params.size }} {{ data_interval_end | ds }} {{ ti.try_number }}\"",
        env={"WHO": "{{ task_instance_key_str }}"},
        append_env=True,
    )
    BashOperator(task_id="silent", bash_command="echo nobody keeps this", do_xcom_push=False)
