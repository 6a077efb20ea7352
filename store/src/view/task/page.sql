SELECT m.*, v.number AS version_number, j.hostname
FROM matched m
JOIN dag_version v ON v.id = m.version_id
LEFT JOIN job j ON j.id = m.worker
WHERE $15 IS NULL OR m.run_key < $15 OR (m.run_key = $15 AND m.index > $16)
ORDER BY m.run_key DESC, m.index
LIMIT $17 OFFSET $18
