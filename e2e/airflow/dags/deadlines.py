"""Deadlines: what is called when one is missed, and with what."""

import json
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pendulum

from airflow.sdk import DAG, DeadlineAlert, DeadlineReference, SyncCallback, task

TOLD = Path(__file__).with_suffix(".told")
PAST = DeadlineReference.FIXED_DATETIME(datetime(2026, 1, 1, tzinfo=timezone.utc))


def tell(word, since, context):
    run, deadline = context["dag_run"], context["deadline"]
    told = {
        "word": word,
        "since": since.isoformat(),
        "run": [run["dag_id"], run["run_type"], run["logical_date"], run["conf"], run["end_date"], run["duration"]],
        "names": [sorted(context), sorted(run), sorted(deadline)],
        "deadline": str(deadline["deadline_time"]),
        "versions": [sorted(version) for version in run["dag_versions"]],
    }
    with TOLD.open("a") as file:
        file.write(json.dumps(told) + "\n")


def without_context(word):
    with TOLD.open("a") as file:
        file.write(json.dumps({"word": word}) + "\n")


class Later:
    """Made with what is given, then called."""

    def __init__(self, word):
        self.word = word

    def __call__(self, context):
        without_context(f"{self.word} {sorted(context)}")


MISSED = [
    DeadlineAlert(PAST, timedelta(hours=1), SyncCallback(tell, {"word": "told", "since": datetime(2020, 1, 1)}), name="told"),
    DeadlineAlert(DeadlineReference.DAGRUN_LOGICAL_DATE, timedelta(0), SyncCallback(without_context, {"word": "alone"})),
    DeadlineAlert(DeadlineReference.DAGRUN_QUEUED_AT, timedelta(seconds=-5), SyncCallback(Later, {"word": "later"})),
    # Neither has a moment: nothing has run before, and no run takes that long.
    DeadlineAlert(DeadlineReference.AVERAGE_RUNTIME(5), timedelta(0), SyncCallback(without_context, {"word": "usual"})),
    DeadlineAlert(DeadlineReference.DAGRUN_QUEUED_AT, timedelta(days=1), SyncCallback(without_context, {"word": "tomorrow"})),
]

with DAG("deadlines", schedule=None, start_date=pendulum.datetime(2020, 1, 1), catchup=False, deadline=MISSED):

    @task
    def told():
        """Waits until everything was told that is to be."""
        lines = []
        for _ in range(240):
            lines = TOLD.read_text().splitlines() if TOLD.exists() else []
            if len(lines) >= 3:
                break
            time.sleep(0.5)
        TOLD.unlink(missing_ok=True)
        return sorted((json.loads(line) for line in lines), key=lambda line: line["word"])

    told()
