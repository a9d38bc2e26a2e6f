-- What SQL tools read about topics. The columns are those of the views in PostgreSQL. A later step that drops or rebuilds a table below
-- them drops them before. Nothing here is newer than STRICT: an older tool could read no table of a file whose views it cannot parse.

-- A row for each topic, table and kind of change. A table source of a file fails the write.
CREATE VIEW messagekit_system_routes AS
SELECT s.topic AS topic_id, s.table_name AS table_id, o.op AS op, s.payload AS payload_mode, s.filter AS filter_expr,
  s.key AS partition_key_expr, 'fail' AS on_failure
FROM messagekit_table_sources s
  JOIN (SELECT 'delete' AS op UNION ALL SELECT 'insert' UNION ALL SELECT 'update') o
    ON CASE o.op WHEN 'insert' THEN s.on_insert WHEN 'update' THEN s.on_update ELSE s.on_delete END;

-- A row for each topic that is defined. retention_seconds: rounded up. routes: a JSON list. created_at: UTC, as text that sorts.
CREATE VIEW messagekit_system_topics AS
SELECT t.name AS topic_id, t.name AS name, t.partitions AS partitions, (d.max_age - 1) / 1000000 + 1 AS retention_seconds,
  d.max_bytes AS retention_max_bytes, d.keep_unhandled AS retention_consumed,
  (SELECT json_group_array(json_object('table_id', r.table_id, 'op', r.op)) FROM (
     SELECT s.table_id, s.op FROM messagekit_system_routes s WHERE s.topic_id = t.name
     ORDER BY s.table_id COLLATE BINARY, s.op) r) AS routes,
  strftime('%Y-%m-%dT%H:%M:%S', d.created_at / 1000000, 'unixepoch') || printf('.%06dZ', d.created_at % 1000000) AS created_at
FROM messagekit_topic_definitions d JOIN messagekit_topics t ON t.id = d.topic_id;

-- A row for each partition of a topic in which a consumer has begun to read. lag: the records that it has not settled, without those that
-- retention has deleted. It reads cursors and claims, and no record.
CREATE VIEW messagekit_system_topic_offsets AS
SELECT t.name AS topic_id, n.name AS group_id, p.partition AS partition_id,
  CASE WHEN c.next > 0 THEN c.next - 1 END AS last_acked_offset, p.next_offset AS next_offset,
  max(p.next_offset - max(coalesce(c.next, 0), p.log_start), 0) - coalesce((
    SELECT sum(max(json_extract(r.value, '$.to') - max(json_extract(r.value, '$.from'), p.log_start), 0))
    FROM messagekit_record_claims k JOIN json_each(k.ranges) r
    WHERE k.consumer_id = c.consumer_id AND k.tp_id = c.tp_id AND k.next = c.next
      AND json_extract(r.value, '$.state') = 'settled'), 0) AS lag
FROM (
    SELECT DISTINCT b.consumer_id, o.topic_id FROM messagekit_consumer_cursors b
    JOIN messagekit_topic_partitions o ON o.id = b.tp_id) g
  JOIN messagekit_topic_definitions d ON d.topic_id = g.topic_id
  JOIN messagekit_topics t ON t.id = g.topic_id
  JOIN messagekit_consumers n ON n.id = g.consumer_id
  JOIN messagekit_topic_partitions p ON p.topic_id = g.topic_id
  LEFT JOIN messagekit_consumer_cursors c ON c.consumer_id = g.consumer_id AND c.tp_id = p.id;
