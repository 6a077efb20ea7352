-- The runs that meet every condition that is given.
WITH matched AS (
    SELECT r.*
    FROM dag_run r
    WHERE ($1 IS NULL OR r.dag_id = $1)
      AND ($2 IS NULL OR strpos(lower(r.run_id), lower($2)) > 0)
      AND ($3 IS NULL OR r.state = ANY($3))
      AND ($4 IS NULL OR r.run_type = ANY($4))
      AND ($5 IS NULL OR r.triggered_by = $5)
      AND ($6 IS NULL OR r.run_after >= $6)
      AND ($7 IS NULL OR r.run_after <= $7)
      AND ($8 IS NULL OR r.logical_date >= $8)
      AND ($9 IS NULL OR r.logical_date <= $9)
      AND ($10 IS NULL OR r.started_at >= $10)
      AND ($11 IS NULL OR r.started_at <= $11)
      AND ($12 IS NULL OR r.ended_at >= $12)
      AND ($13 IS NULL OR r.ended_at <= $13)
)
