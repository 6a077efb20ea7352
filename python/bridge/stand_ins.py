"""Small functions that Airflow 3 removed without a successor, with the meaning that they had in Airflow 2."""

import os
from datetime import datetime, timedelta, timezone

UNITS = {"days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}


def as_it_is(function):
    """A decorator that is not needed any more."""
    return function


apply_defaults = as_it_is


def days_ago(n, hour=0, minute=0, second=0, microsecond=0):
    """A moment of the day in UTC that was `n` days ago."""
    today = datetime.now(timezone.utc).replace(hour=hour, minute=minute, second=second, microsecond=microsecond)
    return today - timedelta(days=n)


def date_range(start_date, end_date=None, num=None, delta=None):
    """Moments from a first one on, by a distance or a cron expression: up to the last one, or so many."""
    if not delta:
        return []
    if end_date and num:
        raise ValueError("give either `end_date` or `num`, not both")
    end = end_date or (None if num else datetime.now(timezone.utc))
    step = follower(delta, start_date, backwards=bool(num and num < 0))
    found, at = [], start_date
    while (end is None or at <= end) and (num is None or len(found) < abs(num)):
        found.append(at)
        at = step(at)
    return sorted(found)


def follower(delta, start, backwards):
    if isinstance(delta, (int, float)):
        delta = timedelta(seconds=delta)
    if isinstance(delta, str):
        from airflow.utils.dates import cron_presets
        from croniter import croniter

        moments = croniter(cron_presets.get(delta, delta), start)
        next_one = moments.get_prev if backwards else moments.get_next
        return lambda _: next_one(datetime)
    sign = -1 if backwards else 1
    return lambda at: at + sign * delta


def round_time(dt, delta, start_date=datetime(1970, 1, 1)):
    """The start of the period of a schedule in which a moment lies, or the next one when that is nearer."""
    start = start_date if start_date.tzinfo == dt.tzinfo else start_date.replace(tzinfo=dt.tzinfo)
    if isinstance(delta, str):
        from croniter import croniter

        earlier = croniter(delta, dt).get_prev(datetime)
        return dt if croniter(delta, earlier).get_next(datetime) == dt else earlier
    whole = (dt - start) // delta
    before, after = start + whole * delta, start + (whole + 1) * delta
    return before if dt == before or dt - before < after - dt else after


def infer_time_unit(time_seconds_arr):
    """The unit in which the longest of some durations is read best."""
    longest = max(time_seconds_arr, default=0)
    for unit, most in (("seconds", 120), ("minutes", 7_200), ("hours", 172_800)):
        if longest <= most:
            return unit
    return "days" if time_seconds_arr else "hours"


def scale_time_units(time_seconds_arr, unit):
    """Durations in seconds, in another unit."""
    return [seconds / UNITS.get(unit, 1) for seconds in time_seconds_arr]


def parse_execution_date(execution_date_str):
    """A moment from a text."""
    from airflow.sdk import timezone as zones

    return zones.parse(execution_date_str)


def mkdirs(path, mode):
    """Makes a folder and those above it."""
    os.makedirs(path, mode=mode, exist_ok=True)
