-- The whole spine: DAGs and their versions, runs, task instances, the inbox, leases, people and secrets.
--
-- The states are Airflow's (domain/src/state.rs). `dag_run` and `task_instance` are written by the engine alone, apart
-- from a worker's claim (queued -> running); everybody else writes rows of `inbox`.
--
-- What people and programs wrote is `json`, which keeps the order of keys; `jsonb` would sort them, and a mapped task's
-- instances are numbered in that order.

CREATE TABLE dag_version (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dag_id text NOT NULL CHECK (length(dag_id) BETWEEN 1 AND 250),
    number integer NOT NULL CHECK (number > 0),
    hash text NOT NULL,
    file text NOT NULL,
    body json NOT NULL,
    source text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (dag_id, number)
);

CREATE TABLE dag (
    dag_id text PRIMARY KEY CHECK (length(dag_id) BETWEEN 1 AND 250),
    version_id bigint NOT NULL REFERENCES dag_version (id),
    is_paused boolean NOT NULL,
    is_stale boolean NOT NULL DEFAULT false,
    file text NOT NULL,
    description text,
    owner text NOT NULL,
    tags text[] NOT NULL DEFAULT '{}',
    schedule text NOT NULL,
    schedule_description text NOT NULL,
    cursor_start timestamptz,
    cursor_end timestamptz,
    next_logical_date timestamptz,
    next_interval_start timestamptz,
    next_interval_end timestamptz,
    next_run_after timestamptz,
    parsed_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX dag_tags ON dag USING gin (tags);

CREATE TABLE import_error (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    file text NOT NULL,
    line integer,
    "column" integer,
    message text NOT NULL,
    hint text,
    snippet text,
    seen_at timestamptz NOT NULL
);
CREATE INDEX import_error_file ON import_error (file);

-- The highest run key that was ever deleted, so that a new leader never gives a key twice (store/src/clean.rs).
CREATE SEQUENCE run_key;

CREATE TABLE dag_run (
    key bigint PRIMARY KEY,
    dag_id text NOT NULL,
    run_id text NOT NULL CHECK (length(run_id) BETWEEN 1 AND 250),
    run_type text NOT NULL
        CHECK (run_type IN ('scheduled', 'manual', 'backfill', 'asset_triggered', 'operator_triggered')),
    state text NOT NULL CHECK (state IN ('queued', 'running', 'success', 'failed')),
    version_id bigint NOT NULL REFERENCES dag_version (id),
    logical_date timestamptz,
    interval_start timestamptz,
    interval_end timestamptz,
    run_after timestamptz NOT NULL,
    queued_at timestamptz NOT NULL,
    started_at timestamptz,
    ended_at timestamptz,
    conf json NOT NULL DEFAULT '{}',
    triggered_by text,
    note text,
    clear_number integer NOT NULL DEFAULT 0,
    UNIQUE (dag_id, run_id),
    CONSTRAINT ended_when_finished CHECK ((state IN ('success', 'failed')) = (ended_at IS NOT NULL))
);
CREATE INDEX dag_run_logical ON dag_run (dag_id, logical_date) WHERE logical_date IS NOT NULL;
CREATE INDEX dag_run_active ON dag_run (key) WHERE state IN ('queued', 'running');
CREATE INDEX dag_run_recent ON dag_run (dag_id, run_after DESC, key DESC);
CREATE INDEX dag_run_ended ON dag_run (ended_at) WHERE ended_at IS NOT NULL;

-- No index mentions the state, so that every change of state is a heap-only update; the active instances are found
-- through their active runs. The fill factor leaves room for the new row version on the same page.
CREATE TABLE task_instance (
    run_key bigint NOT NULL REFERENCES dag_run (key) ON DELETE CASCADE,
    index integer NOT NULL,
    map_index integer NOT NULL DEFAULT -1 CHECK (map_index >= -1),
    try_number integer NOT NULL CHECK (try_number >= 0),
    max_tries integer NOT NULL,
    lost smallint NOT NULL DEFAULT 0,
    pool_slots integer NOT NULL,
    priority integer NOT NULL,
    state text NOT NULL CHECK (state IN (
        'none', 'scheduled', 'queued', 'running', 'success', 'restarting', 'failed', 'up_for_retry', 'up_for_reschedule',
        'upstream_failed', 'skipped', 'deferred', 'awaiting_input', 'removed')),
    task_id text NOT NULL,
    pool text NOT NULL,
    queue text NOT NULL,
    operator text NOT NULL,
    scheduled_at timestamptz,
    queued_at timestamptz,
    started_at timestamptz,
    ended_at timestamptz,
    next_try_at timestamptz,
    worker uuid,
    pid integer,
    reason text,
    note text,
    PRIMARY KEY (run_key, index),
    UNIQUE (run_key, task_id, map_index)
) WITH (fillfactor = 70);

-- The history of tries that have ended. The current try lives in task_instance.
CREATE TABLE task_try (
    run_key bigint NOT NULL REFERENCES dag_run (key) ON DELETE CASCADE,
    index integer NOT NULL,
    try_number integer NOT NULL,
    state text NOT NULL,
    queued_at timestamptz,
    started_at timestamptz,
    ended_at timestamptz NOT NULL,
    worker uuid,
    exit_code integer,
    reason text,
    PRIMARY KEY (run_key, index, try_number)
);

-- What a try's templates became. Written by its worker when the try starts.
CREATE TABLE rendered_fields (
    run_key bigint NOT NULL REFERENCES dag_run (key) ON DELETE CASCADE,
    index integer NOT NULL,
    try_number integer NOT NULL,
    fields json NOT NULL,
    PRIMARY KEY (run_key, index, try_number)
);

CREATE TABLE xcom (
    run_key bigint NOT NULL REFERENCES dag_run (key) ON DELETE CASCADE,
    task_id text NOT NULL,
    map_index integer NOT NULL DEFAULT -1,
    key text NOT NULL CHECK (length(key) BETWEEN 1 AND 512),
    value json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run_key, task_id, map_index, key)
);

