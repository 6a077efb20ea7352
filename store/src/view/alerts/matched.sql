-- The alerts that meet every condition that is given.
WITH matched AS (
    SELECT a.*, r.run_id
    FROM alert a
    JOIN dag_run r ON r.key = a.run_key
    WHERE ($1 IS NULL OR a.dag_id = $1)
      AND ($2 IS NULL OR r.run_id = $2)
      AND ($3 IS NULL OR a.state = $3)
)
