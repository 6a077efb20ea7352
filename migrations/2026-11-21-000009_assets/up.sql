-- Assets (domain/src/asset.rs): what DAG files say of them, what happened to them, and which DAGs wait for which. The loader writes
-- what files say; everything that happens is written by the engine alone.

CREATE TABLE asset (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 1500),
    uri text NOT NULL,
    "group" text NOT NULL,
    extra json NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE asset_alias (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 1500),
    "group" text NOT NULL DEFAULT 'asset'
);

-- What events have put under an alias.
CREATE TABLE asset_alias_member (
    alias_id bigint NOT NULL REFERENCES asset_alias (id),
    asset_id bigint NOT NULL REFERENCES asset (id),
    PRIMARY KEY (alias_id, asset_id)
);
CREATE INDEX asset_alias_member_asset ON asset_alias_member (asset_id);

-- Where the newest version of a DAG names an asset or an alias. `task_id` is empty for the schedule.
CREATE TABLE dag_asset (
    dag_id text NOT NULL REFERENCES dag (dag_id) ON DELETE CASCADE,
    part text NOT NULL CHECK (part IN ('schedule', 'outlet', 'inlet')),
    task_id text NOT NULL,
    asset_id bigint REFERENCES asset (id),
    alias_id bigint REFERENCES asset_alias (id),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT asset_or_alias CHECK ((asset_id IS NULL) <> (alias_id IS NULL))
);
CREATE UNIQUE INDEX dag_asset_place
    ON dag_asset (dag_id, part, task_id, coalesce(asset_id, 0), coalesce(alias_id, 0));
CREATE INDEX dag_asset_asset ON dag_asset (asset_id) WHERE asset_id IS NOT NULL;
CREATE INDEX dag_asset_alias ON dag_asset (alias_id) WHERE alias_id IS NOT NULL;

-- The engine gives the numbers. Where an event comes from stays when the run is deleted.
CREATE TABLE asset_event (
    id bigint PRIMARY KEY,
    asset_id bigint NOT NULL REFERENCES asset (id),
    at timestamptz NOT NULL,
    extra json NOT NULL,
    source_dag_id text,
    source_run_id text,
    source_task_id text,
    source_map_index integer NOT NULL DEFAULT -1,
    created_by text,
    request uuid UNIQUE
);
CREATE INDEX asset_event_asset ON asset_event (asset_id, id);
CREATE INDEX asset_event_at ON asset_event (at);
CREATE INDEX asset_event_source ON asset_event (source_dag_id, source_run_id) WHERE source_dag_id IS NOT NULL;

CREATE TABLE asset_event_alias (
    alias_id bigint NOT NULL REFERENCES asset_alias (id),
    event_id bigint NOT NULL REFERENCES asset_event (id) ON DELETE CASCADE,
    PRIMARY KEY (alias_id, event_id)
);
CREATE INDEX asset_event_alias_event ON asset_event_alias (event_id);

-- The assets that have been updated since the last run of a DAG that assets asked for (Airflow's asset_dag_run_queue).
CREATE TABLE asset_dag_run_queue (
    dag_id text NOT NULL REFERENCES dag (dag_id) ON DELETE CASCADE,
    asset_id bigint NOT NULL REFERENCES asset (id),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (dag_id, asset_id)
);
CREATE INDEX asset_dag_run_queue_asset ON asset_dag_run_queue (asset_id);

-- The events that a run was created for.
CREATE TABLE consumed_asset_event (
    run_key bigint NOT NULL REFERENCES dag_run (key) ON DELETE CASCADE,
    event_id bigint NOT NULL REFERENCES asset_event (id) ON DELETE CASCADE,
    PRIMARY KEY (run_key, event_id)
);
CREATE INDEX consumed_asset_event_event ON consumed_asset_event (event_id);

-- Every event up to this one is consumed, or was there before the DAG waited; and when assets last asked for a run.
ALTER TABLE dag
    ADD COLUMN asset_event bigint,
    ADD COLUMN asset_run_at timestamptz;

ALTER TABLE dag_run
    DROP CONSTRAINT dag_run_run_type_check,
    ADD CONSTRAINT dag_run_run_type_check CHECK (run_type IN (
        'scheduled', 'manual', 'backfill', 'asset_triggered', 'operator_triggered', 'asset_materialization'));