-- Outcomes and intents on their way to the engine, deleted in the transaction that applies them. The order of ids is the
-- order of arrival; it is read from the lowest id every time, never from a cursor, because ids may become visible out of order.
CREATE TABLE inbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    body json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- One leader per shard. A commit asserts its epoch, so an old leader cannot write.
CREATE TABLE lease (
    shard text PRIMARY KEY,
    holder uuid NOT NULL,
    epoch bigint NOT NULL,
    renewed_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);

-- One row for each long-running process; a worker's row is the lease of all that it runs.
CREATE TABLE job (
    id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('scheduler', 'worker', 'webserver')),
    state text NOT NULL CHECK (state IN ('running', 'draining', 'stopped', 'lost')),
    hostname text NOT NULL,
    pid integer NOT NULL,
    queues text[] NOT NULL DEFAULT '{}',
    slots integer NOT NULL DEFAULT 0,
    started_at timestamptz NOT NULL DEFAULT now(),
    renewed_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE pool (
    name text PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 250),
    slots integer NOT NULL CHECK (slots >= -1),
    description text,
    include_deferred boolean NOT NULL DEFAULT false
);
INSERT INTO pool (name, slots, description) VALUES ('default_pool', 128, 'Default pool');

-- Values, passwords and extras are encrypted by the application (store/src/cipher.rs); the database never sees them in clear.
CREATE TABLE variable (
    key text PRIMARY KEY CHECK (length(key) BETWEEN 1 AND 250),
    value bytea NOT NULL,
    description text,
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE connection (
    conn_id text PRIMARY KEY CHECK (length(conn_id) BETWEEN 1 AND 250),
    conn_type text NOT NULL,
    description text,
    host text,
    login text,
    password bytea,
    schema text,
    port integer CHECK (port BETWEEN 1 AND 65535),
    extra bytea,
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE account (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    username text NOT NULL UNIQUE CHECK (length(username) BETWEEN 1 AND 250),
    email text NOT NULL DEFAULT '',
    first_name text NOT NULL DEFAULT '',
    last_name text NOT NULL DEFAULT '',
    role text NOT NULL CHECK (role IN ('viewer', 'user', 'op', 'admin')),
    password_hash text,
    is_active boolean NOT NULL DEFAULT true,
    failed_sign_ins integer NOT NULL DEFAULT 0,
    locked_until timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Only hashes of tokens are kept: a stolen backup signs nobody in.
CREATE TABLE session (
    token_hash bytea PRIMARY KEY,
    account_id bigint NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX session_account ON session (account_id);

CREATE TABLE sign_in_link (
    token_hash bytea PRIMARY KEY,
    account_id bigint NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    expires_at timestamptz NOT NULL
);

CREATE TABLE event_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    event text NOT NULL,
    owner text NOT NULL,
    dag_id text,
    run_id text,
    task_id text,
    map_index integer,
    try_number integer,
    extra json
);
CREATE INDEX event_log_at ON event_log (at DESC, id DESC);
CREATE INDEX event_log_dag ON event_log (dag_id, id DESC) WHERE dag_id IS NOT NULL;
