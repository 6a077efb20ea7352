INSERT INTO dag_run (
    key, dag_id, run_id, run_type, state, version_id, logical_date, interval_start, interval_end, run_after, queued_at,
    started_at, ended_at, conf, triggered_by, note, clear_number, is_paused, depth, backfill_id,
    backfill_ordinal, missed, partition_key, partition_date, bases
)
SELECT *
FROM unnest(
    $1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::timestamptz[], $8::timestamptz[],
    $9::timestamptz[], $10::timestamptz[], $11::timestamptz[], $12::timestamptz[], $13::timestamptz[], $14::json[],
    $15::text[], $16::text[], $17::integer[], $18::boolean[], $19::integer[], $20::bigint[], $21::integer[],
    $22::json[], $23::text[], $24::timestamptz[], $25::json[]
)
