import pendulum
from airflow.example_dags.plugins.decreasing_priority_weight_strategy import DecreasingPriorityStrategy
from airflow.example_dags.plugins.workday import AfterWorkdayTimetable
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
from shop import Named, Steps, Twice

START = pendulum.datetime(2021, 1, 1, tz="UTC")

with DAG(
    "workdays",
    schedule=AfterWorkdayTimetable(),
    start_date=START,
    end_date=pendulum.datetime(2021, 1, 14, tz="UTC"),
    catchup=True,
):
    EmptyOperator(task_id="tires", weight_rule=DecreasingPriorityStrategy())
    EmptyOperator(task_id="counts", weight_rule=Twice(), priority_weight=21)

with DAG("from_now_on", schedule=AfterWorkdayTimetable(), start_date=START, catchup=False):
    EmptyOperator(task_id="sell")

with DAG("steps", schedule=Steps(230), start_date=START, catchup=True):
    EmptyOperator(task_id="sell")

with DAG("named", schedule=Named(3), start_date=START, catchup=True):
    EmptyOperator(task_id="sell")
