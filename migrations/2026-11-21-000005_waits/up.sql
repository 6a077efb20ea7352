-- What an instance waits for while its try has begun and no worker has it (domain/src/wait/record.rs).
ALTER TABLE task_instance ADD COLUMN wait json;

-- How many runs before this one triggered one the other; bounds DAGs that trigger each other in a circle.
ALTER TABLE dag_run ADD COLUMN depth integer NOT NULL DEFAULT 0 CHECK (depth >= 0);
