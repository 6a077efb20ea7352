-- Assets that DAG files or aliases name now; others are kept for their events.
CREATE VIEW named_asset AS
SELECT a.*, p.is_made OR m.is_member AS is_made
FROM asset a
CROSS JOIN LATERAL (
    SELECT count(*) > 0 AS is_named, coalesce(bool_or(p.part = 'outlet'), false) AS is_made
    FROM dag_asset p JOIN dag d USING (dag_id) WHERE p.asset_id = a.id AND NOT d.is_stale) p
CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM asset_alias_member WHERE asset_id = a.id) AS is_member) m
WHERE p.is_named OR m.is_member;

-- URIs may be longer than what a tree holds.
CREATE INDEX asset_uri ON asset USING hash (uri);

-- Of several assets with one URI one is active: one that is made before one that is only read or waited for, then the one that was heard
-- of first.
CREATE VIEW active_asset AS
SELECT a.* FROM named_asset a
WHERE NOT EXISTS (
    SELECT FROM named_asset o WHERE o.uri = a.uri AND o.id <> a.id AND (o.is_made, -o.id) > (a.is_made, -a.id));

-- What is odd about DAGs that can be read, in Airflow's kinds.
CREATE VIEW dag_warning AS
SELECT p.dag_id, 'asset conflict' AS warning_type, max(p.updated_at) AS "timestamp",
    string_agg(DISTINCT format(
        'Asset "%s" is not active, because its URI "%s" is already that of asset "%s": Airflow tasks that have it as inlet or outlet fail',
        a.name, a.uri, o.name), E'\n') AS message
FROM dag_asset p JOIN dag d USING (dag_id)
JOIN named_asset a ON a.id = p.asset_id
JOIN active_asset o ON o.uri = a.uri AND o.id <> a.id
WHERE NOT d.is_stale
GROUP BY p.dag_id;
