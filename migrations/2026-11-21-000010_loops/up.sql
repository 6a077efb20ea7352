-- How many rounds of its loop an instance has behind it (domain/src/repeat.rs), and which round each of its tries was.
ALTER TABLE task_instance ADD COLUMN rounds integer NOT NULL DEFAULT 0 CHECK (rounds >= 0);
ALTER TABLE task_try ADD COLUMN round integer CHECK (round >= 1);
