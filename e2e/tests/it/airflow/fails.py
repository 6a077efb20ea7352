from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
from shop import Fails

with DAG("fails", schedule=None):
    EmptyOperator(task_id="sell", weight_rule=Fails())
