import pendulum
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
from shop import Hangs

with DAG("hangs", schedule=Hangs(9), start_date=pendulum.datetime(2021, 1, 1, tz="UTC"), catchup=True):
    EmptyOperator(task_id="sell")
