"""Arguments as Airflow 1.10 and 2 called them. What is not as it should be becomes an import error."""

from datetime import datetime, timedelta, timezone

from airflow import DAG, Dataset
from airflow.decorators import dag, task
from airflow.models import BaseOperator
from airflow.operators.bash_operator import BashOperator
from airflow.operators.dagrun_operator import TriggerDagRunOperator
from airflow.operators.dummy_operator import DummyOperator
from airflow.operators.python_operator import PythonOperator
from airflow.operators.weekday import BranchDayOfWeekOperator
from airflow.sensors.external_task_sensor import ExternalTaskSensor
from airflow.utils import dates
from airflow.utils.dates import days_ago
from airflow.utils.decorators import apply_defaults
from airflow.utils.trigger_rule import TriggerRule

midnight = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
assert days_ago(2) in (midnight - timedelta(days=2), midnight - timedelta(days=1))
assert days_ago(0, hour=3).hour == 3
assert dates.date_range(datetime(2016, 1, 1), datetime(2016, 1, 3), delta=timedelta(1)) == [
    datetime(2016, 1, day) for day in (1, 2, 3)
]
assert dates.date_range(datetime(2016, 1, 1), datetime(2016, 3, 3), delta="0 0 1 * *") == [
    datetime(2016, month, 1) for month in (1, 2, 3)
]
assert dates.date_range(datetime(2016, 1, 3), num=-2, delta=timedelta(1)) == [datetime(2016, 1, day) for day in (2, 3)]
assert dates.round_time(datetime(2015, 1, 1, 6), timedelta(days=1)) == datetime(2015, 1, 1)
assert dates.round_time(datetime(2015, 1, 2), timedelta(days=1)) == datetime(2015, 1, 2)
assert dates.round_time(datetime(2015, 9, 16), timedelta(1), datetime(2015, 9, 14)) == datetime(2015, 9, 16)
assert dates.infer_time_unit([130, 5]) == "minutes" and dates.scale_time_units([120, 60], "minutes") == [2, 1]

default_args = {
    "owner": "old", "start_date": days_ago(2), "provide_context": True, "sla": timedelta(hours=1),
    "task_concurrency": 3, "trigger_rule": "dummy", "email_on_failure": False,
}


class Own(BaseOperator):
    """One that has an argument of its own with the name of an old one."""

    @apply_defaults
    def __init__(self, adhoc=None, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.adhoc = adhoc


with DAG(
    "old_arguments", "a text", "@daily", default_args=default_args, concurrency=7, default_view="graph",
    orientation="LR", fail_stop=False, max_active_runs=2, sla_miss_callback=lambda *_: None,
) as old:
    first = PythonOperator(task_id="first", python_callable=print, provide_context=True, task_concurrency=1)
    second = BashOperator(task_id="second", bash_command="true", xcom_push=False, execution_timeout=timedelta(minutes=1))
    third = DummyOperator(task_id="third", trigger_rule="none_failed_or_skipped", adhoc=True)
    fourth = TriggerDagRunOperator(task_id="fourth", trigger_dag_id="x", execution_date="{{ execution_date }}")
    fifth = BranchDayOfWeekOperator(
        task_id="fifth", week_day="Monday", follow_task_ids_if_true="third", follow_task_ids_if_false="third",
        use_task_execution_day=True,
    )
    sixth = ExternalTaskSensor(task_id="sixth", external_dag_id="x", execution_delta=timedelta(days=1))
    own = Own(task_id="own", adhoc="mine")
    first >> second >> third
    fourth.set_upstream(third)

assert (first.max_active_tis_per_dag, second.max_active_tis_per_dag, second.do_xcom_push) == (1, 3, False)
assert (first.trigger_rule, third.trigger_rule) == (TriggerRule.DUMMY, TriggerRule.NONE_FAILED_OR_SKIPPED)
assert first.trigger_rule == "always" and third.trigger_rule == "none_failed_min_one_success"
assert fourth.logical_date == "{{ execution_date }}" and fifth.use_task_logical_date and own.adhoc == "mine"
assert (old.concurrency, old.max_active_tasks, old.schedule_interval) == (7, 7, "@daily")
assert old.description == "a text" and old.fail_fast is False


@dag(schedule_interval=[Dataset("s3://bucket/key")], start_date=days_ago(1), fail_stop=True)
def old_decorated():
    @task(provide_context=True)
    def act(execution_date, ds, next_execution_date=None):
        return execution_date

    act()


decorated = old_decorated()
assert decorated.fail_fast

interval = DAG("interval", schedule_interval=timedelta(hours=6), start_date=datetime(2022, 1, 1))
both = DAG("both", schedule=None, schedule_interval="@daily", start_date=datetime(2022, 1, 1))

try:
    DAG("misspelled", schedule_intervall="@daily")
except TypeError:
    pass
else:
    raise AssertionError("what never was an argument is still none")
try:
    BashOperator(task_id="misspelled", bash_command="true", provide_contexts=True, dag=old)
except TypeError:
    pass
else:
    raise AssertionError("what never was an argument is still none")
