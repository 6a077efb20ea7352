DROP TABLE asset_state;
DROP TABLE task_state;
