-- An instance known as queued may have been claimed meanwhile; what the claim wrote is kept until the next try.
-- Its pool and its queue were written when it was created; its process id and its note are not the engine's.
UPDATE task_instance AS t
SET map_index = n.map_index, state = n.state, try_number = n.try_number, max_tries = n.max_tries, lost = n.lost,
    scheduled_at = n.scheduled_at, queued_at = n.queued_at, ended_at = n.ended_at, next_try_at = n.next_try_at,
    reason = n.reason, priority = n.priority, is_held = n.is_held, wait = n.wait, rendered_map_index = n.rendered_map_index,
    rounds = n.rounds,
    started_at = CASE
        WHEN n.state IN ('none', 'scheduled', 'queued') THEN n.started_at
        ELSE coalesce(n.started_at, t.started_at)
    END,
    worker = CASE WHEN n.state IN ('none', 'scheduled', 'queued') THEN n.worker ELSE coalesce(n.worker, t.worker) END
FROM unnest(
    $1::bigint[], $2::integer[], $3::text[], $4::integer[], $5::integer[], $6::text[], $7::integer[], $8::integer[],
    $9::smallint[], $10::timestamptz[], $11::timestamptz[], $12::timestamptz[], $13::timestamptz[], $14::timestamptz[],
    $15::uuid[], $16::text[], $17::integer[], $18::boolean[], $19::json[], $20::text[], $21::integer[]
) AS n (
    run_key, index, old_state, old_try, map_index, state, try_number, max_tries, lost, scheduled_at, queued_at,
    started_at, ended_at, next_try_at, worker, reason, priority, is_held, wait, rendered_map_index, rounds
)
WHERE t.run_key = n.run_key AND t.index = n.index AND t.try_number = n.old_try
  AND (t.state = n.old_state OR (n.old_state = 'queued' AND t.state = 'running'))
