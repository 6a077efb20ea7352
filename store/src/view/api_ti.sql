t.run_key, t.index, t.task_id, r.dag_id, r.run_id, t.map_index, r.logical_date, r.run_after, t.state, t.try_number, t.max_tries,
t.pool, t.pool_slots, t.queue, t.priority, t.operator, t.scheduled_at, t.queued_at, t.started_at, t.ended_at, t.pid, t.reason,
t.note, t.rendered_map_index, j.hostname, f.fields, r.version_id, v.number AS version_number, v.created_at AS version_created_at
