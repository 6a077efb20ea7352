ALTER TABLE dag_run DROP COLUMN depth;
ALTER TABLE task_instance DROP COLUMN wait;
