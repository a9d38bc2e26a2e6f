-- What SQL tools read about topics. The columns are those of the views in a SQLite file. They run with the rights of their owner: a role
-- that may use the schema and select from them needs no right on a table. A later step that drops a column below them drops them before.

-- A row for each topic, table and kind of change.
CREATE VIEW messagekit.system_routes AS
SELECT s.topic AS topic_id, s.table_name AS table_id, o.op, s.payload AS payload_mode, s.filter AS filter_expr,
  s.key AS partition_key_expr, s.on_failure
FROM messagekit.table_sources s
  JOIN (VALUES ('delete' COLLATE "C"), ('insert'), ('update')) o (op)
    ON CASE o.op WHEN 'insert' THEN s.on_insert WHEN 'update' THEN s.on_update ELSE s.on_delete END;

-- A row for each topic. retention_seconds: rounded up. routes: a JSON list.
CREATE VIEW messagekit.system_topics AS
SELECT t.name AS topic_id, t.name, (SELECT count(*)::int FROM messagekit.topic_partitions p WHERE p.topic_id = t.id) AS partitions,
  (t.max_age - 1) / 1000000 + 1 AS retention_seconds, t.max_bytes AS retention_max_bytes, t.keep_unhandled AS retention_consumed,
  coalesce((
    SELECT jsonb_agg(jsonb_build_object('table_id', r.table_id, 'op', r.op) ORDER BY r.table_id, r.op)
    FROM messagekit.system_routes r WHERE r.topic_id = t.name), '[]') AS routes,
  t.created_at
FROM messagekit.topics t;

-- A row for each partition of a topic in which a consumer has begun to read. lag: the records that it has not settled, without those that
-- retention has deleted. It reads cursors and claims, and no record.
CREATE VIEW messagekit.system_topic_offsets AS
SELECT t.name AS topic_id, g.consumer AS group_id, p.partition AS partition_id,
  CASE WHEN c.next > 0 THEN c.next - 1 END AS last_acked_offset, p.next_offset,
  greatest(p.next_offset - greatest(c.next, p.log_start), 0) - coalesce((
    SELECT sum(greatest((r.value ->> 'to')::bigint - greatest((r.value ->> 'from')::bigint, p.log_start), 0))::bigint
    FROM jsonb_array_elements(c.ranges::jsonb) r WHERE r.value ->> 'state' = 'settled'), 0) AS lag
FROM (
    SELECT DISTINCT o.topic_id, b.consumer FROM messagekit.consumer_cursors b
    JOIN messagekit.topic_partitions o ON o.id = b.tp_id) g
  JOIN messagekit.topics t ON t.id = g.topic_id
  JOIN messagekit.topic_partitions p ON p.topic_id = g.topic_id
  LEFT JOIN messagekit.consumer_cursors c ON c.tp_id = p.id AND c.consumer = g.consumer;
