"""Arguments of DAGs and operators that Airflow 3 calls otherwise, or does not take any more."""

import functools

from tradewind_bridge.notices import tell

# What the argument is called now; nothing where it has no meaning any more.
OF_DAGS = {
    "concurrency": "max_active_tasks",
    "default_view": None,
    "fail_stop": "fail_fast",
    "full_filepath": None,
    "last_loaded": None,
    "orientation": None,
    "schedule_interval": "schedule",
    "timetable": "schedule",
}
OF_OPERATORS = {
    "adhoc": None,
    "execution_date": "logical_date",
    "provide_context": None,
    "skip_exit_code": "skip_on_exit_code",
    "task_concurrency": "max_active_tis_per_dag",
    "use_task_execution_day": "use_task_logical_date",
    "xcom_push": "do_xcom_push",
}
# The first arguments of a DAG could be given by their places. The third was `schedule_interval`, then `schedule`.
PLACES = ("dag_id", "description", "schedule")
TRIGGER_RULES = {"dummy": "always", "none_failed_or_skipped": "none_failed_min_one_success"}
# Properties that had other names.
PROPERTIES = {"concurrency": "max_active_tasks", "schedule_interval": "schedule"}


def install():
    from airflow.sdk import DAG, TriggerRule
    from airflow.sdk.bases.hook import BaseHook
    from airflow.sdk.bases.operator import BaseOperatorMeta
    from airflow.task import trigger_rule

    DAG.__init__ = of_dag(DAG.__init__)
    for old, new in PROPERTIES.items():
        setattr(DAG, old, property(lambda dag, new=new: getattr(dag, new)))
    BaseOperatorMeta.__call__ = of_operator(BaseOperatorMeta.__call__)
    for kind in {TriggerRule, trigger_rule.TriggerRule}:
        for old, new in TRIGGER_RULES.items():
            setattr(kind, old.upper(), kind(new))
    if not hasattr(BaseHook, "get_connections"):
        BaseHook.get_connections = classmethod(lambda hook, conn_id: [hook.get_connection(conn_id)])


def of_dag(init):
    @functools.wraps(init)
    def made(self, *args, **kwargs):
        if len(args) > 1:
            tell("a DAG takes only its id by its place")
            for name, value in zip(PLACES, args):
                kwargs.setdefault(name, value)
            args = args[len(PLACES):]
        kwargs = renamed("a DAG", kwargs, OF_DAGS)
        if kwargs.get("default_args"):
            kwargs["default_args"] = of_tasks("default_args", dict(kwargs["default_args"]), OF_OPERATORS)
        init(self, *args, **kwargs)

    return made


def of_operator(call):
    def made(cls, *args, **kwargs):
        if not OF_OPERATORS.keys().isdisjoint(kwargs) or kwargs.get("trigger_rule") in TRIGGER_RULES:
            known = parameters(cls)
            # An operator of one's own may have an argument of that name.
            old = {
                name: new for name, new in OF_OPERATORS.items()
                if name not in known and (new is None or new in known)
            }
            kwargs = of_tasks(cls.__name__, kwargs, old)
        return call(cls, *args, **kwargs)

    return made


def of_tasks(where, kwargs, table):
    kwargs = renamed(where, kwargs, table)
    rule = kwargs.get("trigger_rule")
    if rule in TRIGGER_RULES:
        kwargs["trigger_rule"] = TRIGGER_RULES[rule]
        tell(f"{where}: the trigger rule `{rule}` is `{TRIGGER_RULES[rule]}` now")
    return kwargs


def parameters(cls):
    """All names that a class and those above it take."""
    return set().union(*(
        getattr(base.__dict__.get("__init__"), "_BaseOperatorMeta__param_names", ()) for base in cls.__mro__
    ))


def renamed(where, kwargs, table):
    """The arguments with their names of today. Where both are given, the new one counts."""
    for old in [name for name in kwargs if name in table]:
        new, value = table[old], kwargs.pop(old)
        if new is None:
            tell(f"{where}: the argument `{old}` has no meaning any more")
        else:
            kwargs.setdefault(new, value)
            tell(f"{where}: the argument `{old}` is called `{new}` now")
    return kwargs
