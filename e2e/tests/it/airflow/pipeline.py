"""What Airflow DAG files are made of, in one DAG: operators, results handed on, branches, mapping, retries, skips, templates."""

from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import BranchPythonOperator, PythonOperator
from airflow.sdk import DAG, Variable, get_current_context, task


def say(word):
    print(f"{word} Task")
    return word


with DAG("pipeline", schedule=None, start_date=datetime(2026, 1, 1), params={"size": 3}):
    services = ["Order Processing", "Clearing", "Risk Control", "Accounting", "Notification"]
    chain = [
        PythonOperator(task_id=service.lower().replace(" ", "_"), python_callable=say, op_args=[service])
        for service in services
    ]
    for before, after in zip(chain, chain[1:]):
        before >> after

    @task
    def numbers(params=None):
        return list(range(params["size"]))

    @task(max_active_tis_per_dagrun=2, map_index_template="number {{ n }}")
    def square(n):
        get_current_context()["n"] = n
        return n * n

    @task
    def total(squares):
        return sum(squares)

    total(square.expand(n=numbers()))

    branch = BranchPythonOperator(task_id="branch", python_callable=lambda: "left")
    branch >> [BashOperator(task_id="left", bash_command="echo left {{ run_id }}"), BashOperator(task_id="right", bash_command="exit 1")]

    @task(retries=1, retry_delay=timedelta(seconds=1))
    def second_time(ti=None):
        if ti.try_number == 1:
            raise ValueError("not the first time")
        return ti.try_number

    second_time()

    @task
    def secret():
        print("the secret is", Variable.get("api_key"))
        return len(Variable.get("api_key"))

    secret()
    BashOperator(task_id="skips", bash_command="exit 99")
