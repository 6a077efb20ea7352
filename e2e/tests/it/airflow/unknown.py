from airflow.sdk import DAG
from shop import Unknown

DAG("unknown", schedule=Unknown(1))
