"""Records what Airflow's scheduler decides: trigger rules, states of runs, priorities, retries, relevance of mapped instances.

    pip install apache-airflow==3.3.2
    python record.py [table ...]

Writes one JSON file for each table beside itself: all of them, or those that are named. Each is recorded by calling
Airflow's own functions. A state is one letter, see `STATES`; several are the states of several tasks, in their order.
"""

import itertools
import json
import random
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from scratch import START, Op, serialized, session, start

from airflow.api_fastapi.execution_api.routes.task_instances import _is_eligible_to_retry
from airflow.models.taskinstance import TaskInstance, clear_task_instances, _get_relevant_map_indexes
from airflow.sdk import DAG, task_group
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.serialization.definitions.mappedoperator import get_mapped_ti_count
from airflow.task.trigger_rule import TriggerRule
from airflow.ti_deps.dep_context import DepContext
from airflow.ti_deps.deps.trigger_rule_dep import TriggerRuleDep
from airflow.utils.state import DagRunState

STATES = {
    "n": None, "r": "running", "s": "success", "f": "failed", "k": "skipped", "u": "upstream_failed", "x": "removed",
    "q": "queued",
}
LETTERS = {state: letter for letter, state in STATES.items()}
ENDED = "sfkux"
RULES = sorted(rule.value for rule in TriggerRule)


def trigger_rules():
    """Verdicts: r run, w wait, else the state that is set. A string has one for each of `rules`.

    `direct` is by the states of up to four upstream tasks; `one_mapped` by those of the instances of one mapped upstream.
    `setups` is for `all_done_setup_success`, where upstream setups are in capitals. `mapped_self` is `all_success` for
    the instances 0 to 3 of a mapped task. `setup_constraint` is for a task behind the upstream `work`, which is behind a
    setup, by the states of setup and work; `teardown_scope` for a teardown of `first`, a setup, with the upstreams
    `first` and `last`, and `middle` between them, by the states of first, middle and last.
    """
    yield "rules", RULES
    many = {n: judged_dag([f"u{i}" for i in range(n)]) for n in range(5)}
    yield "direct", {
        states: "".join(judge(many[len(states)], f"t_{rule}", states) for rule in RULES)
        for states in multisets("nrsfkux", 4)
    }
    one = judged_dag(["u0"], mapped=True)
    yield "one_mapped", {
        states: "".join(judge(one, f"t_{rule}", states, instances=True) for rule in RULES)
        for states in multisets("rsfkux", 4)
        if states
    }
    yield "mapped_self", {
        states: "".join(judge(many[len(states)], "t_all_success", states, map_index=i) for i in range(4))
        for states in multisets("rsfkux", 4)
    }
    yield "setups", dict(with_setups())
    constrained = judged_dag(["work"], setup="setup")
    yield "setup_constraint", {
        states: "".join(judge(constrained, f"t_{rule}", states, names=["setup", "work"]) for rule in RULES)
        for states in map("".join, itertools.product("rsfkux", repeat=2))
    }
    scope = scoped_dag()
    yield "teardown_scope", {
        states: judge(scope, "t", states, names=["first", "middle", "last"])
        for states in map("".join, itertools.product("rsfkux", repeat=3))
    }


def multisets(letters, most):
    for count in range(most + 1):
        yield from map("".join, itertools.combinations_with_replacement(letters, count))


def judged_dag(names, mapped=False, setup=None):
    """Tasks named after the rules, all downstream of the named ones."""
    with DAG("d", schedule=None, start_date=START) as dag:
        upstream = [Op.partial(task_id=name).expand(x=[1, 2]) if mapped else Op(task_id=name) for name in names]
        judged = [Op(task_id=f"t_{rule}", trigger_rule=rule) for rule in RULES]
        for task in upstream:
            task >> judged
        if setup:
            before = Op(task_id=setup).as_setup()
            before >> upstream
            judged >> Op(task_id="teardown").as_teardown(setups=before)
    return serialized(dag)


