"""Deadlines that are missed, and what is called then."""

import asyncio
import json
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

from airflow.sdk import DAG, AsyncCallback, BaseNotifier, DeadlineAlert, DeadlineReference, SyncCallback, Variable, task
from airflow.sdk.definitions.deadline import VariableInterval

PAST = DeadlineReference.FIXED_DATETIME(datetime(2026, 1, 1, tzinfo=timezone.utc))
TOLD = Path(__file__).parent / "told"


def tell(word, context, **more):
    run, deadline = context["dag_run"], context["deadline"]
    line = {
        "word": word,
        "run": [run["dag_id"], run["dag_run_id"], run["state"], run["run_type"], run["conf"]],
        "version": run["dag_versions"][0]["version_number"],
        "deadline": [sorted(deadline), deadline["deadline_time"].isoformat()],
        "more": more,
    }
    print(f"told: {word}")
    with TOLD.open("a") as file:
        file.write(json.dumps(line) + "\n")


def call(word, since, context):
    tell(word, context, variable=Variable.get("secret_word"), since=since.year)


async def wait_and_tell(word, **kwargs):
    await asyncio.sleep(0.01)
    tell(word, kwargs["context"], extra=kwargs["extra"])


async def without_context(word):
    with TOLD.open("a") as file:
        file.write(json.dumps({"word": word}) + "\n")


def raises(context):
    raise ValueError("this callback is broken")


async def raises_late(context):
    raise ValueError("this coroutine is broken")


def leaves(context):
    raise SystemExit(3)


class Notifies(BaseNotifier):
    def __init__(self, word, context=None):
        super().__init__()
        self.word, self.context = word, context or {}

    def notify(self, context):
        tell(self.word, context)

    async def async_notify(self, context):
        tell(self.word, context)


NONE = timedelta(0)
MISSED = [
    DeadlineAlert(PAST, NONE, SyncCallback(call, {"word": "sync", "since": datetime(2020, 1, 1)}), name="the call"),
    DeadlineAlert(PAST, timedelta(hours=1), AsyncCallback(wait_and_tell, {"word": "async", "extra": [1]})),
    DeadlineAlert(PAST, NONE, AsyncCallback(without_context, {"word": "alone"})),
    DeadlineAlert(PAST, NONE, SyncCallback(Notifies, {"word": "notifier"})),
    DeadlineAlert(PAST, NONE, AsyncCallback(Notifies, {"word": "awaited"})),
    DeadlineAlert(PAST, NONE, SyncCallback(raises)),
    DeadlineAlert(PAST, NONE, AsyncCallback(raises_late)),
    DeadlineAlert(PAST, NONE, SyncCallback(leaves)),
    DeadlineAlert(PAST, NONE, SyncCallback("nowhere.at_all")),
    DeadlineAlert(PAST, VariableInterval("no_such_variable"), SyncCallback(call)),
]

with DAG("late", schedule=None, deadline=MISSED):

    @task
    def act():
        return 1

    act()

USUAL = DeadlineAlert(DeadlineReference.AVERAGE_RUNTIME(2, 1), timedelta(days=1), SyncCallback(raises))

with DAG("usual", schedule=None, deadline=USUAL):

    @task
    def wait(run_id=None):
        while run_id == "second" and not (Path(__file__).parent / "go").exists():
            time.sleep(0.05)

    wait()
