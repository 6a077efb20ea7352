-- The task instances that meet every condition that is given.
WITH matched AS (
    SELECT t.*, r.dag_id, r.run_id, r.version_id, r.logical_date, r.run_after
    FROM task_instance t
    JOIN dag_run r ON r.key = t.run_key
    WHERE ($1 IS NULL OR r.dag_id = $1)
      AND ($2 IS NULL OR t.run_key = $2)
      AND ($3 IS NULL OR t.task_id = $3)
      AND ($4 IS NULL OR strpos(lower(t.task_id), lower($4)) > 0)
      AND ($5 IS NULL OR t.state = ANY($5))
      AND ($6 IS NULL OR t.map_index = $6)
      AND ($7 IS NULL OR t.pool = ANY($7))
      AND ($8 IS NULL OR t.queue = ANY($8))
      AND ($9 IS NULL OR t.operator = $9)
      AND ($10 IS NULL OR t.try_number = $10)
      AND ($11 IS NULL OR t.started_at >= $11)
      AND ($12 IS NULL OR t.started_at <= $12)
      AND ($13 IS NULL OR t.ended_at >= $13)
      AND ($14 IS NULL OR t.ended_at <= $14)
)
