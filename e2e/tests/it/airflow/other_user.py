import os
import time

from airflow.operators.bash_operator import BashOperator
from airflow.sdk import Variable, dag, task


@dag(schedule=None)
def other_user():
    @task(run_as_user="nobody")
    def who():
        print("the key is", Variable.get("api_key"))
        return [os.getuid(), os.environ["HOME"], os.environ["TRADEWIND_TASK_ID"]]

    @task
    def reads(found):
        return [os.getuid(), *found]

    @task(run_as_user="nobody")
    def hangs():
        print(f"it hangs as {os.getpid()}.", flush=True)
        time.sleep(600)

    reads(who()) >> BashOperator(task_id="shell", bash_command="id -u", run_as_user="nobody")
    hangs()


other_user()
