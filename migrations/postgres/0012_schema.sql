-- The tables and functions of the outbox, its relay, the idempotent consumer, the operators' tools and topics, in that order.
-- All names stand in one schema, written `messagekit.` here; a migration replaces it by the name that was chosen.
-- Ids and names are compared byte by byte (COLLATE "C"): the order of a language costs time and changes with its version.
-- Each function fixes standard_conforming_strings: where a session has it off, a name with a backslash could end its literal.

-- # Outbox

-- The length is checked apart from the pattern: counted by the pattern, it makes each insert a hundred times slower.
CREATE FUNCTION messagekit.is_topic(name text) RETURNS boolean
  LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN octet_length(name) BETWEEN 1 AND 249 AND name !~ '[^a-zA-Z0-9._-]' AND name NOT IN ('.', '..');

-- Insert-only: rows are removed by age, never one by one. copy is 0 for an original and counts its republications.
-- seq sorts the events of one batch and is for people. No statement reads onwards from a seq, because a later one may commit
-- first, and no index leads with it, because a cached plan would walk every row that was ever published.
CREATE TABLE messagekit.outbox_events (
  event_id     text COLLATE "C" NOT NULL CONSTRAINT outbox_event_id_size CHECK (octet_length(event_id) BETWEEN 1 AND 200),
  copy         int NOT NULL DEFAULT 0,
  seq          bigint GENERATED ALWAYS AS IDENTITY,
  topic        text COLLATE "C" NOT NULL CONSTRAINT outbox_topic_name CHECK (messagekit.is_topic(topic)),
  event_type   text COLLATE "C",
  aggregate_id text COLLATE "C",
  payload      bytea NOT NULL CONSTRAINT outbox_payload_size CHECK (octet_length(payload) <= 900000),
  content_type text,
  headers      jsonb CONSTRAINT outbox_headers_object CHECK (jsonb_typeof(headers) = 'object'),
  traceparent  text,
  -- When the fact happened, where the writer says so; the envelope in the payload has it in any case.
  occurred_at  timestamptz,
  available_at timestamptz,
  created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
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

-- Cleanup by age reads blocks in the order in which they were written.
CREATE INDEX outbox_events_created ON messagekit.outbox_events USING brin (created_at);

-- The ids that tie an event to others, for events that have any. A table of its own, because nothing here may be published. Rows leave
-- some time after their event.
CREATE TABLE messagekit.outbox_links (
  event_id       text COLLATE "C" PRIMARY KEY,
  correlation_id text COLLATE "C",
  causation_id   text COLLATE "C",
  replay_of      text COLLATE "C",
  created_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX outbox_links_correlation ON messagekit.outbox_links (correlation_id, event_id) WHERE correlation_id IS NOT NULL;
CREATE INDEX outbox_links_causation ON messagekit.outbox_links (causation_id, event_id) WHERE causation_id IS NOT NULL;
CREATE INDEX outbox_links_replay ON messagekit.outbox_links (replay_of, event_id) WHERE replay_of IS NOT NULL;

-- The links that a removed event has left behind make room for those of a new event with its id. Runs with the rights of its
-- owner: a role that adds events may remove nothing.
CREATE FUNCTION messagekit.outbox_links_are_of_this_event() RETURNS trigger
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
AS $function$
BEGIN
  DELETE FROM messagekit.outbox_links l WHERE l.event_id = NEW.event_id;
  RETURN NEW;
END
$function$;

CREATE TRIGGER outbox_links_are_of_this_event BEFORE INSERT ON messagekit.outbox_links
  FOR EACH ROW EXECUTE FUNCTION messagekit.outbox_links_are_of_this_event();

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

-- The day of an id on a wheel of 32 days, or -1 for an id that tells none. `messagekit migrate --by-day` replaces this function
-- and divides events and markers by it. An id tells the same day everywhere, so that a copy of a message finds the marker of
-- the first one.
CREATE FUNCTION messagekit.day_of(id text) RETURNS smallint
  LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN (-1)::smallint;

-- # Publish

-- One way to write an event from anywhere: psql, triggers, jobs, services in other languages. The row equals the one that the
-- Rust outbox writes: the payload is the whole wire form, with the envelope's fields beside the event's own.
--
--   SELECT messagekit.publish('orders.order', 'o-1', 'orders.order.placed', '{"order_id": "o-1", "pence": 995}');

-- A UUID of version 7: the milliseconds since 1970, then random bits.
CREATE FUNCTION messagekit.new_id() RETURNS text
  LANGUAGE sql VOLATILE PARALLEL SAFE
  RETURN encode(
    set_bit(set_bit(
      overlay(uuid_send(gen_random_uuid())
        PLACING substring(int8send(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
      52, 1), 53, 1), 'hex')::uuid::text;

-- What is wrong with an id, in the words of an error; NULL when nothing is.
CREATE FUNCTION messagekit.id_problem(id text) RETURNS text
  LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN CASE
    WHEN id = '' THEN 'is empty'
    WHEN octet_length(id) > 200 THEN 'is longer than 200 bytes'
    WHEN id ~ '[\u0001-\u001f\u007f-\u009f]' THEN 'holds a control character'
    WHEN starts_with(id, 'at:') THEN 'begins with at:, which is reserved for messages without an id'
  END;

-- Runs with the rights of its owner: a role with USAGE on the schema and EXECUTE on this function can publish, and can
-- neither read what others wrote nor insert a row that would stop the pipeline. No other role may call it:
--   GRANT USAGE ON SCHEMA messagekit TO shop;
--   GRANT EXECUTE ON FUNCTION messagekit.publish TO shop;
-- Refuses a missing argument with 22004, one of a wrong form with 22023, one that is too large with 54000, and an id that
-- exists with 23505. source defaults to the name of the database. Numbers keep their digits; the order of fields and
-- white space are those of jsonb.
CREATE FUNCTION messagekit.publish(
  topic          text,
  key            text,
  type           text,
  payload        jsonb,
  id             text DEFAULT NULL,
  occurred_at    timestamptz DEFAULT NULL,
  source         text DEFAULT NULL,
  data_version   text DEFAULT '1.0',
  correlation_id text DEFAULT NULL,
  causation_id   text DEFAULT NULL,
  metadata       jsonb DEFAULT NULL,
  headers        jsonb DEFAULT NULL,
  traceparent    text DEFAULT NULL
) RETURNS text
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
AS $function$
#variable_conflict use_variable
DECLARE
  content_type CONSTANT text := 'application/json';
  name    text;
  problem text;
  fields  text;
  whole   text;
  bytes   bytea;
  beside  bigint;
BEGIN
  -- Present where they must be.
  name := CASE
    WHEN topic IS NULL THEN 'topic' WHEN type IS NULL THEN 'type'
    WHEN payload IS NULL THEN 'payload' WHEN data_version IS NULL THEN 'data_version' END;
  IF name IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = format('publish: %s is NULL', name),
      HINT = 'topic, type, payload and data_version must be given; key may be NULL where order does not matter';
  END IF;
  id := coalesce(id, messagekit.new_id());
  occurred_at := coalesce(occurred_at, clock_timestamp());
  source := coalesce(source, current_database());
  metadata := coalesce(metadata, '{}');
  headers := nullif(headers, '{}');

  IF NOT messagekit.is_topic(topic) THEN
    RAISE EXCEPTION USING ERRCODE = '22023',
      MESSAGE = format('publish: topic %s is not 1 to 249 characters of a-z A-Z 0-9 . _ -', to_json(left(topic, 80))),
      HINT = 'name it after the type without its last part, like orders.order';
  END IF;
  IF octet_length(type) > 200
    OR type !~ '^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$' THEN
    RAISE EXCEPTION USING ERRCODE = '22023',
      MESSAGE = format('publish: type %s is not two or more parts of a-z 0-9 - joined by dots', to_json(left(type, 80))),
      HINT = 'name it like orders.order.placed, in at most 200 bytes';
  END IF;
  IF data_version !~ '^(0|[1-9][0-9]{0,9})\.(0|[1-9][0-9]{0,9})$'
    OR split_part(data_version, '.', 1)::bigint > 4294967295 OR split_part(data_version, '.', 2)::bigint > 4294967295 THEN
    RAISE EXCEPTION USING ERRCODE = '22023',
      MESSAGE = format('publish: data_version %s is not MAJOR.MINOR', to_json(left(data_version, 80))),
      HINT = 'write it like 1.0';
  END IF;
  IF source = '' THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'publish: source is empty',
      HINT = 'name the service that writes, or leave it out';
  END IF;
  FOR name, problem IN
    SELECT given.name, messagekit.id_problem(given.id)
    FROM (VALUES ('id', id), ('correlation_id', correlation_id), ('causation_id', causation_id)) given (name, id)
  LOOP
    IF problem IS NOT NULL THEN
      RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('publish: %s %s', name, problem),
        HINT = 'leave id out to get a new UUID, or give 1 to 200 bytes of plain text';
    END IF;
  END LOOP;
  -- Readers keep times in the years 1 to 9999.
  IF NOT (occurred_at >= '0001-01-01Z' AND occurred_at < '9999-12-30Z') THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('publish: occurred_at %s cannot be carried', occurred_at),
      HINT = 'give a time from year 1 to year 9999, or leave it out for now';
  END IF;

  IF jsonb_typeof(payload) <> 'object' OR jsonb_typeof(metadata) <> 'object' THEN
    RAISE EXCEPTION USING ERRCODE = '22023',
      MESSAGE = format('publish: %s is not a JSON object',
        CASE WHEN jsonb_typeof(payload) <> 'object' THEN 'payload' ELSE 'metadata' END),
      HINT = 'put the value into a field, like {"value": 1}';
  END IF;
  SELECT known INTO name
  FROM unnest(ARRAY['eventId', 'event_id', 'eventType', 'event_type', 'aggregateId', 'aggregate_id', 'occurredAt',
    'occurred_at', 'source', 'dataVersion', 'data_version', 'correlationId', 'correlation_id', 'causationId',
    'causation_id', 'metadata']) known
  WHERE payload ? known LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION USING ERRCODE = '22023',
      MESSAGE = format('publish: payload field %s has the name of an envelope field', to_json(name)),
      HINT = 'rename the field; what the envelope says is given by arguments, like source => ''shop''';
  END IF;
  -- Readers take metadata apart, and give up below this depth; what they do not know of the payload they pass over.
  IF jsonb_path_exists(metadata, 'strict $.**{126 to last} ? (@.type() == "object" || @.type() == "array")') THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'publish: metadata is nested more than 126 deep',
      HINT = 'flatten it, or write the inner part as a text';
  END IF;
  IF jsonb_typeof(headers) <> 'object' OR jsonb_path_exists(headers, 'strict $.* ? (@.type() != "string")') THEN
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'publish: headers is not a JSON object of strings',
      HINT = 'write values as texts, like {"tenant": "north", "retries": "3"}';
  END IF;

  fields := '{"eventId":' || to_json(id)
    || ',"eventType":' || to_json(type)
    || coalesce(',"aggregateId":' || to_json(key), '')
    || ',"occurredAt":"' || to_char(occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
    || '","source":' || to_json(source)
    || ',"dataVersion":' || to_json(data_version)
    || coalesce(',"correlationId":' || to_json(correlation_id), '')
    || coalesce(',"causationId":' || to_json(causation_id), '')
    || CASE WHEN metadata = '{}' THEN '' ELSE ',"metadata":' || metadata::text END;
  whole := fields || CASE WHEN payload = '{}' THEN '}' ELSE ',' || substr(payload::text, 2) END;
  bytes := convert_to(whole, 'UTF8');
  IF octet_length(bytes) > 900000 THEN
    RAISE EXCEPTION USING ERRCODE = '54000',
      MESSAGE = format('publish: message of %s bytes is over the limit of 900000', octet_length(bytes)),
      HINT = 'keep the large part elsewhere and send a reference';
  END IF;
  beside := coalesce(octet_length(key), 0) + octet_length(type) + octet_length(content_type)
    + coalesce(octet_length(traceparent), 0) + coalesce(octet_length(headers::text), 0);
  IF beside > 99500 THEN
    RAISE EXCEPTION USING ERRCODE = '54000',
      MESSAGE = format('publish: key and headers of %s bytes are over the limit of 99500', beside),
      HINT = 'put what is large into the payload';
  END IF;

  INSERT INTO messagekit.outbox_events
    (event_id, topic, event_type, aggregate_id, payload, content_type, headers, traceparent, occurred_at)
  VALUES (id, topic, type, key, bytes, content_type, headers, traceparent, occurred_at);
  IF correlation_id IS NOT NULL OR causation_id IS NOT NULL THEN
    INSERT INTO messagekit.outbox_links (event_id, correlation_id, causation_id) VALUES (id, correlation_id, causation_id);
  END IF;
  RETURN id;
END
$function$;

REVOKE ALL ON FUNCTION messagekit.publish FROM PUBLIC;

-- # Relay

-- A relay publishes where no change data capture reads the log. These tables stay empty until `messagekit migrate --relay`
-- puts the trigger on the outbox that fills them.

-- The events that no broker has confirmed yet: narrow rows, so that the outbox itself stays insert-only. A key's events share
-- a shard. seq is the order inside a key. topic comes first inside a shard, so that events that a broker does not take at the
-- moment are passed over without a look, however many they are.
-- available_at is when an event became ready or, for a delayed one, will be. A delayed one stands under its shard less 64,
-- where a search for ready ones does not pass.
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
  PRIMARY KEY (shard, topic, seq)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 50000);

CREATE INDEX outbox_pending_delayed ON messagekit.outbox_pending (available_at) WHERE shard < 0;

-- Events that a broker refused, with its error, and the events of their key that wait behind them, without one.
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
CREATE INDEX outbox_rejected_seq ON messagekit.outbox_rejected (seq);

-- The live relays. A lease is one row, whatever it covers: rows that change each second leave dead versions behind, which an
-- old transaction elsewhere keeps. is_present: the relay holds an advisory lock as long as its process lives. The server
-- releases it at once when the process is gone, and other relays do not wait for the end of the lease.
CREATE TABLE messagekit.relay_members (
  name       text COLLATE "C" PRIMARY KEY,
  until      timestamptz NOT NULL,
  is_present boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50);

-- The owner of each shard, as long as its lease lasts. epoch grows when another relay takes the shard, and when events are
-- put back into it. Its 64 rows are inserted when the switch to the relay is complete; before that no relay publishes.
CREATE TABLE messagekit.relay_shards (
  shard smallint PRIMARY KEY CHECK (shard BETWEEN 0 AND 63),
  owner text COLLATE "C",
  epoch bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- Runs with the rights of its owner: a role that may insert an event may insert nothing here. shard and key_hash are parts of
-- the same hash, equal on every server: a dump that is restored elsewhere finds them again.
CREATE FUNCTION messagekit.outbox_is_pending() RETURNS trigger
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
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

-- # Inbox

-- The marker of a message: done (applied), held (a failed message is open) or discarded. earlier is the generation that a claim
-- under a greater one has replaced: taking the claim back restores it, and without it a consumer that knows of no range would
-- apply the message a second time. day is day_of(message_id).
CREATE TABLE messagekit.processed_messages (
  consumer     text COLLATE "C" NOT NULL,
  message_id   text COLLATE "C" NOT NULL,
  outcome      text COLLATE "C" NOT NULL CHECK (outcome IN ('done', 'held', 'discarded')),
  generation   int NOT NULL DEFAULT 0,
  earlier      int,
  processed_at timestamptz NOT NULL DEFAULT now(),
  day          smallint NOT NULL DEFAULT -1,
  PRIMARY KEY (consumer, message_id)
);

-- How far a consumer has come, by key lane (a lane of keys inside a partition); only grows. A consumer compares it with the
-- broker to notice records that the broker has forgotten.
CREATE TABLE messagekit.consumer_offsets (
  consumer  text COLLATE "C" NOT NULL,
  topic     text COLLATE "C" NOT NULL,
  partition int NOT NULL,
  key_lane    int NOT NULL DEFAULT 0,
  next      bigint NOT NULL,
  PRIMARY KEY (consumer, topic, partition, key_lane)
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

-- How old a message may be for a consumer, as its processes say when they start. While one process replaces another, the
-- longer of their windows counts. complete_since: since when the markers of the consumer are complete, written by the
-- transaction that removes one. An older message without a marker may have been applied, also when the window is made longer.
CREATE TABLE messagekit.consumer_windows (
  consumer       text COLLATE "C" NOT NULL,
  seconds        bigint NOT NULL CHECK (seconds > 0),
  noted_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
  complete_since timestamptz,
  PRIMARY KEY (consumer, seconds)
);

-- Runs of messages that may end their process: a row for each run that began, deleted with its answer. Two processes that
-- handle copies of a message have a row each, so that neither counts the other's run as a death.
CREATE TABLE messagekit.in_flight_attempts (
  consumer   text COLLATE "C" NOT NULL,
  message_id text COLLATE "C" NOT NULL,
  runner   text COLLATE "C" NOT NULL,
  noted_at   timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (consumer, message_id, runner)
);

-- How far a consumer is with the past of its topics. frontier: the greatest time of the records that the consumer has handled in the order of time; NULL before the first one. Only grows, and
-- is_finished stays, until another priming begins. number: counts the primings of the consumer. Each has positions of its own in
-- consumer_offsets, under the key lane number - 2147483648, so that it resumes where it was whatever the live consumer has handled.
CREATE TABLE messagekit.consumer_primings (
  consumer    text COLLATE "C" PRIMARY KEY,
  frontier    timestamptz,
  is_finished boolean NOT NULL DEFAULT false,
  number      int NOT NULL DEFAULT 1
) WITH (fillfactor = 50);

-- Types of messages that consumers have skipped, because they had no handler for them.
-- similar_to: the handled types of which this one may be a misspelling. first_at and last_at: when the messages were noted.
CREATE TABLE messagekit.unhandled_types (
  consumer   text COLLATE "C" NOT NULL,
  topic      text COLLATE "C" NOT NULL,
  event_type text COLLATE "C" NOT NULL,
  similar_to text[] NOT NULL,
  messages   bigint NOT NULL,
  first_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  last_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (consumer, topic, event_type)
) WITH (fillfactor = 50);

-- # Failed messages

-- A message that was set aside, whole. Key, header values and payload are bytes, so that any record can be kept: headers is a
-- list of [name, value] pairs as JSON text in bytes, because jsonb refuses the character NUL.
-- return_to: the queue or retry topic for a message that its broker kept; NULL where it is unknown.
-- reason: why it is in its state, stored by the statement that changed the state.
-- due is also the end of a lease; running_since stays set until a run has answered; token fences earlier leases.
-- parked: the failed message takes part in the order of its key. run_length: how many messages of the key ran together in the
-- last lease. alone: how many, from here on, run one at a time after a death.
-- failed_runs: the last 20, oldest first: [{"at": microseconds, "attempt": 1, "error": "no", "instance": "host/1"}]. A run that ended
-- without a result has no error. leased_by: the token of a lease and the process that has it; the token tells whether it is the present
-- lease.
CREATE TABLE messagekit.failed_messages (
  id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  origin        text COLLATE "C" NOT NULL DEFAULT 'store' CHECK (origin IN ('store', 'queue', 'topic')),
  return_to     text COLLATE "C",
  consumer      text COLLATE "C" NOT NULL,
  message_id    text COLLATE "C" NOT NULL,
  topic         text COLLATE "C" NOT NULL,
  position_topic   text COLLATE "C",
  partition     int,
  "offset"      bigint,
  key           bytea,
  key_hash      bigint,
  parked        boolean NOT NULL DEFAULT false,
  state         text COLLATE "C" NOT NULL
                CHECK (state IN ('retry_scheduled', 'blocked', 'dead', 'retry_requested', 'resolved', 'discarded')),
  reason        text COLLATE "C" NOT NULL
                CHECK (reason IN ('set_aside', 'key_blocked', 'key_freed', 'run_failed', 'retry_requested', 'requested_run_failed',
                                  'applied', 'discarded', 'discard_undone')),
  attempts      int NOT NULL CHECK (attempts >= 0),
  crash_count         int NOT NULL DEFAULT 0,
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
  failed_runs   jsonb NOT NULL DEFAULT '[]',
  leased_by     text,
  CHECK ((due IS NOT NULL) = (state IN ('retry_scheduled', 'retry_requested'))),
  CHECK (running_since IS NULL OR due IS NOT NULL),
  CHECK (NOT parked OR key_hash IS NOT NULL)
);

CREATE UNIQUE INDEX failed_messages_source ON messagekit.failed_messages (consumer, message_id);
CREATE INDEX failed_messages_due ON messagekit.failed_messages (consumer, due) WHERE state IN ('retry_scheduled', 'retry_requested');
CREATE INDEX failed_messages_key ON messagekit.failed_messages (consumer, topic, key_hash, partition, "offset")
  WHERE parked AND state IN ('retry_scheduled', 'blocked', 'dead', 'retry_requested');
-- Failed messages that go back to a broker are taken whatever their consumer is.
CREATE INDEX failed_messages_returns ON messagekit.failed_messages (origin, due)
  WHERE origin <> 'store' AND state IN ('retry_scheduled', 'retry_requested');
-- Lists show the newest first. A key is found by its hash, because an index entry of its own length may be too large.
CREATE INDEX failed_messages_state ON messagekit.failed_messages (state, id);
CREATE INDEX failed_messages_consumer ON messagekit.failed_messages (consumer, state, id);
CREATE INDEX failed_messages_fingerprint ON messagekit.failed_messages (fingerprint, id);
CREATE INDEX failed_messages_key_hash ON messagekit.failed_messages (key_hash, id) WHERE key_hash IS NOT NULL;
CREATE INDEX failed_messages_set_aside ON messagekit.failed_messages USING brin (set_aside_at);

-- One row per key that is held, with the number of its open failed messages. Half-empty pages keep the updates of the count
-- in their page.
CREATE TABLE messagekit.blocked_keys (
  consumer text COLLATE "C" NOT NULL,
  topic    text COLLATE "C" NOT NULL,
  key_hash bigint NOT NULL,
  count    int NOT NULL,
  PRIMARY KEY (consumer, topic, key_hash)
) WITH (fillfactor = 50);

-- Rows that no statement touches, of a consumer name that cannot exist: on an empty table the claim would be planned as a
-- scan, and that cached plan would meet the first outage, when thousands of keys are held.
INSERT INTO messagekit.blocked_keys (consumer, topic, key_hash, count) SELECT '', '', number, 0 FROM generate_series(1, 1000) number;

-- # Operations

-- Times and positions of the write-ahead log, some seconds apart: they turn the position that a slot has confirmed into a
-- time. At a checkpoint every transaction before oldest_xid had ended, last_seq was the last seq drawn, and each transaction that
-- had drawn one has a smaller number than xid, that of the checkpoint itself. (The end of a snapshot is one behind the last
-- transaction that has ended, and one that runs may stand behind that.) Together with the confirmed position they say which
-- events have left.
CREATE TABLE messagekit.outbox_checkpoints (
  at         timestamptz PRIMARY KEY,
  wal        pg_lsn NOT NULL,
  oldest_xid xid8,
  last_seq   bigint,
  xid        xid8
);

CREATE INDEX outbox_checkpoints_wal ON messagekit.outbox_checkpoints (wal);

-- A copy keeps created_at of its original, because every hop passes that time on. This is when copies were written, a row for
-- each step of a replay. A column and an index of the outbox would do the same, and would slow down every insert.
CREATE TABLE messagekit.outbox_copies (
  job    bigint NOT NULL,
  at     timestamptz NOT NULL,
  copies bigint NOT NULL,
  PRIMARY KEY (at, job)
);

-- Events of this outbox that failed elsewhere: at which consumer, queue or topic, and why.
CREATE TABLE messagekit.outbox_failures (
  event_id text COLLATE "C" NOT NULL,
  consumer text COLLATE "C" NOT NULL,
  reason   text NOT NULL,
  at       timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (event_id, consumer)
);

-- Events that an operator wants published again. No process owns a job: a worker holds it until lease_until, and epoch fences
-- every earlier holder. position is the last item that was taken.
CREATE TABLE messagekit.replay_jobs (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  event_type  text COLLATE "C",
  topic       text COLLATE "C",
  key         text COLLATE "C",
  "from"      timestamptz,
  until       timestamptz,
  ids         text COLLATE "C" NOT NULL CHECK (ids IN ('same', 'new')),
  per_second  bigint CHECK (per_second >= 0),
  state       text COLLATE "C" NOT NULL CHECK (state IN ('running', 'done', 'cancelled', 'failed')),
  events      bigint NOT NULL DEFAULT 0,
  published   bigint NOT NULL DEFAULT 0,
  position    bigint NOT NULL DEFAULT 0,
  epoch       bigint NOT NULL DEFAULT 0,
  lease_until timestamptz,
  ordered_by  text NOT NULL,
  ordered_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  changed_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  error       text
);

CREATE INDEX replay_jobs_running ON messagekit.replay_jobs (id) WHERE state = 'running';

-- The events of a job that have not gone out yet, in the order in which they will: chosen once, when it was ordered.
CREATE TABLE messagekit.replay_items (
  job      bigint NOT NULL,
  n        bigint NOT NULL,
  event_id text COLLATE "C" NOT NULL,
  PRIMARY KEY (job, n)
);

-- What operators did, written in the transaction of the act, also when it changed nothing. failed messages are those that were
-- asked for, done counts those that moved, and outcome says for the others why not.
CREATE TABLE messagekit.admin_audit (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at         timestamptz NOT NULL DEFAULT clock_timestamp(),
  operator      text NOT NULL,
  through    text NOT NULL,
  request_id text,
  act        text COLLATE "C" NOT NULL,
  failed_messages    bigint[],
  subject    text,
  done       bigint NOT NULL,
  outcome    jsonb
);

CREATE INDEX admin_audit_at ON messagekit.admin_audit USING brin (at);

-- The actions on one failed message, and those on one replay or rejected event. Actions are rare: no list of pending entries, which
-- each lookup would read whole.
CREATE INDEX admin_audit_failed_messages ON messagekit.admin_audit USING gin (failed_messages) WITH (fastupdate = off);
CREATE INDEX admin_audit_subject ON messagekit.admin_audit (subject, id) WHERE subject IS NOT NULL;

-- # Topics

-- Topics whose records this database keeps: a log beside the outbox, and how far consumers are in it.

-- What a topic was made with. is_published: its events also go to a broker, through the outbox. schema: the JSON Schema of its
-- records, NULL for any object. shape: its normal form. dedup: the fields that no two records may have in common. key: the field
-- that is the key of a record. version: how often the topic was migrated; a program that knows another one must not append.
-- max_age, max_bytes (of each partition), keep_unhandled, unhandled_max_age: its retention rule, if any of them is set; ages are
-- microseconds.
CREATE TABLE messagekit.topics (
  id             int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name           text COLLATE "C" NOT NULL UNIQUE CHECK (messagekit.is_topic(name)),
  is_published   boolean NOT NULL DEFAULT false,
  schema         text CHECK (schema IS NULL OR schema::jsonb IS NOT NULL),
  shape          text CHECK (shape IS NULL OR shape::jsonb IS NOT NULL),
  dedup          text[] NOT NULL DEFAULT '{}',
  key            text,
  version        int NOT NULL DEFAULT 0,
  max_age        bigint CHECK (max_age > 0),
  max_bytes      bigint CHECK (max_bytes > 0),
  keep_unhandled boolean NOT NULL DEFAULT false,
  unhandled_max_age bigint CHECK (unhandled_max_age > 0),
  created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  CHECK ((schema IS NULL) = (shape IS NULL))
);

-- A transaction that gives offsets in a topic holds the rows of all its partitions until its commit: no reader can pass over a record
-- that commits later. bytes: the keys and payloads that the partition keeps. version: that of the topic, which a
-- transaction that has waited for the row reads as it is now.
CREATE TABLE messagekit.topic_partitions (
  id          int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  topic_id    int NOT NULL REFERENCES messagekit.topics (id),
  partition   int NOT NULL CHECK (partition BETWEEN 0 AND 1023),
  next_offset bigint NOT NULL DEFAULT 0,
  log_start   bigint NOT NULL DEFAULT 0 CHECK (log_start BETWEEN 0 AND next_offset),
  bytes       bigint NOT NULL DEFAULT 0,
  version     int NOT NULL DEFAULT 0,
  UNIQUE (topic_id, partition)
) WITH (fillfactor = 50);

-- Events that have no offset yet: their writers lock nothing, and commit in any order. Each append, claim and read moves those that
-- are due first. seq is the order of one writer.
CREATE TABLE messagekit.topic_waiting (
  topic_id     int NOT NULL,
  seq          bigint GENERATED ALWAYS AS IDENTITY,
  event_id     text COLLATE "C" NOT NULL CONSTRAINT topic_waiting_event_id_size CHECK (octet_length(event_id) BETWEEN 1 AND 200),
  event_type   text COLLATE "C",
  key          text COLLATE "C",
  content_type text,
  traceparent  text,
  headers      jsonb CONSTRAINT topic_waiting_headers_object CHECK (jsonb_typeof(headers) = 'object'),
  created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  available_at timestamptz,
  -- What every publishing mode can carry, as in the outbox: an event that no topic could take fails its writer.
  payload      bytea NOT NULL CONSTRAINT topic_waiting_payload_size CHECK (octet_length(payload) <= 900000),
  CONSTRAINT topic_waiting_beside_size CHECK (
    coalesce(octet_length(key), 0) + coalesce(octet_length(event_type), 0)
    + coalesce(octet_length(content_type), 0) + coalesce(octet_length(traceparent), 0)
    + coalesce(octet_length(headers::text), 0) <= 99500),
  CONSTRAINT topic_waiting_times CHECK (
    created_at >= '0001-01-01Z' AND created_at < '9999-12-30Z'
    AND available_at >= '0001-01-01Z' AND available_at < '9999-12-30Z'),
  PRIMARY KEY (topic_id, seq)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 50000);

-- An id that is used again is refused, as the outbox does.
CREATE UNIQUE INDEX topic_waiting_event ON messagekit.topic_waiting (event_id);

-- id counts the records of all topics in the order in which they got their offsets; an append that was rolled back leaves a gap.
CREATE SEQUENCE messagekit.topic_record_ids;

CREATE TABLE messagekit.topic_records (
  tp_id        int NOT NULL,
  "offset"     bigint NOT NULL,
  id           bigint NOT NULL,
  topic_id     int NOT NULL,
  event_id     text COLLATE "C" NOT NULL CONSTRAINT topic_record_event_id_size CHECK (octet_length(event_id) BETWEEN 1 AND 200),
  event_type   text COLLATE "C",
  key          text COLLATE "C",
  content_type text,
  traceparent  text,
  headers      jsonb CONSTRAINT topic_record_headers_object CHECK (jsonb_typeof(headers) = 'object'),
  created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- When it got its offset: what a retention rule counts from.
  stored_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  payload      bytea NOT NULL CONSTRAINT topic_record_payload_size CHECK (octet_length(payload) <= 16777216),
  PRIMARY KEY (tp_id, "offset")
);

CREATE UNIQUE INDEX topic_records_id ON messagekit.topic_records (topic_id, id);
-- Look-ups of one event.
CREATE INDEX topic_records_event ON messagekit.topic_records (event_id);

-- What a topic has taken: the hash of the fields that no two records may have in common. It outlives its record.
CREATE TABLE messagekit.topic_dedup_hashes (
  topic_id  int NOT NULL,
  hash      text COLLATE "C" NOT NULL,
  record_id bigint NOT NULL,
  PRIMARY KEY (topic_id, hash)
);

-- Where a consumer reads on in a partition. ranges: what it has claimed behind next, or NULL if it has never claimed, or was moved
-- in another way since; a JSON list, in order and without gaps: from and to (exclusive) are offsets, attempts a number, state is
-- "settled", or an object with the key "claimed" (claim, holder, until, is_alone) or "waiting" (due, is_alone). Times are microseconds.
-- expired: how many records retention deleted before the consumer had handled them. by_record: the consumer handles records one by
-- one, so that its marker of a record is of no use when the record is deleted.
CREATE TABLE messagekit.consumer_cursors (
  consumer  text COLLATE "C" NOT NULL,
  tp_id     int NOT NULL,
  next      bigint NOT NULL CHECK (next >= 0),
  ranges    text,
  expired   bigint NOT NULL DEFAULT 0,
  by_record boolean NOT NULL DEFAULT false,
  PRIMARY KEY (tp_id, consumer)
) WITH (fillfactor = 50);

-- The records of a topic in their next form, until the migration that writes them swaps all at once. What another migration has
-- left, or writes late, is not its own.
CREATE TABLE messagekit.topic_migrations (
  topic_id  int NOT NULL,
  migration text COLLATE "C" NOT NULL,
  record_id bigint NOT NULL,
  key       text COLLATE "C",
  hash      text COLLATE "C",
  payload   bytea NOT NULL,
  PRIMARY KEY (topic_id, migration, record_id)
);

-- Takes the events of kept topics out of what is written to the outbox, or copies them there. Runs with the rights of its owner: a
-- role that may insert an event may insert nothing here. What an append has given its offset already passes by.
CREATE FUNCTION messagekit.outbox_to_topics() RETURNS trigger
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
AS $function$
DECLARE
  topic messagekit.topics%ROWTYPE;
BEGIN
  IF NEW.copy <> 0 THEN
    RETURN NEW;
  END IF;
  SELECT * INTO topic FROM messagekit.topics t WHERE t.name = NEW.topic;
  IF NOT FOUND THEN
    RETURN NEW;
  END IF;
  IF current_setting('messagekit_topics.appended', true) IS DISTINCT FROM NEW.event_id THEN
    IF EXISTS (SELECT FROM messagekit.topic_records r WHERE r.event_id = NEW.event_id) THEN
      RAISE EXCEPTION USING ERRCODE = '23505', CONSTRAINT = 'topic_waiting_event',
        MESSAGE = 'a topic has an event of this id already', HINT = 'add each event once, or give the new one an id of its own';
    END IF;
    INSERT INTO messagekit.topic_waiting
      (topic_id, event_id, event_type, key, content_type, traceparent, headers, created_at, available_at, payload)
    VALUES (topic.id, NEW.event_id, NEW.event_type, NEW.aggregate_id, NEW.content_type, NEW.traceparent, NEW.headers,
      NEW.created_at, NEW.available_at, NEW.payload);
  END IF;
  RETURN CASE WHEN topic.is_published THEN NEW END;
END
$function$;

REVOKE EXECUTE ON FUNCTION messagekit.outbox_to_topics() FROM PUBLIC;

-- Puts the trigger on the outbox, which pays nothing for topics before there is one. Runs with the rights of its owner: a program
-- may make topics without owning the tables. Writers wait for a moment.
CREATE FUNCTION messagekit.keep_topics() RETURNS void
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
AS $function$
BEGIN
  IF EXISTS (SELECT FROM pg_trigger
    WHERE tgrelid = 'messagekit.outbox_events'::regclass AND tgname = 'outbox_to_topics') THEN
    RETURN;
  END IF;
  LOCK TABLE messagekit.outbox_events IN SHARE ROW EXCLUSIVE MODE;
  IF NOT EXISTS (SELECT FROM pg_trigger
    WHERE tgrelid = 'messagekit.outbox_events'::regclass AND tgname = 'outbox_to_topics') THEN
    CREATE TRIGGER outbox_to_topics BEFORE INSERT ON messagekit.outbox_events
      FOR EACH ROW EXECUTE FUNCTION messagekit.outbox_to_topics();
  END IF;
END
$function$;

REVOKE EXECUTE ON FUNCTION messagekit.keep_topics() FROM PUBLIC;

-- # Table sources

-- Tables of the user whose changes become events. Each row was compiled to the function source_<id> and the triggers
-- messagekit_source_<id>_<event> on the table. table_name: with its schema, quoted. key_columns: the primary key of then, each quoted.
-- on_failure: the write fails, or the row becomes a failed message and the write continues. function_hash: the SHA-256 of the text of the
-- function. on_replicated: rows that logical replication applies are events, too. Triggers named
-- messagekit_source_<id>_<event>_replicated fire for them alone, or the triggers of the source always fire.
CREATE TABLE messagekit.table_sources (
  id          int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  topic       text COLLATE "C" NOT NULL CHECK (messagekit.is_topic(topic)),
  table_name  text COLLATE "C" NOT NULL,
  on_insert   boolean NOT NULL,
  on_update   boolean NOT NULL,
  on_delete   boolean NOT NULL,
  filter      text,
  payload     text COLLATE "C" NOT NULL CHECK (payload IN ('key', 'full', 'diff')),
  key         text,
  key_columns text[] NOT NULL,
  on_failure  text COLLATE "C" NOT NULL DEFAULT 'fail' CHECK (on_failure IN ('fail', 'set-aside')),
  on_replicated boolean NOT NULL DEFAULT false,
  function_hash text,
  created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  UNIQUE (topic, table_name)
);

-- The hash of keys and fingerprints, FNV-1a of 64 bits, as programs compute it. The product with 2^40 + 435 is taken in two parts.
CREATE FUNCTION messagekit.fnv1a(bytes bytea) RETURNS bigint
  LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
  SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
AS $function$
DECLARE
  high bigint := 3421674724;
  low  bigint := 2216829733;
BEGIN
  FOR byte IN 0 .. octet_length(bytes) - 1 LOOP
    low := low # get_byte(bytes, byte);
    high := (high * 435 + ((low * 435) >> 32) + (low << 8)) & 4294967295;
    low := (low * 435) & 4294967295;
  END LOOP;
  RETURN (high << 32) | low;
END
$function$;

-- Stands where the payload of an event would, and fails the statement with words that name its source.
CREATE FUNCTION messagekit.source_event_is_too_large(topic text, source_table text, bytes int) RETURNS bytea
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
AS $function$
BEGIN
  RAISE EXCEPTION USING ERRCODE = '54000', CONSTRAINT = 'source_event_size',
    MESSAGE = format('event of table source %s for topic %s has %s bytes, and 900000 are the limit', source_table, topic, bytes),
    HINT = 'let its events hold the key or what differs, leave such rows out by a filter, or let them be set aside';
END
$function$;

-- Makes a row whose event cannot be written a failed message with its marker. A SQLSTATE and the name of a rule say why: the text of
-- the server could hold values of the row. Runs with the rights of its caller, the function of the source.
CREATE FUNCTION messagekit.set_source_row_aside(
  consumer text,
  topic    text,
  domain   text,
  ending   text,
  key      text,
  headers  jsonb,
  whole    text,
  part     text,
  state    text,
  rule     text
) RETURNS void
  LANGUAGE plpgsql VOLATILE
  SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on
AS $function$
#variable_conflict use_variable
DECLARE
  id       text := messagekit.new_id();
  is_whole boolean := coalesce(octet_length(whole) <= 900000, false);
  kind     text := CASE WHEN rule ~ '(event|payload|beside)_size$' THEN 'too_large' ELSE 'permanent' END;
  error    text;
BEGIN
  error := 'event of the row cannot be written: ' || CASE
      WHEN rule ~ 'beside_size$' THEN 'its key and headers are over the limit of 99500 bytes'
      WHEN kind = 'too_large' THEN 'it is over the limit of 900000 bytes'
      WHEN state LIKE '23%' THEN format('the rule %s of our tables refuses it', rule)
      WHEN state = '22P05' THEN 'a text in a JSON value holds the character NUL'
      WHEN state = '22012' THEN 'an expression divides by zero'
      WHEN state = '42703' THEN 'a column that the source names is gone'
      WHEN state LIKE '42%' THEN 'an expression does not fit the table any more'
      WHEN state LIKE '54%' THEN 'a value is larger than the server can handle'
      ELSE 'an expression cannot be computed over it'
    END || format(' (SQLSTATE %s); ', state)
    || CASE
      WHEN is_whole THEN ''
      WHEN octet_length(part) <= 900000 THEN 'the row does not fit either, and only its primary key is kept; '
      ELSE 'nothing of the row could be kept; '
    END
    || 'repair the source or the row, change the row again for an event, then discard this';
  IF octet_length(key) > 99500 THEN
    key := NULL;
  END IF;
  IF octet_length(headers::text) > 99500 THEN
    headers := headers - 'actor';
  END IF;
  headers := headers || CASE ending WHEN 'inserted' THEN '{"op": "insert"}'::jsonb WHEN 'updated' THEN '{"op": "update"}'
    WHEN 'deleted' THEN '{"op": "delete"}' ELSE '{}' END;
  INSERT INTO messagekit.processed_messages (consumer, message_id, day, outcome)
  VALUES (consumer, id, messagekit.day_of(id), 'held');
  INSERT INTO messagekit.failed_messages
    (consumer, message_id, topic, key, key_hash, state, reason, attempts, event_type, headers, payload, kind, error, fingerprint)
  VALUES (consumer, id, topic, convert_to(key, 'UTF8'), messagekit.fnv1a(convert_to(key, 'UTF8')), 'dead', 'set_aside', 1, domain || ending,
    convert_to(jsonb_build_array(jsonb_build_array('id', id), jsonb_build_array('eventType', domain || ending),
      jsonb_build_array('contentType', 'application/json'), jsonb_build_array('headers', headers::text))::text, 'UTF8'),
    convert_to(CASE WHEN is_whole THEN whole WHEN octet_length(part) <= 900000 THEN part ELSE '{}' END, 'UTF8'), kind, error,
    lpad(to_hex(messagekit.fnv1a(convert_to(kind || regexp_replace(error, '[0-9]+', '#', 'g'), 'UTF8'))), 16, '0'));
END
$function$;

-- # Views of topics

-- What SQL tools read about topics. The columns are those of the views in a SQLite file. They run with the rights of their owner: a role
-- that may use the schema and select from them needs no right on a table.

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
  (t.unhandled_max_age - 1) / 1000000 + 1 AS retention_unhandled_seconds,
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
