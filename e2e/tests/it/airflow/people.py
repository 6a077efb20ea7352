"""Tasks that ask people: every operator that Airflow has for it."""

import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.hitl import (
    ApprovalOperator,
    HITLBranchOperator,
    HITLEntryOperator,
    HITLOperator,
)
from airflow.sdk import Param, dag, task


def missed(context):
    print(f"missed: {type(context['exception']).__name__}")


@dag(schedule=None)
def people():
    @task
    def count():
        return 7

    choose = HITLOperator(
        task_id="choose",
        subject="Load {{ ti.xcom_pull('count') }} rows?",
        body="It is **{{ dag_run.conf['size'] }}** this time.",
        options=["all", "some", "none"],
        multiple=True,
        params={"rows": Param(7, type="integer", minimum=1), "why": Param("", type="string")},
    )
    count() >> choose

    @task
    def report(chosen):
        return [chosen["chosen_options"], chosen["params_input"], chosen["responded_by_user"]["id"]]

    report(choose.output)

    ApprovalOperator(task_id="agree", subject="Publish?") >> EmptyOperator(task_id="publish")
    ApprovalOperator(task_id="refuse", subject="Delete?") >> EmptyOperator(task_id="delete")
    ApprovalOperator(task_id="strict", subject="Strictly?", fail_on_reject=True)
    ApprovalOperator(task_id="cleared", subject="Again?")
    way = HITLBranchOperator(
        task_id="way", subject="Which way?", options=["left", "to the right"], options_mapping={"to the right": "right"}
    )
    way >> [EmptyOperator(task_id="left"), EmptyOperator(task_id="right")]
    HITLEntryOperator(task_id="entry", subject="How many?", params={"n": Param(1, type="integer")})
    soon = datetime.timedelta(seconds=1)
    ApprovalOperator(task_id="default", subject="Default?", defaults="Approve", response_timeout=soon)
    ApprovalOperator(
        task_id="silence", subject="Nobody?", response_timeout=soon, on_failure_callback=missed
    )


people()
