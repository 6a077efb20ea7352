"""A day's settlement, as a file for Airflow 1.10 or 2 has it: it runs as it is.

What it uses of the past: module names with `_operator`, `schedule_interval`, `concurrency`, `provide_context`, `days_ago`, and in its
tasks `execution_date`, `next_ds` and `tomorrow_ds`. The scheduler's log says what each is called today.
"""

from datetime import timedelta

from airflow import DAG
from airflow.operators.bash_operator import BashOperator
from airflow.operators.dummy_operator import DummyOperator
from airflow.operators.python_operator import PythonOperator
from airflow.utils.dates import days_ago

default_args = {
    "owner": "treasury",
    "depends_on_past": False,
    "start_date": days_ago(2),
    "retries": 1,
    "retry_delay": timedelta(minutes=5),
}

dag = DAG(
    "settlement",
    default_args=default_args,
    description="What was traded on a day is settled on the next one.",
    schedule_interval="0 6 * * *",
    catchup=False,
    concurrency=4,
    tags=["airflow"],
)


def net(execution_date, tomorrow_ds, **context):
    trades = [("north", "south", 120), ("south", "east", 80), ("east", "north", 40), ("north", "east", 15)]
    balances = {}
    for payer, payee, amount in trades:
        balances[payer] = balances.get(payer, 0) - amount
        balances[payee] = balances.get(payee, 0) + amount
    print(f"Trades of {execution_date:%Y-%m-%d}, to be settled on {tomorrow_ds}: {balances}")
    return balances


def settle(**context):
    balances = context["ti"].xcom_pull(task_ids="net")
    assert sum(balances.values()) == 0
    for party, balance in sorted(balances.items()):
        print(f"{party} {'receives' if balance > 0 else 'pays'} {abs(balance)}")


begin = DummyOperator(task_id="begin", dag=dag)
netting = PythonOperator(task_id="net", python_callable=net, provide_context=True, dag=dag)
settling = PythonOperator(task_id="settle", python_callable=settle, provide_context=True, dag=dag)
report = BashOperator(
    task_id="report",
    bash_command="echo 'The books of {{ ds }} are closed; the next are those of {{ next_ds }}.'",
    dag=dag,
)

begin >> netting >> settling >> report
