FROM claimed c
JOIN dag_run r ON r.key = c.run_key
JOIN dag_version v ON v.id = r.version_id
LEFT JOIN deferral d ON d.run_key = c.run_key AND d.index = c.index AND d.resumption IS NOT NULL
