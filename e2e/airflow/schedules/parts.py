"""Partitions: one event for each part, a run for the whole, a run for what comes of it, and a tick that is a partition.

`parts_made` is the one that is started. What the runs are about that follow from it, these leave in variables, and it tells.
"""

import json
import time

import pendulum

from airflow.sdk import (
    DAG,
    Asset,
    CronPartitionTimetable,
    FixedKeyMapper,
    PartitionedAssetTimetable,
    PartitionedAtRuntime,
    RollupMapper,
    SegmentWindow,
    StartOfDayMapper,
    Variable,
    get_current_context,
    task,
)

# The longest that the other runs may take; in seconds.
PATIENCE = 240
REGIONS = ["us", "eu", "apac"]

made = Asset(name="parts_made_asset", uri="file://parts/made.csv")
whole = Asset(name="parts_whole_asset", uri="file://parts/whole.csv")
hours = Asset(name="parts_hours_asset", uri="file://parts/hours.csv")
watched = ["parts_whole_all", "parts_same_all", "parts_tick_2025-01-01T00", "parts_day_2025-01-01"]


def leave(name):
    """Leaves for `parts_made` what this run is about; nothing when it is about the whole."""
    context = get_current_context()
    run = context["dag_run"]
    if run.partition_key is None:
        return None
    events = [event for found in context["triggering_asset_events"].values() for event in found]
    told = {
        "key": run.partition_key,
        "same": context["partition_key"] == run.partition_key,
        "date": run.partition_date and pendulum.instance(run.partition_date).in_timezone("UTC").isoformat(),
        "logical": run.logical_date and str(run.logical_date),
        "interval": run.data_interval_start and str(run.data_interval_start),
        "type": str(run.run_type.value),
        "events": sorted(event.partition_key for event in events),
        "sources": sorted({event.source_task_id for event in events}),
    }
    Variable.set(f"parts_{name}_{run.partition_key}", json.dumps(told))
    return told["key"]


with DAG("parts_made", schedule=PartitionedAtRuntime()):

    @task(outlets=[made])
    def make(outlet_events=None):
        outlet_events[made].add_partitions([*REGIONS, "us"])

    @task
    def tell():
        end, found = time.monotonic() + PATIENCE, {}
        while len(found) < len(watched) and time.monotonic() < end:
            told = {name: Variable.get(name, default=None) for name in watched}
            found = {name: json.loads(text) for name, text in told.items() if text}
            time.sleep(1)
        return found

    make() >> tell()

with DAG(
    "parts_whole",
    is_paused_upon_creation=False,
    schedule=PartitionedAssetTimetable(
        assets=made,
        default_partition_mapper=RollupMapper(upstream_mapper=FixedKeyMapper("all"), window=SegmentWindow(REGIONS)),
    ),
):

    @task(outlets=[whole])
    def sum_up():
        return leave("whole")

    sum_up()

with DAG("parts_same", is_paused_upon_creation=False, schedule=PartitionedAssetTimetable(assets=whole)):

    @task
    def read():
        return leave("same")

    read()

with DAG(
    "parts_tick",
    is_paused_upon_creation=False,
    schedule=CronPartitionTimetable("0 0 1 1 *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%dT%H"),
    start_date=pendulum.datetime(2026, 1, 1),
    end_date=pendulum.datetime(2026, 12, 31),
    catchup=True,
):

    @task(outlets=[hours])
    def count():
        return leave("tick")

    count()

with DAG(
    "parts_day",
    is_paused_upon_creation=False,
    schedule=PartitionedAssetTimetable(
        assets=hours,
        partition_mapper_config={hours: StartOfDayMapper(input_format="%Y-%m-%dT%H")},
    ),
):

    @task
    def day():
        return leave("day")

    day()
