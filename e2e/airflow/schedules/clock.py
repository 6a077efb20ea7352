"""Timetables that make up for what is past: which runs there are, for which intervals, and what each knows of the one before.

Every window is closed, so that what comes of it does not depend on today.
"""

import datetime

import pendulum

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import (
    DAG,
    CronDataIntervalTimetable,
    CronTriggerTimetable,
    DeltaDataIntervalTimetable,
    DeltaTriggerTimetable,
    MultipleCronTriggerTimetable,
    task,
)
from airflow.timetables.events import EventsTimetable

DAY = datetime.timedelta(days=1)


def window(name, schedule, start, end, zone="UTC", **how):
    """A DAG with a task that tells what it knows of its run."""
    given = {"catchup": True, "max_active_runs": 1, "is_paused_upon_creation": False, **how}
    start, end = pendulum.parse(start, tz=zone), pendulum.parse(end, tz=zone)
    with DAG(f"clock_{name}", schedule=schedule, start_date=start, end_date=end, **given) as dag:

        @task(retries=1, retry_delay=datetime.timedelta(seconds=1), depends_on_past=True)
        def tell(ti=None, dag_run=None, prev_data_interval_end_success=None, ts=None):
            if ti.try_number == 1 and dag_run.logical_date.day % 2:
                raise ValueError("odd days need a second try")
            return {
                "ts": ts,
                "before": str(prev_data_interval_end_success),
                "told": ti.xcom_pull(task_ids="tell", key="return_value", include_prior_dates=True) is not None,
            }

        tell() >> EmptyOperator(task_id="after", wait_for_downstream=True)
    return dag


window("cron", "0 6 * * *", "2026-01-01T06:00", "2026-01-04")
window("trigger", CronTriggerTimetable("0 6 * * 1", timezone="UTC", interval=DAY), "2026-01-01", "2026-01-20")
window("interval", CronDataIntervalTimetable("@daily", timezone="UTC"), "2026-01-01", "2026-01-04")
window("spring", CronDataIntervalTimetable("30 2 * * *", timezone="Europe/Berlin"), "2026-03-28", "2026-03-31", zone="Europe/Berlin")
window("autumn", CronTriggerTimetable("30 2 * * *", timezone="Europe/Berlin"), "2025-10-25", "2025-10-28", zone="Europe/Berlin")
window("delta", DeltaTriggerTimetable(datetime.timedelta(hours=36)), "2026-01-01", "2026-01-06")
window("delta_interval", DeltaDataIntervalTimetable(DAY), "2026-01-01T05:30", "2026-01-04")
window("timedelta", DAY, "2026-01-01T05:30", "2026-01-04")
window("months", "@monthly", "2025-11-15", "2026-02-15")
window("several", MultipleCronTriggerTimetable("0 0 * * *", "0 18 * * *", timezone="UTC"), "2026-01-01", "2026-01-03")
window("events", EventsTimetable([pendulum.datetime(2026, 1, day) for day in (3, 5, 9)]), "2026-01-01", "2026-01-08")
window("once", "@once", "2026-01-01", "2026-01-08")
window("nothing", "@daily", "2026-01-01", "2026-01-04", catchup=False)
window("side_by_side", "@daily", "2026-01-01", "2026-01-06", max_active_runs=3)
