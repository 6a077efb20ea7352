ALTER TABLE dag_run DROP COLUMN backfill_ordinal, DROP COLUMN backfill_id;
DROP TABLE backfill_date;
DROP TABLE backfill;
DROP SEQUENCE backfill_id;
