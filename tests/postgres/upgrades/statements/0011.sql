-- The statements of the last program of version 11, as it prepares them.

PREPARE "claim" (text, text[]) AS
INSERT INTO messagekit.processed_messages (consumer, message_id, day, outcome)
SELECT $1, b.id, messagekit.day_of(b.id), 'done' FROM unnest($2::text[]) AS b (id) ORDER BY b.id COLLATE "C"
ON CONFLICT DO NOTHING RETURNING message_id, outcome;

PREPARE "claim_keyed" (text, text[], text[], bigint[]) AS
INSERT INTO messagekit.processed_messages (consumer, message_id, day, outcome)
SELECT $1, b.id, messagekit.day_of(b.id), CASE WHEN (
  SELECT true FROM messagekit.blocked_keys k WHERE k.consumer = (SELECT $1) AND k.topic = b.topic AND k.key_hash = b.key_hash)
  THEN 'held' ELSE 'done' END
FROM unnest((SELECT $2::text[]), (SELECT $3::text[]), (SELECT $4::bigint[])) AS b (id, topic, key_hash)
ORDER BY b.id COLLATE "C"
ON CONFLICT DO NOTHING RETURNING message_id, outcome;

PREPARE "claim_generation" (text, text[], text[], bigint[], int[]) AS
INSERT INTO messagekit.processed_messages AS p (consumer, message_id, day, outcome, generation)
SELECT $1, b.id, messagekit.day_of(b.id), CASE WHEN (
  SELECT true FROM messagekit.blocked_keys k WHERE k.consumer = (SELECT $1) AND k.topic = b.topic AND k.key_hash = b.key_hash)
  THEN 'held' ELSE 'done' END, b.generation
FROM unnest((SELECT $2::text[]), (SELECT $3::text[]), (SELECT $4::bigint[]), (SELECT $5::int[]))
  AS b (id, topic, key_hash, generation)
WHERE (
  SELECT true FROM messagekit.processed_messages q
  WHERE q.consumer = (SELECT $1) AND q.message_id = b.id AND q.day = messagekit.day_of(b.id)
    AND (q.outcome <> 'done' OR q.generation >= b.generation)) IS NULL
ORDER BY b.id COLLATE "C"
ON CONFLICT ON CONSTRAINT processed_messages_pkey DO UPDATE
  SET outcome = excluded.outcome, generation = excluded.generation, earlier = p.generation, processed_at = now()
  WHERE p.outcome = 'done' AND p.generation < excluded.generation
RETURNING message_id, outcome;

PREPARE "look" (text, text[]) AS
SELECT b.id, (SELECT p.outcome FROM messagekit.processed_messages p
  WHERE p.consumer = (SELECT $1) AND p.message_id = b.id AND p.day = messagekit.day_of(b.id))
FROM unnest((SELECT $2::text[])) AS b (id);

PREPARE "look_keyed" (text, text[], text[], bigint[]) AS
SELECT b.id, (SELECT p.outcome FROM messagekit.processed_messages p
  WHERE p.consumer = (SELECT $1) AND p.message_id = b.id AND p.day = messagekit.day_of(b.id))
FROM unnest((SELECT $2::text[])) AS b (id)
UNION ALL
SELECT NULL, 'held' FROM unnest((SELECT $3::text[]), (SELECT $4::bigint[])) AS b (topic, key_hash)
WHERE (SELECT true FROM messagekit.blocked_keys k WHERE k.consumer = (SELECT $1) AND k.topic = b.topic AND k.key_hash = b.key_hash);

PREPARE "unclaim" (text, text[]) AS
WITH back AS (
  UPDATE messagekit.processed_messages SET outcome = 'done', generation = earlier, earlier = NULL
  WHERE consumer = $1 AND message_id = ANY($2::text[]) AND outcome <> 'discarded' AND earlier IS NOT NULL
    AND xmin = pg_current_xact_id()::xid RETURNING 1),
gone AS (
  DELETE FROM messagekit.processed_messages
  WHERE consumer = $1 AND message_id = ANY($2::text[]) AND outcome <> 'discarded' AND earlier IS NULL
    AND xmin = pg_current_xact_id()::xid RETURNING 1)
SELECT (SELECT count(*) FROM back) + (SELECT count(*) FROM gone);

PREPARE "advance" (text, text[], int[], int[], bigint[]) AS
INSERT INTO messagekit.consumer_offsets AS c (consumer, topic, partition, key_lane, next)
SELECT $1, b.topic, b.partition, b.key_lane, b.next
FROM unnest($2::text[], $3::int[], $4::int[], $5::bigint[]) AS b (topic, partition, key_lane, next)
ON CONFLICT (consumer, topic, partition, key_lane) DO UPDATE SET next = GREATEST(c.next, excluded.next);

PREPARE "next_of" (text, text) AS
SELECT partition, key_lane, next FROM messagekit.consumer_offsets WHERE consumer = $1 AND topic = $2
ORDER BY partition, key_lane;

PREPARE "priming" (text) AS
SELECT number, frontier, is_finished FROM messagekit.consumer_primings WHERE consumer = $1;

PREPARE "begin_priming" (text, int) AS
INSERT INTO messagekit.consumer_primings AS p (consumer, number) VALUES ($1, $2 + 1)
ON CONFLICT (consumer) DO UPDATE SET number = excluded.number, frontier = NULL, is_finished = false
  WHERE p.number = $2;

PREPARE "delete_positions_of_primings" (text) AS
DELETE FROM messagekit.consumer_offsets WHERE consumer = $1 AND key_lane < 0;

PREPARE "write_priming" (text, int, timestamptz, boolean) AS
UPDATE messagekit.consumer_primings SET frontier = GREATEST(frontier, $3), is_finished = is_finished OR $4
WHERE consumer = $1 AND number = $2;

PREPARE "set_aside" (text, text, text, text, int, bigint, bytea, bigint, text, int, float8, text, bytea, bytea, text, text, text, text, text, int, text) AS
WITH marker AS (
  INSERT INTO messagekit.processed_messages AS p (consumer, message_id, day, outcome, generation)
  SELECT $1, $2, messagekit.day_of($2), 'held', $20 WHERE (
    SELECT true FROM messagekit.processed_messages q
    WHERE q.consumer = $1 AND q.message_id = $2 AND q.day = messagekit.day_of($2) AND (q.outcome <> 'done' OR q.generation >= $20)) IS NULL
  ON CONFLICT ON CONSTRAINT processed_messages_pkey DO UPDATE
    SET outcome = excluded.outcome, generation = excluded.generation, earlier = p.generation, processed_at = now()
    WHERE p.outcome = 'done' AND p.generation < excluded.generation
  RETURNING 1),
failed_message AS (
  INSERT INTO messagekit.failed_messages AS d
    (consumer, message_id, topic, position_topic, partition, "offset", key, key_hash, state, reason, attempts, due,
     event_type, headers, payload, kind, error, fingerprint, origin, return_to, generation, failed_runs)
  SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, 'set_aside', $10, clock_timestamp() + $11 * interval '1 microsecond',
    $12, $13, $14, $15, $16, $17, $18, $19, $20,
    CASE WHEN $21::text IS NULL THEN '[]'::jsonb ELSE jsonb_build_array(jsonb_build_object('at', (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, 'attempt', $10::int, 'error', $16::text, 'instance', $21::text)) END
  FROM marker
  ON CONFLICT (consumer, message_id) DO UPDATE SET
    topic = excluded.topic, position_topic = excluded.position_topic, partition = excluded.partition,
    "offset" = excluded."offset", key = excluded.key, key_hash = excluded.key_hash, parked = false,
    state = excluded.state, reason = excluded.reason, attempts = excluded.attempts, crash_count = 0, alone = 0,
    due = excluded.due, running_since = NULL, token = d.token + 1, generation = excluded.generation,
    event_type = excluded.event_type, headers = excluded.headers, payload = excluded.payload,
    kind = excluded.kind, error = excluded.error,
    fingerprint = excluded.fingerprint, origin = excluded.origin, return_to = excluded.return_to,
    failed_runs = excluded.failed_runs, changed_at = clock_timestamp()
  WHERE d.state IN ('resolved', 'discarded') RETURNING 1)
SELECT (SELECT count(*) FROM marker), (SELECT count(*) FROM failed_message);

PREPARE "hold_keys" (text, text[], bigint[]) AS
INSERT INTO messagekit.blocked_keys AS h (consumer, topic, key_hash, count)
SELECT $1, b.topic, b.key_hash, count(*)
FROM unnest($2::text[], $3::bigint[]) AS b (topic, key_hash)
GROUP BY b.topic, b.key_hash ORDER BY b.topic COLLATE "C", b.key_hash
ON CONFLICT (consumer, topic, key_hash) DO UPDATE SET count = h.count + excluded.count
RETURNING topic, key_hash, count;

PREPARE "held_in_all" (text) AS
SELECT coalesce(sum(count), 0)::bigint FROM messagekit.blocked_keys WHERE consumer = $1;

PREPARE "let_go" (text, text, bigint, int) AS
UPDATE messagekit.blocked_keys SET count = count - $4::int
WHERE consumer = $1 AND topic = $2 AND key_hash = $3 AND count >= $4::int;

PREPARE "lock_keys" (bigint[]) AS
INSERT INTO messagekit.blocked_keys AS h (consumer, topic, key_hash, count)
SELECT DISTINCT d.consumer COLLATE "C", d.topic COLLATE "C", d.key_hash, 0
FROM messagekit.failed_messages d WHERE d.id = ANY($1::bigint[]) AND d.parked ORDER BY 1, 2, 3
ON CONFLICT (consumer, topic, key_hash) DO UPDATE SET count = h.count
RETURNING consumer, topic, key_hash;

PREPARE "count_keys" (text[], text[], bigint[], int[]) AS
UPDATE messagekit.blocked_keys h SET count = h.count + b.failed_messages
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::int[]) AS b (consumer, topic, key_hash, failed_messages)
WHERE h.consumer = b.consumer AND h.topic = b.topic AND h.key_hash = b.key_hash;

PREPARE "promote" (text[], text[], bigint[]) AS
UPDATE messagekit.failed_messages d SET state = 'retry_scheduled', reason = 'key_freed', due = now(),
  changed_at = clock_timestamp()
WHERE d.state = 'blocked' AND d.id = ANY(ARRAY(
  SELECT (
    SELECT o.id FROM messagekit.failed_messages o
    WHERE o.consumer = b.consumer AND o.topic = b.topic AND o.key_hash = b.key_hash AND o.parked
      AND o.state IN ('retry_scheduled', 'blocked', 'dead', 'retry_requested')
    ORDER BY o.partition, o."offset" LIMIT 1)
  FROM unnest($1::text[], $2::text[], $3::bigint[]) AS b (consumer, topic, key_hash)));

PREPARE "free" (text[], text[], bigint[]) AS
DELETE FROM messagekit.blocked_keys h
USING unnest($1::text[], $2::text[], $3::bigint[]) AS b (consumer, topic, key_hash)
WHERE h.consumer = b.consumer AND h.topic = b.topic AND h.key_hash = b.key_hash AND h.count = 0;

PREPARE "park_mark" (text, text, int) AS
INSERT INTO messagekit.processed_messages AS p (consumer, message_id, day, outcome, generation)
SELECT $1, $2, messagekit.day_of($2), 'held', $3 WHERE (
  SELECT true FROM messagekit.processed_messages q
  WHERE q.consumer = $1 AND q.message_id = $2 AND q.day = messagekit.day_of($2) AND (q.outcome <> 'done' OR q.generation >= $3)) IS NULL
ON CONFLICT ON CONSTRAINT processed_messages_pkey DO UPDATE
  SET outcome = excluded.outcome, generation = excluded.generation, earlier = p.generation, processed_at = now()
  WHERE p.outcome = 'done' AND p.generation < excluded.generation;

PREPARE "park_failed_messages" (text, text[], text[], text[], int[], bigint[], bytea[], bigint[], text[], bytea[], bytea[], text, int, float8, text, text, text, text) AS
INSERT INTO messagekit.failed_messages AS d
  (consumer, message_id, topic, position_topic, partition, "offset", key, key_hash, parked, state, reason, attempts,
   due, generation, event_type, headers, payload, kind, error, fingerprint, failed_runs)
