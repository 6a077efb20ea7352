SELECT 'runs' AS name, state AS kind, count(*)::float8 AS value
FROM dag_run WHERE state IN ('queued', 'running') GROUP BY state
UNION ALL
SELECT 'ended', state, count(*)::float8 FROM dag_run WHERE ended_at > now() - interval '5 minutes' GROUP BY state
UNION ALL
SELECT 'tasks', t.state, count(*)::float8
FROM dag_run r JOIN task_instance t ON t.run_key = r.key WHERE r.state IN ('queued', 'running') GROUP BY t.state
UNION ALL
SELECT 'workers', state, count(*)::float8 FROM job WHERE kind = 'worker' AND state IN ('running', 'draining') GROUP BY state
UNION ALL
SELECT 'slots', NULL, coalesce(sum(slots), 0)::float8 FROM job WHERE kind = 'worker' AND state = 'running'
UNION ALL
SELECT 'inbox', NULL, count(*)::float8 FROM inbox
UNION ALL
SELECT 'heartbeat', NULL, extract(epoch FROM now() - renewed_at)::float8 FROM lease WHERE shard = 'main'
UNION ALL
SELECT 'dags', CASE WHEN is_paused THEN 'paused' ELSE 'active' END, count(*)::float8
FROM dag WHERE NOT is_stale GROUP BY is_paused
