-- Backfills: a DAG run for dates that have passed (domain/src/backfill.rs). Written by the engine alone.

-- Gives the numbers of backfills to whoever asks for one, so that they know it before the engine has taken it in.
CREATE SEQUENCE backfill_id;

CREATE TABLE backfill (
    id bigint PRIMARY KEY,
    dag_id text NOT NULL,
    from_date timestamptz NOT NULL,
    to_date timestamptz NOT NULL,
    run_backwards boolean NOT NULL,
    max_active_runs integer NOT NULL CHECK (max_active_runs > 0),
    reprocess text NOT NULL CHECK (reprocess IN ('none', 'failed', 'completed')),
    conf json,
    run_on_latest_version boolean NOT NULL,
    triggered_by text NOT NULL,
    is_paused boolean NOT NULL,
    is_cancelled boolean NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    completed_at timestamptz
);
CREATE UNIQUE INDEX backfill_active ON backfill (dag_id) WHERE completed_at IS NULL;
CREATE INDEX backfill_dag ON backfill (dag_id, id DESC);

-- A date without a deed waits for its turn. The key of a run stays when the run is deleted.
CREATE TABLE backfill_date (
    backfill_id bigint NOT NULL REFERENCES backfill (id) ON DELETE CASCADE,
    ordinal integer NOT NULL CHECK (ordinal >= 0),
    interval_start timestamptz NOT NULL,
    interval_end timestamptz NOT NULL,
    run_id text NOT NULL,
    deed text CHECK (deed IN ('created', 'reprocessed', 'in flight', 'already exists')),
    run_key bigint,
    PRIMARY KEY (backfill_id, ordinal),
    CONSTRAINT run_when_run CHECK (coalesce(deed IN ('created', 'reprocessed'), false) = (run_key IS NOT NULL))
) WITH (fillfactor = 70);
CREATE INDEX backfill_date_run ON backfill_date (backfill_id, interval_start) WHERE run_key IS NOT NULL;

ALTER TABLE dag_run
    ADD COLUMN backfill_id bigint,
    ADD COLUMN backfill_ordinal integer,
    ADD CONSTRAINT place_in_backfill CHECK ((backfill_id IS NULL) = (backfill_ordinal IS NULL));