SELECT $1, b.id, b.topic, b.position_topic, b.partition, b."offset", b.key, b.key_hash, true,
  CASE WHEN b.waits THEN 'blocked' ELSE $12 END, CASE WHEN b.waits THEN 'key_blocked' ELSE 'set_aside' END, $13,
  CASE WHEN NOT b.waits THEN clock_timestamp() + $14 * interval '1 microsecond' END,
  coalesce((SELECT p.generation FROM messagekit.processed_messages p
    WHERE p.consumer = $1 AND p.message_id = b.id AND p.day = messagekit.day_of(b.id)), 0),
  b.event_type, b.headers, b.payload, $15, $16, $17,
  CASE WHEN $18::text IS NULL THEN '[]'::jsonb ELSE jsonb_build_array(jsonb_build_object('at', (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, 'attempt', $13::int, 'error', $16::text, 'instance', $18::text)) END
FROM (
  SELECT u.*, row_number() OVER (PARTITION BY u.topic, u.key_hash ORDER BY u.partition, u."offset") > 1 OR coalesce((
    SELECT true FROM messagekit.failed_messages o
    WHERE o.consumer = $1 AND o.topic = u.topic AND o.key_hash = u.key_hash AND o.parked
      AND o.state IN ('retry_scheduled', 'blocked', 'dead', 'retry_requested') AND (o.partition, o."offset") < (u.partition, u."offset")
    LIMIT 1), false) AS waits
  FROM unnest($2::text[], $3::text[], $4::text[], $5::int[], $6::bigint[], $7::bytea[], $8::bigint[], $9::text[],
    $10::bytea[], $11::bytea[])
    AS u (id, topic, position_topic, partition, "offset", key, key_hash, event_type, headers, payload)) b
ON CONFLICT (consumer, message_id) DO UPDATE SET
  topic = excluded.topic, position_topic = excluded.position_topic, partition = excluded.partition,
  "offset" = excluded."offset", key = excluded.key, key_hash = excluded.key_hash, parked = true,
  state = excluded.state, reason = excluded.reason, attempts = excluded.attempts, crash_count = 0, alone = 0,
  due = excluded.due, running_since = NULL, token = d.token + 1, generation = excluded.generation,
  event_type = excluded.event_type, headers = excluded.headers, payload = excluded.payload,
  kind = excluded.kind, error = excluded.error,
  fingerprint = excluded.fingerprint, origin = 'store', return_to = NULL, failed_runs = excluded.failed_runs,
  changed_at = clock_timestamp()
WHERE d.state IN ('resolved', 'discarded');

PREPARE "list" (bigint, bigint, text, text, text, text, text, text, bytea, bigint, timestamptz, timestamptz, boolean, bigint) AS
SELECT d.id, d.consumer, d.origin, d.return_to, d.message_id, d.topic, d.position_topic, d.partition, d."offset", d.key,
  d.event_type, d.state, d.reason, d.attempts, d.crash_count, d.due, d.kind, d.error, d.fingerprint, d.set_aside_at,
  d.changed_at, d.parked, CASE WHEN d.parked AND d.state IN ('retry_scheduled', 'dead', 'retry_requested') THEN (
    SELECT k.count - 1 FROM messagekit.blocked_keys k WHERE k.consumer = d.consumer AND k.topic = d.topic AND k.key_hash = d.key_hash)
  END AS holds_back,
  octet_length(d.payload)::bigint AS payload_bytes FROM messagekit.failed_messages d WHERE d.id < $1 AND d.id > $2 AND ($3::text IS NULL OR d.consumer = $3) AND ($4::text IS NULL OR d.state = $4)
  AND ($5::text IS NULL OR d.origin = $5) AND ($6::text IS NULL OR d.event_type = $6) AND ($7::text IS NULL OR d.kind = $7)
  AND ($8::text IS NULL OR d.fingerprint = $8) AND ($9::bytea IS NULL OR (d.key_hash = $10 AND d.key = $9))
  AND ($11::timestamptz IS NULL OR d.set_aside_at >= $11) AND ($12::timestamptz IS NULL OR d.set_aside_at < $12)
  AND (NOT $13 OR d.state IN ('retry_scheduled', 'blocked', 'dead', 'retry_requested')) ORDER BY d.id DESC LIMIT $14;

PREPARE "page" (bigint, bigint, bigint) AS
SELECT d.id, d.consumer, d.origin, d.return_to, d.message_id, d.topic, d.position_topic, d.partition, d."offset", d.key,
  d.event_type, d.state, d.reason, d.attempts, d.crash_count, d.due, d.kind, d.error, d.fingerprint, d.set_aside_at,
  d.changed_at, d.parked, CASE WHEN d.parked AND d.state IN ('retry_scheduled', 'dead', 'retry_requested') THEN (
    SELECT k.count - 1 FROM messagekit.blocked_keys k WHERE k.consumer = d.consumer AND k.topic = d.topic AND k.key_hash = d.key_hash)
  END AS holds_back,
  octet_length(d.payload)::bigint AS payload_bytes FROM messagekit.failed_messages d WHERE d.id < $1 AND d.id > $2 ORDER BY d.id DESC LIMIT $3;

PREPARE "page_of_state" (bigint, bigint, text, bigint) AS
SELECT d.id, d.consumer, d.origin, d.return_to, d.message_id, d.topic, d.position_topic, d.partition, d."offset", d.key,
  d.event_type, d.state, d.reason, d.attempts, d.crash_count, d.due, d.kind, d.error, d.fingerprint, d.set_aside_at,
  d.changed_at, d.parked, CASE WHEN d.parked AND d.state IN ('retry_scheduled', 'dead', 'retry_requested') THEN (
    SELECT k.count - 1 FROM messagekit.blocked_keys k WHERE k.consumer = d.consumer AND k.topic = d.topic AND k.key_hash = d.key_hash)
  END AS holds_back,
  octet_length(d.payload)::bigint AS payload_bytes FROM messagekit.failed_messages d WHERE (d.state, d.id) < ($3::text, $1) AND (d.state, d.id) > ($3, $2)
ORDER BY d.state DESC, d.id DESC LIMIT $4;

PREPARE "first_of_state" (text, bigint) AS
SELECT d.id, d.consumer, d.origin, d.return_to, d.message_id, d.topic, d.position_topic, d.partition, d."offset", d.key,
  d.event_type, d.state, d.reason, d.attempts, d.crash_count, d.due, d.kind, d.error, d.fingerprint, d.set_aside_at,
  d.changed_at, d.parked, CASE WHEN d.parked AND d.state IN ('retry_scheduled', 'dead', 'retry_requested') THEN (
    SELECT k.count - 1 FROM messagekit.blocked_keys k WHERE k.consumer = d.consumer AND k.topic = d.topic AND k.key_hash = d.key_hash)
  END AS holds_back,
  octet_length(d.payload)::bigint AS payload_bytes FROM messagekit.failed_messages d WHERE d.state >= $1 AND d.state <= $1
ORDER BY d.state DESC, d.id DESC LIMIT $2;

PREPARE "versions" (bigint, bigint, text, text, text, text, text, text, bytea, bigint, timestamptz, timestamptz, boolean, bigint) AS
SELECT d.id, d.state, d.token, d.running_since IS NOT NULL AS is_running FROM messagekit.failed_messages d WHERE d.id < $1 AND d.id > $2 AND ($3::text IS NULL OR d.consumer = $3) AND ($4::text IS NULL OR d.state = $4)
  AND ($5::text IS NULL OR d.origin = $5) AND ($6::text IS NULL OR d.event_type = $6) AND ($7::text IS NULL OR d.kind = $7)
  AND ($8::text IS NULL OR d.fingerprint = $8) AND ($9::bytea IS NULL OR (d.key_hash = $10 AND d.key = $9))
  AND ($11::timestamptz IS NULL OR d.set_aside_at >= $11) AND ($12::timestamptz IS NULL OR d.set_aside_at < $12)
  AND (NOT $13 OR d.state IN ('retry_scheduled', 'blocked', 'dead', 'retry_requested')) ORDER BY d.id LIMIT $14;

PREPARE "show" (bigint) AS
SELECT d.id, d.consumer, d.origin, d.return_to, d.message_id, d.topic, d.position_topic, d.partition, d."offset", d.key,
  d.event_type, d.state, d.reason, d.attempts, d.crash_count, d.due, d.kind, d.error, d.fingerprint, d.set_aside_at,
  d.changed_at, d.parked, CASE WHEN d.parked AND d.state IN ('retry_scheduled', 'dead', 'retry_requested') THEN (
    SELECT k.count - 1 FROM messagekit.blocked_keys k WHERE k.consumer = d.consumer AND k.topic = d.topic AND k.key_hash = d.key_hash)
  END AS holds_back,
  octet_length(d.payload)::bigint AS payload_bytes, d.headers, d.payload, d.failed_runs::text AS failed_runs FROM messagekit.failed_messages d WHERE d.id = $1;

PREPARE "totals" (bigint, bigint, text, text, text, text, text, text, bytea, bigint, timestamptz, timestamptz, boolean) AS
SELECT d.consumer, d.state, count(*) AS failed_messages FROM messagekit.failed_messages d WHERE d.id < $1 AND d.id > $2 AND ($3::text IS NULL OR d.consumer = $3) AND ($4::text IS NULL OR d.state = $4)
  AND ($5::text IS NULL OR d.origin = $5) AND ($6::text IS NULL OR d.event_type = $6) AND ($7::text IS NULL OR d.kind = $7)
  AND ($8::text IS NULL OR d.fingerprint = $8) AND ($9::bytea IS NULL OR (d.key_hash = $10 AND d.key = $9))
  AND ($11::timestamptz IS NULL OR d.set_aside_at >= $11) AND ($12::timestamptz IS NULL OR d.set_aside_at < $12)
  AND (NOT $13 OR d.state IN ('retry_scheduled', 'blocked', 'dead', 'retry_requested')) GROUP BY d.consumer, d.state ORDER BY d.consumer;

PREPARE "groups" (bigint, bigint, text, text, text, text, text, text, bytea, bigint, timestamptz, timestamptz, boolean, bigint) AS
SELECT g.*, (SELECT n.error FROM messagekit.failed_messages n WHERE n.id = g.newest) AS error FROM (
  SELECT d.fingerprint, d.consumer, d.event_type, d.kind, count(*) AS failed_messages, min(d.set_aside_at) AS first,
    max(d.set_aside_at) AS last, max(d.id) AS newest
  FROM messagekit.failed_messages d WHERE d.id < $1 AND d.id > $2 AND ($3::text IS NULL OR d.consumer = $3) AND ($4::text IS NULL OR d.state = $4)
  AND ($5::text IS NULL OR d.origin = $5) AND ($6::text IS NULL OR d.event_type = $6) AND ($7::text IS NULL OR d.kind = $7)
  AND ($8::text IS NULL OR d.fingerprint = $8) AND ($9::bytea IS NULL OR (d.key_hash = $10 AND d.key = $9))
  AND ($11::timestamptz IS NULL OR d.set_aside_at >= $11) AND ($12::timestamptz IS NULL OR d.set_aside_at < $12)
  AND (NOT $13 OR d.state IN ('retry_scheduled', 'blocked', 'dead', 'retry_requested')) GROUP BY d.fingerprint, d.consumer, d.event_type, d.kind ORDER BY failed_messages DESC, newest DESC LIMIT $14) g
ORDER BY g.failed_messages DESC, g.newest DESC;

PREPARE "lock" (bigint[]) AS
SELECT d.id, d.state, d.consumer, d.message_id, d.topic, d.key_hash, d.parked,
  d.due <= clock_timestamp() OR d.running_since IS NOT NULL AS is_due,
  d.origin <> 'store' AND d.return_to IS NULL OR starts_with(d.consumer, 'route:') AS no_way_back,
  (SELECT p.outcome FROM messagekit.processed_messages p WHERE p.consumer = d.consumer AND p.message_id = d.message_id
    AND p.day = messagekit.day_of(d.message_id)) AS marker
FROM messagekit.failed_messages d WHERE d.id = ANY($1::bigint[]) ORDER BY d.id FOR UPDATE OF d;

PREPARE "lock_selection" (bigint, bigint, text, text, text, text, text, text, bytea, bigint, timestamptz, timestamptz, boolean, bigint[]) AS
SELECT d.id, d.state, d.consumer, d.message_id, d.topic, d.key_hash, d.parked,
  d.due <= clock_timestamp() OR d.running_since IS NOT NULL AS is_due,
  d.origin <> 'store' AND d.return_to IS NULL OR starts_with(d.consumer, 'route:') AS no_way_back,
  (SELECT p.outcome FROM messagekit.processed_messages p WHERE p.consumer = d.consumer AND p.message_id = d.message_id
    AND p.day = messagekit.day_of(d.message_id)) AS marker, d.token, d.running_since IS NOT NULL AS is_running
FROM messagekit.failed_messages d WHERE d.id < $1 AND d.id > $2 AND ($3::text IS NULL OR d.consumer = $3) AND ($4::text IS NULL OR d.state = $4)
  AND ($5::text IS NULL OR d.origin = $5) AND ($6::text IS NULL OR d.event_type = $6) AND ($7::text IS NULL OR d.kind = $7)
  AND ($8::text IS NULL OR d.fingerprint = $8) AND ($9::bytea IS NULL OR (d.key_hash = $10 AND d.key = $9))
  AND ($11::timestamptz IS NULL OR d.set_aside_at >= $11) AND ($12::timestamptz IS NULL OR d.set_aside_at < $12)
  AND (NOT $13 OR d.state IN ('retry_scheduled', 'blocked', 'dead', 'retry_requested')) AND d.id = ANY($14::bigint[]) ORDER BY d.id FOR UPDATE OF d;

PREPARE "retry" (bigint[]) AS
UPDATE messagekit.failed_messages d
SET state = CASE d.state WHEN 'dead' THEN 'retry_requested' ELSE d.state END,
  reason = CASE d.state WHEN 'dead' THEN 'retry_requested' ELSE d.reason END,
  attempts = CASE d.state WHEN 'dead' THEN 0 ELSE d.attempts END,
  crash_count = CASE d.state WHEN 'dead' THEN 0 ELSE d.crash_count END,
  changed_at = CASE d.state WHEN 'dead' THEN clock_timestamp() ELSE d.changed_at END,
  token = d.token + 1, due = least(d.due, now())
WHERE id = ANY($1::bigint[]) AND state IN ('retry_scheduled', 'dead', 'retry_requested') AND running_since IS NULL;

PREPARE "retry_at_pace" (bigint[], float8[]) AS
UPDATE messagekit.failed_messages d
SET state = CASE d.state WHEN 'dead' THEN 'retry_requested' ELSE d.state END,
  reason = CASE d.state WHEN 'dead' THEN 'retry_requested' ELSE d.reason END,
  attempts = CASE d.state WHEN 'dead' THEN 0 ELSE d.attempts END,
  crash_count = CASE d.state WHEN 'dead' THEN 0 ELSE d.crash_count END,
  changed_at = CASE d.state WHEN 'dead' THEN clock_timestamp() ELSE d.changed_at END,
  token = d.token + 1, due = least(d.due, now() + ($2::float8[])[array_position($1::bigint[], d.id)] * interval '1 microsecond')
WHERE id = ANY($1::bigint[]) AND state IN ('retry_scheduled', 'dead', 'retry_requested') AND running_since IS NULL;

PREPARE "discard" (bigint[]) AS
UPDATE messagekit.failed_messages
SET state = 'discarded', reason = 'discarded', due = NULL, running_since = NULL, token = token + 1,
  changed_at = clock_timestamp()
WHERE id = ANY($1::bigint[]) AND state IN ('retry_scheduled', 'blocked', 'dead', 'retry_requested');

PREPARE "undo" (bigint[]) AS
UPDATE messagekit.failed_messages
SET state = CASE WHEN parked AND kind = 'key_blocked' THEN 'blocked' ELSE 'dead' END, reason = 'discard_undone',
  due = NULL, running_since = NULL, token = token + 1, changed_at = clock_timestamp()
WHERE id = ANY($1::bigint[]) AND state = 'discarded';

PREPARE "mark" (text[], text[], text, text) AS
INSERT INTO messagekit.processed_messages AS p (consumer, message_id, day, outcome)
SELECT m.consumer, m.id, messagekit.day_of(m.id), $3 FROM unnest($1::text[], $2::text[]) AS m (consumer, id)
ORDER BY m.consumer COLLATE "C", m.id COLLATE "C"
ON CONFLICT ON CONSTRAINT processed_messages_pkey DO UPDATE SET outcome = excluded.outcome, processed_at = now() WHERE p.outcome = $4
RETURNING consumer, message_id;

PREPARE "audit" (text, text, text, text, bigint[], text, bigint, text) AS
INSERT INTO messagekit.admin_audit (operator, through, request_id, act, failed_messages, subject, done, outcome)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb);

PREPARE "begin_attempt" (text, text, text) AS
WITH noted AS (
  INSERT INTO messagekit.in_flight_attempts (consumer, message_id, runner) VALUES ($1, $2, $3)
  ON CONFLICT (consumer, message_id, runner) DO UPDATE SET noted_at = excluded.noted_at)
SELECT count(*) FROM messagekit.in_flight_attempts
WHERE consumer = $1 AND message_id = $2 AND runner <> $3;

PREPARE "clear_attempts" (text, text) AS
DELETE FROM messagekit.in_flight_attempts WHERE consumer = $1 AND message_id = $2;

PREPARE "withdraw_attempt" (text, text, text) AS
DELETE FROM messagekit.in_flight_attempts WHERE consumer = $1 AND message_id = $2 AND runner = $3;

PREPARE "sweep" (text) AS
DELETE FROM messagekit.in_flight_attempts s
WHERE s.consumer = $1 AND (
  SELECT true FROM messagekit.processed_messages p
  WHERE p.consumer = s.consumer AND p.message_id = s.message_id AND p.day = messagekit.day_of(s.message_id));

PREPARE "left" (text) AS
WITH slot AS MATERIALIZED (
  SELECT confirmed_flush_lsn AS wal FROM pg_replication_slots
  WHERE slot_name = $1 AND slot_type = 'logical' AND database = current_database()),
passed AS MATERIALIZED (
  SELECT c.oldest_xid FROM messagekit.outbox_checkpoints c
  WHERE c.oldest_xid IS NOT NULL AND c.wal <= (SELECT wal FROM slot) ORDER BY c.wal DESC, c.at DESC LIMIT 1),
upto AS MATERIALIZED (
  SELECT c.at - interval '10 min' AS before, c.last_seq FROM messagekit.outbox_checkpoints c
  WHERE c.xid <= (SELECT oldest_xid FROM passed) ORDER BY c.at DESC LIMIT 1)
SELECT EXISTS (SELECT FROM pg_trigger
    WHERE tgrelid = 'messagekit.outbox_events'::regclass AND tgname = 'outbox_is_pending') AS is_on,
  EXISTS (SELECT FROM messagekit.relay_shards) AS is_open,
  EXISTS (SELECT FROM messagekit.replay_jobs WHERE state = 'running') AS is_replayed,
  EXISTS (SELECT FROM slot) AS has_slot,
  (SELECT before FROM upto) AS before, (SELECT last_seq FROM upto) AS last_seq;

PREPARE "clean_events" (text, text, float8, timestamptz, bigint) AS
WITH old AS MATERIALIZED (
  SELECT e.ctid FROM messagekit.outbox_events e
  WHERE e.tableoid = 'messagekit.outbox_events'::regclass AND e.ctid >= $1::text::tid AND e.ctid < $2::text::tid
    AND e.created_at < now() - $3 * interval '1 microsecond'
    AND ($4::timestamptz IS NULL OR e.created_at < $4) AND ($5::bigint IS NULL OR e.seq <= $5)
    AND (SELECT true FROM messagekit.outbox_rejected r WHERE r.seq = e.seq LIMIT 1) IS NULL
    AND (SELECT true FROM messagekit.outbox_pending p
      WHERE p.topic = e.topic AND p.seq = e.seq AND p.shard = ANY (
        SELECT s.shard - down.shards FROM (SELECT get_byte(sha256(convert_to(
            coalesce(e.aggregate_id, e.event_id), 'UTF8')), 0) & 63 AS shard OFFSET 0) s,
          (VALUES (0), (64)) down (shards)) LIMIT 1) IS NULL
  FOR UPDATE SKIP LOCKED),
gone AS (DELETE FROM messagekit.outbox_events WHERE tableoid = 'messagekit.outbox_events'::regclass
    AND ctid = ANY (ARRAY (SELECT ctid FROM old)) RETURNING 1)
SELECT count(*) AS removed,
  pg_relation_size('messagekit.outbox_events') / current_setting('block_size')::bigint AS blocks FROM gone;

PREPARE "clean_markers" (text, text, float8, float8) AS
WITH limits AS MATERIALIZED (
  SELECT w.consumer, now() - (max(w.seconds) * interval '1 second' + $3 * interval '1 microsecond') AS before
  FROM messagekit.consumer_windows w
  WHERE w.noted_at > (SELECT max(n.noted_at) FROM messagekit.consumer_windows n WHERE n.consumer = w.consumer)
    - $4 * interval '1 microsecond'
  GROUP BY w.consumer),
old AS MATERIALIZED (
  SELECT m.ctid FROM messagekit.processed_messages m
  WHERE m.tableoid = 'messagekit.processed_messages'::regclass AND m.ctid >= $1::text::tid AND m.ctid < $2::text::tid AND m.outcome <> 'held'
    AND m.processed_at < (SELECT l.before FROM limits l WHERE l.consumer = m.consumer)
    AND (m.outcome = 'done' OR (SELECT true FROM messagekit.failed_messages d
      WHERE d.consumer = m.consumer AND d.message_id = m.message_id) IS NULL)
  FOR UPDATE SKIP LOCKED),
gone AS (DELETE FROM messagekit.processed_messages WHERE tableoid = 'messagekit.processed_messages'::regclass
    AND ctid = ANY (ARRAY (SELECT ctid FROM old)) RETURNING consumer, processed_at),
noted AS (
  UPDATE messagekit.consumer_windows w
  SET complete_since = greatest(w.complete_since, g.newest + $3 * interval '1 microsecond')
  FROM (SELECT consumer, max(processed_at) AS newest FROM gone GROUP BY consumer) g WHERE w.consumer = g.consumer)
SELECT count(*) AS removed,
  pg_relation_size('messagekit.processed_messages') / current_setting('block_size')::bigint AS blocks FROM gone;

PREPARE "clean_failed_messages" (text, text, float8) AS
WITH old AS MATERIALIZED (
  SELECT d.ctid FROM messagekit.failed_messages d
  WHERE d.ctid >= $1::text::tid AND d.ctid < $2::text::tid AND d.state IN ('resolved', 'discarded')
    AND d.changed_at < now() - $3 * interval '1 microsecond'
  FOR UPDATE SKIP LOCKED),
gone AS (DELETE FROM messagekit.failed_messages WHERE ctid = ANY (ARRAY (SELECT ctid FROM old)) RETURNING 1)
SELECT count(*) AS removed,
  pg_relation_size('messagekit.failed_messages') / current_setting('block_size')::bigint AS blocks FROM gone;

PREPARE "hold_windows" AS
SELECT count(*) FROM (SELECT FROM messagekit.consumer_windows ORDER BY consumer, seconds FOR UPDATE) AS held;

PREPARE "note_window" (text, bigint) AS
WITH known AS MATERIALIZED (
  SELECT complete_since FROM messagekit.consumer_windows WHERE consumer = $1 ORDER BY seconds FOR UPDATE),
noted AS (
  INSERT INTO messagekit.consumer_windows (consumer, seconds) VALUES ($1, $2)
  ON CONFLICT (consumer, seconds) DO UPDATE SET noted_at = excluded.noted_at)
SELECT max(complete_since) FROM known;