def scoped_dag():
    with DAG("d", schedule=None, start_date=START) as dag:
        first, middle, last = (Op(task_id=name) for name in ["first", "middle", "last"])
        first.as_setup() >> middle >> last >> Op(task_id="t").as_teardown(setups=first)
    return serialized(dag)


def with_setups():
    """Teardowns of up to four upstreams, any of which are setups."""
    for count in range(1, 5):
        for setups in range(count + 1):
            with DAG("d", schedule=None, start_date=START) as dag:
                upstream = [Op(task_id=f"u{i}") for i in range(count)]
                upstream[:setups] = [task.as_setup() for task in upstream[:setups]]
                upstream >> Op(task_id="t").as_teardown()
            dag = serialized(dag)
            for ours in itertools.combinations_with_replacement("rsfkux", setups):
                for others in itertools.combinations_with_replacement("rsfkux", count - setups):
                    states = "".join(ours + others)
                    yield "".join(ours).upper() + "".join(others), judge(dag, "t", states)


def judge(dag, task_id, states, names=None, instances=False, map_index=-1):
    def upstream(number, letter):
        name = "u0" if instances else (names or [f"u{i}" for i in range(len(states))])[number]
        index = number if instances else -1
        return SimpleNamespace(task_id=name, task=dag.get_task(name), state=STATES[letter], map_index=index)

    ended = [upstream(number, letter) for number, letter in enumerate(states) if letter in ENDED]
    became = []
    ti = SimpleNamespace(
        dag_id="d", run_id="r", task_id=task_id, task=dag.get_task(task_id), map_index=map_index,
        get_dagrun=lambda session: None, set_state=lambda state, session: became.append(state) or True,
    )
    counts = SimpleNamespace(execute=lambda query: Rows([("u0", len(states))]))
    context = DepContext(flag_upstream_failed=True, finished_tis=ended)
    statuses = list(TriggerRuleDep()._get_dep_statuses(ti, context, session=counts))
    if became:
        return LETTERS[became[-1].value]
    return "r" if all(status.passed for status in statuses) else "w"


class Rows(list):
    def all(self):
        return self


RUN_SHAPES = {  # task: what it is and what it waits for
    "single": {"a": []},
    "chain": {"a": [], "b": ["a"]},
    "long chain": {"a": [], "b": ["a"], "c": ["b"]},
    "two leaves": {"a": [], "b": []},
    "fork": {"a": [], "b": ["a"], "c": ["a"]},
    "join": {"a": [], "b": [], "c": ["a", "b"]},
    "diamond": {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]},
    "all_done leaf": {"a": [], "b": ["all_done", "a"]},
    "teardown leaf": {"a": ["setup"], "b": ["a"], "c": ["teardown", "a", "b"]},
    "teardown leaf that counts": {"a": ["setup"], "b": ["a"], "c": ["teardown!", "a", "b"]},
    "teardown beside a leaf": {"a": [], "b": ["a"], "c": ["teardown", "a"]},
    "task behind a teardown": {"a": [], "b": ["teardown", "a"], "c": ["b"]},
    "teardown behind a teardown": {"a": [], "b": ["teardown", "a"], "c": ["teardown", "b"]},
    "only a teardown": {"a": ["teardown"]},
    "only teardowns": {"a": ["teardown"], "b": ["teardown", "a"]},
    "only teardowns, one counts": {"a": ["teardown!"], "b": ["teardown", "a"]},
    "setup alone": {"a": ["setup"]},
}


def run_states():
    """`shapes` are the tasks of DAGs: before its upstreams a task may have a rule, or be a setup or a teardown (`teardown!`
    with `on_failure_fail_dagrun`). `runs` is by shape and then by the tasks' states: the state of the run."""
    yield "shapes", RUN_SHAPES
    yield "runs", {name: dict(run_state(f"d{n}", tasks)) for n, (name, tasks) in enumerate(RUN_SHAPES.items())}


