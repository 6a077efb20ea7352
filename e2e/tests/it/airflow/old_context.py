"""Keys of the context that Airflow 3 removed, in callables and in templates, of a run by schedule and of one by hand."""

from datetime import datetime, timedelta, timezone

from airflow import DAG
from airflow.operators.bash_operator import BashOperator
from airflow.operators.dummy_operator import DummyOperator
from airflow.operators.python_operator import PythonOperator
from airflow.utils.dates import days_ago

DAY = timedelta(days=1)


def text(date):
    return date.strftime("%Y-%m-%d")


def scheduled(ds, execution_date, next_execution_date, prev_execution_date, tomorrow_ds, next_ds, **context):
    assert execution_date == execution_date.replace(hour=0, minute=0, second=0) and text(execution_date) == ds
    assert next_execution_date == execution_date + DAY and prev_execution_date == execution_date - DAY
    assert tomorrow_ds == next_ds == text(execution_date + DAY)
    assert context["yesterday_ds"] == context["prev_ds"] == text(execution_date - DAY)
    assert context["next_ds_nodash"] == next_ds.replace("-", "")
    assert context["conf"].getint("core", "max_active_runs_per_dag") > 0 and context["test_mode"] is False
    assert context["dag_run"].execution_date == context["ti"].execution_date == execution_date
    assert not context["dag_run"].external_trigger


def by_hand(execution_date, dag_run, **context):
    assert execution_date == datetime(2022, 1, 1, tzinfo=timezone.utc)
    assert context["next_execution_date"] == context["prev_execution_date"] == execution_date
    assert context["next_ds"] == "2022-01-01" and context["tomorrow_ds"] == "2022-01-02"
    assert dag_run.external_trigger


def without_a_date(execution_date, dag_run, **context):
    assert dag_run.logical_date is None and execution_date == dag_run.run_after == context["logical_date"]
    assert context["ds"] == text(execution_date) and context["ts"] == execution_date.isoformat()
    assert context["ds_nodash"] == context["ds"].replace("-", "") and context["ts_nodash"].startswith(context["ds_nodash"])
    assert context["tomorrow_ds"] == text(execution_date + DAY)


def dag(name, schedule, check):
    with DAG(name, schedule_interval=schedule, start_date=days_ago(3), catchup=False, concurrency=2) as made:
        checked = PythonOperator(task_id="check", python_callable=check, provide_context=True)
        rendered = BashOperator(
            task_id="rendered",
            bash_command="test {{ execution_date.strftime('%Y-%m-%d') }} = {{ macros.ds_add(tomorrow_ds, -1) }} -a -n '{{ ds }}' -a -n '{{ next_execution_date }}'",
        )
        DummyOperator(task_id="begin") >> checked >> rendered
    return made


daily = dag("old_daily", "@daily", scheduled)
hand = dag("old_by_hand", None, by_hand)
dateless = dag("old_without_a_date", None, without_a_date)