PREPARE "note_unhandled" (text, text[], text[], jsonb[], bigint[], bigint) AS
INSERT INTO messagekit.unhandled_types AS u (consumer, topic, event_type, similar_to, messages)
SELECT $1, n.topic, n.event_type, ARRAY(SELECT jsonb_array_elements_text(n.similar_to)), n.messages
FROM unnest($2::text[], $3::text[], $4::jsonb[], $5::bigint[]) AS n (topic, event_type, similar_to, messages)
WHERE (SELECT count(*) FROM messagekit.unhandled_types k WHERE k.consumer = $1) < $6::bigint
  OR EXISTS (SELECT FROM messagekit.unhandled_types k
    WHERE k.consumer = $1 AND k.topic = n.topic COLLATE "C" AND k.event_type = n.event_type COLLATE "C")
ORDER BY n.topic COLLATE "C", n.event_type COLLATE "C"
ON CONFLICT (consumer, topic, event_type) DO UPDATE SET
  messages = u.messages + excluded.messages, similar_to = excluded.similar_to, last_at = clock_timestamp();

PREPARE "forget_unhandled" (text, float8) AS
DELETE FROM messagekit.unhandled_types u
WHERE u.consumer = $1 AND u.last_at <= clock_timestamp() - $2 * interval '1 microsecond';

PREPARE "unhandled" (text[], float8, bigint) AS
SELECT n.consumer, u.topic, u.event_type, u.similar_to, u.messages, u.first_at, u.last_at
FROM unnest($1::text[]) AS n (consumer) CROSS JOIN LATERAL (
  SELECT t.* FROM messagekit.unhandled_types t
  WHERE t.consumer = n.consumer AND t.last_at > clock_timestamp() - $2 * interval '1 microsecond'
  ORDER BY t.similar_to = '{}', t.messages DESC, t.topic, t.event_type LIMIT $3::bigint) u
ORDER BY n.consumer, u.similar_to = '{}', u.messages DESC, u.topic, u.event_type;

PREPARE "oldest_return" (text[]) AS
SELECT (extract(epoch FROM now() - min(set_aside_at)) * 1000000)::bigint FROM messagekit.failed_messages
WHERE return_to = ANY ($1::text[]) AND state IN ('retry_scheduled', 'blocked', 'dead', 'retry_requested');

PREPARE "too_old_for" (text, text, text, timestamptz, timestamptz, float8) AS
WITH windows AS MATERIALIZED (
  SELECT w.consumer, greatest(max(w.complete_since), now() - max(w.seconds) FILTER (WHERE w.noted_at > (
      SELECT max(n.noted_at) FROM messagekit.consumer_windows n WHERE n.consumer = w.consumer)
    - $6 * interval '1 microsecond') * interval '1 second') AS begin
  FROM messagekit.consumer_windows w GROUP BY w.consumer)
SELECT w.consumer, (SELECT count(*) FROM messagekit.outbox_events e WHERE e.created_at < w.begin AND e.copy = 0 AND ($1::text IS NULL OR e.event_type = $1) AND ($2::text IS NULL OR e.topic = $2)
  AND ($3::text IS NULL OR e.aggregate_id = $3)
  AND ($4::timestamptz IS NULL OR e.created_at >= $4) AND ($5::timestamptz IS NULL OR e.created_at <= $5)) AS events
FROM windows w ORDER BY w.consumer;

PREPARE "note_failure" (text, text, text) AS
WITH ours AS (SELECT 1 FROM messagekit.outbox_events WHERE event_id = $1 LIMIT 1),
noted AS (
  INSERT INTO messagekit.outbox_failures (event_id, consumer, reason) SELECT $1, $2, $3 FROM ours ON CONFLICT DO NOTHING)
SELECT count(*) FROM ours;

PREPARE "lease_returns" (text, bigint, float8, text) AS
WITH head AS MATERIALIZED (
  SELECT d.id, d.due FROM messagekit.failed_messages d
  WHERE d.origin = $1 AND d.origin <> 'store' AND d.state IN ('retry_scheduled', 'retry_requested') AND d.due <= now()
    AND d.return_to IS NOT NULL
  ORDER BY d.due LIMIT $2 FOR UPDATE OF d SKIP LOCKED),
leased AS (
  UPDATE messagekit.failed_messages d
  SET due = now() + $3 * interval '1 microsecond', crash_count = d.crash_count + (d.running_since IS NOT NULL)::int,
    running_since = now(), token = d.token + 1, attempts = d.attempts + 1,
    failed_runs = CASE WHEN d.running_since IS NOT NULL AND d.run_length = 1 THEN jsonb_path_query_array(d.failed_runs || jsonb_build_array(jsonb_build_object('at', (extract(epoch FROM d.running_since) * 1000000)::bigint, 'attempt', d.attempts,
      'instance', CASE WHEN starts_with(d.leased_by, d.token || ' ') THEN substr(d.leased_by, length(d.token::text) + 2) END)), '$[last - 19 to last]')
    ELSE d.failed_runs END, leased_by = (d.token + 1) || ' ' || $4::text
  FROM head WHERE d.id = head.id
  RETURNING d.id, d.token, d.attempts, d.crash_count, d.alone, d.state = 'retry_requested' AS requested, d.parked, d.message_id, d.topic,
    d.position_topic, d.partition, d."offset", d.key, d.headers, d.payload, d.consumer, d.return_to, head.due AS was_due)
SELECT * FROM leased ORDER BY was_due, id;

PREPARE "retry_lease" (text, bigint, float8, text) AS
WITH head AS MATERIALIZED (
  SELECT d.id, d.due FROM messagekit.failed_messages d
  WHERE d.consumer = $1 AND d.state IN ('retry_scheduled', 'retry_requested') AND d.due <= now() AND (NOT d.parked OR (
    SELECT true FROM messagekit.failed_messages o
    WHERE o.consumer = d.consumer AND o.topic = d.topic AND o.key_hash = d.key_hash AND o.parked
      AND o.state IN ('retry_scheduled', 'blocked', 'dead', 'retry_requested') AND (o.partition, o."offset") < (d.partition, d."offset")
    LIMIT 1) IS NULL)
  ORDER BY d.due LIMIT $2 FOR UPDATE OF d SKIP LOCKED),
leased AS (
  UPDATE messagekit.failed_messages d
  SET due = now() + $3 * interval '1 microsecond',
    crash_count = d.crash_count + (d.running_since IS NOT NULL AND d.run_length = 1)::int,
    alone = CASE WHEN d.running_since IS NULL THEN d.alone ELSE greatest(d.alone, d.run_length) END, run_length = 1,
    running_since = now(), token = d.token + 1, attempts = d.attempts + (d.running_since IS NULL OR d.run_length = 1)::int,
    failed_runs = CASE WHEN d.running_since IS NOT NULL AND d.run_length = 1 THEN jsonb_path_query_array(d.failed_runs || jsonb_build_array(jsonb_build_object('at', (extract(epoch FROM d.running_since) * 1000000)::bigint, 'attempt', d.attempts,
      'instance', CASE WHEN starts_with(d.leased_by, d.token || ' ') THEN substr(d.leased_by, length(d.token::text) + 2) END)), '$[last - 19 to last]')
    ELSE d.failed_runs END, leased_by = (d.token + 1) || ' ' || $4::text
  FROM head WHERE d.id = head.id
  RETURNING d.id, d.token, d.attempts, d.crash_count, d.alone, d.state = 'retry_requested' AS requested, d.parked, d.message_id, d.topic,
    d.position_topic, d.partition, d."offset", d.key, d.headers, d.payload, d.due, head.due AS was_due)
SELECT * FROM leased ORDER BY was_due, id;

PREPARE "retry_lease_of_topic" (text, bigint, float8, text, text, int) AS
WITH head AS MATERIALIZED (
  SELECT d.id, d.due FROM messagekit.failed_messages d
  WHERE d.consumer = $1 AND d.state IN ('retry_scheduled', 'retry_requested') AND d.due <= now() AND (NOT d.parked OR (
    SELECT true FROM messagekit.failed_messages o
    WHERE o.consumer = d.consumer AND o.topic = d.topic AND o.key_hash = d.key_hash AND o.parked
      AND o.state IN ('retry_scheduled', 'blocked', 'dead', 'retry_requested') AND (o.partition, o."offset") < (d.partition, d."offset")
    LIMIT 1) IS NULL)
    AND d.partition IS NOT NULL AND coalesce(d.position_topic, d.topic) = $5 AND ($6::int IS NULL OR d.partition = $6)
  ORDER BY d.due LIMIT $2 FOR UPDATE OF d SKIP LOCKED),
leased AS (
  UPDATE messagekit.failed_messages d
  SET due = now() + $3 * interval '1 microsecond',
    crash_count = d.crash_count + (d.running_since IS NOT NULL AND d.run_length = 1)::int,
    alone = CASE WHEN d.running_since IS NULL THEN d.alone ELSE greatest(d.alone, d.run_length) END, run_length = 1,
    running_since = now(), token = d.token + 1, attempts = d.attempts + (d.running_since IS NULL OR d.run_length = 1)::int,
    failed_runs = CASE WHEN d.running_since IS NOT NULL AND d.run_length = 1 THEN jsonb_path_query_array(d.failed_runs || jsonb_build_array(jsonb_build_object('at', (extract(epoch FROM d.running_since) * 1000000)::bigint, 'attempt', d.attempts,
      'instance', CASE WHEN starts_with(d.leased_by, d.token || ' ') THEN substr(d.leased_by, length(d.token::text) + 2) END)), '$[last - 19 to last]')
    ELSE d.failed_runs END, leased_by = (d.token + 1) || ' ' || $4::text
  FROM head WHERE d.id = head.id
  RETURNING d.id, d.token, d.attempts, d.crash_count, d.alone, d.state = 'retry_requested' AS requested, d.parked, d.message_id, d.topic,
    d.position_topic, d.partition, d."offset", d.key, d.headers, d.payload, d.due, head.due AS was_due)
SELECT * FROM leased ORDER BY was_due, id;

PREPARE "retry_leased" (text, bigint, bigint) AS
SELECT d.id, d.token, d.attempts, d.crash_count, d.alone, d.state = 'retry_requested' AS requested, d.parked, d.message_id, d.topic,
    d.position_topic, d.partition, d."offset", d.key, d.headers, d.payload, d.due
FROM messagekit.failed_messages d
WHERE d.id = $2 AND d.token = $3 AND d.running_since IS NOT NULL AND (d.consumer = $1) IS TRUE;

PREPARE "retry_leased_at" (text, text, int, bigint) AS
SELECT d.id, d.token, d.attempts, d.crash_count, d.alone, d.state = 'retry_requested' AS requested, d.parked, d.message_id, d.topic,
    d.position_topic, d.partition, d."offset", d.key, d.headers, d.payload, d.due
FROM messagekit.failed_messages d
WHERE d.consumer = $1 AND d.state IN ('retry_scheduled', 'retry_requested') AND d.due > now() AND d.running_since IS NOT NULL
  AND d.partition = $3 AND d."offset" = $4 AND coalesce(d.position_topic, d.topic) = $2 LIMIT 1;

PREPARE "begin_run" (text, bigint, bigint, int, float8) AS
UPDATE messagekit.failed_messages d SET due = now() + $5 * interval '1 microsecond',
  run_length = CASE WHEN (
    SELECT o.state FROM messagekit.failed_messages o
    WHERE o.consumer = $1 AND o.topic = d.topic AND o.key_hash = d.key_hash AND o.parked
      AND o.state IN ('retry_scheduled', 'blocked', 'dead', 'retry_requested')
      AND (o.partition, o."offset", o.id) > (d.partition, d."offset", d.id)
    ORDER BY o.partition, o."offset", o.id LIMIT 1) = 'blocked' THEN $4 ELSE 1 END
WHERE d.id = $2 AND d.token = $3 AND d.running_since IS NOT NULL AND (d.consumer = $1) IS TRUE
RETURNING d.run_length;

PREPARE "followers" (text, bigint, bigint, bigint) AS
SELECT f.id, f.token, f.attempts, f.crash_count, f.message_id, f.topic, f.position_topic, f.partition, f."offset", f.key, f.headers,
  f.payload
FROM (
  SELECT o.*, bool_and(o.state = 'blocked') OVER upto AS waits, sum(octet_length(o.payload)) OVER upto AS bytes
  FROM messagekit.failed_messages h
  CROSS JOIN LATERAL (
    SELECT d.* FROM messagekit.failed_messages d
    WHERE d.consumer = $1 AND d.topic = h.topic AND d.key_hash = h.key_hash AND d.parked
      AND d.state IN ('retry_scheduled', 'blocked', 'dead', 'retry_requested')
      AND (d.partition, d."offset", d.id) > (h.partition, h."offset", h.id)
    ORDER BY d.partition, d."offset", d.id LIMIT $3) o
  WHERE h.id = $2 AND (h.consumer = $1) IS TRUE
  WINDOW upto AS (ORDER BY o.partition, o."offset", o.id ROWS UNBOUNDED PRECEDING)) f
WHERE f.waits AND f.bytes <= $4 ORDER BY f.partition, f."offset", f.id;

PREPARE "resolve" (text, bigint, bigint) AS
WITH failed_message AS (
  UPDATE messagekit.failed_messages
  SET state = 'resolved', reason = 'applied', due = NULL, running_since = NULL, attempts = attempts - 1,
    changed_at = clock_timestamp()
  WHERE id = $2 AND token = $3 AND running_since IS NOT NULL AND (consumer = $1) IS TRUE
  RETURNING message_id),
marker AS (
  UPDATE messagekit.processed_messages p SET outcome = 'done', processed_at = now()
  WHERE p.consumer = $1 AND p.message_id = (SELECT message_id FROM failed_message) AND p.outcome = 'held'
  RETURNING 1)
SELECT (SELECT count(*) FROM failed_message), (SELECT count(*) FROM marker);

PREPARE "resolve_parked" (text, bigint, bigint, text, bigint, int) AS
WITH failed_message AS (
  UPDATE messagekit.failed_messages
  SET state = 'resolved', reason = 'applied', due = NULL, running_since = NULL, attempts = attempts - 1,
    changed_at = clock_timestamp()
  WHERE id = $2 AND token = $3 AND running_since IS NOT NULL AND (consumer = $1) IS TRUE
  RETURNING message_id),
next AS (
  UPDATE messagekit.failed_messages d
  SET state = 'retry_scheduled', reason = 'key_freed', due = now(), alone = greatest(d.alone, $6),
    changed_at = clock_timestamp()
  WHERE d.state = 'blocked' AND d.id = (
    SELECT o.id FROM messagekit.failed_messages o
    WHERE o.consumer = $1 AND o.topic = $4 AND o.key_hash = $5 AND o.parked
      AND o.state IN ('retry_scheduled', 'blocked', 'dead', 'retry_requested') AND o.id <> $2
    ORDER BY o.partition, o."offset" LIMIT 1)),
free AS (
  DELETE FROM messagekit.blocked_keys WHERE consumer = $1 AND topic = $4 AND key_hash = $5 AND count = 0),
marker AS (
  UPDATE messagekit.processed_messages p SET outcome = 'done', processed_at = now()
  WHERE p.consumer = $1 AND p.message_id = (SELECT message_id FROM failed_message) AND p.outcome = 'held'
  RETURNING 1)
SELECT (SELECT count(*) FROM failed_message), (SELECT count(*) FROM marker);

PREPARE "resolve_run" (text, bigint, bigint[], bigint[]) AS
WITH failed_message AS (
  UPDATE messagekit.failed_messages d
  SET state = 'resolved', reason = 'applied', due = NULL, running_since = NULL,
    attempts = d.attempts - (d.state <> 'blocked')::int, changed_at = clock_timestamp()
  WHERE d.id = ANY($3::bigint[]) AND d.token = ($4::bigint[])[array_position($3::bigint[], d.id)]
    AND CASE WHEN d.id = $2 THEN d.running_since IS NOT NULL ELSE d.state = 'blocked' END AND (d.consumer = $1) IS TRUE
  RETURNING message_id),
marker AS (
  UPDATE messagekit.processed_messages p SET outcome = 'done', processed_at = now()
  WHERE p.consumer = $1 AND p.message_id = ANY(ARRAY(SELECT message_id FROM failed_message)) AND p.outcome = 'held'
  RETURNING 1)
SELECT (SELECT count(*) FROM failed_message), (SELECT count(*) FROM marker);

