"""Tasks that give away what is secret, in every way there is."""

import logging
import os
import subprocess
import sys
import time

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, BaseOperator, Connection, Variable, task
from airflow.sdk.execution_time.xcom import XCom
from airflow.sdk.log import mask_secret
from forms import forms, sentences


def secrets():
    """All that is secret, from where it is secret."""
    connection = Connection.get("leaky")
    mirrored = Variable.get("mirrored")[::-1]
    mask_secret(mirrored)
    return {
        "password": connection.password,
        "extra": connection.extra_dejson["nested"]["client_secret"],
        "variable": Variable.get("api_key"),
        "json": Variable.get("settings", deserialize_json=True)["deep"][0]["token"],
        "masked": mirrored,
    }


def texts():
    for name, secret in secrets().items():
        for kind, text in {**forms(secret), **sentences(secret)}.items():
            yield f"{name} by {kind}", text


class Defers(BaseOperator):
    def execute(self, context):
        from leaking import Leaks

        self.defer(trigger=Leaks(), method_name="never")


with DAG("leaks", schedule=None):

    @task
    def says():
        for name, text in texts():
            print(f"print {name}: {text}|")
            print(f"stderr {name}: {text}|", file=sys.stderr)
            logging.getLogger("leaky").warning("log %s: %s|", name, text)
        for name, secret in secrets().items():
            os.write(1, f"\nwritten {name}: {secret}|\n".encode())
            subprocess.run(["sh", "-c", 'printf "child %s: %s|\\n" "$0" "$1"', name, secret], check=True)
            # In two parts, with a pause that is longer than an unfinished line is waited for.
            os.write(1, f"halves {name}: {secret[:7]}".encode())
            time.sleep(0.5)
            os.write(1, f"{secret[7:]}|\n".encode())

    @task
    def breaks():
        all_of_it = " ".join(text for _, text in texts())
        try:
            try:
                raise KeyError(secrets()["password"])
            except KeyError:
                raise ValueError(all_of_it)
        except ValueError as error:
            raise RuntimeError({"secrets": secrets()}) from error

    BashOperator(
        task_id="renders",
        bash_command="echo \"$DB\" > /dev/null; : '{{ var.value.api_key | urlencode }}' {{ var.value.api_key | tojson }}",
        env={"DB": "{{ conn.leaky.get_uri() }}", "PW": "{{ conn.leaky.password }}", "X": "{{ conn.leaky.extra }}"},
        append_env=True,
    )

    @task(multiple_outputs=True)
    def leaves(ti=None):
        ti.xcom_push(key="early", value=secrets())
        return {"all": [text for _, text in texts()], "named": secrets(), "plain": secrets()["masked"]}

    @task
    def gives():
        return list(secrets().values())

    @task(map_index_template="{{ var.value.api_key }} and {{ conn.leaky.password }}")
    def takes(text):
        return [name for name, secret in secrets().items() if secret == text]

    @task
    def reads(early=None, ti=None):
        return ti.xcom_pull(task_ids="leaves", key="named") == secrets()

    @task
    def plants(ti=None):
        of = {"dag_id": "leaks", "run_id": ti.run_id, "task_id": "gives"}
        XCom.set(key="planted", value=secrets(), **of)
        return ti.xcom_pull(task_ids="gives", key="planted") == secrets()

    says()
    breaks()
    leaves() >> reads()
    given = gives()
    takes.expand(text=given)
    given >> plants() >> Defers(task_id="defers")
