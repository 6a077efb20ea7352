"""Records what Airflow's own timetables do around the changes of the clock, and which run they ask for next.

    pip install apache-airflow-core==3.3.2
    python record.py > airflow.json

A row of `ticks` is [expression, zone, moment, fire times after it]; a row of `next` is [kind, expression, cursor, start,
end, catchup, now, interval or null], where kind is `trigger` (a run at the tick) or `interval` (a run over the time
between two ticks). Moments are UTC.
"""

import itertools
import json
import warnings
from unittest import mock

warnings.filterwarnings("ignore")

import pendulum
from airflow.timetables.base import DataInterval, TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable
from airflow.timetables.trigger import CronTriggerTimetable

ZONES = {  # zone: the days before its two changes
    "UTC": ["2026-03-28", "2026-10-24"],
    "Europe/Berlin": ["2026-03-28", "2026-10-24"],
    "America/New_York": ["2026-03-07", "2026-10-31"],
    "Australia/Lord_Howe": ["2026-04-04", "2026-10-03"],
    "America/Santiago": ["2026-04-04", "2026-09-05"],
    "Africa/Cairo": ["2026-04-23", "2026-10-29"],
}
EXPRESSIONS = [
    "* * * * *", "*/5 * * * *", "*/30 * * * *", "0 * * * *", "15 * * * *", "30 */1 * * *", "30 0-23 * * *",
    "0 */2 * * *", "30 */3 * * *", "*/20 1-3 * * *", "0 0 * * *", "0 1 * * *", "30 1 * * *", "0 2 * * *", "30 2 * * *",
    "59 2 * * *", "0 3 * * *", "30 3 * * *", "45 23 * * *", "0,30 0-4 * * *", "15 2,14 * * *", "0 12 * * 1-5",
    "30 2 * * 0", "30 2 * * sun", "0 0 * * 7", "0 0 * * 6-7", "0 0 * * fri-mon", "0 0 * * 5-1", "0 22-2 * * *",
    "5/15 8 * * *", "0 0 1 * *", "0 0 L * *", "0 0 15W * *", "0 0 * * 5#2", "0 0 * * L5", "0 0 13 * 5", "0 0 */2 * 1",
    "0 0 1,15 * 3", "0 0 31 * *", "0 0 29 2 *", "0 0 1 jan *", "0 6 * jan-mar mon", "0 0 1 */3 *", "0 0 1 1 *",
    "0 0 ? * *", "0 0 * * 1-5/2", "0 0 * * */2", "10-20/5 4 * * *", "0 0 1-7 * 1", "0 9 28-31 * *", "0 0 * * 0-7",
    "0 0 l * 1", "@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly", "01 02 * * *", "23 4,5 * 3,10 *",
]
COUNT = 5


def text(moment):
    return moment and moment.in_timezone("UTC").strftime("%Y-%m-%dT%H:%M:%SZ")


def ticks():
    for (zone, days), expression in itertools.product(ZONES.items(), EXPRESSIONS):
        timetable = CronTriggerTimetable(expression, timezone=zone)
        for day in days:
            moment = start = pendulum.parse(f"{day}T12:00:00Z")
            # Frequent ones start shortly before the change, so that the few that are kept surround it.
            if expression.endswith(" * * * *") or expression == "@hourly":
                lead = {"* * * * *": 3, "*/5 * * * *": 12}.get(expression, 95)
                moment = start = first_change(zone, start).subtract(minutes=lead)
            row = []
            for _ in range(COUNT):
                moment = timetable._get_next(moment)
                row.append(text(moment))
            yield [expression, zone, text(start), row]


def first_change(zone, moment):
    offset = moment.in_timezone(zone).offset
    for minutes in range(0, 48 * 60, 30):
        later = moment.add(minutes=minutes)
        if later.in_timezone(zone).offset != offset:
            return later
    return moment


def next_runs():
    cursors = [None, ("2026-03-25T02:00:00Z", "2026-03-25T02:00:00Z"), ("2026-03-30T01:00:00Z", "2026-03-30T02:00:00Z")]
    starts = [None, "2026-03-20T13:30:00Z", "2026-04-10T00:00:00Z"]
    ends = [None, "2026-03-28T00:00:00Z"]
    nows = ["2026-03-30T02:00:00Z", "2026-03-30T02:04:00Z", "2026-03-30T12:30:00Z", "2026-03-31T01:59:59Z"]
    kinds = {"trigger": CronTriggerTimetable, "interval": CronDataIntervalTimetable}
    for kind, expression, cursor, start, end, catchup, now in itertools.product(
        kinds, ["0 2 * * *", "0 * * * *"], cursors, starts, ends, [True, False], nows
    ):
        timetable = kinds[kind](expression, timezone=pendulum.timezone("UTC"))
        last = cursor and DataInterval(*map(pendulum.parse, cursor))
        limits = TimeRestriction(start and pendulum.parse(start), end and pendulum.parse(end), catchup)
        moment = pendulum.parse(now)
        with (
            mock.patch("airflow.timetables.trigger.utcnow", return_value=moment),
            mock.patch("airflow.timetables.interval.utcnow", return_value=moment),
        ):
            info = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=limits)
        interval = info and [text(info.data_interval.start), text(info.data_interval.end)]
        yield [kind, expression, cursor, start, end, catchup, now, interval]


def main():
    rows = {"ticks": list(ticks()), "next": list(next_runs())}
    tables = [f'"{name}": [\n' + ",\n".join(map(json.dumps, table)) + "\n]" for name, table in rows.items()]
    print("{\n" + ",\n".join(tables) + "\n}")


main()