PREPARE "fail" (text, bigint, bigint, text, float8, text, text, text, text) AS
UPDATE messagekit.failed_messages d
SET state = CASE WHEN state = 'retry_requested' THEN 'dead' ELSE $4 END,
  reason = CASE WHEN state = 'retry_requested' THEN 'requested_run_failed' ELSE 'run_failed' END,
  due = CASE WHEN state = 'retry_requested' THEN NULL ELSE now() + $5 * interval '1 microsecond' END,
  changed_at = CASE WHEN state = $4 THEN changed_at ELSE clock_timestamp() END,
  running_since = NULL, kind = $6, error = $7, fingerprint = $8,
  failed_runs = jsonb_path_query_array(d.failed_runs || jsonb_build_array(jsonb_build_object('at', (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, 'attempt', d.attempts, 'error', $7::text, 'instance', $9::text)), '$[last - 19 to last]')
WHERE id = $2 AND token = $3 AND running_since IS NOT NULL AND (consumer = $1) IS TRUE;

PREPARE "hand_back" (text, bigint, bigint, float8) AS
UPDATE messagekit.failed_messages
SET due = now() + $4 * interval '1 microsecond', running_since = NULL, attempts = attempts - 1
WHERE id = $2 AND token = $3 AND running_since IS NOT NULL AND (consumer = $1) IS TRUE;

PREPARE "events" (text, text, text, timestamptz, timestamptz, timestamptz, text, bigint) AS
SELECT e.event_id, e.event_type, e.topic, e.aggregate_id, e.created_at, octet_length(e.payload)::bigint AS payload_bytes,
  (SELECT max(c.copy) FROM messagekit.outbox_events c WHERE c.event_id = e.event_id) AS copies
FROM messagekit.outbox_events e WHERE e.copy = 0 AND ($1::text IS NULL OR e.event_type = $1) AND ($2::text IS NULL OR e.topic = $2)
  AND ($3::text IS NULL OR e.aggregate_id = $3)
  AND ($4::timestamptz IS NULL OR e.created_at >= $4) AND ($5::timestamptz IS NULL OR e.created_at <= $5) AND ($6::timestamptz IS NULL OR (e.created_at >= $6 AND (e.created_at, e.event_id) > ($6, $7::text)))
ORDER BY e.created_at, e.event_id LIMIT $8;

PREPARE "count" (text, text, text, timestamptz, timestamptz) AS
SELECT count(*) FROM messagekit.outbox_events e WHERE e.copy = 0 AND ($1::text IS NULL OR e.event_type = $1) AND ($2::text IS NULL OR e.topic = $2)
  AND ($3::text IS NULL OR e.aggregate_id = $3)
  AND ($4::timestamptz IS NULL OR e.created_at >= $4) AND ($5::timestamptz IS NULL OR e.created_at <= $5);

PREPARE "skipped_by" (text, text, text, timestamptz, timestamptz) AS
WITH RECURSIVE known (consumer) AS (
  (SELECT consumer FROM messagekit.processed_messages ORDER BY consumer LIMIT 1)
  UNION ALL
  SELECT (SELECT m.consumer FROM messagekit.processed_messages m WHERE m.consumer > k.consumer ORDER BY m.consumer LIMIT 1) FROM known k WHERE k.consumer IS NOT NULL)
SELECT k.consumer, (SELECT count(*) FROM messagekit.outbox_events e
  JOIN messagekit.processed_messages p ON p.consumer = k.consumer AND p.message_id = e.event_id WHERE e.copy = 0 AND ($1::text IS NULL OR e.event_type = $1) AND ($2::text IS NULL OR e.topic = $2)
  AND ($3::text IS NULL OR e.aggregate_id = $3)
  AND ($4::timestamptz IS NULL OR e.created_at >= $4) AND ($5::timestamptz IS NULL OR e.created_at <= $5)) AS events
FROM known k WHERE k.consumer IS NOT NULL ORDER BY k.consumer;

PREPARE "reaches" (timestamptz) AS
SELECT EXISTS (SELECT FROM messagekit.outbox_events WHERE copy = 0 AND created_at <= $1);

PREPARE "oldest" AS
SELECT min(created_at) FROM messagekit.outbox_events WHERE copy = 0;

PREPARE "order" (text, text, text, timestamptz, timestamptz, text, bigint, text) AS
INSERT INTO messagekit.replay_jobs (event_type, topic, key, "from", until, ids, per_second, state, ordered_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, 'running', $8) RETURNING id;

PREPARE "choose" (text, text, text, timestamptz, timestamptz, bigint) AS
INSERT INTO messagekit.replay_items (job, n, event_id)
SELECT $6, row_number() OVER (ORDER BY e.seq), e.event_id FROM messagekit.outbox_events e WHERE e.copy = 0 AND ($1::text IS NULL OR e.event_type = $1) AND ($2::text IS NULL OR e.topic = $2)
  AND ($3::text IS NULL OR e.aggregate_id = $3)
  AND ($4::timestamptz IS NULL OR e.created_at >= $4) AND ($5::timestamptz IS NULL OR e.created_at <= $5);

PREPARE "chosen" (bigint, bigint) AS
UPDATE messagekit.replay_jobs SET events = $2, state = CASE WHEN $2 = 0 THEN 'done' ELSE state END
WHERE id = $1 RETURNING *;

PREPARE "replay" (bigint) AS
SELECT * FROM messagekit.replay_jobs WHERE id = $1;

PREPARE "replays" (bigint, bigint) AS
SELECT * FROM messagekit.replay_jobs WHERE id < $1 ORDER BY id DESC LIMIT $2;

PREPARE "cancel" (bigint) AS
UPDATE messagekit.replay_jobs
SET state = 'cancelled', epoch = epoch + 1, lease_until = NULL, changed_at = clock_timestamp()
WHERE id = $1 AND state = 'running';

PREPARE "lease_replay" (float8) AS
WITH next AS MATERIALIZED (
  SELECT id FROM messagekit.replay_jobs
  WHERE state = 'running' AND (lease_until IS NULL OR lease_until <= now())
  ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
UPDATE messagekit.replay_jobs j SET epoch = j.epoch + 1, lease_until = now() + $1 * interval '1 microsecond'
FROM next WHERE j.id = next.id RETURNING j.*;

PREPARE "hold" (bigint, bigint) AS
SELECT * FROM messagekit.replay_jobs WHERE id = $1 AND epoch = $2 AND state = 'running' FOR UPDATE;

PREPARE "copy" (bigint, bigint, bigint) AS
WITH taken AS (
  DELETE FROM messagekit.replay_items WHERE job = $1 AND n > $2 AND n <= $3 RETURNING n, event_id),
written AS (
  INSERT INTO messagekit.outbox_events (event_id, copy, topic, event_type, aggregate_id, payload,
    content_type, headers, traceparent, occurred_at, created_at)
  SELECT e.event_id, e.copy + 1, e.topic, e.event_type, e.aggregate_id, e.payload,
    e.content_type, e.headers, e.traceparent, e.occurred_at, e.created_at
  FROM taken t CROSS JOIN LATERAL (
    SELECT * FROM messagekit.outbox_events o WHERE o.event_id = t.event_id ORDER BY o.copy DESC LIMIT 1) e
  ORDER BY t.n RETURNING 1),
noted AS (
  INSERT INTO messagekit.outbox_copies (job, at, copies)
  SELECT $1, clock_timestamp(), count(*) FROM written HAVING count(*) > 0)
SELECT (SELECT count(*) FROM taken), (SELECT count(*) FROM written);

PREPARE "take" (bigint, bigint, bigint) AS
WITH taken AS (
  DELETE FROM messagekit.replay_items WHERE job = $1 AND n > $2 AND n <= $3 RETURNING n, event_id)
SELECT e.event_id, e.topic, e.event_type, e.aggregate_id, e.payload, e.content_type, e.headers::text AS headers,
  e.traceparent, e.created_at, e.copy AS copies, l.correlation_id, l.causation_id, l.replay_of
FROM taken t CROSS JOIN LATERAL (
  SELECT * FROM messagekit.outbox_events o WHERE o.event_id = t.event_id ORDER BY o.copy DESC LIMIT 1) e
LEFT JOIN LATERAL (
  SELECT * FROM messagekit.outbox_links k WHERE k.event_id = t.event_id OFFSET 0) l ON true
ORDER BY t.n;

PREPARE "move" (bigint, bigint, bigint, float8) AS
UPDATE messagekit.replay_jobs
SET published = published + $3, position = $2, lease_until = now() + $4 * interval '1 microsecond',
  changed_at = clock_timestamp(),
  state = CASE WHEN $2 < events THEN state WHEN published + $3 = events THEN 'done' ELSE 'failed' END,
  error = CASE WHEN $2 < events OR published + $3 = events THEN error
    ELSE (events - published - $3) || ' of the chosen events were not kept any more when their turn came' END
WHERE id = $1 RETURNING *;

PREPARE "fail_replay" (bigint, bigint, text) AS
UPDATE messagekit.replay_jobs
SET state = 'failed', error = $3, lease_until = NULL, changed_at = clock_timestamp()
WHERE id = $1 AND epoch = $2 AND state = 'running' RETURNING *;

PREPARE "forget" (bigint) AS
DELETE FROM messagekit.replay_items WHERE job = $1;

PREPARE "confirmed" (text) AS
WITH slot AS MATERIALIZED (SELECT confirmed_flush_lsn AS wal FROM pg_replication_slots WHERE slot_name = $1),
before AS MATERIALIZED (
  SELECT c.at, c.wal FROM messagekit.outbox_checkpoints c
  WHERE c.wal <= (SELECT wal FROM slot) ORDER BY c.wal DESC, c.at DESC LIMIT 1),
behind AS MATERIALIZED (
  SELECT c.at, c.wal FROM messagekit.outbox_checkpoints c
  WHERE c.wal > (SELECT wal FROM slot) ORDER BY c.wal, c.at LIMIT 1),
current AS MATERIALIZED (SELECT clock_timestamp() AS at, pg_current_wal_insert_lsn() AS wal)
SELECT CASE WHEN s.wal >= n.wal THEN n.at
  ELSE b.at + (coalesce(a.at, n.at) - b.at) * ((s.wal - b.wal) / (coalesce(a.wal, n.wal) - b.wal))::float8 END AS at,
  n.at AS now
FROM current n LEFT JOIN slot s ON true LEFT JOIN before b ON true LEFT JOIN behind a ON true;

PREPARE "outbox_kept" AS
WITH kept AS MATERIALIZED (
  SELECT created_at AS at FROM messagekit.outbox_events ORDER BY event_id, copy LIMIT 10000)
SELECT count(*) AS pending, count(*) FILTER (WHERE at <= clock_timestamp() - interval '10 s') AS overdue,
  extract(epoch FROM clock_timestamp() - min(at) FILTER (WHERE isfinite(at)))::float8 AS oldest
FROM kept;

PREPARE "outbox_unconfirmed" (timestamptz) AS
WITH events AS MATERIALIZED (
  SELECT created_at AS at, copy FROM messagekit.outbox_events WHERE created_at > $1::timestamptz LIMIT 10000),
copies AS MATERIALIZED (
  SELECT at, copies FROM messagekit.outbox_copies WHERE at > $1 ORDER BY at LIMIT 10000)
SELECT CASE WHEN (SELECT count(*) FROM events) < 10000 THEN least(coalesce(sum(w.events), 0), 10000) ELSE 10000 END::bigint AS pending,
  least(coalesce(sum(w.events) FILTER (WHERE w.at <= clock_timestamp() - interval '10 s'), 0), 10000)::bigint AS overdue,
  extract(epoch FROM clock_timestamp() - min(w.at) FILTER (WHERE isfinite(w.at)))::float8 AS oldest
FROM (SELECT at, 1 AS events FROM events WHERE copy = 0 UNION ALL SELECT at, copies FROM copies) w;

PREPARE "outbox_relayed" AS
WITH RECURSIVE streams (shard, topic) AS (
  (SELECT q.shard, q.topic FROM messagekit.outbox_pending q WHERE q.shard >= 0 ORDER BY q.shard, q.topic LIMIT 1)
  UNION ALL
  SELECT n.shard, n.topic FROM streams s CROSS JOIN LATERAL (
    SELECT q.shard, q.topic FROM messagekit.outbox_pending q
    WHERE (q.shard, q.topic) > (s.shard, s.topic) ORDER BY q.shard, q.topic LIMIT 1) n),
first (available_at) AS (
  SELECT h.available_at FROM streams s CROSS JOIN LATERAL (
    SELECT q.available_at FROM messagekit.outbox_pending q
    WHERE q.shard = s.shard AND q.topic = s.topic ORDER BY q.seq LIMIT 1) h
  UNION ALL
  (SELECT q.available_at FROM messagekit.outbox_pending q
    WHERE q.shard < 0 AND q.available_at <= now() ORDER BY q.available_at LIMIT 1)),
pending (available_at) AS MATERIALIZED (
  (SELECT q.available_at FROM messagekit.outbox_pending q WHERE q.shard >= 0 LIMIT 10000)
  UNION ALL
  (SELECT q.available_at FROM messagekit.outbox_pending q
    WHERE q.shard < 0 AND q.available_at <= now() ORDER BY q.available_at LIMIT 10000))
SELECT (SELECT least(count(*), 10000) FROM pending) AS pending,
  (SELECT least(count(*), 10000) FROM pending WHERE available_at <= clock_timestamp() - interval '10 s') AS overdue,
  (SELECT extract(epoch FROM clock_timestamp() - min(available_at)) FROM first)::float8 AS oldest;

PREPARE "outbox_relays" AS
SELECT EXISTS (SELECT FROM messagekit.relay_shards) AS is_open,
  coalesce((SELECT max(until) FROM messagekit.relay_members) > clock_timestamp() - interval '30 s', false) AS has_relay,
  (SELECT count(*) FROM (SELECT FROM messagekit.outbox_rejected WHERE error IS NOT NULL LIMIT 10000) r) AS refused,
  (SELECT count(*) - count(error) FROM (SELECT error FROM messagekit.outbox_rejected ORDER BY id DESC LIMIT 10000) r) AS behind;

PREPARE "is_relayed" AS
SELECT EXISTS (SELECT FROM pg_trigger
  WHERE tgrelid = 'messagekit.outbox_events'::regclass AND tgname = 'outbox_is_pending');

PREPARE "last_checkpoint" (float8) AS
SELECT (SELECT max(at) FROM messagekit.outbox_checkpoints) > clock_timestamp() - $1 * interval '1 microsecond';

PREPARE "may_write" (int, text) AS
SELECT pg_try_advisory_xact_lock($1, hashtext($2));

PREPARE "checkpoint" AS
INSERT INTO messagekit.outbox_checkpoints (at, wal, oldest_xid, last_seq, xid)
SELECT clock_timestamp(), pg_current_wal_insert_lsn(), pg_snapshot_xmin(pg_current_snapshot()),
  coalesce(pg_sequence_last_value(pg_get_serial_sequence('messagekit.outbox_events', 'seq')::regclass), 0),
  pg_current_xact_id();

PREPARE "prune" (float8) AS
WITH copies AS (DELETE FROM messagekit.outbox_copies WHERE at < now() - $1 * interval '1 microsecond')
DELETE FROM messagekit.outbox_checkpoints WHERE at < now() - $1 * interval '1 microsecond';

PREPARE "ping" AS
SELECT coalesce(max(m.version), 0), coalesce(max(coalesce((to_jsonb(m) ->> 'lowest_program')::int, m.version)), 0),
  current_database()::text, current_setting('server_encoding'), current_setting('transaction_read_only')::boolean
FROM messagekit.schema_migrations m;

PREPARE "write" (text[], text[], text[], text[], bytea[], text[], text[], text[], float8) AS
INSERT INTO messagekit.outbox_events
  (event_id, topic, event_type, aggregate_id, payload, content_type, headers, traceparent, available_at)
SELECT m.id, m.topic, m.type, m.key, m.payload, m.content_type, m.headers::jsonb, m.traceparent,
  clock_timestamp() + $9::float8 * interval '1 microsecond'
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::text[], $7::text[], $8::text[])
  WITH ORDINALITY AS m (id, topic, type, key, payload, content_type, headers, traceparent, number)
ORDER BY m.number;

PREPARE "write_one" (text, text, text, text, bytea, text, text, text, float8) AS
INSERT INTO messagekit.outbox_events
  (event_id, topic, event_type, aggregate_id, payload, content_type, headers, traceparent, available_at)
VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb, $8, clock_timestamp() + $9::float8 * interval '1 microsecond');

PREPARE "write_optional" (text[], text[], text[], text[], bytea[], text[], text[], text[], float8) AS
INSERT INTO messagekit.outbox_events
  (event_id, topic, event_type, aggregate_id, payload, content_type, headers, traceparent, available_at)
SELECT m.id, m.topic, m.type, m.key, m.payload, m.content_type, m.headers::jsonb, m.traceparent,
  CASE WHEN EXISTS (SELECT FROM pg_trigger
    WHERE tgrelid = 'messagekit.outbox_events'::regclass AND tgname = 'outbox_is_pending')
    THEN clock_timestamp() + $9::float8 * interval '1 microsecond' END
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::text[], $7::text[], $8::text[])
  WITH ORDINALITY AS m (id, topic, type, key, payload, content_type, headers, traceparent, number)
ORDER BY m.number;

PREPARE "write_linked" (text[], text[], text[], text[], bytea[], text[], text[], text[], float8, text[], text[], text[]) AS
WITH linked AS (
  INSERT INTO messagekit.outbox_links (event_id, correlation_id, causation_id, replay_of)
  SELECT l.* FROM unnest($1::text[], $10::text[], $11::text[], $12::text[]) AS l (id, correlation_id, causation_id, replay_of)
  WHERE num_nonnulls(l.correlation_id, l.causation_id, l.replay_of) > 0 ON CONFLICT DO NOTHING)
INSERT INTO messagekit.outbox_events
  (event_id, topic, event_type, aggregate_id, payload, content_type, headers, traceparent, available_at)
SELECT m.id, m.topic, m.type, m.key, m.payload, m.content_type, m.headers::jsonb, m.traceparent,
  clock_timestamp() + $9::float8 * interval '1 microsecond'
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::text[], $7::text[], $8::text[])
  WITH ORDINALITY AS m (id, topic, type, key, payload, content_type, headers, traceparent, number)
ORDER BY m.number;

PREPARE "write_one_linked" (text, text, text, text, bytea, text, text, text, float8, text, text, text) AS
WITH linked AS (
  INSERT INTO messagekit.outbox_links (event_id, correlation_id, causation_id, replay_of) VALUES ($1, $10, $11, $12)
  ON CONFLICT DO NOTHING)
INSERT INTO messagekit.outbox_events
  (event_id, topic, event_type, aggregate_id, payload, content_type, headers, traceparent, available_at)
VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb, $8, clock_timestamp() + $9::float8 * interval '1 microsecond');

PREPARE "write_optional_linked" (text[], text[], text[], text[], bytea[], text[], text[], text[], float8, text[], text[], text[]) AS
WITH linked AS (
  INSERT INTO messagekit.outbox_links (event_id, correlation_id, causation_id, replay_of)
  SELECT l.* FROM unnest($1::text[], $10::text[], $11::text[], $12::text[]) AS l (id, correlation_id, causation_id, replay_of)
  WHERE num_nonnulls(l.correlation_id, l.causation_id, l.replay_of) > 0 ON CONFLICT DO NOTHING)
INSERT INTO messagekit.outbox_events
  (event_id, topic, event_type, aggregate_id, payload, content_type, headers, traceparent, available_at)
SELECT m.id, m.topic, m.type, m.key, m.payload, m.content_type, m.headers::jsonb, m.traceparent,
  CASE WHEN EXISTS (SELECT FROM pg_trigger
    WHERE tgrelid = 'messagekit.outbox_events'::regclass AND tgname = 'outbox_is_pending')
    THEN clock_timestamp() + $9::float8 * interval '1 microsecond' END
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::text[], $7::text[], $8::text[])
  WITH ORDINALITY AS m (id, topic, type, key, payload, content_type, headers, traceparent, number)
