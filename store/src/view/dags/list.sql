WITH active AS (
    SELECT dag_id, count(*) FILTER (WHERE state = 'running') AS running,
           count(*) FILTER (WHERE state = 'queued') AS queued
    FROM dag_run
    WHERE state IN ('queued', 'running')
    GROUP BY dag_id
)
SELECT d.dag_id, d.description, d.owner, d.tags, d.file, d.schedule, d.schedule_description, d.is_paused, d.is_stale,
       EXISTS (SELECT FROM import_error e WHERE e.file = d.file) AS has_import_errors,
       d.version_id, v.number AS version_number, d.next_logical_date, d.next_interval_start, d.next_interval_end,
       d.next_run_after, d.parsed_at, coalesce(a.running, 0) AS running, coalesce(a.queued, 0) AS queued,
       count(*) OVER () AS total
FROM dag d
JOIN dag_version v ON v.id = d.version_id
LEFT JOIN active a ON a.dag_id = d.dag_id
LEFT JOIN LATERAL (
    SELECT r.run_after, r.state FROM dag_run r
    WHERE r.dag_id = d.dag_id AND ($6 IS NOT NULL OR $8 IN ('last_run', 'last_run_state'))
    ORDER BY r.run_after DESC, r.key DESC
    LIMIT 1
) l ON true
WHERE ($7 OR NOT d.is_stale)
  AND ($1 IS NULL OR strpos(lower(d.dag_id), lower($1)) > 0)
  AND (cardinality($2) = 0 OR CASE WHEN $3 THEN d.tags @> $2 ELSE d.tags && $2 END)
  AND ($4 IS NULL OR d.owner = $4)
  AND ($5 IS NULL OR d.is_paused = $5)
  AND ($6 IS NULL OR l.state = $6)
ORDER BY
    CASE WHEN $8 = 'dag_id' AND $9 THEN lower(d.dag_id) COLLATE "C" END DESC,
    CASE WHEN $8 = 'next_run' AND NOT $9 THEN d.next_run_after END,
    CASE WHEN $8 = 'next_run' AND $9 THEN d.next_run_after END DESC NULLS LAST,
    CASE WHEN $8 = 'last_run' AND NOT $9 THEN l.run_after END,
    CASE WHEN $8 = 'last_run' AND $9 THEN l.run_after END DESC NULLS LAST,
    CASE WHEN $8 = 'last_run_state' AND NOT $9 THEN l.state END,
    CASE WHEN $8 = 'last_run_state' AND $9 THEN l.state END DESC NULLS LAST,
    lower(d.dag_id) COLLATE "C",
    d.dag_id
LIMIT $10 OFFSET $11
