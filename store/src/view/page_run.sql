-- The instances of a task are counted by state first, so that the arrays have one element for each state that occurs.
SELECT g.task_id, min(g.operator) AS operator, array_agg(g.state) AS states, array_agg(g.count) AS counts,
       bool_or(g.is_expanded) AS is_expanded, max(g.try_number) AS try_number, max(g.max_tries) AS max_tries,
       min(g.queued_at) AS queued_at, min(g.started_at) AS started_at,
       CASE WHEN bool_and(g.is_over) THEN max(g.ended_at) END AS ended_at,
       coalesce(max(g.reason) FILTER (WHERE g.state = 'failed'), max(g.reason)) AS reason
FROM (
    SELECT task_id, state, min(index) AS place, min(operator) AS operator, count(*) AS count,
           bool_or(map_index >= 0) AS is_expanded, max(try_number) AS try_number, max(max_tries) AS max_tries,
           min(queued_at) AS queued_at, min(started_at) AS started_at, max(ended_at) AS ended_at,
           state IN ('success', 'failed', 'skipped', 'upstream_failed', 'removed') AS is_over, max(reason) AS reason
    FROM task_instance
    WHERE run_key = $1 AND (cardinality($2) = 0 OR task_id = ANY($2))
    GROUP BY task_id, state
) g
GROUP BY g.task_id
ORDER BY min(g.place), g.task_id
LIMIT $3 OFFSET $4
