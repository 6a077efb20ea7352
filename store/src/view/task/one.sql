SELECT t.*, r.dag_id, r.run_id, r.version_id, r.logical_date, r.run_after, v.number AS version_number, j.hostname
FROM dag_run r
JOIN task_instance t ON t.run_key = r.key
JOIN dag_version v ON v.id = r.version_id
LEFT JOIN job j ON j.id = t.worker
WHERE r.dag_id = $1 AND r.run_id = $2 AND t.task_id = $3 AND t.map_index = $4
