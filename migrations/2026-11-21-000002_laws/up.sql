-- What operators switch, and what the engine learns.

ALTER TABLE dag
    ADD COLUMN disabled text[] NOT NULL DEFAULT '{}',
    ADD COLUMN failed_runs integer NOT NULL DEFAULT 0 CHECK (failed_runs >= 0);

ALTER TABLE dag_run ADD COLUMN is_paused boolean NOT NULL DEFAULT false;

ALTER TABLE task_instance ADD COLUMN is_held boolean NOT NULL DEFAULT false;

ALTER TABLE pool ADD COLUMN policy text
    CHECK (policy IN ('fifo', 'priority', 'shortest', 'longest', 'fifo_shortest', 'critical_path'));

-- How long the last successful tries of a task took, in milliseconds, oldest first. A row outlives its task, not its DAG.
CREATE TABLE task_duration (
    dag_id text NOT NULL,
    task_id text NOT NULL,
    recent json NOT NULL,
    PRIMARY KEY (dag_id, task_id)
);
