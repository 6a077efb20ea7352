"""Triggers that wait for files. Beside the DAG file, as a process of triggers must find them by name."""

import asyncio
import datetime
import os

from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent


class Gate(BaseTrigger):
    def __init__(self, path, how):
        super().__init__()
        self.path, self.how = path, how

    def serialize(self):
        return "gates.Gate", {"path": self.path, "how": self.how}

    async def run(self):
        from airflow.sdk import Variable

        key = Variable.get("api_key")
        self.log.info("the trigger waits in process %s with %s", os.getpid(), key)
        while not os.path.exists(self.path):
            await asyncio.sleep(0.1)
        if self.how == "break":
            raise ValueError("the gate is broken")
        if self.how == "end":
            yield TaskSuccessEvent(xcoms={"return_value": "ended by its trigger"})
        else:
            yield TriggerEvent({"path": self.path, "at": datetime.datetime.now(datetime.timezone.utc)})
