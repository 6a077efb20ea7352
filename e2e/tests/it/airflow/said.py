"""What the timetable of the DAGs in shop.py says itself, asked without any scheduler: [start, end, run after] of each run."""

import json

import pendulum
from airflow.example_dags.plugins.workday import AfterWorkdayTimetable
from airflow.timetables.base import TimeRestriction

START, END = pendulum.datetime(2021, 1, 1, tz="UTC"), pendulum.datetime(2021, 1, 14, tz="UTC")


def said(earliest, latest, catchup, most):
    timetable, runs, last = AfterWorkdayTimetable(), [], None
    while len(runs) < most:
        last = timetable.next_dagrun_info_v2(last_dagrun_info=last, restriction=TimeRestriction(earliest, latest, catchup))
        if last is None:
            break
        runs.append([at.strftime("%Y-%m-%dT%H:%M:%SZ") for at in (*last.data_interval, last.run_after)])
    return runs


def by_hand(date):
    interval = AfterWorkdayTimetable().infer_manual_data_interval(run_after=date)
    return [at.strftime("%Y-%m-%dT%H:%M:%SZ") for at in interval]


HAND = by_hand(pendulum.datetime(2021, 1, 5, 7, tz="UTC"))
print(json.dumps({"by_hand": HAND, "workdays": said(START, END, True, 100), "from_now_on": said(START, None, False, 3)}))
