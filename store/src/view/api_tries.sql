-- The current try lives in the instance; an earlier one has only what changes from try to try.
WITH numbers AS (
    SELECT y.try_number, y.state, y.queued_at, y.started_at, y.ended_at, y.worker, y.reason, NULL::integer AS pid,
           NULL::timestamptz AS scheduled_at
    FROM task_try y
    JOIN task_instance t USING (run_key, index)
    WHERE y.run_key = $1 AND y.index = $2
      AND NOT (y.try_number = t.try_number AND t.state IN ('queued', 'running', 'restarting'))
    UNION ALL
    SELECT t.try_number, t.state, t.queued_at, t.started_at, t.ended_at, t.worker, t.reason, t.pid, t.scheduled_at
    FROM task_instance t
    WHERE t.run_key = $1 AND t.index = $2 AND t.try_number > 0
      AND (
          t.state IN ('queued', 'running', 'restarting')
          OR NOT EXISTS (
              SELECT FROM task_try y WHERE y.run_key = t.run_key AND y.index = t.index AND y.try_number = t.try_number
          )
      )
)
SELECT t.run_key, t.index, t.task_id, r.dag_id, r.run_id, t.map_index, r.logical_date, r.run_after, n.state, n.try_number,
       t.max_tries, t.pool, t.pool_slots, t.queue, t.priority, t.operator, n.scheduled_at, n.queued_at, n.started_at,
       n.ended_at, n.pid, n.reason, t.note, t.rendered_map_index, j.hostname, NULL::json AS fields, r.version_id, v.number AS version_number,
       v.created_at AS version_created_at
FROM task_instance t
JOIN dag_run r ON r.key = t.run_key
JOIN dag_version v ON v.id = r.version_id
CROSS JOIN numbers n
LEFT JOIN job j ON j.id = n.worker
WHERE t.run_key = $1 AND t.index = $2
ORDER BY n.try_number
LIMIT 1000
