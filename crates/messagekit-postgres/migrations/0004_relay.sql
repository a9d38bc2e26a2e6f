-- What a relay needs, where no change data capture reads the log. The tables stay empty until `messagekit migrate --relay`
-- puts the trigger on the outbox that fills them.

-- The events that no broker has confirmed yet: narrow rows, so that the outbox itself stays insert-only. A key's events share a
-- shard. seq is the order inside a key; nothing reads onwards from a seq alone, because a later one may commit first.
-- available_at is when an event became ready or, for a delayed one, will be. A delayed one stands under its shard less 64, where
-- nobody who looks for ready ones walks over it.
CREATE TABLE messagekit.outbox_pending (
  shard        smallint NOT NULL CHECK (shard >= -64 AND shard < 64),
  -- How often a broker has refused it.
  attempts     smallint NOT NULL DEFAULT 0,
  copy         int NOT NULL,
  seq          bigint NOT NULL,
  key_hash     bigint,
  available_at timestamptz NOT NULL,
  event_id     text COLLATE "C" NOT NULL,
  topic        text COLLATE "C" NOT NULL,
  PRIMARY KEY (shard, seq)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 50000);

CREATE INDEX outbox_pending_delayed ON messagekit.outbox_pending (available_at) WHERE shard < 0;

-- Events that a broker refused, with what it said, and the events of their key that wait behind them, without.
CREATE TABLE messagekit.outbox_rejected (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  shard       smallint NOT NULL,
  attempts    smallint NOT NULL,
  copy        int NOT NULL,
  seq         bigint NOT NULL,
  key_hash    bigint,
  event_id    text COLLATE "C" NOT NULL,
  topic       text COLLATE "C" NOT NULL,
  error       text,
  rejected_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX outbox_rejected_key ON messagekit.outbox_rejected (topic, key_hash, seq) WHERE key_hash IS NOT NULL;
CREATE INDEX outbox_rejected_heads ON messagekit.outbox_rejected (id) WHERE error IS NOT NULL;

-- The relays that live. A lease is one row, whatever it covers: rows that change each second leave dead versions behind, which
-- an old transaction elsewhere keeps.
CREATE TABLE messagekit.relay_members (
  name  text COLLATE "C" PRIMARY KEY,
  until timestamptz NOT NULL
) WITH (fillfactor = 50);

-- Who publishes which shard, for as long as its lease lasts. epoch grows when somebody else takes it, and when events were put
-- back into it. Without its 64 rows nobody publishes: they come when the switch to the relay is complete.
CREATE TABLE messagekit.relay_shards (
  shard smallint PRIMARY KEY CHECK (shard BETWEEN 0 AND 63),
  owner text COLLATE "C",
  epoch bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- Runs with the rights of its owner: whoever may insert an event may insert nothing here. Shard and key_hash are parts of the
-- same hash, equal on every server: what was dumped is found again where it is restored.
CREATE FUNCTION messagekit.outbox_is_pending() RETURNS trigger
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  INSERT INTO messagekit.outbox_pending (shard, copy, seq, key_hash, available_at, event_id, topic)
  SELECT (get_byte(h.hash, 0) & 63) - CASE WHEN a.available_at > h.now THEN 64 ELSE 0 END, a.copy, a.seq,
    CASE WHEN a.aggregate_id IS NOT NULL THEN ('x' || encode(substr(h.hash, 1, 8), 'hex'))::bit(64)::bigint END,
    greatest(a.available_at, h.now), a.event_id, a.topic
  FROM added a
    CROSS JOIN LATERAL (
      SELECT sha256(convert_to(coalesce(a.aggregate_id, a.event_id), 'UTF8')) AS hash, clock_timestamp() AS now OFFSET 0) h;
  RETURN NULL;
END
$function$;

REVOKE EXECUTE ON FUNCTION messagekit.outbox_is_pending() FROM PUBLIC;
