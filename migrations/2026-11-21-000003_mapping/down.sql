ALTER TABLE task_instance DROP COLUMN rendered_map_index;
