-- The deadlines that a run has missed (domain/src/deadline.rs), and word of them among the alerts.
ALTER TABLE dag_run ADD COLUMN missed json;
ALTER TABLE alert DROP CONSTRAINT alert_event_check;
ALTER TABLE alert ADD CONSTRAINT alert_event_check
    CHECK (event IN ('success', 'failure', 'retry', 'skipped', 'deadline'));
