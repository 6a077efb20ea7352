-- What is shown of an XCom in which there is a secret; tasks read the XCom itself. The worker that ran the try knows what is secret, and
-- writes the row before the XCom can be seen. The digest names the XCom and its value: an old row says nothing of a new value.
CREATE TABLE masked_xcom (
    run_key bigint NOT NULL REFERENCES dag_run (key) ON DELETE CASCADE,
    digest text NOT NULL,
    value json NOT NULL,
    PRIMARY KEY (run_key, digest)
);
-- XComs as people and programs see them.
CREATE VIEW shown_xcom AS
SELECT x.run_key, x.task_id, x.map_index, x.key, x.created_at, coalesce(m.value, x.value) AS value
FROM xcom x LEFT JOIN masked_xcom m
    ON m.run_key = x.run_key AND m.digest = md5(jsonb_build_array(x.task_id, x.map_index, x.key, x.value)::text);
