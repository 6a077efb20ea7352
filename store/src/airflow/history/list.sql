SELECT row_to_json(found)::text AS body
FROM (
    SELECT r.id, r.run_id, r.run_type, r.state, d.logical_date,
           coalesce(r.data_interval_end, d.due) AS until,
           (SELECT count(*) FROM task_instance t WHERE t.dag_id = r.dag_id AND t.run_id = r.run_id) AS instances
    FROM dag_run r
    CROSS JOIN LATERAL (SELECT to_jsonb(r) AS body) j
    CROSS JOIN LATERAL (
        SELECT coalesce(body ->> 'logical_date', body ->> 'execution_date')::timestamptz AS logical_date,
               coalesce(
                   body ->> 'run_after', body ->> 'data_interval_end', body ->> 'logical_date', body ->> 'execution_date',
                   body ->> 'queued_at', body ->> 'start_date'
               )::timestamptz AS due
    ) d
    WHERE r.dag_id = $1 AND ($2 IS NULL OR d.due >= $2)
    ORDER BY d.due DESC, r.id DESC
    LIMIT $3
) found