ORDER BY m.number;

PREPARE "clean_links" (text, text, float8) AS
WITH old AS MATERIALIZED (
  SELECT l.ctid FROM messagekit.outbox_links l
  WHERE l.ctid >= $1::text::tid AND l.ctid < $2::text::tid AND l.created_at < now() - $3 * interval '1 microsecond'
    AND (SELECT true FROM messagekit.outbox_events e WHERE e.event_id = l.event_id
      AND messagekit.day_of(e.event_id) = messagekit.day_of(l.event_id) LIMIT 1) IS NULL
    AND (SELECT true FROM messagekit.topic_records r WHERE r.event_id = l.event_id LIMIT 1) IS NULL
  FOR UPDATE SKIP LOCKED),
gone AS (DELETE FROM messagekit.outbox_links WHERE ctid = ANY (ARRAY (SELECT ctid FROM old)) RETURNING 1)
SELECT count(*) AS removed,
  pg_relation_size('messagekit.outbox_links') / current_setting('block_size')::bigint AS blocks FROM gone;

PREPARE "history_status_outbox" AS
SELECT (SELECT count(*) FROM (SELECT FROM messagekit.outbox_pending WHERE shard < 0 AND available_at > now() LIMIT 10000) d) AS delayed,
  (SELECT count(*) FROM (SELECT FROM messagekit.outbox_rejected WHERE error IS NOT NULL LIMIT 10000) r) AS rejected,
  (SELECT count(*) FROM (SELECT FROM messagekit.replay_jobs WHERE state = 'running' LIMIT 10000) j) AS replays;

PREPARE "history_status_consumers" AS
WITH RECURSIVE marked (consumer) AS (
  (SELECT consumer FROM messagekit.processed_messages ORDER BY consumer LIMIT 1)
  UNION ALL
  SELECT (SELECT m.consumer FROM messagekit.processed_messages m WHERE m.consumer > k.consumer ORDER BY m.consumer LIMIT 1) FROM marked k WHERE k.consumer IS NOT NULL), failed (consumer) AS (
  (SELECT consumer FROM messagekit.failed_messages ORDER BY consumer LIMIT 1)
  UNION ALL
  SELECT (SELECT m.consumer FROM messagekit.failed_messages m WHERE m.consumer > k.consumer ORDER BY m.consumer LIMIT 1) FROM failed k WHERE k.consumer IS NOT NULL), positioned (consumer) AS (
  (SELECT consumer FROM messagekit.consumer_offsets ORDER BY consumer LIMIT 1)
  UNION ALL
  SELECT (SELECT m.consumer FROM messagekit.consumer_offsets m WHERE m.consumer > k.consumer ORDER BY m.consumer LIMIT 1) FROM positioned k WHERE k.consumer IS NOT NULL),
names AS MATERIALIZED (
  SELECT consumer FROM (
    SELECT consumer, false AS only_reads FROM marked WHERE consumer IS NOT NULL
    UNION ALL SELECT consumer, false FROM failed WHERE consumer IS NOT NULL
    UNION ALL SELECT consumer, false FROM positioned WHERE consumer IS NOT NULL
    UNION ALL SELECT consumer, false FROM messagekit.consumer_windows
    UNION ALL SELECT consumer, true FROM messagekit.consumer_cursors) known
  GROUP BY consumer ORDER BY bool_and(only_reads), consumer LIMIT 500)
SELECT n.consumer, GREATEST((SELECT m.processed_at FROM messagekit.processed_messages m
    WHERE m.consumer = n.consumer ORDER BY m.message_id DESC LIMIT 1),
    (SELECT m.processed_at FROM messagekit.processed_messages m
    WHERE m.consumer = n.consumer AND m.message_id < $2 ORDER BY m.message_id DESC LIMIT 1)) AS marked_at,
  w.noted_at, (SELECT max(r.seconds) FROM messagekit.consumer_windows r
    WHERE r.consumer = n.consumer AND r.noted_at > w.noted_at - $1 * interval '1 microsecond') AS seconds,
  (SELECT count(*) FROM (SELECT FROM messagekit.blocked_keys b
    WHERE b.consumer = n.consumer AND b.count > 0 LIMIT 10000) k) AS blocked_keys,
  (SELECT count(*) FROM (SELECT FROM messagekit.failed_messages d
    WHERE d.consumer = n.consumer AND d.state IN ('retry_scheduled', 'retry_requested') AND d.due <= now() LIMIT 10000) r) AS retries_due,
  (SELECT min(o.set_aside_at) FROM (VALUES ('retry_scheduled'), ('blocked'), ('dead'), ('retry_requested')) s (state)
    CROSS JOIN LATERAL (SELECT d.set_aside_at FROM messagekit.failed_messages d
      WHERE d.consumer = n.consumer AND d.state >= s.state AND d.state <= s.state ORDER BY d.state, d.id LIMIT 1) o) AS oldest_failed_at
FROM names n LEFT JOIN LATERAL (
  SELECT max(x.noted_at) AS noted_at FROM messagekit.consumer_windows x WHERE x.consumer = n.consumer) w ON true
ORDER BY n.consumer;

PREPARE "history_status_states" AS
SELECT n.consumer, s.state, c.failed_messages FROM unnest($1::text[]) AS n (consumer)
  CROSS JOIN (VALUES ('retry_scheduled'), ('blocked'), ('dead'), ('retry_requested'), ('resolved'), ('discarded')) s (state)
  CROSS JOIN LATERAL (
    SELECT count(*) AS failed_messages FROM (SELECT FROM messagekit.failed_messages d
      WHERE d.consumer = n.consumer AND d.state = s.state LIMIT 10000) f) c
WHERE c.failed_messages > 0;

PREPARE "history_status_last_seen" AS
SELECT (extract(epoch FROM clock_timestamp() - max(w.noted_at)) * 1000000)::bigint FROM messagekit.consumer_windows w
WHERE w.consumer = $1;

PREPARE "history_status_positions" AS
SELECT k.consumer, k.topic, k.partition, k.next, CASE WHEN k.until IS NOT NULL THEN greatest(k.until - k.next - coalesce((
    SELECT sum(greatest((r.value ->> 'to')::bigint - greatest((r.value ->> 'from')::bigint, k.next), 0))::bigint
    FROM jsonb_array_elements(k.ranges::jsonb) r WHERE r.value ->> 'state' = 'settled'), 0), 0) END AS behind
FROM (
  SELECT a.*, row_number() OVER (PARTITION BY a.consumer ORDER BY a.topic, a.partition, a.until) AS nth FROM (
    SELECT g.consumer, t.name AS topic, p.partition, greatest(c.next, p.log_start) AS next, p.next_offset AS until, c.ranges
    FROM (
        SELECT DISTINCT b.consumer, o.topic_id FROM messagekit.consumer_cursors b
        JOIN messagekit.topic_partitions o ON o.id = b.tp_id WHERE b.consumer = ANY ($1::text[])) g
      JOIN messagekit.topics t ON t.id = g.topic_id
      JOIN messagekit.topic_partitions p ON p.topic_id = g.topic_id
      LEFT JOIN messagekit.consumer_cursors c ON c.tp_id = p.id AND c.consumer = g.consumer
    UNION ALL
    SELECT f.consumer, f.topic, f.partition, min(f.next), NULL, NULL
    FROM messagekit.consumer_offsets f WHERE f.consumer = ANY ($1::text[]) AND f.key_lane >= 0 GROUP BY f.consumer, f.topic, f.partition) a
  ORDER BY nth, a.consumer LIMIT 10000) k
WHERE k.nth <= 1000 ORDER BY k.consumer, k.topic, k.partition, k.until;

PREPARE "history_misspelt" AS
SELECT u.consumer, u.topic, u.event_type, u.similar_to, u.messages, u.first_at, u.last_at FROM messagekit.unhandled_types u
WHERE u.similar_to <> '{}' AND u.last_at > clock_timestamp() - $1 * interval '1 microsecond'
ORDER BY u.messages DESC, u.consumer, u.topic, u.event_type LIMIT $2::bigint;

PREPARE "history_audit" AS
SELECT a.id, a.at, a.operator, a.through, a.request_id, a.act, a.failed_messages, a.subject, a.done
FROM messagekit.admin_audit a
WHERE a.id < $1 AND ($2::text IS NULL OR a.operator = $2) AND ($3::text IS NULL OR a.act = $3)
  AND ($4::timestamptz IS NULL OR a.at >= $4) AND ($5::timestamptz IS NULL OR a.at < $5)
  AND ($6::bigint IS NULL OR a.id = ANY (ARRAY (
    SELECT f.id FROM messagekit.admin_audit f WHERE f.failed_messages @> ARRAY[$6])))
  AND ($7::text IS NULL OR a.id = ANY (ARRAY (
    SELECT r.id FROM messagekit.admin_audit r WHERE r.subject = $7 AND r.act IN ('replay', 'cancel-replay'))))
ORDER BY a.id DESC LIMIT $8;

PREPARE "history_linked" AS
SELECT e.event_id, e.event_type, e.topic, e.aggregate_id, e.created_at, l.correlation_id, l.causation_id, l.replay_of
FROM (SELECT w.id FROM unnest($1::text[]) AS w (id)
  UNION
  SELECT c.event_id FROM unnest($2::text[]) AS w (id) CROSS JOIN LATERAL (
    SELECT k.event_id FROM messagekit.outbox_links k WHERE k.causation_id = w.id ORDER BY k.event_id LIMIT $3) c) f (id)
CROSS JOIN LATERAL (
  SELECT o.event_id, o.event_type, o.topic, o.aggregate_id, o.created_at FROM messagekit.outbox_events o
  WHERE o.event_id = f.id AND o.copy = 0 AND messagekit.day_of(o.event_id) = messagekit.day_of(f.id)
  UNION ALL
  SELECT r.event_id, r.event_type, (SELECT t.name FROM messagekit.topics t WHERE t.id = r.topic_id), r.key, r.created_at
  FROM messagekit.topic_records r WHERE r.event_id = f.id
  LIMIT 1) e
LEFT JOIN LATERAL (
  SELECT k.correlation_id, k.causation_id, k.replay_of FROM messagekit.outbox_links k
  WHERE k.event_id = f.id OFFSET 0) l ON true
ORDER BY e.created_at, e.event_id LIMIT $3;

PREPARE "history_correlated" AS
SELECT e.event_id, e.event_type, e.topic, e.aggregate_id, e.created_at, l.correlation_id, l.causation_id, l.replay_of
FROM (SELECT $1::text
  UNION
  (SELECT k.event_id FROM messagekit.outbox_links k WHERE k.correlation_id = $1 ORDER BY k.event_id LIMIT $2)) f (id)
CROSS JOIN LATERAL (
  SELECT o.event_id, o.event_type, o.topic, o.aggregate_id, o.created_at FROM messagekit.outbox_events o
  WHERE o.event_id = f.id AND o.copy = 0 AND messagekit.day_of(o.event_id) = messagekit.day_of(f.id)
  UNION ALL
  SELECT r.event_id, r.event_type, (SELECT t.name FROM messagekit.topics t WHERE t.id = r.topic_id), r.key, r.created_at
  FROM messagekit.topic_records r WHERE r.event_id = f.id
  LIMIT 1) e
LEFT JOIN LATERAL (
  SELECT k.correlation_id, k.causation_id, k.replay_of FROM messagekit.outbox_links k
  WHERE k.event_id = f.id OFFSET 0) l ON true
ORDER BY e.created_at, e.event_id LIMIT $2;

PREPARE "history_republished" AS
SELECT e.event_id, e.event_type, e.topic, e.aggregate_id, e.created_at, l.correlation_id, l.causation_id, l.replay_of
FROM ((SELECT k.event_id FROM messagekit.outbox_links k WHERE k.replay_of = $1 ORDER BY k.event_id LIMIT $2)) f (id)
CROSS JOIN LATERAL (
  SELECT o.event_id, o.event_type, o.topic, o.aggregate_id, o.created_at FROM messagekit.outbox_events o
  WHERE o.event_id = f.id AND o.copy = 0 AND messagekit.day_of(o.event_id) = messagekit.day_of(f.id)
  UNION ALL
  SELECT r.event_id, r.event_type, (SELECT t.name FROM messagekit.topics t WHERE t.id = r.topic_id), r.key, r.created_at
  FROM messagekit.topic_records r WHERE r.event_id = f.id
  LIMIT 1) e
LEFT JOIN LATERAL (
  SELECT k.correlation_id, k.causation_id, k.replay_of FROM messagekit.outbox_links k
  WHERE k.event_id = f.id OFFSET 0) l ON true
ORDER BY e.created_at, e.event_id LIMIT $2;

PREPARE "history_event" AS
SELECT e.event_id, e.event_type, e.topic, e.aggregate_id, e.created_at, octet_length(e.payload)::bigint AS payload_bytes,
  (SELECT max(c.copy) FROM messagekit.outbox_events c
    WHERE c.event_id = e.event_id AND messagekit.day_of(c.event_id) = messagekit.day_of(e.event_id)) AS copies,
  e.content_type, e.traceparent, e.headers::text AS headers, l.correlation_id, l.causation_id, l.replay_of,
  p.attempts, p.available_at, coalesce(p.shard < 0, false) AS is_delayed, r.id AS rejected,
  CASE WHEN r.error IS NULL THEN 0 ELSE r.attempts END AS refusals, r.error, r.rejected_at
FROM messagekit.outbox_events e
  LEFT JOIN LATERAL (
    SELECT k.correlation_id, k.causation_id, k.replay_of FROM messagekit.outbox_links k
    WHERE k.event_id = e.event_id OFFSET 0) l ON true
  LEFT JOIN LATERAL (
    SELECT q.attempts, q.available_at, q.shard FROM messagekit.outbox_pending q
    WHERE q.topic = e.topic AND q.seq = e.seq AND q.shard = ANY (
      SELECT s.shard - down.shards FROM (SELECT get_byte(sha256(convert_to(
          coalesce(e.aggregate_id, e.event_id), 'UTF8')), 0) & 63 AS shard OFFSET 0) s,
        (VALUES (0), (64)) down (shards)) LIMIT 1) p ON true
  LEFT JOIN LATERAL (
    SELECT j.id, j.attempts, j.error, j.rejected_at FROM messagekit.outbox_rejected j
    WHERE j.seq = e.seq LIMIT 1) r ON true
WHERE e.event_id = $1 AND e.copy = 0 AND messagekit.day_of(e.event_id) = messagekit.day_of($1);

PREPARE "history_has_left" AS
SELECT EXISTS (SELECT FROM messagekit.outbox_events e
  WHERE e.event_id = $1 AND e.copy = 0 AND messagekit.day_of(e.event_id) = messagekit.day_of($1)
    AND e.created_at < $2 AND e.seq <= $3);

PREPARE "history_outcomes" AS
WITH RECURSIVE known (consumer) AS (
  (SELECT consumer FROM messagekit.processed_messages ORDER BY consumer LIMIT 1)
  UNION ALL
  SELECT (SELECT m.consumer FROM messagekit.processed_messages m WHERE m.consumer > k.consumer ORDER BY m.consumer LIMIT 1) FROM known k WHERE k.consumer IS NOT NULL)
SELECT k.consumer, m.outcome, m.processed_at, (SELECT count(*) FROM messagekit.in_flight_attempts a
    WHERE a.consumer = k.consumer AND a.message_id = $1) AS attempts
FROM known k CROSS JOIN LATERAL (
  SELECT p.outcome, p.processed_at FROM messagekit.processed_messages p
  WHERE p.consumer = k.consumer AND p.message_id = $1 AND p.day = messagekit.day_of($1) OFFSET 0) m
ORDER BY k.consumer LIMIT $2;

PREPARE "history_failed_messages" AS
WITH RECURSIVE known (consumer) AS (
  (SELECT consumer FROM messagekit.failed_messages ORDER BY consumer LIMIT 1)
  UNION ALL
  SELECT (SELECT m.consumer FROM messagekit.failed_messages m WHERE m.consumer > k.consumer ORDER BY m.consumer LIMIT 1) FROM known k WHERE k.consumer IS NOT NULL)
SELECT d.id, d.consumer, d.origin, d.return_to, d.message_id, d.topic, d.position_topic, d.partition, d."offset", d.key,
  d.event_type, d.state, d.reason, d.attempts, d.crash_count, d.due, d.kind, d.error, d.fingerprint, d.set_aside_at,
  d.changed_at, d.parked, CASE WHEN d.parked AND d.state IN ('retry_scheduled', 'dead', 'retry_requested') THEN (
    SELECT k.count - 1 FROM messagekit.blocked_keys k WHERE k.consumer = d.consumer AND k.topic = d.topic AND k.key_hash = d.key_hash)
  END AS holds_back,
  octet_length(d.payload)::bigint AS payload_bytes FROM known n CROSS JOIN LATERAL (
  SELECT * FROM messagekit.failed_messages f WHERE f.consumer = n.consumer AND f.message_id = $1 OFFSET 0) d
ORDER BY d.id DESC LIMIT $2;

PREPARE "history_failures" AS
SELECT consumer, reason, at FROM messagekit.outbox_failures WHERE event_id = $1 ORDER BY consumer LIMIT $2;

PREPARE "history_actions" AS
SELECT a.id, a.at, a.operator, a.through, a.request_id, a.act, a.failed_messages, a.subject, a.done
FROM (
  SELECT id FROM messagekit.admin_audit WHERE failed_messages && $1::bigint[]
  UNION
  SELECT id FROM messagekit.admin_audit WHERE subject = ANY ($2::text[]) AND act IN ('replay', 'cancel-replay')
  UNION
  SELECT id FROM messagekit.admin_audit WHERE subject = $3 AND act IN ('retry-rejected', 'discard-rejected')) f
CROSS JOIN LATERAL (SELECT * FROM messagekit.admin_audit w WHERE w.id = f.id OFFSET 0) a
ORDER BY a.id DESC LIMIT $4;

