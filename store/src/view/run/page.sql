SELECT m.*, v.number AS version_number
FROM matched m
JOIN dag_version v ON v.id = m.version_id
WHERE $14 IS NULL OR CASE WHEN $16 THEN (m.run_after, m.key) > ($14, $15) ELSE (m.run_after, m.key) < ($14, $15) END
ORDER BY
    CASE WHEN $16 THEN m.run_after END,
    CASE WHEN $16 THEN m.key END,
    m.run_after DESC,
    m.key DESC
LIMIT $17 OFFSET $18
