-- Which run a program was given for the key that it sent, so that asking twice starts one run. Forgotten after a day.
CREATE TABLE trigger_key (
    dag_id text NOT NULL,
    key text NOT NULL CHECK (length(key) BETWEEN 1 AND 200),
    -- A hash of what was asked for with it.
    body bytea NOT NULL,
    run_id text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (dag_id, key)
);

CREATE INDEX trigger_key_at ON trigger_key (at);
