DROP TABLE partition_event;
DROP TABLE partition_queue;
ALTER TABLE asset_event DROP COLUMN partition_key;
DROP INDEX dag_run_partition;
ALTER TABLE dag_run DROP COLUMN partition_key, DROP COLUMN partition_date;
