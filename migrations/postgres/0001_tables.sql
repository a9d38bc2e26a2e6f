-- Everything that the outbox, the idempotent consumer and its dead letters need. All names stand in a schema of their own,
-- written `messagekit.` here; a schema of another name is put in its place when the steps are run.
-- Ids and names are compared byte by byte (COLLATE "C"): the order of a language would cost time and change with its version.

-- The length stands apart from the pattern: counted in the pattern, it made each insert a hundred times as dear.
CREATE FUNCTION messagekit.is_topic(name text) RETURNS boolean
  LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN octet_length(name) BETWEEN 1 AND 249 AND name !~ '[^a-zA-Z0-9._-]' AND name NOT IN ('.', '..');

-- Insert-only: rows leave by their age, never one by one. copy is 0 for an original and counts its republications. seq is
-- an order for people and for sorting inside one batch; nothing reads onwards from a seq, because a later one may commit
-- first, and no index leads with it, because a cached plan would walk every row that was ever published.
CREATE TABLE messagekit.outbox_events (
  event_id       text COLLATE "C" NOT NULL CONSTRAINT outbox_event_id_size CHECK (octet_length(event_id) BETWEEN 1 AND 200),
  copy           int NOT NULL DEFAULT 0,
  seq            bigint GENERATED ALWAYS AS IDENTITY,
  topic          text COLLATE "C" NOT NULL CONSTRAINT outbox_topic_name CHECK (messagekit.is_topic(topic)),
  event_type     text COLLATE "C",
  aggregate_type text COLLATE "C",
  aggregate_id   text COLLATE "C",
  payload        bytea NOT NULL CONSTRAINT outbox_payload_size CHECK (octet_length(payload) <= 900000),
  content_type   text,
  headers        jsonb CONSTRAINT outbox_headers_object CHECK (jsonb_typeof(headers) = 'object'),
  traceparent    text,
  -- When the fact happened, where the writer says so; the envelope in the payload has it in any case.
  occurred_at    timestamptz,
  available_at   timestamptz,
  created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (event_id, copy),
  -- 150 bytes are left for the names of the headers, the id and the time.
  CONSTRAINT outbox_beside_size CHECK (
    coalesce(octet_length(aggregate_id), 0) + coalesce(octet_length(event_type), 0)
    + coalesce(octet_length(content_type), 0) + coalesce(octet_length(traceparent), 0)
    + coalesce(octet_length(headers::text), 0) <= 99500),
  -- What every reader can carry: no infinity, and the years that a time in a header has.
  CONSTRAINT outbox_times CHECK (
    created_at >= '0001-01-01Z' AND created_at < '9999-12-30Z'
    AND occurred_at >= '0001-01-01Z' AND occurred_at < '9999-12-30Z'
    AND available_at >= '0001-01-01Z' AND available_at < '9999-12-30Z')
);

-- Only a relay waits for a delayed event. `messagekit migrate --relay` disables this trigger, and `--cdc` enables it again.
CREATE FUNCTION messagekit.outbox_refuses_delay() RETURNS trigger LANGUAGE plpgsql AS $function$
BEGIN
  RAISE EXCEPTION USING ERRCODE = '0A000', CONSTRAINT = 'outbox_delay_needs_relay',
    MESSAGE = format('event is delayed until %s, and this outbox has no relay to wait for that', NEW.available_at),
    HINT = 'run `messagekit migrate --relay`, or leave available_at out to publish the event at once';
END
$function$;
CREATE TRIGGER outbox_refuses_delay BEFORE INSERT ON messagekit.outbox_events
  FOR EACH ROW WHEN (NEW.available_at > clock_timestamp()) EXECUTE FUNCTION messagekit.outbox_refuses_delay();

-- Cleaning up by age reads blocks in the order they were written.
CREATE INDEX outbox_events_created ON messagekit.outbox_events USING brin (created_at);

-- The marker of a message: done (applied), held (a dead letter is open) or discarded.
CREATE TABLE messagekit.processed_messages (
  consumer     text COLLATE "C" NOT NULL,
  message_id   text COLLATE "C" NOT NULL,
  outcome      text COLLATE "C" NOT NULL CHECK (outcome IN ('done', 'held', 'discarded')),
  generation   int NOT NULL DEFAULT 0,
  processed_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (consumer, message_id)
);

