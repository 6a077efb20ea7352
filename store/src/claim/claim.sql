-- The lock on the worker's row makes a leader that declares it lost wait, so that no claim is missed among its tries.
-- A try that somebody else is just claiming is skipped: it is theirs.
WITH alive AS MATERIALIZED (
    SELECT id FROM job
    WHERE id = $1 AND kind = 'worker' AND state IN ('running', 'draining')
      AND renewed_at > now() - make_interval(secs => $5)
    FOR SHARE
),
picked AS MATERIALIZED (
    SELECT t.run_key, t.index
    FROM unnest($2::bigint[], $3::integer[], $4::integer[]) AS w (run_key, index, try_number)
    JOIN task_instance t ON t.run_key = w.run_key AND t.index = w.index AND t.try_number = w.try_number
    WHERE t.state = 'queued' AND EXISTS (SELECT FROM alive)
    FOR UPDATE OF t SKIP LOCKED
),
claimed AS (
    UPDATE task_instance t
    SET state = 'running', started_at = now(), worker = $1, pid = NULL
    FROM picked p
    WHERE t.run_key = p.run_key AND t.index = p.index
    RETURNING t.run_key, t.index, t.try_number, t.task_id, t.map_index, t.max_tries, t.started_at, t.wait,
        t.rounds
)
SELECT c.run_key, c.index, c.try_number, c.task_id, c.map_index, c.max_tries, c.started_at,
       c.rounds, coalesce((c.wait->>'pokes')::integer, 0) AS pokes, (c.wait->>'since')::timestamptz AS since,
       d.next_method, d.next_kwargs, d.resumption,
       r.dag_id, r.run_id, r.run_type, r.version_id, r.logical_date, r.interval_start, r.interval_end, r.run_after,
       r.partition_key, r.partition_date,
       r.started_at AS run_started_at, r.conf, r.triggered_by, v.file,
