DROP INDEX dag_run_partition_date;
ALTER TABLE backfill_date DROP COLUMN run_after, DROP COLUMN partition_key;
DROP TABLE timetable_question;
