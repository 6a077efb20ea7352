-- Whether it is paused is the file's wish only when the DAG is new; later it is the people's.
INSERT INTO dag (
    dag_id, version_id, is_paused, file, description, owner, tags, schedule, schedule_description, parsed_at
)
SELECT n.dag_id, n.version_id, n.is_paused, n.file, n.description, n.owner,
       ARRAY(SELECT json_array_elements_text(n.tags)), n.schedule, n.words, now()
FROM unnest(
    $1::text[], $2::bigint[], $3::boolean[], $4::text[], $5::text[], $6::text[], $7::json[], $8::text[], $9::text[]
) AS n (dag_id, version_id, is_paused, file, description, owner, tags, schedule, words)
ON CONFLICT (dag_id) DO UPDATE
SET version_id = excluded.version_id, is_stale = false, file = excluded.file, description = excluded.description,
    owner = excluded.owner, tags = excluded.tags, schedule = excluded.schedule,
    schedule_description = excluded.schedule_description, parsed_at = excluded.parsed_at
