"""A trigger that leaves what is secret in XComs: in that of another task, and at the end of its own."""

from airflow.sdk import Variable
from airflow.sdk.execution_time.xcom import XCom
from airflow.triggers.base import BaseTrigger, TaskSuccessEvent
from asgiref.sync import sync_to_async


class Leaks(BaseTrigger):
    def serialize(self):
        return "leaking.Leaks", {}

    async def run(self):
        secret = await sync_to_async(Variable.get)("api_key")
        of = {"dag_id": "leaks", "run_id": "r", "task_id": "gives"}
        await sync_to_async(XCom.set)(key="by_trigger", value={"it is": secret}, **of)
        yield TaskSuccessEvent(xcoms={"ended_with": [secret]})
