SELECT d.dag_id, d.description, d.owner, d.tags, d.file, d.schedule, d.schedule_description, d.is_paused, d.is_stale,
       EXISTS (SELECT FROM import_error e WHERE e.file = d.file) AS has_import_errors,
       d.version_id, v.number AS version_number, d.next_logical_date, d.next_interval_start, d.next_interval_end,
       d.next_run_after, d.parsed_at, a.running, a.queued, 1::bigint AS total
FROM dag d
JOIN dag_version v ON v.id = d.version_id
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE state = 'running') AS running, count(*) FILTER (WHERE state = 'queued') AS queued
    FROM dag_run r
    WHERE r.dag_id = d.dag_id AND r.state IN ('queued', 'running')
) a
WHERE d.dag_id = $1