def run_state(dag_id, tasks):
    run, tis = start(shaped(dag_id, tasks))
    for states in itertools.product(ENDED, repeat=len(tasks)):
        for name, letter in zip(tasks, states):
            tis[name].state = STATES[letter]
        run._state = "running"
        run.update_state(session=session, execute_callbacks=False)
        yield "".join(states), LETTERS[run.state.value]


def shaped(dag_id, tasks):
    with DAG(dag_id, schedule=None, start_date=START) as dag:
        for name, words in tasks.items():
            upstream = [word for word in words if word in tasks]
            kind = [word for word in words if word not in tasks]
            rule = [word for word in kind if word in RULES]
            task = Op(task_id=name, **({"trigger_rule": rule[0]} if rule else {}))
            if upstream:
                [dag.get_task(up) for up in upstream] >> task
            if "setup" in kind:
                task.as_setup()
            if "teardown" in kind or "teardown!" in kind:
                task.as_teardown(on_failure_fail_dagrun="teardown!" in kind)
    return dag


def plays():
    """What becomes of whole runs of random DAGs. Shapes are as in the table of run states. Each play is [shape, how each
    task ends if it runs, the order in which tasks end when they are in flight together, the states of the tasks at the end,
    the state of the run]. Everything that follows from an end is decided before the next."""
    chance = random.Random(3)
    shapes = [random_shape(chance, setups=number % 2 == 1) for number in range(150)]
    yield "shapes", shapes
    rows = []
    for number, tasks in enumerate(shapes):
        for again in range(3):
            ends = "".join(chance.choices("sfk", [5, 3, 2], k=len(tasks)))
            order = "".join(chance.sample(list(tasks), len(tasks)))
            rows.append([number, ends, order, *play(f"p{number}_{again}", tasks, ends, order)])
    yield "plays", rows


def random_shape(chance, setups):
    tasks = {}
    for name in "abcdefgh"[: chance.randint(3, 8)]:
        upstream = [up for up in tasks if chance.random() < 0.4]
        usual = chance.random() < 0.4
        tasks[name] = [*([] if usual or not upstream else [chance.choice(RULES)]), *upstream]
    if setups and len(tasks) > 3:
        names = list(tasks)
        before, after = names[0], names[-1]
        tasks[before] = ["setup"]
        tasks[names[1]] = [*tasks[names[1]], *([] if before in tasks[names[1]] else [before])]
        setups = [before]
        if chance.random() < 0.4:
            setups.append(names[2])
            tasks[names[2]] = ["setup", *tasks[names[2]]]
        within = [name for name in names[1:-1] if name not in setups and chance.random() < 0.6]
        tasks[after] = [chance.choice(["teardown", "teardown!"]), *setups, *within]
    return tasks


def play(dag_id, tasks, ends, order):
    run, tis = start(shaped(dag_id, tasks))
    for _ in range(200):
        decide(run)
        if run.state.value in ("success", "failed"):
            break
        in_flight = [name for name in order if tis[name].state == "queued"]
        tis[in_flight[0]].state = STATES[ends[list(tasks).index(in_flight[0])]]
        session.flush()
    return "".join(LETTERS[tis[name].state] for name in tasks), LETTERS[run.state.value]


def put_in_flight(run, ready):
    for ti in ready:
        ti.state = "queued"


def decide(run, begin=put_in_flight):
    """Lets Airflow decide, as often as anything follows from what it decided."""
    before = None
    while before != (now := [ti.state for ti in run.get_task_instances(session=session)] + [run.state]):
        before = now
        ready, _ = run.update_state(session=session, execute_callbacks=False)
        begin(run, ready)
        session.flush()


def sequences():
    """Random sequences of ends and clears on `b` behind `a`, both with so many retries and no delay. Each is [retries, steps];
    a step is [what happened, the states of the tasks, their tries, their greatest tries, the state of the run]. `s`, `f` and
    `k` are the end of the first task in flight, `ca`, `cb` and `cab` clear tasks that are not in flight."""
    chance = random.Random(7)
    yield "sequences", [sequence(f"s{number}", number % 3, chance) for number in range(120)]


