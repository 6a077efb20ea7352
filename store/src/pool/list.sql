WITH used AS (
    SELECT t.pool,
           sum(t.pool_slots) FILTER (WHERE t.state IN ('running', 'restarting')) AS running,
           sum(t.pool_slots) FILTER (WHERE t.state = 'queued') AS queued,
           sum(t.pool_slots) FILTER (WHERE t.state = 'scheduled') AS scheduled,
           sum(t.pool_slots) FILTER (WHERE t.state = 'deferred') AS deferred
    FROM dag_run r
    JOIN task_instance t ON t.run_key = r.key
    WHERE r.state IN ('queued', 'running') AND t.state IN ('running', 'restarting', 'queued', 'scheduled', 'deferred')
    GROUP BY t.pool
)
SELECT p.name, p.slots, p.description, p.include_deferred, p.policy, coalesce(u.running, 0) AS running,
       coalesce(u.queued, 0) AS queued, coalesce(u.scheduled, 0) AS scheduled, coalesce(u.deferred, 0) AS deferred
FROM pool p
LEFT JOIN used u ON u.pool = p.name
WHERE $1 IS NULL OR p.name = $1
ORDER BY p.name
LIMIT $2 OFFSET $3
