UPDATE dag AS d
SET cursor_start = n.cursor_start, cursor_end = n.cursor_end, next_logical_date = n.next_logical_date,
    next_interval_start = n.next_interval_start, next_interval_end = n.next_interval_end,
    next_run_after = n.next_run_after
FROM unnest(
    $1::text[], $2::timestamptz[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[],
    $7::timestamptz[]
) AS n (
    dag_id, cursor_start, cursor_end, next_logical_date, next_interval_start, next_interval_end, next_run_after
)
WHERE d.dag_id = n.dag_id
