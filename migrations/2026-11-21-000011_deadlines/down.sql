DELETE FROM alert WHERE event = 'deadline';
ALTER TABLE alert DROP CONSTRAINT alert_event_check;
ALTER TABLE alert ADD CONSTRAINT alert_event_check CHECK (event IN ('success', 'failure', 'retry', 'skipped'));
ALTER TABLE dag_run DROP COLUMN missed;
