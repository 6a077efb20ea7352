ALTER TABLE task_try DROP COLUMN round;
ALTER TABLE task_instance DROP COLUMN rounds;