def sequence(dag_id, retries, chance):
    with DAG(dag_id, schedule=None, start_date=START) as dag:
        first, second = (Op(task_id=name, retries=retries, retry_delay=timedelta()) for name in "ab")
        first >> second
    run, tis = start(dag)
    decide(run, schedule)
    steps = []
    for _ in range(chance.randint(4, 9)):
        in_flight = [ti for ti in tis.values() if ti.state == "queued"]
        others = [name for name in "ab" if tis[name].state != "queued" and tis[name].state is not None]
        if in_flight and (not others or chance.random() < 0.8):
            what = chance.choice("sffk")
            end(in_flight[0], what)
        else:
            chosen = others if chance.random() < 0.3 else [chance.choice(others)]
            what = "c" + "".join(chosen)
            clear_task_instances([tis[name] for name in chosen], session=session)
        if run.state.value == "queued":
            run._state = DagRunState.RUNNING
        session.flush()
        decide(run, schedule)
        states = "".join(LETTERS[tis[name].state] for name in "ab")
        numbers = [[tis[name].try_number for name in "ab"], [tis[name].max_tries for name in "ab"]]
        steps.append([what, states, *numbers, LETTERS[run.state.value]])
    return [retries, steps]


def end(ti, letter):
    retry = letter == "f" and _is_eligible_to_retry("running", ti.try_number, ti.max_tries)
    if retry:
        ti.prepare_db_for_next_try(session)
    ti.state, ti.end_date = "up_for_retry" if retry else STATES[letter], START


def schedule(run, ready):
    run.schedule_tis(ready, session=session)
    for ti in ready:
        session.refresh(ti)
        ti.state = "queued"


def priorities():
    """`dags` are lists of tasks, each [own weight, rule, numbers of its upstreams, effective weight]."""
    chance = random.Random(5)
    yield "dags", [weighed(f"w{number}", chance) for number in range(24)]


def weighed(dag_id, chance):
    count, density = chance.randint(1, 12), chance.choice([0.15, 0.35, 0.7])
    tasks = []
    for number in range(count):
        rule = chance.choice(["downstream", "downstream", "upstream", "absolute"])
        upstream = [up for up in range(number) if chance.random() < density]
        tasks.append([chance.choice([1, 1, 0, -3, chance.randint(2, 100)]), rule, upstream])
    with DAG(dag_id, schedule=None, start_date=START) as dag:
        made = []
        for number, (weight, rule, upstream) in enumerate(tasks):
            made.append(Op(task_id=f"t{number}", priority_weight=weight, weight_rule=rule))
            if upstream:
                [made[up] for up in upstream] >> made[number]
    _, tis = start(dag)
    return [[*task, tis[f"t{number}"].priority_weight] for number, task in enumerate(tasks)]


def retries():
    """`waits` are [retry_delay, retry_exponential_backoff, max_retry_delay or null, try that failed, dag id, task id,
    logical date, seconds until the next try]."""
    rows = []
    names = itertools.cycle([("flights", "load"), ("d", "group.task"), ("flights", "report")])
    dates = itertools.cycle([START, datetime(2026, 3, 29, 1, 30, tzinfo=timezone.utc)])
    for delay, factor, longest, number in itertools.product(
        [0, 0.4, 1, 30, 300, 100_000], [0, 1, 2, 3, 1.5, 0.5], [None, 45, 3600, 200_000], [1, 2, 3, 6, 12, 40]
    ):
        (dag_id, task_id), date = next(names), next(dates)
        task = SimpleNamespace(
            retry_delay=timedelta(seconds=delay), retry_exponential_backoff=factor,
            max_retry_delay=longest and timedelta(seconds=longest),
        )
        ti = SimpleNamespace(
            dag_id=dag_id, task_id=task_id, logical_date=date, try_number=number, end_date=START, task=task,
            retry_delay_override=None, log=SimpleNamespace(warning=lambda text: None),
        )
        wait = (TaskInstance.next_retry_datetime(ti) - START).total_seconds()
        rows.append([delay, factor, longest, number, dag_id, task_id, date.isoformat(), wait])
    yield "waits", rows


