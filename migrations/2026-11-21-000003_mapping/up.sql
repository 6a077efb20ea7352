-- What an instance of a mapped task is called beside its index.

ALTER TABLE task_instance ADD COLUMN rendered_map_index text CHECK (length(rendered_map_index) <= 250);