PREPARE "history_unpublished" AS
WITH RECURSIVE streams (shard, topic) AS (
  (SELECT q.shard, q.topic FROM messagekit.outbox_pending q WHERE q.shard >= 0 ORDER BY q.shard, q.topic LIMIT 1)
  UNION ALL
  SELECT n.shard, n.topic FROM streams s CROSS JOIN LATERAL (
    SELECT q.shard, q.topic FROM messagekit.outbox_pending q
    WHERE (q.shard, q.topic) > (s.shard, s.topic) ORDER BY q.shard, q.topic LIMIT 1) n),
pending AS MATERIALIZED (
  SELECT h.* FROM streams s CROSS JOIN LATERAL (
    SELECT q.* FROM messagekit.outbox_pending q WHERE q.shard = s.shard AND q.topic = s.topic ORDER BY q.seq LIMIT $1) h
  ORDER BY h.seq LIMIT $1),
delayed AS MATERIALIZED (
  SELECT q.* FROM messagekit.outbox_pending q WHERE q.shard < 0 ORDER BY q.available_at LIMIT $1)
SELECT p.event_id, e.event_type, p.topic, e.aggregate_id, p.attempts, p.available_at, p.shard < 0 AS is_delayed
FROM (SELECT * FROM pending UNION ALL SELECT * FROM delayed) p
LEFT JOIN LATERAL (
  SELECT o.event_type, o.aggregate_id FROM messagekit.outbox_events o
  WHERE o.event_id = p.event_id AND o.copy = p.copy AND messagekit.day_of(o.event_id) = messagekit.day_of(p.event_id) OFFSET 0) e ON true
ORDER BY p.shard < 0, CASE WHEN p.shard < 0 THEN p.available_at END, p.seq LIMIT $1;

PREPARE "history_publisher" AS
SELECT EXISTS (SELECT FROM pg_trigger
    WHERE tgrelid = 'messagekit.outbox_events'::regclass AND tgname = 'outbox_is_pending') AS is_on,
  coalesce((SELECT max(until) FROM messagekit.relay_members) > clock_timestamp() - interval '30 s', false) AS has_relay,
  EXISTS (SELECT FROM pg_replication_slots
    WHERE slot_name = $1 AND slot_type = 'logical' AND database = current_database()) AS has_slot,
  EXISTS (SELECT FROM pg_publication WHERE pubname = $2) AS has_publication;

PREPARE "relay_lease" (text, float8, float8, boolean, int) AS
WITH member AS (
  INSERT INTO messagekit.relay_members (name, until, is_present)
  VALUES ($1, clock_timestamp() + $2 * interval '1 microsecond', $4)
  ON CONFLICT (name) DO UPDATE SET until = excluded.until, is_present = excluded.is_present),
forgotten AS (
  DELETE FROM messagekit.relay_members WHERE name IN (
    SELECT name FROM messagekit.relay_members
    WHERE name <> $1 AND until < clock_timestamp() - interval '1 h' FOR UPDATE SKIP LOCKED)),
present AS MATERIALIZED (
  SELECT objid FROM pg_locks WHERE locktype = 'advisory' AND classid = $5::int::oid AND objsubid = 2 AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())),
living AS MATERIALIZED (
  SELECT name FROM messagekit.relay_members
  WHERE name <> $1 AND until > clock_timestamp()
    AND (NOT is_present OR hashtext(name)::oid IN (SELECT objid FROM present))),
share AS MATERIALIZED (SELECT ceil($3 / (1 + count(*)))::bigint AS shards FROM living),
mine AS MATERIALIZED (SELECT shard, epoch FROM messagekit.relay_shards WHERE owner = $1),
free AS MATERIALIZED (
  SELECT shard FROM messagekit.relay_shards
  WHERE owner IS DISTINCT FROM $1 AND (owner IS NULL OR owner NOT IN (SELECT name FROM living))
  ORDER BY shard LIMIT greatest(0, (SELECT shards FROM share) - (SELECT count(*) FROM mine))
  FOR UPDATE SKIP LOCKED),
taken AS (
  UPDATE messagekit.relay_shards s SET owner = $1, epoch = s.epoch + 1
  FROM free f WHERE s.shard = f.shard RETURNING s.shard, s.epoch)
SELECT EXISTS (
    SELECT FROM pg_trigger
    WHERE tgrelid = 'messagekit.outbox_events'::regclass AND tgname = 'outbox_is_pending' AND tgenabled <> 'D') AS is_on,
  f.shards, h.shard, h.epoch
FROM share f LEFT JOIN (SELECT * FROM mine UNION ALL SELECT * FROM taken) h ON true ORDER BY h.shard;

PREPARE "relay_hand_over" (text, smallint[], bigint[]) AS
UPDATE messagekit.relay_shards s SET owner = NULL
FROM unnest($2::smallint[], $3::bigint[]) AS g (shard, epoch)
WHERE s.shard = g.shard AND s.epoch = g.epoch AND s.owner = $1;

PREPARE "relay_leave" (text) AS
WITH gone AS (DELETE FROM messagekit.relay_members WHERE name = $1)
UPDATE messagekit.relay_shards SET owner = NULL WHERE owner = $1;

PREPARE "relay_hold" (text, smallint, bigint) AS
SELECT true FROM messagekit.relay_shards
WHERE shard = $2 AND epoch = $3 AND owner = $1
  AND (SELECT until FROM messagekit.relay_members WHERE name = $1) > clock_timestamp()
FOR NO KEY UPDATE;

PREPARE "relay_hold_any" (smallint) AS
SELECT true FROM messagekit.relay_shards WHERE shard = $1 FOR NO KEY UPDATE;

PREPARE "relay_begin_again" (smallint) AS
UPDATE messagekit.relay_shards SET epoch = epoch + 1 WHERE shard = $1;

PREPARE "relay_pending" (text, smallint[], bigint[], bigint[], bigint[], text[], bigint, bigint, int) AS
WITH asked AS MATERIALIZED (
  SELECT w.number, w.shard, w.above, s.shard IS NOT NULL AS is_held
  FROM unnest($2::smallint[], $3::bigint[], $4::bigint[]) WITH ORDINALITY AS w (shard, epoch, above, number)
    LEFT JOIN messagekit.relay_shards s ON s.shard = w.shard AND s.epoch = w.epoch AND s.owner = $1
      AND (SELECT m.until FROM messagekit.relay_members m WHERE m.name = $1) > clock_timestamp()
  ORDER BY w.number),
found AS MATERIALIZED (
  SELECT a.number, p.*
  FROM asked a CROSS JOIN LATERAL (
    WITH RECURSIVE streams (topic) AS (
      (SELECT q.topic FROM messagekit.outbox_pending q
        WHERE q.shard = a.shard AND (q.seq > a.above OR cardinality($6::text[]) > 0) ORDER BY q.topic LIMIT 1)
      UNION ALL
      SELECT n.topic FROM streams s CROSS JOIN LATERAL (
        SELECT q.topic FROM messagekit.outbox_pending q
        WHERE q.shard = a.shard AND q.topic > s.topic AND (q.seq > a.above OR cardinality($6::text[]) > 0)
        ORDER BY q.topic LIMIT 1) n)
    SELECT r.* FROM streams t CROSS JOIN LATERAL (
      SELECT q.shard, q.seq, q.copy, q.key_hash, q.event_id, q.topic FROM messagekit.outbox_pending q
      WHERE q.shard = a.shard AND q.topic = t.topic AND q.seq > a.above
        AND q.seq NOT IN (SELECT x.seq FROM unnest($5::bigint[]) AS x (seq))
      ORDER BY q.seq LIMIT $7) r
    WHERE t.topic <> ALL ($6::text[])
    ORDER BY r.seq LIMIT $7) p
  WHERE a.is_held LIMIT $7),
sized AS (
  SELECT f.number, f.shard, f.seq, f.copy, f.key_hash, f.topic AS sent_to, f.event_id AS id, e.*, count(*) OVER () AS found,
    sum(e.bytes) OVER (ORDER BY f.number, f.seq) AS upto,
    row_number() OVER (ORDER BY f.number, f.seq) AS place
  FROM found f LEFT JOIN LATERAL (
    SELECT o.event_id, o.event_type, o.aggregate_id, o.payload, o.content_type, h.headers, o.traceparent, o.created_at,
      octet_length(o.payload) + coalesce(octet_length(o.aggregate_id), 0) + coalesce(octet_length(h.headers), 0)
        + octet_length(concat(o.event_id, o.event_type, o.content_type, o.traceparent)) + $9 AS bytes
    FROM messagekit.outbox_events o CROSS JOIN LATERAL (SELECT o.headers::text AS headers OFFSET 0) h
    WHERE o.event_id = f.event_id AND o.copy = f.copy AND messagekit.day_of(o.event_id) = messagekit.day_of(f.event_id) OFFSET 0) e ON true)
SELECT s.shard, s.seq, s.found, s.sent_to, s.id, s.aggregate_id, CASE WHEN s.bytes <= $8 THEN s.payload END, s.event_type,
  s.content_type, s.traceparent, CASE WHEN s.created_at >= '0001-01-01Z' AND s.created_at < '9999-12-30Z' THEN s.created_at END,
  CASE WHEN s.bytes <= $8 THEN s.headers END,
  s.key_hash IS NOT NULL AND (
    SELECT true FROM messagekit.outbox_rejected r
    WHERE r.topic = s.sent_to AND r.key_hash = s.key_hash AND r.seq < s.seq LIMIT 1) IS NOT NULL, s.copy, s.key_hash, s.bytes
FROM sized s WHERE s.place = 1 OR s.upto IS NULL OR s.upto <= $8
UNION ALL
SELECT a.shard, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, 0, NULL, NULL
FROM asked a WHERE NOT a.is_held;

PREPARE "relay_last_place" AS
SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('messagekit.outbox_events', 'seq')::regclass), 0),
  CASE WHEN NOT pg_is_in_recovery() THEN concat_ws(' ', extract(epoch FROM pg_postmaster_start_time()),
    extract(epoch FROM pg_stat_get_bgwriter_stat_reset_time())) END;

PREPARE "relay_writers" AS
SELECT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND relation = 'messagekit.outbox_events'::regclass AND mode = 'RowExclusiveLock' AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database());

PREPARE "relay_published" (smallint[], bigint[], text[], bigint[], text[]) AS
DELETE FROM messagekit.outbox_pending p
USING unnest($1::smallint[], $2::bigint[], $3::text[], $4::bigint[], $5::text[]) AS d (shard, seq, event_id, copy, topic)
  CROSS JOIN LATERAL (
    SELECT q.ctid AS at FROM messagekit.outbox_pending q
    WHERE q.shard = d.shard AND q.topic = d.topic AND q.seq = d.seq AND q.event_id = d.event_id AND q.copy = d.copy OFFSET 0) f
WHERE p.ctid = f.at;

PREPARE "relay_due" (bigint) AS
UPDATE messagekit.outbox_pending p SET shard = p.shard + 64
FROM (
  SELECT shard, topic, seq FROM messagekit.outbox_pending
  WHERE shard < 0 AND available_at <= statement_timestamp() ORDER BY available_at LIMIT $1 FOR UPDATE SKIP LOCKED) d
WHERE p.shard = d.shard AND p.topic = d.topic AND p.seq = d.seq;

PREPARE "relay_next_due" AS
SELECT CASE WHEN min(available_at) IS NOT NULL THEN extract(epoch FROM
    greatest(least(min(available_at), statement_timestamp() + interval '1 day'), statement_timestamp() - interval '1 day')
    - statement_timestamp()) END::float8
FROM messagekit.outbox_pending WHERE shard < 0;

PREPARE "relay_set_aside" (smallint, bigint, text, text, bigint, text) AS
WITH head AS MATERIALIZED (
  SELECT p.topic, p.key_hash FROM messagekit.outbox_pending p
  WHERE p.shard = $1 AND p.topic = $6 AND p.seq = $2 AND p.event_id = $4 AND p.copy = $5 AND ($3::text IS NOT NULL OR (
    SELECT true FROM messagekit.outbox_rejected r
    WHERE r.topic = p.topic AND r.key_hash = p.key_hash AND r.seq < p.seq LIMIT 1) IS NOT NULL)),
moved AS (
  DELETE FROM messagekit.outbox_pending p USING head h
  WHERE p.shard = $1 AND p.topic = h.topic AND p.seq >= $2 AND (p.seq = $2 OR p.key_hash = h.key_hash)
  RETURNING p.*)
INSERT INTO messagekit.outbox_rejected (shard, attempts, copy, seq, key_hash, event_id, topic, error)
SELECT shard, CASE WHEN seq = $2 AND $3 IS NOT NULL THEN least(attempts, 32766) + 1 ELSE attempts END, copy, seq, key_hash,
  event_id, topic, CASE WHEN seq = $2 THEN $3 END
FROM moved ORDER BY seq;

PREPARE "relay_rejected" (bigint, bigint, boolean) AS
SELECT r.id, r.event_id, r.topic, e.event_type, e.aggregate_id, coalesce(octet_length(e.payload), 0),
  CASE WHEN r.error IS NULL THEN 0 ELSE r.attempts END::int, r.error,
  CASE WHEN e.created_at >= '0001-01-01Z' AND e.created_at < '9999-12-30Z' THEN e.created_at ELSE r.rejected_at END, r.rejected_at,
  CASE WHEN r.error IS NULL THEN 0 ELSE (
    SELECT count(*) FROM messagekit.outbox_rejected b
    WHERE b.topic = r.topic AND b.key_hash = r.key_hash AND b.seq > r.seq AND b.error IS NULL) END
FROM messagekit.outbox_rejected r
  LEFT JOIN messagekit.outbox_events e ON e.event_id = r.event_id AND e.copy = r.copy
WHERE r.id > $1 AND (r.error IS NOT NULL OR $3) ORDER BY r.id LIMIT $2;

PREPARE "relay_find" (bigint) AS
SELECT shard, event_id, error IS NOT NULL AS is_refused FROM messagekit.outbox_rejected WHERE id = $1;

PREPARE "relay_put_back" (bigint) AS
WITH moved AS (
  DELETE FROM messagekit.outbox_rejected WHERE id = ANY (ARRAY(
    SELECT $1 UNION ALL
    SELECT r.id FROM messagekit.outbox_rejected c
      JOIN messagekit.outbox_rejected r ON r.topic = c.topic AND r.key_hash = c.key_hash
    WHERE c.id = $1))
  RETURNING *)
INSERT INTO messagekit.outbox_pending (shard, attempts, copy, seq, key_hash, available_at, event_id, topic)
SELECT shard, attempts, copy, seq, key_hash, clock_timestamp(), event_id, topic FROM moved;

PREPARE "relay_give_up" (bigint) AS
WITH gone AS (DELETE FROM messagekit.outbox_rejected WHERE id = $1 RETURNING topic, key_hash),
next AS MATERIALIZED (
  SELECT min(r.seq) AS seq FROM gone g
    JOIN messagekit.outbox_rejected r ON r.topic = g.topic AND r.key_hash = g.key_hash
  WHERE r.id <> $1 AND r.error IS NOT NULL),
moved AS (
  DELETE FROM messagekit.outbox_rejected r USING gone g, next n
  WHERE r.topic = g.topic AND r.key_hash = g.key_hash AND r.error IS NULL AND (n.seq IS NULL OR r.seq < n.seq)
  RETURNING r.*)
INSERT INTO messagekit.outbox_pending (shard, attempts, copy, seq, key_hash, available_at, event_id, topic)
SELECT shard, attempts, copy, seq, key_hash, clock_timestamp(), event_id, topic FROM moved;

PREPARE "topic_find" (text[]) AS
SELECT t.id, t.name, t.is_published, t.schema, t.shape, t.dedup, t.key, t.version, t.max_age, t.max_bytes, t.keep_unhandled,
  (SELECT count(*) FROM messagekit.topic_partitions p WHERE p.topic_id = t.id)::int,
  (SELECT true FROM messagekit.topic_waiting w
    WHERE w.topic_id = t.id AND (w.available_at IS NULL OR w.available_at <= clock_timestamp())
    ORDER BY w.seq LIMIT 1) IS NOT NULL
FROM messagekit.topics t WHERE t.name = ANY($1::text[]);

PREPARE "topic_all" AS
SELECT t.id, t.name, t.is_published, t.schema, t.shape, t.dedup, t.key, t.version, t.max_age, t.max_bytes, t.keep_unhandled,
  (SELECT count(*) FROM messagekit.topic_partitions p WHERE p.topic_id = t.id)::int,
  (SELECT true FROM messagekit.topic_waiting w
    WHERE w.topic_id = t.id AND (w.available_at IS NULL OR w.available_at <= clock_timestamp())
    ORDER BY w.seq LIMIT 1) IS NOT NULL
FROM messagekit.topics t ORDER BY t.name;

PREPARE "topic_define" (text, boolean, text, text, text[], text, bigint, bigint, boolean, int) AS
WITH made AS (
  INSERT INTO messagekit.topics (name, is_published, schema, shape, dedup, key, max_age, max_bytes, keep_unhandled)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING RETURNING id),
divided AS (
  INSERT INTO messagekit.topic_partitions (topic_id, partition)
  SELECT made.id, n FROM made CROSS JOIN generate_series(0, $10 - 1) n)
SELECT count(*) FROM made;

PREPARE "topic_keep" AS
SELECT messagekit.keep_topics()::text;

PREPARE "topic_replace_schema" (text, text, text, text, text) AS
UPDATE messagekit.topics SET schema = $2, shape = $3
WHERE name = $1 AND schema IS NOT DISTINCT FROM $4 AND shape IS NOT DISTINCT FROM $5;

PREPARE "topic_set_retention" (text, bigint, bigint, boolean) AS
UPDATE messagekit.topics SET max_age = $2, max_bytes = $3, keep_unhandled = $4 WHERE name = $1;

PREPARE "topic_feeding" (text) AS
SELECT table_name FROM messagekit.table_sources WHERE topic = $1 ORDER BY table_name;

PREPARE "topic_end_claims" (int) AS
UPDATE messagekit.consumer_cursors SET ranges = NULL
WHERE tp_id = ANY (ARRAY (SELECT p.id FROM messagekit.topic_partitions p WHERE p.topic_id = $1));

