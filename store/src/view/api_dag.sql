d.dag_id, d.version_id, v.number AS version_number, v.created_at AS version_created_at, d.is_paused, d.is_stale, d.file,
d.description, d.owner, d.tags, d.schedule, d.schedule_description,
coalesce(
    json_typeof(v.body -> 'schedule') = 'object' AND v.body -> 'schedule' ->> 'is_aperiodic' IS DISTINCT FROM 'true', false
) AS is_periodic,
coalesce(json_typeof(v.body -> 'partitions') = 'object', false) AS is_partitioned,
d.next_logical_date, d.next_interval_start, d.next_interval_end, d.next_run_after, d.parsed_at,
(v.body ->> 'max_active_tasks')::integer AS max_active_tasks, (v.body ->> 'max_active_runs')::integer AS max_active_runs,
EXISTS (
    SELECT FROM json_array_elements(v.body -> 'tasks') t
    WHERE t -> 'max_active_tis_per_dag' IS NOT NULL OR t -> 'max_active_tis_per_dagrun' IS NOT NULL
) AS limits_tasks,
EXISTS (SELECT FROM import_error e WHERE e.file = d.file) AS has_import_errors,
(SELECT count(*) FROM dag_run r WHERE r.dag_id = d.dag_id AND r.state IN ('queued', 'running')) AS active_runs
