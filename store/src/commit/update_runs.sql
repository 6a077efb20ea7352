-- Notes are not the engine's: people write them.
UPDATE dag_run AS r
SET state = n.state, version_id = n.version_id, run_after = n.run_after, queued_at = n.queued_at,
    started_at = n.started_at, ended_at = n.ended_at, clear_number = n.clear_number,
    is_paused = n.is_paused, depth = n.depth, missed = n.missed, partition_key = n.partition_key,
    partition_date = n.partition_date, bases = n.bases
FROM unnest(
    $1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::timestamptz[], $6::timestamptz[], $7::timestamptz[],
    $8::timestamptz[], $9::integer[], $10::boolean[], $11::integer[], $12::json[],
    $13::text[], $14::timestamptz[], $15::json[]
) AS n (
    key, old_state, state, version_id, run_after, queued_at, started_at, ended_at, clear_number, is_paused, depth, missed,
    partition_key, partition_date, bases
)
WHERE r.key = n.key AND r.state = n.old_state
