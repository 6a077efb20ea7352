-- Partitions (domain/src/partition.rs): what runs and events are about, and which partitions of DAGs wait for assets.

ALTER TABLE dag_run
    ADD COLUMN partition_key text CHECK (length(partition_key) BETWEEN 1 AND 250),
    ADD COLUMN partition_date timestamptz;
CREATE INDEX dag_run_partition ON dag_run (dag_id, partition_key) WHERE partition_key IS NOT NULL;

ALTER TABLE asset_event
    ADD COLUMN partition_key text CHECK (length(partition_key) BETWEEN 1 AND 250);

-- A partition that has heard of something since its last run (Airflow's asset_partition_dag_run). `mappers` is the fingerprint of the
-- mappers that chose it: under others it is forgotten.
CREATE TABLE partition_queue (
    dag_id text NOT NULL REFERENCES dag (dag_id) ON DELETE CASCADE,
    partition_key text NOT NULL CHECK (length(partition_key) BETWEEN 1 AND 250),
    since timestamptz NOT NULL,
    partition_date timestamptz,
    mappers text NOT NULL,
    PRIMARY KEY (dag_id, partition_key)
);

-- What it has heard of (Airflow's partitioned_asset_key_log).
CREATE TABLE partition_event (
    dag_id text NOT NULL REFERENCES dag (dag_id) ON DELETE CASCADE,
    partition_key text NOT NULL,
    event_id bigint NOT NULL REFERENCES asset_event (id) ON DELETE CASCADE,
    PRIMARY KEY (dag_id, partition_key, event_id)
);
CREATE INDEX partition_event_event ON partition_event (event_id);
