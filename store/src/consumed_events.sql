CASE WHEN r.run_type = 'asset_triggered' THEN (
    SELECT json_agg(json_build_object(
               'name', e.name, 'uri', e.uri, 'asset_extra', e.asset_extra, 'extra', e.extra, 'timestamp', e.at, 'partition_key', e.partition_key,
               'aliases', ARRAY(SELECT l.name FROM asset_event_alias n JOIN asset_alias l ON l.id = n.alias_id
                                WHERE n.event_id = e.id ORDER BY l.name),
               'source_dag_id', e.source_dag_id, 'source_run_id', e.source_run_id,
               'source_task_id', e.source_task_id, 'source_map_index', e.source_map_index) ORDER BY e.id)
    FROM (SELECT e.*, a.name, a.uri, a.extra AS asset_extra
          FROM consumed_asset_event x JOIN asset_event e ON e.id = x.event_id
          JOIN asset a ON a.id = e.asset_id WHERE x.run_key = r.key ORDER BY e.id DESC LIMIT 100) e
) END AS asset_events
