-- Numbers instead of names: the place of the run in $1 and of the state in $2.
SELECT g.task_id, array_agg(g.run::smallint) AS runs, array_agg(s.place::smallint) AS states,
       array_agg(g.count::integer) AS counts, array_agg(g.try_number) AS tries
FROM (
    SELECT t.task_id, r.place AS run, t.state, count(*) AS count, max(t.try_number) AS try_number
    FROM unnest($1) WITH ORDINALITY AS r (key, place)
    JOIN task_instance t ON t.run_key = r.key
    WHERE cardinality($3) = 0 OR t.task_id = ANY($3)
    GROUP BY t.task_id, r.place, t.state
) g
JOIN unnest($2) WITH ORDINALITY AS s (state, place) ON s.state = g.state
GROUP BY g.task_id
ORDER BY g.task_id
