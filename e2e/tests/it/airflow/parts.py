"""Every day is a partition, of which a run is told on the day after."""

from airflow.sdk import DAG, CronPartitionTimetable, task

with DAG("days", schedule=CronPartitionTimetable("0 6 * * *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%d")):

    @task
    def tell(dag_run=None):
        print("it is about", dag_run.partition_key, dag_run.partition_date, dag_run.logical_date)

    tell()
