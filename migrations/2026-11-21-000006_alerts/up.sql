-- Messages that tasks and runs ask for when they end. The engine's commit inserts them; schedulers send them, and those that are
-- sent or given up stay as the record of it. `index` is -1 for what is about a run, and `number` the try's, or how often
-- the run was cleared.
CREATE TABLE alert (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_key bigint NOT NULL REFERENCES dag_run (key) ON DELETE CASCADE,
    index integer NOT NULL CHECK (index >= -1),
    number integer NOT NULL,
    event text NOT NULL CHECK (event IN ('success', 'failure', 'retry', 'skipped')),
    place integer NOT NULL,
    dag_id text NOT NULL,
    channel text NOT NULL,
    target text NOT NULL,
    notification json NOT NULL,
    facts json NOT NULL,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    claim bigint NOT NULL DEFAULT 0,
    next_at timestamptz NOT NULL DEFAULT now(),
    error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz,
    UNIQUE (run_key, index, number, event, place),
    CONSTRAINT settled_when_over CHECK ((state = 'waiting') = (settled_at IS NULL))
);
CREATE INDEX alert_due ON alert (next_at) WHERE state = 'waiting';
CREATE INDEX alert_dag ON alert (dag_id, id DESC);
