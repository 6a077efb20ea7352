"""Dynamic mapping: over lists, products, zips, dictionaries, other mapped tasks, and whole groups."""

import pendulum

from airflow.exceptions import AirflowSkipException
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, task, task_group

with DAG("mapped", schedule=None, start_date=pendulum.datetime(2020, 1, 1), catchup=False):

    @task
    def numbers():
        return [3, 1, 2]

    @task
    def others():
        return [7, 8]

    @task
    def lists():
        return [[9], [8, 7]]

    @task
    def nothing():
        return []

    @task
    def letters():
        return {"a": 1, "b": 2}

    @task(map_index_template="{{ task.op_kwargs['number'] }} squared")
    def square(number):
        return number * number

    @task
    def total(values):
        return sum(values)

    @task
    def pair(left, right):
        return [left, right]

    @task
    def item(entry):
        return list(entry)

    @task
    def odd_only(number):
        if number % 2 == 0:
            raise AirflowSkipException("even")
        return number

    @task(trigger_rule="all_done")
    def all_of(values):
        return list(values)

    @task
    def one_fails(number):
        if number == 1:
            raise ValueError("one")
        return number

    given = numbers()
    squares = square.expand(number=given)
    total(squares)
    square.override(task_id="square_of_square").expand(number=squares)
    pair.expand(left=given, right=[10, 20])
    pair.override(task_id="zipped").expand_kwargs(given.zip(others()).map(lambda two: {"left": two[0], "right": two[1]}))
    item.expand(entry=letters())
    all_of(odd_only.expand(number=given))
    all_of.override(task_id="all_of_failed")(one_fails.expand(number=given))
    square.override(task_id="of_nothing").expand(number=nothing())
    total.override(task_id="after_nothing")(square.override(task_id="of_nothing_again").expand(number=nothing()))
    item.override(task_id="concatenated").expand(entry=given.map(lambda number: [number]).concat(lists()))
    BashOperator.partial(task_id="shell").expand(bash_command=["echo one", "echo two", "exit 99"])

    @task_group
    def through(number):
        @task
        def halve(value):
            return value / 2

        @task
        def describe(value):
            return f"half of it is {value}"

        return describe(halve(number))

    all_of.override(task_id="descriptions")(through.expand(number=given))