def relevance():
    """`groups` are [lengths of the mapped groups around the task, of its own mapping or null, the same two of the relative,
    how many of the groups are common, for each instance of the task the relative's instance, [first, end), or null for
    all]. Lengths are from the outside in."""
    rows = []
    lengths = [1, 2, 3]
    for outer, inner, own, other in itertools.product(lengths, [None, 1, 3], [None, *lengths], [None, 1, 2]):
        rows += related(outer, inner, own, other)
    yield "groups", rows


def related(outer, inner, own, other):
    """Tasks `one` and `two` in the same group, `three` and `five` in a group inside it, `four` in a group elsewhere."""

    def work(name, length):
        return Op.partial(task_id=name).expand(x=list(range(length))) if length else Op(task_id=name)

    @task_group
    def nested(y):
        work("three", other)
        work("five", own)

    @task_group
    def around(x):
        first, second = work("one", own), work("two", other)
        if inner:
            nested.expand(y=list(range(inner)))

    @task_group
    def elsewhere(x):
        work("four", other)

    # DAG files may not map a task inside a mapped group yet; the scheduler can already do it.
    with (
        mock.patch.object(MappedOperator, "get_closest_mapped_task_group", return_value=None),
        DAG("d", schedule=None, start_date=START) as dag,
    ):
        around.expand(x=list(range(outer)))
        elsewhere.expand(x=list(range(outer)))
    dag = serialized(dag)
    names = {task_id.rsplit(".", 1)[-1]: task_id for task_id in dag.task_dict}
    groups = {"one": [outer], "two": [outer], "three": [outer, inner], "four": [outer], "five": [outer, inner]}
    lengths = {"one": own, "two": other, "three": other, "four": other, "five": own}
    pairs = [("two", "one"), ("one", "two"), ("four", "one")]
    if inner:
        pairs += [("three", "one"), ("one", "three"), ("two", "three"), ("three", "five"), ("five", "three")]
    for here, there in pairs:
        task, relative = dag.get_task(names[here]), dag.get_task(names[there])
        count = get_mapped_ti_count(task, "r", session=session)
        found = [
            _get_relevant_map_indexes(
                task=task, run_id="r", map_index=index, relative=relative, ti_count=count, session=session
            )
            for index in range(count)
        ]
        indexes = [[one.start, one.stop] if isinstance(one, range) else one for one in found]
        common = 0 if "four" in (here, there) else 2 if "five" in (here, there) else 1
        yield [groups[here], lengths[here], groups[there], lengths[there], common, indexes]


TABLES = {table.__name__: table for table in [trigger_rules, run_states, plays, sequences, priorities, retries, relevance]}


def main():
    for name in sys.argv[1:] or TABLES:
        parts = [f'"{part}": {lines(value)}' for part, value in TABLES[name]()]
        Path(__file__).with_name(f"{name}.json").write_text("{\n" + ",\n".join(parts) + "\n}\n")


def lines(value):
    """Every row on its own line, verdicts by states several on one."""
    if isinstance(value, list):
        short = not any(isinstance(row, (list, dict)) for row in value)
        return json.dumps(value) if short else "[\n" + ",\n".join(map(json.dumps, value)) + "\n]"
    if all(isinstance(one, str) for one in value.values()):
        pairs = [f"{json.dumps(key)}: {json.dumps(one)}" for key, one in value.items()]
        rows = [", ".join(pairs[n : n + 6]) for n in range(0, len(pairs), 6)]
        return "{\n" + ",\n".join(rows) + "\n}"
    if all(isinstance(one, dict) and all(isinstance(row, list) for row in one.values()) for one in value.values()):
        return "{\n" + ",\n".join(f"{json.dumps(key)}: {json.dumps(one)}" for key, one in value.items()) + "\n}"
    return "{\n" + ",\n".join(f"{json.dumps(key)}: {lines(one)}" for key, one in value.items()) + "\n}"


if __name__ == "__main__":
    main()
