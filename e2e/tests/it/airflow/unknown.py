from airflow.sdk import DAG
from shop import Unknown

dag = DAG("unknown", schedule=Unknown(1))