PREPARE "topic_drop_partitions" (int) AS
DELETE FROM messagekit.topic_partitions WHERE topic_id = $1;

PREPARE "topic_drop" (int) AS
DELETE FROM messagekit.topics WHERE id = $1;

PREPARE "topic_drop_offsets" (text) AS
WITH RECURSIVE consumers (consumer) AS (
  (SELECT consumer FROM messagekit.consumer_offsets WHERE consumer > '' ORDER BY consumer LIMIT 1)
  UNION ALL
  SELECT (SELECT l.consumer FROM messagekit.consumer_offsets l WHERE l.consumer > c.consumer ORDER BY l.consumer LIMIT 1)
  FROM consumers c WHERE c.consumer IS NOT NULL)
DELETE FROM messagekit.consumer_offsets o
WHERE o.topic = $1 AND o.consumer = ANY (ARRAY (SELECT c.consumer FROM consumers c WHERE c.consumer IS NOT NULL));

PREPARE "topic_left_records" AS
WITH RECURSIVE numbers (number) AS (
  (SELECT tp_id FROM messagekit.topic_records WHERE tp_id > 0 ORDER BY tp_id LIMIT 1)
  UNION ALL
  SELECT (SELECT l.tp_id FROM messagekit.topic_records l WHERE l.tp_id > n.number ORDER BY l.tp_id LIMIT 1)
  FROM numbers n WHERE n.number IS NOT NULL)
SELECT n.number FROM numbers n
WHERE n.number IS NOT NULL AND (SELECT true FROM messagekit.topic_partitions o WHERE o.id = n.number) IS NULL LIMIT 1;

PREPARE "topic_clear_records" (int, bigint) AS
WITH gone AS (
  DELETE FROM messagekit.topic_records WHERE tp_id = $1 AND "offset" <= (
    SELECT max(n."offset") FROM (
      SELECT r."offset" FROM messagekit.topic_records r WHERE r.tp_id = $1 ORDER BY r."offset" LIMIT $2) n)
  RETURNING event_id)
SELECT count(*), array_agg(event_id), (SELECT array_agg(consumer) FROM messagekit.consumer_cursors WHERE tp_id = $1 AND by_record)
FROM gone;

PREPARE "topic_left_waiting" AS
WITH RECURSIVE numbers (number) AS (
  (SELECT topic_id FROM messagekit.topic_waiting WHERE topic_id > 0 ORDER BY topic_id LIMIT 1)
  UNION ALL
  SELECT (SELECT l.topic_id FROM messagekit.topic_waiting l WHERE l.topic_id > n.number ORDER BY l.topic_id LIMIT 1)
  FROM numbers n WHERE n.number IS NOT NULL)
SELECT n.number FROM numbers n
WHERE n.number IS NOT NULL AND (SELECT true FROM messagekit.topics o WHERE o.id = n.number) IS NULL LIMIT 1;

PREPARE "topic_clear_waiting" (int, bigint) AS
DELETE FROM messagekit.topic_waiting WHERE topic_id = $1 AND seq <= (
  SELECT max(n.seq) FROM (SELECT l.seq FROM messagekit.topic_waiting l WHERE l.topic_id = $1 ORDER BY l.seq LIMIT $2) n);

PREPARE "topic_left_hashes" AS
WITH RECURSIVE numbers (number) AS (
  (SELECT topic_id FROM messagekit.topic_dedup_hashes WHERE topic_id > 0 ORDER BY topic_id LIMIT 1)
  UNION ALL
  SELECT (SELECT l.topic_id FROM messagekit.topic_dedup_hashes l WHERE l.topic_id > n.number ORDER BY l.topic_id LIMIT 1)
  FROM numbers n WHERE n.number IS NOT NULL)
SELECT n.number FROM numbers n
WHERE n.number IS NOT NULL AND (SELECT true FROM messagekit.topics o WHERE o.id = n.number) IS NULL LIMIT 1;

PREPARE "topic_clear_old_hashes" (int, bigint) AS
DELETE FROM messagekit.topic_dedup_hashes WHERE topic_id = $1 AND hash <= (
  SELECT max(n.hash) FROM (SELECT l.hash FROM messagekit.topic_dedup_hashes l WHERE l.topic_id = $1 ORDER BY l.hash LIMIT $2) n);

PREPARE "topic_left_staged" AS
WITH RECURSIVE numbers (number) AS (
  (SELECT topic_id FROM messagekit.topic_migrations WHERE topic_id > 0 ORDER BY topic_id LIMIT 1)
  UNION ALL
  SELECT (SELECT l.topic_id FROM messagekit.topic_migrations l WHERE l.topic_id > n.number ORDER BY l.topic_id LIMIT 1)
  FROM numbers n WHERE n.number IS NOT NULL)
SELECT n.number FROM numbers n
WHERE n.number IS NOT NULL AND (SELECT true FROM messagekit.topics o WHERE o.id = n.number) IS NULL LIMIT 1;

PREPARE "topic_clear_old_staged" (int, bigint) AS
DELETE FROM messagekit.topic_migrations WHERE ctid = ANY (ARRAY (
  SELECT ctid FROM messagekit.topic_migrations WHERE topic_id = $1 LIMIT $2));

PREPARE "topic_left_cursors" AS
WITH RECURSIVE numbers (number) AS (
  (SELECT tp_id FROM messagekit.consumer_cursors WHERE tp_id > 0 ORDER BY tp_id LIMIT 1)
  UNION ALL
  SELECT (SELECT l.tp_id FROM messagekit.consumer_cursors l WHERE l.tp_id > n.number ORDER BY l.tp_id LIMIT 1)
  FROM numbers n WHERE n.number IS NOT NULL)
SELECT n.number FROM numbers n
WHERE n.number IS NOT NULL AND (SELECT true FROM messagekit.topic_partitions o WHERE o.id = n.number) IS NULL LIMIT 1;

PREPARE "topic_clear_cursors" (int, bigint) AS
DELETE FROM messagekit.consumer_cursors WHERE tp_id = $1 AND consumer <= (
  SELECT max(n.consumer) FROM (SELECT l.consumer FROM messagekit.consumer_cursors l WHERE l.tp_id = $1 ORDER BY l.consumer LIMIT $2) n);

PREPARE "topic_partitions" (int) AS
SELECT id, partition, log_start, next_offset, bytes, version FROM messagekit.topic_partitions WHERE topic_id = $1 ORDER BY partition;

PREPARE "topic_hold" (int) AS
SELECT id, partition, log_start, next_offset, bytes, version FROM messagekit.topic_partitions WHERE topic_id = $1 ORDER BY partition
FOR NO KEY UPDATE;

PREPARE "topic_commit_look" AS
SELECT pg_current_snapshot()::text, w.count = 1000, concat_ws(' ', p.last, p.count, p.records + w.due)
FROM (
  SELECT max(p.id) AS last, count(*) AS count, coalesce(sum(p.next_offset), 0) AS records
  FROM messagekit.topic_partitions p) p
CROSS JOIN (
  SELECT count(*) AS count, count(*) FILTER (WHERE w.available_at IS NULL OR w.available_at <= clock_timestamp()) AS due
  FROM (
    SELECT w.available_at FROM messagekit.topics t
    CROSS JOIN LATERAL (
      SELECT w.available_at FROM messagekit.topic_waiting w WHERE w.topic_id = t.id ORDER BY w.seq LIMIT 1000) w
    LIMIT 1000) w) w;

PREPARE "topic_notify" (text, text) AS
SELECT pg_notify($1, $2)::text FROM (SELECT FROM messagekit.topics LIMIT 1) t;

PREPARE "topic_waiting" (int, bigint) AS
SELECT w.seq, w.key, nextval('messagekit.topic_record_ids')
FROM (
  SELECT seq, key FROM messagekit.topic_waiting
  WHERE topic_id = $1 AND (available_at IS NULL OR available_at <= clock_timestamp())
  ORDER BY seq LIMIT $2) w;

PREPARE "topic_move" (int, bigint[], int[], bigint[], bigint[]) AS
WITH moved AS (
  DELETE FROM messagekit.topic_waiting WHERE topic_id = $1 AND seq = ANY($2::bigint[]) RETURNING *),
placed AS (
  INSERT INTO messagekit.topic_records
    (tp_id, "offset", id, topic_id, event_id, event_type, key, content_type, traceparent, headers, created_at, payload)
  SELECT a.tp_id, a."offset", a.id, m.topic_id, m.event_id, m.event_type, m.key, m.content_type, m.traceparent, m.headers,
    m.created_at, m.payload
  FROM unnest($2::bigint[], $3::int[], $4::bigint[], $5::bigint[]) a (seq, tp_id, "offset", id) JOIN moved m ON m.seq = a.seq
  RETURNING tp_id, octet_length(payload) + coalesce(octet_length(key), 0) AS bytes)
UPDATE messagekit.topic_partitions p SET next_offset = p.next_offset + s.count, bytes = p.bytes + s.bytes
FROM (SELECT tp_id, count(*) AS count, sum(bytes) AS bytes FROM placed GROUP BY tp_id) s WHERE p.id = s.tp_id;

PREPARE "topic_same" (int[], text[]) AS
SELECT m.number, (SELECT h.record_id FROM messagekit.topic_dedup_hashes h WHERE h.topic_id = m.topic_id AND h.hash = m.hash)
FROM unnest($1::int[], $2::text[]) WITH ORDINALITY m (topic_id, hash, number);

PREPARE "topic_next_id" AS
SELECT last_value + CASE WHEN is_called THEN 1 ELSE 0 END FROM messagekit.topic_record_ids;

