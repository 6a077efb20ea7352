"""Timetables of a shop, and the weights of its tasks."""

import time
from datetime import timedelta

from airflow.example_dags.plugins.decreasing_priority_weight_strategy import DecreasingPriorityWeightStrategyPlugin
from airflow.example_dags.plugins.workday import WorkdayTimetablePlugin
from airflow.plugins_manager import AirflowPlugin
from airflow.task.priority_strategy import PriorityWeightStrategy
from airflow.timetables.base import DagRunInfo, Timetable

__all__ = ["DecreasingPriorityWeightStrategyPlugin", "WorkdayTimetablePlugin"]


class Steps(Timetable):
    """So many runs of a minute each, from the start date on; each may start half a minute after its end."""

    description = "Step by step"

    def __init__(self, steps):
        self.steps = steps

    @property
    def summary(self):
        return f"{self.steps} steps"

    def serialize(self):
        return {"steps": self.steps}

    @classmethod
    def deserialize(cls, data):
        return cls(data["steps"])

    def next_dagrun_info(self, *, last_automated_data_interval, restriction):
        start = last_automated_data_interval.end if last_automated_data_interval else restriction.earliest
        if start >= restriction.earliest.add(minutes=self.steps):
            return None
        end = start + timedelta(minutes=1)
        return DagRunInfo.interval(start=start, end=end)._replace(run_after=end + timedelta(seconds=30))


class Named(Steps):
    """Has names of its own."""

    def generate_run_id(self, *, run_type, run_after, data_interval, **extra):
        of = f"{data_interval.start:%H-%M}" if data_interval else "no_time"
        return f"{run_type.value}.{of}"


class Hangs(Steps):
    """Never says what comes after its second run."""

    def next_dagrun_info(self, *, last_automated_data_interval, restriction):
        info = super().next_dagrun_info(
            last_automated_data_interval=last_automated_data_interval, restriction=restriction
        )
        while info.data_interval.start >= restriction.earliest.add(minutes=2):
            time.sleep(1)
        return info


class Unknown(Steps):
    """No plugin has it."""


class Twice(PriorityWeightStrategy):
    def get_weight(self, ti):
        return 2 * ti.task.priority_weight


class Fails(PriorityWeightStrategy):
    def get_weight(self, ti):
        raise LookupError("no scales")


class ShopPlugin(AirflowPlugin):
    name = "shop"
    timetables = [Steps, Named, Hangs]
    priority_weight_strategies = [Twice, Fails]
