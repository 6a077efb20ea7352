"""What the reader of serialized DAGs must understand, in a few Airflow DAG files' worth of DAGs. Recorded by `record.py`."""

from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import BranchPythonOperator, PythonOperator
from airflow.providers.standard.sensors.date_time import DateTimeSensor
from airflow.sdk import Asset, AssetAlias, AsyncCallback, DAG, DeadlineAlert, DeadlineReference, Param, SyncCallback, TaskGroup, Label, chain, dag, setup, task, task_group, teardown
from airflow.sdk.definitions.deadline import VariableInterval
from airflow.timetables.trigger import CronTriggerTimetable, MultipleCronTriggerTimetable
from airflow.timetables.interval import CronDataIntervalTimetable, DeltaDataIntervalTimetable
from airflow.timetables.assets import AssetOrTimeSchedule
from airflow.timetables.events import EventsTimetable

START = datetime(2026, 1, 1)

with DAG(
    "everything",
    description="One of everything",
    doc_md="# Everything",
    schedule="30 2 * * 1-5",
    start_date=START,
    end_date=datetime(2027, 1, 1),
    catchup=True,
    max_active_runs=3,
    max_active_tasks=7,
    max_consecutive_failed_dag_runs=5,
    dagrun_timeout=timedelta(hours=2),
    tags=["b", "a"],
    default_args={"owner": "ann", "retries": 2, "retry_delay": timedelta(seconds=30)},
    params={
        "day": Param("2026-01-01", type="string", format="date", description="Which day"),
        "plain": 5,
        "none": None,
    },
    is_paused_upon_creation=True,
) as everything:
    first = EmptyOperator(task_id="first")
    shell = BashOperator(
        task_id="shell",
        bash_command="echo {{ ds }}",
        retry_exponential_backoff=True,
        max_retry_delay=timedelta(minutes=10),
        execution_timeout=timedelta(minutes=5),
        pool="heavy",
        pool_slots=2,
        priority_weight=10,
        weight_rule="upstream",
        queue="big",
        max_active_tis_per_dag=4,
        max_active_tis_per_dagrun=2,
        do_xcom_push=False,
        depends_on_past=True,
        wait_for_downstream=True,
        doc_md="Says the day",
    )
    choose = BranchPythonOperator(task_id="choose", python_callable=lambda: "shell")
    last = EmptyOperator(task_id="last", trigger_rule="none_failed_min_one_success")
    sensor = DateTimeSensor(task_id="sensor", target_time=START, mode="reschedule")
    with TaskGroup("outer", tooltip="Both") as outer:
        with TaskGroup("inner"):
            deep = BashOperator(task_id="deep", bash_command="true")
        beside = BashOperator(task_id="beside", bash_command="true")
    first >> choose >> [shell, sensor] >> last
    last >> Label("then") >> outer

with DAG("cleanly", schedule=None, fail_fast=True, params={"many": Param(type="integer", minimum=1)}):

    @setup
    def make():
        return 1

    @teardown(on_failure_fail_dagrun=True)
    def remove(made):
        pass

    @task
    def use(made):
        pass

    made = make()
    gone = remove(made)
    chain(made, use(made), gone)
    made >> gone


@dag(schedule=timedelta(hours=6), start_date=START)
def mapped():
    @task
    def numbers():
        return [1, 2, 3]

    @task
    def letters():
        return ["a", "b"]

    @task(max_active_tis_per_dagrun=2, map_index_template="{{ x }}")
    def one(x):
        return x

    @task
    def two(x, y):
        return x, y

    @task_group
    def both(x):
        one.override(task_id="inside")(x)

    found = numbers()
    one.override(task_id="over_xcom").expand(x=found)
    one.override(task_id="over_list").expand(x=[10, 20])
    two.override(task_id="product").partial(y=1).expand(x=found)
    two.override(task_id="cross").expand(x=found, y=letters())
    one.override(task_id="mapped_map").expand(x=found.map(lambda x: x + 1))
    one.override(task_id="zipped").expand(x=found.zip(letters(), fillvalue=None))
    one.override(task_id="joined").expand(x=found.concat(letters()))
    BashOperator.partial(task_id="kwargs").expand_kwargs([{"bash_command": "true"}, {"bash_command": "false"}])
    BashOperator.partial(task_id="classic", retries=3, pool="heavy", trigger_rule="all_done").expand(
        bash_command=["echo 1", "echo 2"]
    )
    both.expand(x=found)


mapped()

SCHEDULES = {
    "never": None,
    "once": "@once",
    "continuous": "@continuous",
    "daily": "@daily",
    "zoned": CronTriggerTimetable("0 6 * * *", timezone="America/New_York"),
    "several": MultipleCronTriggerTimetable("0 6 * * *", "30 18 * * *", timezone="UTC"),
    "interval": CronDataIntervalTimetable("0 0 * * *", timezone="Europe/Berlin"),
    "delta_interval": DeltaDataIntervalTimetable(timedelta(hours=1)),
    "with_interval": CronTriggerTimetable("0 0 * * 1", timezone="UTC", interval=timedelta(days=7)),
    "listed": EventsTimetable([datetime(2026, 3, 1), datetime(2026, 4, 1)]),
}
for name, schedule in SCHEDULES.items():
    with DAG(f"schedule_{name}", schedule=schedule, start_date=START, max_active_runs=1):
        PythonOperator(task_id="act", python_callable=print)

orders = Asset("orders", uri="s3://shop/orders", group="shop", extra={"team": "sales"})

with DAG("makes", schedule=None):
    BashOperator(task_id="make", bash_command="true", outlets=[orders, AssetAlias("some")], inlets=[Asset("raw")])

with DAG("waits_for_assets", schedule=(orders & (Asset("a") | AssetAlias("some")))):
    BashOperator(task_id="act", bash_command="true")

TIMES = CronTriggerTimetable("0 6 * * *", timezone="UTC")
with DAG("assets_or_time", schedule=AssetOrTimeSchedule(timetable=TIMES, assets=[orders]), start_date=START):
    BashOperator(task_id="act", bash_command="true")

ALERTS = [
    DeadlineAlert(
        DeadlineReference.DAGRUN_QUEUED_AT,
        timedelta(minutes=30, milliseconds=500),
        AsyncCallback("late.tell", {"text": "x"}),
        name="half an hour",
    ),
    DeadlineAlert(
        DeadlineReference.DAGRUN_LOGICAL_DATE,
        timedelta(hours=1),
        SyncCallback("late.call", {"since": START}, executor="local"),
    ),
    DeadlineAlert(DeadlineReference.FIXED_DATETIME(START), VariableInterval("late_after"), SyncCallback("late.call")),
    DeadlineAlert(DeadlineReference.AVERAGE_RUNTIME(5, 2), timedelta(minutes=-1), SyncCallback("late.call")),
    DeadlineAlert(DeadlineReference.AVERAGE_RUNTIME(), timedelta(0), AsyncCallback("late.tell")),
]
with DAG("late", schedule=None, deadline=ALERTS):
    BashOperator(task_id="act", bash_command="true")

with DAG("late_once", schedule=None, deadline=ALERTS[0]):
    BashOperator(task_id="act", bash_command="true")
