-- The lines that meet every condition that is given.
WITH matched AS (
    SELECT *
    FROM event_log e
    WHERE ($1 IS NULL OR e.dag_id = $1)
      AND ($2 IS NULL OR e.run_id = $2)
      AND ($3 IS NULL OR e.task_id = $3)
      AND ($4 IS NULL OR e.owner = $4)
      AND ($5 IS NULL OR e.event = ANY($5))
      AND ($6 IS NULL OR e.event <> ALL($6))
      AND ($7 IS NULL OR e.at >= $7)
      AND ($8 IS NULL OR e.at < $8)
)
