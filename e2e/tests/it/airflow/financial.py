from airflow import DAG
from airflow.operators.python_operator import PythonOperator
from datetime import datetime

default_args = {
    'owner': 'airflow',
    'depends_on_past': False,
    'start_date': datetime(2022, 1, 1),
}

dag = DAG('financial_dag', default_args=default_args, description='Financial Transaction DAG', schedule_interval=None)

def order_processing_task():
    print("Order Processing Task")

def clearing_task():
    print("Clearing Task")

def risk_control_task():
    print("Risk Control Task")

def accounting_task():
    print("Accounting Task")

def notification_service_task():
    print("Notification Service Task")

order_processing = PythonOperator(task_id='order_processing', python_callable=order_processing_task, dag=dag)
clearing = PythonOperator(task_id='clearing', python_callable=clearing_task, dag=dag)
risk_control = PythonOperator(task_id='risk_control', python_callable=risk_control_task, dag=dag)
accounting = PythonOperator(task_id='accounting', python_callable=accounting_task, dag=dag)
notification = PythonOperator(task_id='notification', python_callable=notification_service_task, dag=dag)

order_processing >> clearing >> risk_control >> accounting >> notification
