WITH alive AS (
    SELECT kind, state, slots
    FROM job
    WHERE state IN ('running', 'draining') AND renewed_at > now() - make_interval(secs => $2)
),
lead AS (
    SELECT renewed_at, expires_at > now() AS is_valid FROM lease WHERE shard = $1
)
SELECT coalesce((SELECT is_valid FROM lead), false) AS is_led,
       (SELECT renewed_at FROM lead) AS leader_renewed_at,
       count(*) FILTER (WHERE kind = 'scheduler') AS schedulers,
       count(*) FILTER (WHERE kind = 'worker' AND state = 'running') AS workers,
       coalesce(sum(slots) FILTER (WHERE kind = 'worker' AND state = 'running'), 0) AS slots,
       count(*) FILTER (WHERE kind = 'webserver') AS webservers
FROM alive
