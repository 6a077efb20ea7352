DROP TABLE task_duration;
ALTER TABLE pool DROP COLUMN policy;
ALTER TABLE task_instance DROP COLUMN is_held;
ALTER TABLE dag_run DROP COLUMN is_paused;
ALTER TABLE dag DROP COLUMN failed_runs, DROP COLUMN disabled;
