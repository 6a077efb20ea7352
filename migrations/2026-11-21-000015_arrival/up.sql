-- What DAGs bring along from the Airflow that they ran in before (store/src/arrival.rs). A row is taken over and deleted when a file
-- with its DAG is read for the first time: the DAG is paused or not as it was, and its schedule goes on where it stopped.
CREATE TABLE dag_arrival (
    dag_id text PRIMARY KEY CHECK (length(dag_id) BETWEEN 1 AND 250),
    is_paused boolean NOT NULL,
    cursor_start timestamptz,
    cursor_end timestamptz,
    CHECK ((cursor_start IS NULL) = (cursor_end IS NULL))
);
