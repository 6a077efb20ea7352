"""Every trigger rule over one upstream of each ending, and over all of them.

They end one after the other, because the first one that decides a rule counts.
"""

import pendulum

from airflow.exceptions import AirflowSkipException
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, TriggerRule, task


@task
def succeeds():
    return "done"


@task(trigger_rule="all_done")
def fails():
    raise ValueError("on purpose")


@task(trigger_rule="all_done")
def skips():
    raise AirflowSkipException("not today")


with DAG("rules", schedule=None, start_date=pendulum.datetime(2020, 1, 1), catchup=False):
    ended = [succeeds(), fails(), skips()]
    ended[0] >> ended[1] >> ended[2]
    after_failure = EmptyOperator(task_id="after_failure")
    ended[1] >> after_failure
    ended.append(after_failure)
    for rule in sorted(TriggerRule, key=str):
        if rule in (TriggerRule.ALWAYS, TriggerRule.ALL_DONE_SETUP_SUCCESS):
            continue
        for before in ended:
            before >> EmptyOperator(task_id=f"{rule.value}_of_{getattr(before, 'operator', before).task_id}", trigger_rule=rule)
        ended >> EmptyOperator(task_id=f"{rule.value}_of_all", trigger_rule=rule)
    EmptyOperator(task_id="always", trigger_rule=TriggerRule.ALWAYS) << ended
