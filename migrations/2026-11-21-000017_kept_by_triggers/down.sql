DELETE FROM asset_state WHERE dag_id IS NULL;
ALTER TABLE asset_state
    DROP CONSTRAINT kept_by_an_instance_or_nobody,
    ALTER dag_id SET NOT NULL,
    ALTER run_id SET NOT NULL,
    ALTER task_id SET NOT NULL,
    ALTER map_index SET NOT NULL;
