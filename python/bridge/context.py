"""Keys of a task's context that Airflow 3 removed, for callables, operators and templates of older files."""

from datetime import timedelta

from tradewind_bridge import notices

KEYS = (
    "conf", "execution_date", "next_ds", "next_ds_nodash", "next_execution_date", "prev_ds", "prev_ds_nodash",
    "prev_execution_date", "prev_execution_date_success", "test_mode", "tomorrow_ds", "tomorrow_ds_nodash",
    "triggering_dataset_events", "yesterday_ds", "yesterday_ds_nodash",
)


def install():
    from airflow.api_fastapi.execution_api.datamodels import taskinstance as of_callbacks
    from airflow.sdk.api.datamodels._generated import DagRun
    from airflow.sdk.definitions.context import KNOWN_CONTEXT_KEYS
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    KNOWN_CONTEXT_KEYS.update(KEYS)
    for kind in (DagRun, of_callbacks.DagRun):
        kind.execution_date = property(date_of)
        kind.external_trigger = property(lambda run: run.run_type == "manual")
    RuntimeTaskInstance.execution_date = property(lambda ti: date_of(ti._ti_context_from_server.dag_run))
    RuntimeTaskInstance.get_template_context = with_old_keys(RuntimeTaskInstance.get_template_context)


def date_of(run):
    """The logical date of a run. In Airflow 2 there was always one: that of a run by hand was its beginning."""
    from airflow.sdk.timezone import coerce_datetime

    return coerce_datetime(run.logical_date or run.run_after)


def with_old_keys(get_template_context):
    def get(self):
        context = get_template_context(self)
        if "execution_date" not in context and self._ti_context_from_server is not None:
            for key, value in old_keys(self, context).items():
                context.setdefault(key, value)
            if "ds" not in context and notices.told():
                context.update(dates(date_of(self._ti_context_from_server.dag_run)))
        return context

    return get


def old_keys(ti, context):
    from airflow.configuration import conf
    from airflow.sdk.execution_time.task_runner import get_previous_dagrun_success
    from airflow.sdk.timezone import coerce_datetime

    run = ti._ti_context_from_server.dag_run
    date = date_of(run)
    tomorrow, yesterday = (date + timedelta(days=days) for days in (1, -1))
    following = lazily(lambda: neighbour(ti.task.dag, run, date, "_get_next"))
    preceding = lazily(lambda: neighbour(ti.task.dag, run, date, "_get_prev"))
    return {
        "conf": conf,
        "execution_date": date,
        "next_ds": lazily(lambda: text(following, "%Y-%m-%d")),
        "next_ds_nodash": lazily(lambda: text(following, "%Y%m%d")),
        "next_execution_date": following,
        "prev_ds": lazily(lambda: text(preceding, "%Y-%m-%d")),
        "prev_ds_nodash": lazily(lambda: text(preceding, "%Y%m%d")),
        "prev_execution_date": preceding,
        "prev_execution_date_success": lazily(
            lambda: coerce_datetime(get_previous_dagrun_success(ti.id).data_interval_start)
        ),
        "test_mode": False,
        "tomorrow_ds": text(tomorrow, "%Y-%m-%d"),
        "tomorrow_ds_nodash": text(tomorrow, "%Y%m%d"),
        "triggering_dataset_events": context.get("triggering_asset_events"),
        "yesterday_ds": text(yesterday, "%Y-%m-%d"),
        "yesterday_ds_nodash": text(yesterday, "%Y%m%d"),
    }


def dates(date):
    """What Airflow 3 leaves out of the context of a run without a logical date. A file that knows it from older versions counts on it."""
    return {
        "logical_date": date,
        "ds": text(date, "%Y-%m-%d"),
        "ds_nodash": text(date, "%Y%m%d"),
        "ts": date.isoformat(),
        "ts_nodash": text(date, "%Y%m%dT%H%M%S"),
        "ts_nodash_with_tz": date.isoformat().replace("-", "").replace(":", ""),
    }


def neighbour(dag, run, date, step):
    """The date of the schedule after or before that of a run; of a run by hand its own, as in Airflow 2."""
    from airflow.sdk.timezone import coerce_datetime
    from airflow.serialization.encoders import coerce_to_core_timetable

    if run.run_type == "manual":
        return date
    move = getattr(coerce_to_core_timetable(dag.timetable), step, None)
    return coerce_datetime(move(date)) if move else None


def lazily(make):
    """A value that is made when it is used: most tasks never ask for it."""
    import lazy_object_proxy

    return lazy_object_proxy.Proxy(make)


def text(date, form):
    # A proxy of nothing is not `None` itself.
    return date.strftime(form) if date != None else None  # noqa: E711
