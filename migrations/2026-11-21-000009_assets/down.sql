DELETE FROM dag_run WHERE run_type = 'asset_materialization';
ALTER TABLE dag_run
    DROP CONSTRAINT dag_run_run_type_check,
    ADD CONSTRAINT dag_run_run_type_check CHECK (
        run_type IN ('scheduled', 'manual', 'backfill', 'asset_triggered', 'operator_triggered'));
ALTER TABLE dag DROP COLUMN asset_run_at, DROP COLUMN asset_event;
DROP TABLE consumed_asset_event;
DROP TABLE asset_dag_run_queue;
DROP TABLE asset_event_alias;
DROP TABLE asset_event;
DROP TABLE dag_asset;
DROP TABLE asset_alias_member;
DROP TABLE asset_alias;
DROP TABLE asset;
