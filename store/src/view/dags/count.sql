SELECT count(*) AS all, count(*) FILTER (WHERE NOT d.is_paused) AS active, count(*) FILTER (WHERE d.is_paused) AS paused,
       count(*) FILTER (
           WHERE EXISTS (SELECT FROM dag_run r WHERE r.dag_id = d.dag_id AND r.state = 'running')
       ) AS running,
       count(*) FILTER (
           WHERE (
               SELECT r.state FROM dag_run r WHERE r.dag_id = d.dag_id ORDER BY r.run_after DESC, r.key DESC LIMIT 1
           ) = 'failed'
       ) AS failed,
       (SELECT count(DISTINCT file) FROM import_error) AS broken_files
FROM dag d
WHERE NOT d.is_stale
