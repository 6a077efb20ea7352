SELECT count(*) AS total FROM (SELECT FROM matched LIMIT 100000) AS few
