-- Questions to the timetables of plugins (domain/src/timetable/asked.rs). Whoever asks writes a row and takes it away again; the leading
-- scheduler answers. Nothing is lost with them: a question that got no answer is asked again.
CREATE UNLOGGED TABLE timetable_question (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    question json NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT now(),
    answer json
);

-- What a run of a backfill is called after, and the partition that it is about: then its interval is the moment that this begins with.
ALTER TABLE backfill_date
    ADD COLUMN run_after timestamptz,
    ADD COLUMN partition_key text CHECK (length(partition_key) BETWEEN 1 AND 250);
UPDATE backfill_date SET run_after = interval_end;
ALTER TABLE backfill_date ALTER COLUMN run_after SET NOT NULL;

CREATE INDEX dag_run_partition_date ON dag_run (dag_id, partition_date) WHERE partition_date IS NOT NULL;
