INSERT INTO task_instance (
    run_key, index, task_id, map_index, state, try_number, max_tries, lost, scheduled_at, queued_at, started_at, ended_at,
    next_try_at, worker, reason, pool, pool_slots, queue, priority, operator, is_held, wait, rendered_map_index
)
SELECT *
FROM unnest(
    $1::bigint[], $2::integer[], $3::text[], $4::integer[], $5::text[], $6::integer[], $7::integer[], $8::smallint[],
    $9::timestamptz[], $10::timestamptz[], $11::timestamptz[], $12::timestamptz[], $13::timestamptz[], $14::uuid[],
    $15::text[], $16::text[], $17::integer[], $18::text[], $19::integer[], $20::text[], $21::boolean[], $22::json[],
    $23::text[]
)
