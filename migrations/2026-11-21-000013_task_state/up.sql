-- What tasks keep for themselves (Airflow's state stores), written by the tasks at once. Tries of one instance share theirs, so that one
-- that begins anew goes on where another stopped.

CREATE TABLE task_state (
    run_key bigint NOT NULL REFERENCES dag_run (key) ON DELETE CASCADE,
    task_id text NOT NULL,
    map_index integer NOT NULL,
    key text NOT NULL CHECK (length(key) BETWEEN 1 AND 512),
    value json NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- Nobody wants it any more then; without one it lasts as long as its run.
    expires_at timestamptz,
    PRIMARY KEY (run_key, task_id, map_index, key)
);
CREATE INDEX task_state_expired ON task_state (expires_at) WHERE expires_at IS NOT NULL;

-- Of an asset it is shared by all tasks and runs; who wrote it last stands beside it.
CREATE TABLE asset_state (
    asset_id bigint NOT NULL REFERENCES asset (id),
    key text NOT NULL CHECK (length(key) BETWEEN 1 AND 512),
    value json NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    dag_id text NOT NULL,
    run_id text NOT NULL,
    task_id text NOT NULL,
    map_index integer NOT NULL,
    PRIMARY KEY (asset_id, key)
);
