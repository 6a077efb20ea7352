"""A trigger that asks all that Airflow lets triggers ask. Beside the DAG file, as a process of triggers must find it by name."""

from typing import get_args
from uuid import UUID

from airflow.triggers.base import BaseTrigger, TriggerEvent

SECRET = "s3cr3t-pheasant"
CALLED = {"dag_id": "child", "run_id": "called"}
XCOM = {**CALLED, "task_id": "work", "key": "by_trigger"}
ORDERS, AT = {"name": "orders"}, {"uri": "s3://shop/orders"}
UPTO = {"key": "upto"}
NOBODY = {"ti_id": UUID(int=7)}

# In this order.
QUESTIONS = {
    "PutVariable": {"key": "asked", "value": "yes", "description": "by a trigger"},
    "GetVariable": {"key": "asked"},
    "GetVariableKeys": {"prefix": "ask"},
    "DeleteVariable": {"key": "asked"},
    "GetConnection": {"conn_id": "missing"},
    "SetXCom": {**XCOM, "value": [1]},
    "GetXCom": XCOM,
    "DeleteXCom": XCOM,
    "GetTICount": {"dag_id": "child", "run_ids": ["called"], "states": ["success"]},
    "GetTaskStates": {"dag_id": "child", "run_ids": ["called"], "task_group_id": "inner"},
    "GetDagRunState": CALLED,
    "GetDRCount": {"dag_id": "child", "run_ids": ["called"], "states": ["success", "failed"]},
    "GetPreviousTI": {"dag_id": "child", "task_id": "work"},
    "SetAssetStateStoreByName": {**ORDERS, **UPTO, "value": 3},
    "GetAssetStateStoreByUri": {**AT, **UPTO},
    "DeleteAssetStateStoreByName": {**ORDERS, **UPTO},
    "GetAssetStateStoreByName": {**ORDERS, **UPTO},
    "SetAssetStateStoreByUri": {**AT, **UPTO, "value": {"day": 4}},
    "DeleteAssetStateStoreByUri": {**AT, "key": "other"},
    "ClearAssetStateStoreByName": {"name": "unknown"},
    "ClearAssetStateStoreByUri": AT,
    "GetHITLDetailResponse": NOBODY,
    "UpdateHITLDetail": {**NOBODY, "chosen_options": ["OK"], "params_input": {}},
    "MaskSecret": {"value": SECRET},
}


class AsksAll(BaseTrigger):
    def serialize(self):
        return "asks.AsksAll", {}

    async def run(self):
        from airflow.jobs.triggerer_job_runner import ToTriggerSupervisor

        kinds = {kind.__name__: kind for kind in get_args(get_args(ToTriggerSupervisor)[0])}
        del kinds["TriggerStateChanges"]
        assert kinds.keys() == QUESTIONS.keys(), kinds.keys() ^ QUESTIONS.keys()
        answers = {name: await ask(kinds[name](**fields)) for name, fields in QUESTIONS.items()}
        self.log.info("the secret is %s", SECRET)
        yield TriggerEvent(answers)


async def ask(question):
    from airflow.sdk.exceptions import AirflowRuntimeError
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

    try:
        answer = await SUPERVISOR_COMMS.asend(question)
    except AirflowRuntimeError as error:
        return error.error.detail["message"]
    except ValueError as error:
        return type(error).__name__
    if answer is None:
        return None
    answer = answer.model_dump(mode="json")
    kind = answer.pop("type")
    return [kind, *answer.values()]
