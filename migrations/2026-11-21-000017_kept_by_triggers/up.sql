-- What triggers keep of assets is kept in nobody's name: many run in one process, and nobody can tell which of them it was.
ALTER TABLE asset_state
    ALTER dag_id DROP NOT NULL,
    ALTER run_id DROP NOT NULL,
    ALTER task_id DROP NOT NULL,
    ALTER map_index DROP NOT NULL,
    ADD CONSTRAINT kept_by_an_instance_or_nobody CHECK (num_nulls(dag_id, run_id, task_id, map_index) IN (0, 4));
