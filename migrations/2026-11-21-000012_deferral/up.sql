-- What task instances leave for triggers, and with what they go on afterwards (domain/src/deferral.rs). The engine's commit writes and
-- deletes a row; a worker only takes or gives back the trigger in it.
CREATE TABLE deferral (
    -- The trigger's number for Airflow: another one for each deferral.
    id bigint GENERATED ALWAYS AS IDENTITY,
    run_key bigint NOT NULL REFERENCES dag_run (key) ON DELETE CASCADE,
    index integer NOT NULL,
    try_number integer NOT NULL,
    -- Which deferral of that try it is.
    number integer NOT NULL,
    queue text NOT NULL,
    classpath text NOT NULL,
    kwargs json NOT NULL,
    next_method text NOT NULL,
    next_kwargs json NOT NULL,
    deferred_at timestamptz NOT NULL,
    deadline timestamptz,
    -- The worker that holds the trigger.
    worker uuid,
    -- `{"event": anything}`, or `{"failure": arguments}`: what woke the instance.
    resumption json,
    PRIMARY KEY (run_key, index),
    CONSTRAINT held_while_open CHECK (worker IS NULL OR resumption IS NULL)
);
CREATE INDEX deferral_open ON deferral (worker, deferred_at) WHERE resumption IS NULL;