PREPARE "topic_append" (int[], int[], bigint[], text[], text[], text[], text[], text[], text[], bytea[], text[]) AS
WITH added AS (
  INSERT INTO messagekit.topic_records
    (topic_id, tp_id, "offset", id, event_id, event_type, key, content_type, traceparent, headers, payload)
  SELECT m.topic_id, m.tp_id, m."offset", nextval('messagekit.topic_record_ids'), m.event_id, m.event_type, m.key, m.content_type,
    m.traceparent, m.headers::jsonb, m.payload
  FROM unnest($1::int[], $2::int[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
    $10::bytea[]) m (topic_id, tp_id, "offset", event_id, event_type, key, content_type, traceparent, headers, payload)
  RETURNING topic_id, tp_id, "offset", id, octet_length(payload) + coalesce(octet_length(key), 0) AS bytes),
hashed AS (
  INSERT INTO messagekit.topic_dedup_hashes (topic_id, hash, record_id)
  SELECT a.topic_id, m.hash, a.id FROM unnest($2::int[], $3::bigint[], $11::text[]) m (tp_id, "offset", hash)
    JOIN added a ON a.tp_id = m.tp_id AND a."offset" = m."offset"
  WHERE m.hash IS NOT NULL),
longer AS (
  UPDATE messagekit.topic_partitions p SET next_offset = p.next_offset + s.count, bytes = p.bytes + s.bytes
  FROM (SELECT tp_id, count(*) AS count, sum(bytes) AS bytes FROM added GROUP BY tp_id) s WHERE p.id = s.tp_id)
SELECT tp_id, "offset", id FROM added;

PREPARE "topic_link" (text[], text[], text[], text[]) AS
INSERT INTO messagekit.outbox_links (event_id, correlation_id, causation_id, replay_of)
SELECT l.* FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS l (id, correlation_id, causation_id, replay_of)
ON CONFLICT DO NOTHING;

PREPARE "topic_read" (int, bigint, bigint, bigint, bigint) AS
SELECT p.partition, r."offset", r.event_id, r.event_type, r.key, r.content_type, r.traceparent, r.created_at, r.headers::text,
  r.payload, r.stored_at
FROM (
  SELECT r.*, sum(octet_length(r.payload)) OVER (ORDER BY r."offset" ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
  FROM (
    SELECT * FROM messagekit.topic_records
    WHERE tp_id = $1 AND "offset" >= $2 AND "offset" < $3 ORDER BY "offset" LIMIT $4) r) r
  CROSS JOIN messagekit.topic_partitions p
WHERE p.id = $1 AND coalesce(r.before, 0) < $5 ORDER BY r."offset";

PREPARE "topic_read_claimed" (text, int, bigint, bigint, bigint) AS
SELECT p.partition, r."offset", r.event_id, r.event_type, r.key, r.content_type, r.traceparent, r.created_at, r.headers::text,
  r.payload, r.stored_at
FROM (
  SELECT o.id, o.partition FROM messagekit.topics t JOIN messagekit.topic_partitions o ON o.topic_id = t.id
  WHERE t.name = $1 AND o.partition = $2 OFFSET 0) p
  LEFT JOIN LATERAL (
    SELECT * FROM (
      SELECT r.*, sum(octet_length(r.payload)) OVER (ORDER BY r."offset" ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
      FROM (
        SELECT * FROM messagekit.topic_records
        WHERE tp_id = p.id AND "offset" >= $3 AND "offset" < $4 ORDER BY "offset" LIMIT $4 - $3) r) r
    WHERE coalesce(r.before, 0) < $5) r ON true
ORDER BY r."offset";

PREPARE "topic_first_since" (int, timestamptz) AS
SELECT p.partition, coalesce((
  SELECT r."offset" FROM messagekit.topic_records r
  WHERE r.tp_id = p.id AND r.stored_at >= $2 ORDER BY r."offset" LIMIT 1), p.next_offset)
FROM messagekit.topic_partitions p WHERE p.topic_id = $1 ORDER BY p.partition;

PREPARE "topic_windows" (text, int) AS
SELECT p.id, p.log_start, p.next_offset, c.next, c.ranges, f.id, coalesce(c.expired, 0), coalesce(c.next < p.log_start AND c.expired > 0, false),
  p.partition
FROM messagekit.topic_partitions p
  LEFT JOIN LATERAL (
    SELECT * FROM messagekit.consumer_cursors c WHERE c.tp_id = p.id AND c.consumer = $1 OFFSET 0) c ON true
  LEFT JOIN LATERAL (
    SELECT r.id FROM messagekit.topic_records r
    WHERE r.tp_id = p.id AND r."offset" >= greatest(p.log_start, coalesce(c.next, 0)) ORDER BY r."offset" LIMIT 1) f ON true
WHERE p.topic_id = $2;

PREPARE "topic_next" (text, int, bigint, bigint) AS
SELECT r.id, r.tp_id, r."offset", m.status, m.processed_at, coalesce(m.outcome = 'held', false)
FROM (
  SELECT n.id, n.tp_id, n."offset", n.event_id FROM messagekit.topic_records n
  WHERE n.topic_id = $2 AND n.id > $3 ORDER BY n.id LIMIT $4) r
  LEFT JOIN LATERAL (
    SELECT m.outcome, m.processed_at, CASE m.outcome WHEN 'done' THEN 1 WHEN 'discarded' THEN 2 ELSE (
      SELECT CASE f.state WHEN 'dead' THEN 2 ELSE 0 END FROM messagekit.failed_messages f
      WHERE f.consumer = (SELECT $1) AND f.message_id = r.event_id) END AS status
    FROM messagekit.processed_messages m
    WHERE m.consumer = (SELECT $1) AND m.message_id = r.event_id AND m.day = messagekit.day_of(r.event_id) LIMIT 1) m ON true
ORDER BY r.id;

PREPARE "topic_records" (int, bigint[]) AS
SELECT p.partition, r."offset", r.event_id, r.event_type, r.key, r.content_type, r.traceparent, r.created_at, r.headers::text,
  r.payload, r.stored_at, r.id
FROM messagekit.topic_records r JOIN messagekit.topic_partitions p ON p.id = r.tp_id
WHERE r.topic_id = $1 AND r.id = ANY ($2::bigint[]) ORDER BY r.id;

PREPARE "topic_count" (text, int[], bigint[], bigint[], boolean[]) AS
SELECT w.is_settled, m.status, count(*)
FROM unnest($2::int[], $3::bigint[], $4::bigint[], $5::boolean[]) w (tp_id, first, behind, is_settled)
  CROSS JOIN LATERAL (
    SELECT r.event_id FROM messagekit.topic_records r
    WHERE r.tp_id = w.tp_id AND r."offset" >= w.first AND r."offset" < w.behind OFFSET 0) r
  LEFT JOIN LATERAL (
    SELECT m.outcome, m.processed_at, CASE m.outcome WHEN 'done' THEN 1 WHEN 'discarded' THEN 2 ELSE (
      SELECT CASE f.state WHEN 'dead' THEN 2 ELSE 0 END FROM messagekit.failed_messages f
      WHERE f.consumer = (SELECT $1) AND f.message_id = r.event_id) END AS status
    FROM messagekit.processed_messages m
    WHERE m.consumer = (SELECT $1) AND m.message_id = r.event_id AND m.day = messagekit.day_of(r.event_id) LIMIT 1) m ON true
GROUP BY w.is_settled, m.status;

PREPARE "topic_find_records" (int, bigint[]) AS
SELECT r.id, r.tp_id, r."offset", r.event_id FROM unnest($2::bigint[]) w (id)
  CROSS JOIN LATERAL (
    SELECT * FROM messagekit.topic_records r WHERE r.topic_id = $1 AND r.id = w.id LIMIT 1) r;

PREPARE "topic_mark_handled" (text, text) AS
INSERT INTO messagekit.processed_messages AS p (consumer, message_id, day, outcome, processed_at)
VALUES ($1, $2, messagekit.day_of($2), 'done', clock_timestamp())
ON CONFLICT ON CONSTRAINT processed_messages_pkey DO UPDATE SET processed_at = excluded.processed_at WHERE p.outcome = 'done';

PREPARE "topic_handled_behind" (text, int, bigint) AS
SELECT r."offset" FROM messagekit.topic_records r
  CROSS JOIN LATERAL (
    SELECT m.outcome FROM messagekit.processed_messages m
    WHERE m.consumer = (SELECT $1) AND m.message_id = r.event_id AND m.day = messagekit.day_of(r.event_id) LIMIT 1) m
WHERE r.tp_id = $2 AND r."offset" >= $3 AND m.outcome = 'done' ORDER BY r."offset";

PREPARE "topic_mark_new" (text, text[]) AS
INSERT INTO messagekit.processed_messages (consumer, message_id, day, outcome, processed_at)
SELECT $1, b.id, messagekit.day_of(b.id), 'done', clock_timestamp() FROM unnest($2::text[]) AS b (id) ORDER BY b.id COLLATE "C"
ON CONFLICT DO NOTHING RETURNING message_id;

PREPARE "topic_failed_record" (text, int, bigint) AS
SELECT f.id FROM messagekit.topic_records r
  CROSS JOIN LATERAL (
    SELECT f.id FROM messagekit.failed_messages f
    WHERE f.consumer = (SELECT $1) AND f.message_id = r.event_id AND f.origin = 'store'
      AND f.state IN ('retry_scheduled', 'retry_requested') LIMIT 1) f
WHERE r.topic_id = $2 AND r.id = $3;

PREPARE "topic_lease_one" (bigint, text, text) AS
UPDATE messagekit.failed_messages d
SET due = now(), crash_count = d.crash_count + (d.running_since IS NOT NULL AND d.run_length = 1)::int,
    alone = CASE WHEN d.running_since IS NULL THEN d.alone ELSE greatest(d.alone, d.run_length) END, run_length = 1,
    running_since = now(), token = d.token + 1, attempts = d.attempts + (d.running_since IS NULL OR d.run_length = 1)::int,
    failed_runs = CASE WHEN d.running_since IS NOT NULL AND d.run_length = 1 THEN jsonb_path_query_array(d.failed_runs || jsonb_build_array(jsonb_build_object('at', (extract(epoch FROM d.running_since) * 1000000)::bigint, 'attempt', d.attempts,
      'instance', CASE WHEN starts_with(d.leased_by, d.token || ' ') THEN substr(d.leased_by, length(d.token::text) + 2) END)), '$[last - 19 to last]')
    ELSE d.failed_runs END, leased_by = (d.token + 1) || ' ' || $3::text
WHERE d.id = $1 AND d.consumer = $2 AND d.state IN ('retry_scheduled', 'retry_requested')
RETURNING d.id, d.token, d.attempts, d.crash_count, d.alone, d.state = 'retry_requested' AS requested, d.parked, d.message_id, d.topic,
    d.position_topic, d.partition, d."offset", d.key, d.headers, d.payload, d.due;

PREPARE "topic_hold_cursor" (text, int) AS
SELECT greatest(c.next, (SELECT p.log_start FROM messagekit.topic_partitions p WHERE p.id = c.tp_id)), c.next, c.ranges, c.by_record
FROM messagekit.consumer_cursors c WHERE c.consumer = $1 AND c.tp_id = $2 FOR NO KEY UPDATE OF c;

PREPARE "topic_cursors" (text, int) AS
SELECT p.partition, c.next
FROM messagekit.topic_partitions p CROSS JOIN LATERAL (
  SELECT c.next FROM messagekit.consumer_cursors c WHERE c.tp_id = p.id AND c.consumer = $1 OFFSET 0) c
WHERE p.topic_id = $2 ORDER BY p.partition;

PREPARE "topic_begin_cursors" (text, int[]) AS
INSERT INTO messagekit.consumer_cursors (consumer, tp_id, next)
SELECT $1, p.id, p.log_start FROM messagekit.topic_partitions p WHERE p.id = ANY($2::int[]) FOR KEY SHARE
ON CONFLICT DO NOTHING RETURNING tp_id;

PREPARE "topic_pass_handled" (text, int, bigint, bigint) AS
UPDATE messagekit.consumer_cursors c SET by_record = true, next = coalesce(
  (SELECT n."offset" FROM (
    SELECT r."offset", (
      SELECT m.outcome FROM messagekit.processed_messages m
      WHERE m.consumer = (SELECT $1) AND m.message_id = r.event_id AND m.day = messagekit.day_of(r.event_id)) AS outcome
    FROM messagekit.topic_records r WHERE r.tp_id = $2 AND r."offset" > $3 ORDER BY r."offset" LIMIT $4) n
  WHERE n.outcome IS DISTINCT FROM 'done' LIMIT 1),
  (SELECT max(n."offset") + 1 FROM (
    SELECT r."offset" FROM messagekit.topic_records r
    WHERE r.tp_id = $2 AND r."offset" > $3 ORDER BY r."offset" LIMIT $4) n),
  $3 + 1)
WHERE c.consumer = $1 AND c.tp_id = $2;

PREPARE "topic_by_record" (text, int) AS
UPDATE messagekit.consumer_cursors SET by_record = true WHERE consumer = $1 AND tp_id = $2;

PREPARE "topic_write_cursor" (text, int, bigint, text) AS
UPDATE messagekit.consumer_cursors SET by_record = true, next = $3, ranges = $4 WHERE consumer = $1 AND tp_id = $2;

PREPARE "topic_hold_windows" (text, text) AS
SELECT c.tp_id, c.next, c.ranges, c.by_record FROM messagekit.consumer_cursors c
WHERE c.consumer = $1 AND c.tp_id = ANY (ARRAY (
  SELECT p.id FROM messagekit.topics t JOIN messagekit.topic_partitions p ON p.topic_id = t.id WHERE t.name = $2))
ORDER BY c.tp_id FOR NO KEY UPDATE OF c;

PREPARE "topic_write_window" (text, text, int, bigint, text) AS
UPDATE messagekit.consumer_cursors SET next = $4, ranges = $5 WHERE consumer = $1 AND tp_id = (
  SELECT p.id FROM messagekit.topics t JOIN messagekit.topic_partitions p ON p.topic_id = t.id
  WHERE t.name = $2 AND p.partition = $3);

PREPARE "topic_see_windows" (text, text) AS
SELECT p.partition, p.log_start, p.next_offset, c.next, c.ranges, clock_timestamp(), t.has_waiting, (
  SELECT d.due FROM messagekit.failed_messages d
  WHERE d.consumer = $1 AND d.state IN ('retry_scheduled', 'retry_requested') AND d.due >= '-infinity' ORDER BY d.due LIMIT 1)
FROM (
  SELECT t.id, (SELECT true FROM messagekit.topic_waiting w
    WHERE w.topic_id = t.id AND (w.available_at IS NULL OR w.available_at <= clock_timestamp())
    ORDER BY w.seq LIMIT 1) IS NOT NULL AS has_waiting
  FROM messagekit.topics t WHERE t.name = $2 OFFSET 0) t
  JOIN messagekit.topic_partitions p ON p.topic_id = t.id
  LEFT JOIN LATERAL (
    SELECT c.next, c.ranges FROM messagekit.consumer_cursors c WHERE c.tp_id = p.id AND c.consumer = $1 OFFSET 0) c ON true
ORDER BY p.partition;

PREPARE "topic_replace_window" (text, text, int, bigint, text, bigint, text) AS
UPDATE messagekit.consumer_cursors SET next = $6, ranges = $7
WHERE consumer = $1 AND next = $4 AND ranges = $5 AND tp_id = (
  SELECT p.id FROM messagekit.topics t JOIN messagekit.topic_partitions p ON p.topic_id = t.id
  WHERE t.name = $2 AND p.partition = $3)
RETURNING CASE pg_catalog.current_setting('synchronous_commit')
  WHEN 'off' THEN pg_catalog.set_config('synchronous_commit', 'on', true) END;

PREPARE "topic_forget_consumer" (text, text) AS
WITH cursors AS (
  DELETE FROM messagekit.consumer_cursors WHERE consumer = $1 AND tp_id = ANY (ARRAY (
    SELECT p.id FROM messagekit.topics t JOIN messagekit.topic_partitions p ON p.topic_id = t.id WHERE t.name = $2)) RETURNING 1),
recorded AS (
  DELETE FROM messagekit.consumer_offsets WHERE consumer = $1 AND topic = $2 RETURNING 1)
SELECT EXISTS (SELECT FROM cursors) OR EXISTS (SELECT FROM recorded);

PREPARE "topic_claim_bounds" (text, text) AS
SELECT p.id, p.partition, p.log_start, p.next_offset, clock_timestamp(), t.has_waiting, (
  SELECT d.due FROM messagekit.failed_messages d
  WHERE d.consumer = $2 AND d.state IN ('retry_scheduled', 'retry_requested') AND d.due >= '-infinity' ORDER BY d.due LIMIT 1)
FROM (
  SELECT t.id, (SELECT true FROM messagekit.topic_waiting w
    WHERE w.topic_id = t.id AND (w.available_at IS NULL OR w.available_at <= clock_timestamp())
    ORDER BY w.seq LIMIT 1) IS NOT NULL AS has_waiting
  FROM messagekit.topics t WHERE t.name = $1 OFFSET 0) t
  JOIN messagekit.topic_partitions p ON p.topic_id = t.id
ORDER BY p.partition;

PREPARE "topic_record_keys" (text, int, bigint[], bigint[]) AS
SELECT r."offset", r.key
FROM unnest($3::bigint[], $4::bigint[]) AS a (first, behind)
  CROSS JOIN LATERAL (
    SELECT k."offset", k.key FROM messagekit.topic_records k
    WHERE k.tp_id = (
        SELECT p.id FROM messagekit.topics t JOIN messagekit.topic_partitions p ON p.topic_id = t.id
        WHERE t.name = $1 AND p.partition = $2)
      AND k."offset" >= a.first AND k."offset" < a.behind AND k.key IS NOT NULL) r;

PREPARE "topic_claims" (int) AS
SELECT c.next, c.ranges, clock_timestamp() FROM messagekit.consumer_cursors c
WHERE c.tp_id = ANY (ARRAY (SELECT p.id FROM messagekit.topic_partitions p WHERE p.topic_id = $1))
ORDER BY c.consumer, c.tp_id FOR NO KEY UPDATE OF c;

PREPARE "topic_oldest" (int, bigint, bigint) AS
SELECT "offset", (extract(epoch FROM stored_at) * 1000000)::bigint,
  (octet_length(payload) + coalesce(octet_length(key), 0))::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
FROM messagekit.topic_records WHERE tp_id = $1 AND "offset" >= $2 ORDER BY "offset" LIMIT $3;

PREPARE "topic_unhandled_from" (int, int) AS
SELECT min(coalesce((
  SELECT c.next FROM messagekit.consumer_cursors c WHERE c.consumer = k.consumer AND c.tp_id = $2), 0))
FROM (
  SELECT DISTINCT c.consumer FROM messagekit.consumer_cursors c
  WHERE c.tp_id = ANY (ARRAY (SELECT p.id FROM messagekit.topic_partitions p WHERE p.topic_id = $1))) k;

PREPARE "topic_hold_overtaken" (int, bigint) AS
SELECT (SELECT count(*) FROM messagekit.consumer_cursors WHERE tp_id = $1 AND next < $2 AND ranges IS NULL),
  (SELECT count(*) FROM (
    SELECT FROM messagekit.consumer_cursors WHERE tp_id = $1 AND next < $2 AND ranges IS NULL FOR NO KEY UPDATE SKIP LOCKED) l);

PREPARE "topic_count_unhandled" (int, bigint, bigint) AS
UPDATE messagekit.consumer_cursors c SET expired = c.expired + (
  SELECT count(*) FROM messagekit.topic_records r
  WHERE r.tp_id = $1 AND r."offset" >= greatest($2, c.next) AND r."offset" < $3 AND (
    SELECT true FROM messagekit.processed_messages m
    WHERE m.consumer = c.consumer AND m.message_id = r.event_id AND m.day = messagekit.day_of(r.event_id)) IS NULL)
WHERE c.tp_id = $1 AND c.next < $3 AND c.ranges IS NULL;

PREPARE "topic_expire" (int, bigint, bigint, bigint) AS
WITH gone AS (
  DELETE FROM messagekit.topic_records WHERE tp_id = $1 AND "offset" >= $2 AND "offset" < $3 RETURNING event_id),
shorter AS (
  UPDATE messagekit.topic_partitions SET log_start = $3, bytes = bytes - $4 WHERE id = $1)
SELECT (SELECT array_agg(event_id) FROM gone),
  (SELECT array_agg(consumer) FROM messagekit.consumer_cursors WHERE tp_id = $1 AND by_record);

PREPARE "topic_expire_markers" (text, text[]) AS
DELETE FROM messagekit.processed_messages m WHERE m.consumer = $1 AND m.message_id = ANY($2::text[]) AND m.outcome = 'done'
  AND (SELECT true FROM messagekit.topic_records r WHERE r.event_id = m.message_id LIMIT 1) IS NULL;

PREPARE "topic_clear_staged" (int) AS
DELETE FROM messagekit.topic_migrations WHERE topic_id = $1;

PREPARE "topic_stage" (int, text, bigint[], text[], text[], bytea[]) AS
INSERT INTO messagekit.topic_migrations (topic_id, migration, record_id, key, hash, payload)
SELECT $1, $2, n.id, n.key, n.hash, n.payload
FROM unnest($3::bigint[], $4::text[], $5::text[], $6::bytea[]) n (id, key, hash, payload)
WHERE (SELECT true FROM messagekit.topic_records r WHERE r.topic_id = $1 AND r.id = n.id)
ON CONFLICT (topic_id, migration, record_id) DO UPDATE
  SET key = excluded.key, hash = excluded.hash, payload = excluded.payload;

PREPARE "topic_staged" (int, text) AS
SELECT coalesce(max(r.id), 0), coalesce(bool_or(s.record_id IS NULL), false) FROM messagekit.topic_records r
  LEFT JOIN messagekit.topic_migrations s ON s.topic_id = r.topic_id AND s.migration = $2 AND s.record_id = r.id
WHERE r.topic_id = $1;

PREPARE "topic_clear_hashes" (int, text, boolean) AS
DELETE FROM messagekit.topic_dedup_hashes h WHERE h.topic_id = $1 AND ($3 OR h.record_id IN (
  SELECT s.record_id FROM messagekit.topic_migrations s WHERE s.topic_id = $1 AND s.migration = $2));

PREPARE "topic_equal_records" (int, text) AS
(SELECT max(record_id), min(record_id) FROM messagekit.topic_migrations
 WHERE topic_id = $1 AND migration = $2 AND hash IS NOT NULL GROUP BY hash HAVING count(*) > 1 ORDER BY 1 LIMIT 1)
UNION ALL
(SELECT s.record_id, h.record_id FROM messagekit.topic_migrations s
   JOIN messagekit.topic_dedup_hashes h ON h.topic_id = s.topic_id AND h.hash = s.hash
 WHERE s.topic_id = $1 AND s.migration = $2 LIMIT 1)
LIMIT 1;

PREPARE "topic_swap_hashes" (int, text) AS
INSERT INTO messagekit.topic_dedup_hashes (topic_id, hash, record_id)
SELECT topic_id, hash, record_id FROM messagekit.topic_migrations WHERE topic_id = $1 AND migration = $2 AND hash IS NOT NULL;

PREPARE "topic_swap_failed_messages" (int, text) AS
UPDATE messagekit.failed_messages f SET payload = s.payload, key = convert_to(s.key, 'UTF8')
FROM messagekit.topic_records r
  JOIN messagekit.topic_migrations s ON s.topic_id = r.topic_id AND s.migration = $2 AND s.record_id = r.id
WHERE r.topic_id = $1 AND f.message_id = r.event_id AND f.topic = (SELECT t.name FROM messagekit.topics t WHERE t.id = $1)
  AND f.state NOT IN ('resolved', 'discarded');

PREPARE "topic_swap_records" (int, text) AS
UPDATE messagekit.topic_records r SET payload = s.payload, key = s.key FROM messagekit.topic_migrations s
WHERE r.topic_id = $1 AND s.topic_id = $1 AND s.migration = $2 AND s.record_id = r.id;

PREPARE "topic_recount" (int) AS
UPDATE messagekit.topic_partitions p SET version = p.version + 1, bytes = coalesce((
  SELECT sum(octet_length(r.payload) + coalesce(octet_length(r.key), 0))
  FROM messagekit.topic_records r WHERE r.tp_id = p.id), 0)
WHERE p.topic_id = $1;

PREPARE "topic_redefine" (int, text, text, text[], text) AS
UPDATE messagekit.topics SET schema = $2, shape = $3, dedup = $4, key = $5, version = version + 1 WHERE id = $1;

PREPARE "topic_view_topics" AS
SELECT jsonb_build_array(v.topic_id, v.name, v.partitions, v.retention_seconds, v.retention_max_bytes, v.retention_consumed, v.routes,
  to_char(v.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))::text
FROM messagekit.system_topics v ORDER BY v.topic_id;

PREPARE "topic_view_offsets" AS
SELECT jsonb_build_array(v.topic_id, v.group_id, v.partition_id, v.last_acked_offset, v.next_offset, v.lag)::text
FROM messagekit.system_topic_offsets v ORDER BY v.topic_id, v.group_id, v.partition_id;

PREPARE "topic_view_routes" AS
SELECT jsonb_build_array(v.topic_id, v.table_id, v.op, v.payload_mode, v.filter_expr, v.partition_key_expr, v.on_failure)::text
FROM messagekit.system_routes v ORDER BY v.topic_id, v.table_id, v.op;

PREPARE "history_record" AS
SELECT r.event_id, r.event_type, t.name AS topic, r.key AS aggregate_id, r.created_at, octet_length(r.payload)::bigint AS payload_bytes,
  0 AS copies, r.content_type, r.traceparent, r.headers::text AS headers, l.correlation_id, l.causation_id, l.replay_of,
  NULL::smallint AS attempts, NULL::timestamptz AS available_at, false AS is_delayed, NULL::bigint AS rejected, 0 AS refusals,
  NULL::text AS error, NULL::timestamptz AS rejected_at, p.partition, r."offset"
FROM messagekit.topic_records r
  JOIN messagekit.topics t ON t.id = r.topic_id
  JOIN messagekit.topic_partitions p ON p.id = r.tp_id
  LEFT JOIN LATERAL (
    SELECT k.correlation_id, k.causation_id, k.replay_of FROM messagekit.outbox_links k
    WHERE k.event_id = r.event_id OFFSET 0) l ON true
WHERE r.event_id = $1 ORDER BY r.id LIMIT 1;
