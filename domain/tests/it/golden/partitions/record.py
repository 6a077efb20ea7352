"""Records what Airflow's own partition mappers make of keys.

    pip install apache-airflow-core==3.3.2
    python record.py > airflow.json
    python record.py timetables > timetables.json

Each entry has the mapper in its serialized form, and rows of [key, consumer's keys, date]: what becomes of an asset's key, and the moment
that such a key is about when it is the consumer's; and for roll-ups of [consumer's key, asset's keys]. `null` stands for an error, and
for a date that there is none of `"none"`. The timetables are those of Airflow's example of partitions.
"""

import json
import pathlib
import sys
import warnings

warnings.filterwarnings("ignore")

from airflow.partition_mappers import (
    AllowedKeyMapper,
    ChainMapper,
    DayWindow,
    FanOutMapper,
    FixedKeyMapper,
    HourWindow,
    IdentityMapper,
    MinimumCount,
    MonthWindow,
    ProductMapper,
    QuarterWindow,
    RollupMapper,
    SegmentWindow,
    StartOfDayMapper,
    StartOfHourMapper,
    StartOfMonthMapper,
    StartOfQuarterMapper,
    StartOfWeekMapper,
    StartOfYearMapper,
    WeekWindow,
    Window,
    YearWindow,
)
from airflow.serialization.encoders import encode_partition_mapper

TEMPORAL = [
    StartOfHourMapper, StartOfDayMapper, StartOfWeekMapper, StartOfMonthMapper, StartOfQuarterMapper, StartOfYearMapper,
]
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "America/Sao_Paulo"]
INPUTS = ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d", "%Y-%m-%dT%H:%M:%S%z", "%d.%m.%y %I %p", "%Y%j", "%G-W%V-%u", "%B %d, %Y", "%Y %U %a"]
TIMES = [
    "2024-01-01T00:00:00", "2024-02-29T23:59:59", "2024-03-10T02:30:00", "2024-03-31T02:30:00", "2024-10-27T02:30:00", "2024-11-03T01:30:00",
    "2024-12-31T12:00:00", "2026-04-24T00:30:00", "2018-11-04T00:10:00", "2024-04-07T01:45:00", "2024-10-06T02:15:00", "2021-01-03T07:08:09",
]
OTHERS = [
    "2024-03-10", "2024-02-30", "2024-3-1", "2024-03-10T02:30:00+0530", "2024-03-10T23:30:00-05:00", "2024-03-10T02:30:00Z", "05.07.24 11 pm", "2024366",
    "2024-W01-1", "2020-W53-7", "February 29, 2024", "february 3, 2024", "2024 00 Mon", "2024 10 Sun", "us", "eu", "", "x|y", "us|2024-03-10T10:00:00",
    "2024-Q2", "2024-Q5", "2024-03-11 (W11)", "2024", "2024-03", "2024-03-10T02", "all", "us|2024-03-10", "2024-02-01", "2024-04-01",
]
OUTPUTS = {StartOfDayMapper: "%d/%m/%Y", StartOfHourMapper: "%Y-%m-%dT%H%z", StartOfWeekMapper: "%Y/%m/%d", StartOfQuarterMapper: "{quarter}. quarter of %Y"}


def mappers():
    yield IdentityMapper()
    yield AllowedKeyMapper(["us", "eu"])
    yield FixedKeyMapper("all")
    for kind in TEMPORAL:
        for zone in ZONES:
            yield kind(timezone=zone)
        for written in INPUTS:
            yield kind(input_format=written, timezone="Europe/Berlin")
        if kind in OUTPUTS:
            yield kind(output_format=OUTPUTS[kind], timezone="America/New_York")
    yield ProductMapper(IdentityMapper(), StartOfDayMapper())
    yield ProductMapper(IdentityMapper(), AllowedKeyMapper(["y"]))
    yield ProductMapper(StartOfDayMapper(), StartOfDayMapper(), delimiter="T")
    yield ChainMapper(StartOfHourMapper(), StartOfDayMapper(input_format="%Y-%m-%dT%H"))
    yield ChainMapper(FanOutMapper(upstream_mapper=StartOfWeekMapper(), window=WeekWindow()), StartOfMonthMapper(input_format="%Y-%m-%d"))
    for window, mapper in ((HourWindow, StartOfHourMapper), (DayWindow, StartOfDayMapper), (WeekWindow, StartOfWeekMapper), (MonthWindow, StartOfMonthMapper),
                           (QuarterWindow, StartOfQuarterMapper), (YearWindow, StartOfYearMapper), (MonthWindow, StartOfDayMapper)):
        for direction in Window.Direction:
            for zone in ("UTC", "Europe/Berlin", "Africa/Cairo"):
                yield RollupMapper(upstream_mapper=mapper(timezone=zone), window=window(direction=direction))
                if window is not HourWindow:
                    yield FanOutMapper(upstream_mapper=mapper(timezone=zone), window=window(direction=direction))
            yield FanOutMapper(upstream_mapper=mapper(), window=window(direction=direction), downstream_mapper=IdentityMapper())
    yield RollupMapper(upstream_mapper=StartOfMonthMapper(input_format="%Y-%m-%d"), window=MonthWindow())
    yield RollupMapper(upstream_mapper=StartOfHourMapper(output_format="%Y-%m-%dT%H:%M:%S%z"), window=DayWindow())
    yield RollupMapper(upstream_mapper=FixedKeyMapper("all"), window=SegmentWindow(["us", "eu"]), wait_policy=MinimumCount(1))
    yield RollupMapper(upstream_mapper=IdentityMapper(), window=SegmentWindow(["us", "eu"]), wait_policy=MinimumCount(-1))
    yield FanOutMapper(upstream_mapper=IdentityMapper(), window=SegmentWindow(["us", "eu"]), downstream_mapper=IdentityMapper())
    yield FanOutMapper(upstream_mapper=StartOfWeekMapper(), window=WeekWindow(), max_downstream_keys=7)


def listed(said):
    # Some come out of a set.
    return [said] if isinstance(said, str) else sorted(said)


def date(said):
    return "none" if said is None else said.isoformat()


def tried(ask):
    try:
        return ask()
    except Exception:
        return None


def main():
    table = []
    for mapper in mappers():
        rows = [[key, tried(lambda: listed(mapper.to_downstream(key))), tried(lambda: date(mapper.to_partition_date(key)))] for key in TIMES + OTHERS]
        entry = {"mapper": encode_partition_mapper(mapper), "rows": [row for row in rows if row[1] is not None or row[2] is not None]}
        entry["refused"] = [row[0] for row in rows if row[1] is None]
        if mapper.is_rollup:
            keys = {key for _, made, _ in rows for key in made or []}
            entry["expected"] = [[key, tried(lambda: sorted(mapper.to_upstream(key)))] for key in sorted(keys) + OTHERS]
        table.append(entry)
    print("[" + ",\n".join(json.dumps(entry) for entry in table) + "]")


def timetables():
    import airflow
    from airflow.dag_processing.dagbag import DagBag
    from airflow.serialization.serialized_objects import DagSerialization

    file = pathlib.Path(airflow.__file__).parent / "example_dags/example_asset_partition.py"
    dags = sorted(DagBag(dag_folder=str(file)).dags.items())
    found = [f"{json.dumps(name)}: {json.dumps(DagSerialization.to_dict(dag)['dag']['timetable'])}" for name, dag in dags]
    print("{" + ",\n".join(found) + "}")


if __name__ == "__main__":
    timetables() if "timetables" in sys.argv else main()
