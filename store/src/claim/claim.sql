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
       r.started_at AS run_started_at, r.conf, r.triggered_by, v.file,
       CASE WHEN r.run_type = 'asset_triggered' THEN (
           SELECT json_agg(json_build_object(
                      'name', e.name, 'uri', e.uri, 'asset_extra', e.asset_extra, 'extra', e.extra, 'timestamp', e.at,
                      'aliases', ARRAY(SELECT l.name FROM asset_event_alias n JOIN asset_alias l ON l.id = n.alias_id
                                       WHERE n.event_id = e.id ORDER BY l.name),
                      'source_dag_id', e.source_dag_id, 'source_run_id', e.source_run_id,
                      'source_task_id', e.source_task_id, 'source_map_index', e.source_map_index) ORDER BY e.id)
           FROM (SELECT e.*, a.name, a.uri, a.extra AS asset_extra
                 FROM consumed_asset_event x JOIN asset_event e ON e.id = x.event_id
                 JOIN asset a ON a.id = e.asset_id WHERE x.run_key = r.key ORDER BY e.id DESC LIMIT 100) e
       ) END AS asset_events
FROM claimed c
JOIN dag_run r ON r.key = c.run_key
JOIN dag_version v ON v.id = r.version_id
LEFT JOIN deferral d ON d.run_key = c.run_key AND d.index = c.index AND d.resumption IS NOT NULL