-- A message that was set aside, whole. Key, header values and payload are bytes, so that any record can be kept: headers
-- is a list of [name, value] pairs as JSON text in bytes, because jsonb refuses the character NUL.
-- due is also the end of a lease; running_since stays set while a run has not answered; token fences earlier leases.
-- parked: the letter takes part in its key's order.
CREATE TABLE messagekit.dead_letters (
  id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  origin        text COLLATE "C" NOT NULL DEFAULT 'store' CHECK (origin IN ('store', 'queue', 'topic')),
  consumer      text COLLATE "C" NOT NULL,
  message_id    text COLLATE "C" NOT NULL,
  topic         text COLLATE "C" NOT NULL,
  place_topic   text COLLATE "C",
  partition     int,
  "offset"      bigint,
  key           bytea,
  key_hash      bigint,
  parked        boolean NOT NULL DEFAULT false,
  state         text COLLATE "C" NOT NULL
                CHECK (state IN ('retrying', 'waiting', 'dead', 'replaying', 'resolved', 'discarded')),
  attempts      int NOT NULL CHECK (attempts >= 0),
  kills         int NOT NULL DEFAULT 0,
  -- How many messages of the key run together in the last lease; how many, from here on, run one at a time after a death.
  run_length    int NOT NULL DEFAULT 1,
  alone         int NOT NULL DEFAULT 0,
  due           timestamptz,
  running_since timestamptz,
  token         bigint NOT NULL DEFAULT 0,
  generation    int NOT NULL DEFAULT 0,
  event_type    text COLLATE "C",
  headers       bytea NOT NULL,
  payload       bytea NOT NULL,
  kind          text COLLATE "C" NOT NULL,
  error         text NOT NULL,
  fingerprint   text COLLATE "C" NOT NULL,
  set_aside_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  changed_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  CHECK ((due IS NOT NULL) = (state IN ('retrying', 'replaying'))),
  CHECK (running_since IS NULL OR due IS NOT NULL),
  CHECK (NOT parked OR key_hash IS NOT NULL)
);

CREATE UNIQUE INDEX dead_letters_source ON messagekit.dead_letters (consumer, message_id);
CREATE INDEX dead_letters_due ON messagekit.dead_letters (consumer, due) WHERE state IN ('retrying', 'replaying');
CREATE INDEX dead_letters_key ON messagekit.dead_letters (consumer, topic, key_hash, partition, "offset")
  WHERE parked AND state IN ('retrying', 'waiting', 'dead', 'replaying');

-- One row per key that is held, with the number of its open letters. Half-empty pages keep the counts' updates in place.
CREATE TABLE messagekit.held_keys (
  consumer text COLLATE "C" NOT NULL,
  topic    text COLLATE "C" NOT NULL,
  key_hash bigint NOT NULL,
  count    int NOT NULL,
  since    timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (consumer, topic, key_hash)
) WITH (fillfactor = 50);

-- Never touched, and of a consumer name that nobody can have: on an empty table the claim would be planned as a scan, and
-- that cached plan would meet the first outage, when thousands of keys are held.
INSERT INTO messagekit.held_keys (consumer, topic, key_hash, count) SELECT '', '', number, 0 FROM generate_series(1, 1000) number;

-- How far a consumer has come, by strand (a lane of keys inside a partition): only grows. What a broker has forgotten is
-- noticed by comparing with it.
CREATE TABLE messagekit.consumer_offsets (
  consumer  text COLLATE "C" NOT NULL,
  topic     text COLLATE "C" NOT NULL,
  partition int NOT NULL,
  strand    int NOT NULL DEFAULT 0,
  next      bigint NOT NULL,
  PRIMARY KEY (consumer, topic, partition, strand)
) WITH (fillfactor = 50);

-- Ranges that an operator wants processed again, each with a generation above that of the markers in it.
CREATE TABLE messagekit.consumer_resets (
  consumer   text COLLATE "C" NOT NULL,
  topic      text COLLATE "C" NOT NULL,
  partition  int NOT NULL,
  "from"     bigint NOT NULL,
  until      bigint NOT NULL,
  generation int NOT NULL,
  PRIMARY KEY (consumer, topic, partition, generation),
  CHECK ("from" < until)
);

-- The message that is being handled while nobody knows yet whether it ends its process.
CREATE TABLE messagekit.suspects (
  consumer   text COLLATE "C" NOT NULL,
  topic      text COLLATE "C" NOT NULL,
  partition  int NOT NULL,
  message_id text COLLATE "C" NOT NULL,
  "offset"   bigint NOT NULL,
  generation int NOT NULL,
  kills      int NOT NULL DEFAULT 0,
  since      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (consumer, topic, partition, message_id)
);
