-- What pg_dump 15 wrote of a database of version 10, with rows in every table. The thousand rows that the schema puts into
-- blocked_keys are written as one statement.

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

CREATE SCHEMA messagekit;

CREATE FUNCTION messagekit.day_of(id text) RETURNS smallint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ('-1'::integer)::smallint;

CREATE FUNCTION messagekit.fnv1a(bytes bytea) RETURNS bigint
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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
$$;

CREATE FUNCTION messagekit.id_problem(id text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (id = ''::text) THEN 'is empty'::text WHEN (octet_length(id) > 200) THEN 'is longer than 200 bytes'::text WHEN (id ~ '[\u0001-\u001f\u007f-\u009f]'::text) THEN 'holds a control character'::text WHEN starts_with(id, 'at:'::text) THEN 'begins with at:, which is reserved for messages without an id'::text ELSE NULL::text END;

CREATE FUNCTION messagekit.is_topic(name text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((octet_length(name) >= 1) AND (octet_length(name) <= 249) AND (name !~ '[^a-zA-Z0-9._-]'::text) AND (name <> ALL (ARRAY['.'::text, '..'::text])));

CREATE FUNCTION messagekit.keep_topics() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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
$$;

CREATE FUNCTION messagekit.new_id() RETURNS text
    LANGUAGE sql PARALLEL SAFE
    RETURN ((encode(set_bit(set_bit(OVERLAY(uuid_send(gen_random_uuid()) PLACING SUBSTRING(int8send((floor((EXTRACT(epoch FROM clock_timestamp()) * (1000)::numeric)))::bigint) FROM 3) FROM 1 FOR 6), (52)::bigint, 1), (53)::bigint, 1), 'hex'::text))::uuid)::text;

CREATE FUNCTION messagekit.outbox_is_pending() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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
$$;

CREATE FUNCTION messagekit.outbox_links_are_of_this_event() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
  DELETE FROM messagekit.outbox_links l WHERE l.event_id = NEW.event_id;
  RETURN NEW;
END
$$;

CREATE FUNCTION messagekit.outbox_refuses_delay() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  RAISE EXCEPTION USING ERRCODE = '0A000', CONSTRAINT = 'outbox_delay_needs_relay',
    MESSAGE = format('event is delayed until %s, and this outbox has no relay to wait for that', NEW.available_at),
    HINT = 'run `messagekit migrate --relay`, or leave available_at out to publish the event at once';
END
$$;

CREATE FUNCTION messagekit.outbox_to_topics() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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
$$;

CREATE FUNCTION messagekit.publish(topic text, key text, type text, payload jsonb, id text DEFAULT NULL::text, occurred_at timestamp with time zone DEFAULT NULL::timestamp with time zone, source text DEFAULT NULL::text, data_version text DEFAULT '1.0'::text, correlation_id text DEFAULT NULL::text, causation_id text DEFAULT NULL::text, metadata jsonb DEFAULT NULL::jsonb, headers jsonb DEFAULT NULL::jsonb, traceparent text DEFAULT NULL::text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
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
$_$;

CREATE FUNCTION messagekit.set_source_row_aside(consumer text, topic text, domain text, ending text, key text, headers jsonb, whole text, part text, state text, rule text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
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
$_$;

CREATE FUNCTION messagekit.source_event_is_too_large(topic text, source_table text, bytes integer) RETURNS bytea
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
  RAISE EXCEPTION USING ERRCODE = '54000', CONSTRAINT = 'source_event_size',
    MESSAGE = format('event of table source %s for topic %s has %s bytes, and 900000 are the limit', source_table, topic, bytes),
    HINT = 'let its events hold the key or what differs, leave such rows out by a filter, or let them be set aside';
END
$$;

SET default_tablespace = '';

SET default_table_access_method = heap;

CREATE TABLE messagekit.admin_audit (
    id bigint NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    operator text NOT NULL,
    through text NOT NULL,
    request_id text,
    act text NOT NULL COLLATE pg_catalog."C",
    failed_messages bigint[],
    subject text,
    done bigint NOT NULL,
    outcome jsonb
);

ALTER TABLE messagekit.admin_audit ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME messagekit.admin_audit_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE messagekit.blocked_keys (
    consumer text NOT NULL COLLATE pg_catalog."C",
    topic text NOT NULL COLLATE pg_catalog."C",
    key_hash bigint NOT NULL,
    count integer NOT NULL
)
WITH (fillfactor='50');

CREATE TABLE messagekit.consumer_cursors (
    consumer text NOT NULL COLLATE pg_catalog."C",
    tp_id integer NOT NULL,
    next bigint NOT NULL,
    ranges text,
    expired bigint DEFAULT 0 NOT NULL,
    by_record boolean DEFAULT false NOT NULL,
    CONSTRAINT consumer_cursors_next_check CHECK ((next >= 0))
)
WITH (fillfactor='50');

CREATE TABLE messagekit.consumer_offsets (
    consumer text NOT NULL COLLATE pg_catalog."C",
    topic text NOT NULL COLLATE pg_catalog."C",
    partition integer NOT NULL,
    key_lane integer DEFAULT 0 NOT NULL,
    next bigint NOT NULL
)
WITH (fillfactor='50');

CREATE TABLE messagekit.consumer_primings (
    consumer text NOT NULL COLLATE pg_catalog."C",
    frontier timestamp with time zone,
    is_finished boolean DEFAULT false NOT NULL
)
WITH (fillfactor='50');

CREATE TABLE messagekit.consumer_resets (
    consumer text NOT NULL COLLATE pg_catalog."C",
    topic text NOT NULL COLLATE pg_catalog."C",
    partition integer NOT NULL,
    "from" bigint NOT NULL,
    until bigint NOT NULL,
    generation integer NOT NULL,
    CONSTRAINT consumer_resets_check CHECK (("from" < until))
);

CREATE TABLE messagekit.consumer_windows (
    consumer text NOT NULL COLLATE pg_catalog."C",
    seconds bigint NOT NULL,
    noted_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    complete_since timestamp with time zone,
    CONSTRAINT consumer_windows_seconds_check CHECK ((seconds > 0))
);

CREATE TABLE messagekit.failed_messages (
    id bigint NOT NULL,
    origin text DEFAULT 'store'::text NOT NULL COLLATE pg_catalog."C",
    return_to text COLLATE pg_catalog."C",
    consumer text NOT NULL COLLATE pg_catalog."C",
    message_id text NOT NULL COLLATE pg_catalog."C",
    topic text NOT NULL COLLATE pg_catalog."C",
    position_topic text COLLATE pg_catalog."C",
    partition integer,
    "offset" bigint,
    key bytea,
    key_hash bigint,
    parked boolean DEFAULT false NOT NULL,
    state text NOT NULL COLLATE pg_catalog."C",
    reason text NOT NULL COLLATE pg_catalog."C",
    attempts integer NOT NULL,
    crash_count integer DEFAULT 0 NOT NULL,
    run_length integer DEFAULT 1 NOT NULL,
    alone integer DEFAULT 0 NOT NULL,
    due timestamp with time zone,
    running_since timestamp with time zone,
    token bigint DEFAULT 0 NOT NULL,
    generation integer DEFAULT 0 NOT NULL,
    event_type text COLLATE pg_catalog."C",
    headers bytea NOT NULL,
    payload bytea NOT NULL,
    kind text NOT NULL COLLATE pg_catalog."C",
    error text NOT NULL,
    fingerprint text NOT NULL COLLATE pg_catalog."C",
    set_aside_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    changed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    failed_runs jsonb DEFAULT '[]'::jsonb NOT NULL,
    leased_by text,
    CONSTRAINT failed_messages_attempts_check CHECK ((attempts >= 0)),
    CONSTRAINT failed_messages_check CHECK (((due IS NOT NULL) = (state = ANY (ARRAY['retry_scheduled'::text, 'retry_requested'::text])))),
    CONSTRAINT failed_messages_check1 CHECK (((running_since IS NULL) OR (due IS NOT NULL))),
    CONSTRAINT failed_messages_check2 CHECK (((NOT parked) OR (key_hash IS NOT NULL))),
    CONSTRAINT failed_messages_origin_check CHECK ((origin = ANY (ARRAY['store'::text, 'queue'::text, 'topic'::text]))),
    CONSTRAINT failed_messages_reason_check CHECK ((reason = ANY (ARRAY['set_aside'::text, 'key_blocked'::text, 'key_freed'::text, 'run_failed'::text, 'retry_requested'::text, 'requested_run_failed'::text, 'applied'::text, 'discarded'::text, 'discard_undone'::text]))),
    CONSTRAINT failed_messages_state_check CHECK ((state = ANY (ARRAY['retry_scheduled'::text, 'blocked'::text, 'dead'::text, 'retry_requested'::text, 'resolved'::text, 'discarded'::text])))
);

ALTER TABLE messagekit.failed_messages ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME messagekit.failed_messages_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE messagekit.in_flight_attempts (
    consumer text NOT NULL COLLATE pg_catalog."C",
    message_id text NOT NULL COLLATE pg_catalog."C",
    runner text NOT NULL COLLATE pg_catalog."C",
    noted_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE messagekit.outbox_checkpoints (
    at timestamp with time zone NOT NULL,
    wal pg_lsn NOT NULL,
    oldest_xid xid8,
    last_seq bigint,
    xid xid8
);

CREATE TABLE messagekit.outbox_copies (
    job bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    copies bigint NOT NULL
);

CREATE TABLE messagekit.outbox_events (
    event_id text NOT NULL COLLATE pg_catalog."C",
    copy integer DEFAULT 0 NOT NULL,
    seq bigint NOT NULL,
    topic text NOT NULL COLLATE pg_catalog."C",
    event_type text COLLATE pg_catalog."C",
    aggregate_id text COLLATE pg_catalog."C",
    payload bytea NOT NULL,
    content_type text,
    headers jsonb,
    traceparent text,
    occurred_at timestamp with time zone,
    available_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT outbox_beside_size CHECK ((((((COALESCE(octet_length(aggregate_id), 0) + COALESCE(octet_length(event_type), 0)) + COALESCE(octet_length(content_type), 0)) + COALESCE(octet_length(traceparent), 0)) + COALESCE(octet_length((headers)::text), 0)) <= 99500)),
    CONSTRAINT outbox_event_id_size CHECK (((octet_length(event_id) >= 1) AND (octet_length(event_id) <= 200))),
    CONSTRAINT outbox_headers_object CHECK ((jsonb_typeof(headers) = 'object'::text)),
    CONSTRAINT outbox_payload_size CHECK ((octet_length(payload) <= 900000)),
    CONSTRAINT outbox_times CHECK (((created_at >= '0001-01-01 00:00:00+00'::timestamp with time zone) AND (created_at < '9999-12-30 00:00:00+00'::timestamp with time zone) AND (occurred_at >= '0001-01-01 00:00:00+00'::timestamp with time zone) AND (occurred_at < '9999-12-30 00:00:00+00'::timestamp with time zone) AND (available_at >= '0001-01-01 00:00:00+00'::timestamp with time zone) AND (available_at < '9999-12-30 00:00:00+00'::timestamp with time zone))),
    CONSTRAINT outbox_topic_name CHECK (messagekit.is_topic(topic))
);

ALTER TABLE messagekit.outbox_events ALTER COLUMN seq ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME messagekit.outbox_events_seq_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE messagekit.outbox_failures (
    event_id text NOT NULL COLLATE pg_catalog."C",
    consumer text NOT NULL COLLATE pg_catalog."C",
    reason text NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

CREATE TABLE messagekit.outbox_links (
    event_id text NOT NULL COLLATE pg_catalog."C",
    correlation_id text COLLATE pg_catalog."C",
    causation_id text COLLATE pg_catalog."C",
    replay_of text COLLATE pg_catalog."C",
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

CREATE TABLE messagekit.outbox_pending (
    shard smallint NOT NULL,
    attempts smallint DEFAULT 0 NOT NULL,
    copy integer NOT NULL,
    seq bigint NOT NULL,
    key_hash bigint,
    available_at timestamp with time zone NOT NULL,
    event_id text NOT NULL COLLATE pg_catalog."C",
    topic text NOT NULL COLLATE pg_catalog."C",
    CONSTRAINT outbox_pending_shard_check CHECK (((shard >= '-64'::integer) AND (shard < 64)))
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='10000', autovacuum_analyze_scale_factor='0', autovacuum_analyze_threshold='50000');

CREATE TABLE messagekit.outbox_rejected (
    id bigint NOT NULL,
    shard smallint NOT NULL,
    attempts smallint NOT NULL,
    copy integer NOT NULL,
    seq bigint NOT NULL,
    key_hash bigint,
    event_id text NOT NULL COLLATE pg_catalog."C",
    topic text NOT NULL COLLATE pg_catalog."C",
    error text,
    rejected_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

ALTER TABLE messagekit.outbox_rejected ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME messagekit.outbox_rejected_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE messagekit.processed_messages (
    consumer text NOT NULL COLLATE pg_catalog."C",
    message_id text NOT NULL COLLATE pg_catalog."C",
    outcome text NOT NULL COLLATE pg_catalog."C",
    generation integer DEFAULT 0 NOT NULL,
    earlier integer,
    processed_at timestamp with time zone DEFAULT now() NOT NULL,
    day smallint DEFAULT '-1'::integer NOT NULL,
    CONSTRAINT processed_messages_outcome_check CHECK ((outcome = ANY (ARRAY['done'::text, 'held'::text, 'discarded'::text])))
);

CREATE TABLE messagekit.relay_members (
    name text NOT NULL COLLATE pg_catalog."C",
    until timestamp with time zone NOT NULL,
    is_present boolean DEFAULT false NOT NULL
)
WITH (fillfactor='50');

CREATE TABLE messagekit.relay_shards (
    shard smallint NOT NULL,
    owner text COLLATE pg_catalog."C",
    epoch bigint DEFAULT 0 NOT NULL,
    CONSTRAINT relay_shards_shard_check CHECK (((shard >= 0) AND (shard <= 63)))
)
WITH (fillfactor='50');

CREATE TABLE messagekit.replay_items (
    job bigint NOT NULL,
    n bigint NOT NULL,
    event_id text NOT NULL COLLATE pg_catalog."C"
);

CREATE TABLE messagekit.replay_jobs (
    id bigint NOT NULL,
    event_type text COLLATE pg_catalog."C",
    topic text COLLATE pg_catalog."C",
    key text COLLATE pg_catalog."C",
    "from" timestamp with time zone,
    until timestamp with time zone,
    ids text NOT NULL COLLATE pg_catalog."C",
    per_second bigint,
    state text NOT NULL COLLATE pg_catalog."C",
    events bigint DEFAULT 0 NOT NULL,
    published bigint DEFAULT 0 NOT NULL,
    "position" bigint DEFAULT 0 NOT NULL,
    epoch bigint DEFAULT 0 NOT NULL,
    lease_until timestamp with time zone,
    ordered_by text NOT NULL,
    ordered_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    changed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    error text,
    CONSTRAINT replay_jobs_ids_check CHECK ((ids = ANY (ARRAY['same'::text, 'new'::text]))),
    CONSTRAINT replay_jobs_per_second_check CHECK ((per_second >= 0)),
    CONSTRAINT replay_jobs_state_check CHECK ((state = ANY (ARRAY['running'::text, 'done'::text, 'cancelled'::text, 'failed'::text])))
);

ALTER TABLE messagekit.replay_jobs ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME messagekit.replay_jobs_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE messagekit.schema_migrations (
    version integer NOT NULL,
    name text NOT NULL,
    applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    lowest_program integer,
    CONSTRAINT schema_migrations_check CHECK (((lowest_program >= 1) AND (lowest_program <= version)))
);

CREATE TABLE messagekit.table_sources (
    id integer NOT NULL,
    topic text NOT NULL COLLATE pg_catalog."C",
    table_name text NOT NULL COLLATE pg_catalog."C",
    on_insert boolean NOT NULL,
    on_update boolean NOT NULL,
    on_delete boolean NOT NULL,
    filter text,
    payload text NOT NULL COLLATE pg_catalog."C",
    key text,
    key_columns text[] NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    on_failure text DEFAULT 'fail'::text NOT NULL COLLATE pg_catalog."C",
    function_hash text,
    on_replicated boolean DEFAULT false NOT NULL,
    CONSTRAINT table_sources_on_failure_check CHECK ((on_failure = ANY (ARRAY['fail'::text, 'set-aside'::text]))),
    CONSTRAINT table_sources_payload_check CHECK ((payload = ANY (ARRAY['key'::text, 'full'::text, 'diff'::text]))),
    CONSTRAINT table_sources_topic_check CHECK (messagekit.is_topic(topic))
);

CREATE VIEW messagekit.system_routes AS
 SELECT s.topic AS topic_id,
    s.table_name AS table_id,
    o.op,
    s.payload AS payload_mode,
    s.filter AS filter_expr,
    s.key AS partition_key_expr,
    s.on_failure
   FROM (messagekit.table_sources s
     JOIN ( VALUES (('delete'::text COLLATE "C")), ('insert'::text), ('update'::text)) o(op) ON (
        CASE o.op
            WHEN 'insert'::text THEN s.on_insert
            WHEN 'update'::text THEN s.on_update
            ELSE s.on_delete
        END));

CREATE TABLE messagekit.topic_partitions (
    id integer NOT NULL,
    topic_id integer NOT NULL,
    partition integer NOT NULL,
    next_offset bigint DEFAULT 0 NOT NULL,
    log_start bigint DEFAULT 0 NOT NULL,
    bytes bigint DEFAULT 0 NOT NULL,
    version integer DEFAULT 0 NOT NULL,
    CONSTRAINT topic_partitions_check CHECK (((log_start >= 0) AND (log_start <= next_offset))),
    CONSTRAINT topic_partitions_partition_check CHECK (((partition >= 0) AND (partition <= 1023)))
)
WITH (fillfactor='50');

CREATE TABLE messagekit.topics (
    id integer NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C",
    is_published boolean DEFAULT false NOT NULL,
    schema text,
    shape text,
    dedup text[] DEFAULT '{}'::text[] NOT NULL,
    key text,
    version integer DEFAULT 0 NOT NULL,
    max_age bigint,
    max_bytes bigint,
    keep_unhandled boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT topics_check CHECK (((schema IS NULL) = (shape IS NULL))),
    CONSTRAINT topics_max_age_check CHECK ((max_age > 0)),
    CONSTRAINT topics_max_bytes_check CHECK ((max_bytes > 0)),
    CONSTRAINT topics_name_check CHECK (messagekit.is_topic(name)),
    CONSTRAINT topics_schema_check CHECK (((schema IS NULL) OR ((schema)::jsonb IS NOT NULL))),
    CONSTRAINT topics_shape_check CHECK (((shape IS NULL) OR ((shape)::jsonb IS NOT NULL)))
);

CREATE VIEW messagekit.system_topic_offsets AS
 SELECT t.name AS topic_id,
    g.consumer AS group_id,
    p.partition AS partition_id,
        CASE
            WHEN (c.next > 0) THEN (c.next - 1)
            ELSE NULL::bigint
        END AS last_acked_offset,
    p.next_offset,
    (GREATEST((p.next_offset - GREATEST(c.next, p.log_start)), (0)::bigint) - COALESCE(( SELECT (sum(GREATEST((((r.value ->> 'to'::text))::bigint - GREATEST(((r.value ->> 'from'::text))::bigint, p.log_start)), (0)::bigint)))::bigint AS sum
           FROM jsonb_array_elements((c.ranges)::jsonb) r(value)
          WHERE ((r.value ->> 'state'::text) = 'settled'::text)), (0)::bigint)) AS lag
   FROM (((( SELECT DISTINCT o.topic_id,
            b.consumer
           FROM (messagekit.consumer_cursors b
             JOIN messagekit.topic_partitions o ON ((o.id = b.tp_id)))) g
     JOIN messagekit.topics t ON ((t.id = g.topic_id)))
     JOIN messagekit.topic_partitions p ON ((p.topic_id = g.topic_id)))
     LEFT JOIN messagekit.consumer_cursors c ON (((c.tp_id = p.id) AND (c.consumer = g.consumer))));

CREATE VIEW messagekit.system_topics AS
 SELECT t.name AS topic_id,
    t.name,
    ( SELECT (count(*))::integer AS count
           FROM messagekit.topic_partitions p
          WHERE (p.topic_id = t.id)) AS partitions,
    (((t.max_age - 1) / 1000000) + 1) AS retention_seconds,
    t.max_bytes AS retention_max_bytes,
    t.keep_unhandled AS retention_consumed,
    COALESCE(( SELECT jsonb_agg(jsonb_build_object('table_id', r.table_id, 'op', r.op) ORDER BY r.table_id, r.op) AS jsonb_agg
           FROM messagekit.system_routes r
          WHERE (r.topic_id = t.name)), '[]'::jsonb) AS routes,
    t.created_at
   FROM messagekit.topics t;

ALTER TABLE messagekit.table_sources ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME messagekit.table_sources_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE messagekit.topic_dedup_hashes (
    topic_id integer NOT NULL,
    hash text NOT NULL COLLATE pg_catalog."C",
    record_id bigint NOT NULL
);

CREATE TABLE messagekit.topic_migrations (
    topic_id integer NOT NULL,
    migration text NOT NULL COLLATE pg_catalog."C",
    record_id bigint NOT NULL,
    key text COLLATE pg_catalog."C",
    hash text COLLATE pg_catalog."C",
    payload bytea NOT NULL
);

ALTER TABLE messagekit.topic_partitions ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME messagekit.topic_partitions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE SEQUENCE messagekit.topic_record_ids
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

CREATE TABLE messagekit.topic_records (
    tp_id integer NOT NULL,
    "offset" bigint NOT NULL,
    id bigint NOT NULL,
    topic_id integer NOT NULL,
    event_id text NOT NULL COLLATE pg_catalog."C",
    event_type text COLLATE pg_catalog."C",
    key text COLLATE pg_catalog."C",
    content_type text,
    traceparent text,
    headers jsonb,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    stored_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    payload bytea NOT NULL,
    CONSTRAINT topic_record_event_id_size CHECK (((octet_length(event_id) >= 1) AND (octet_length(event_id) <= 200))),
    CONSTRAINT topic_record_headers_object CHECK ((jsonb_typeof(headers) = 'object'::text)),
    CONSTRAINT topic_record_payload_size CHECK ((octet_length(payload) <= 16777216))
);

CREATE TABLE messagekit.topic_waiting (
    topic_id integer NOT NULL,
    seq bigint NOT NULL,
    event_id text NOT NULL COLLATE pg_catalog."C",
    event_type text COLLATE pg_catalog."C",
    key text COLLATE pg_catalog."C",
    content_type text,
    traceparent text,
    headers jsonb,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    available_at timestamp with time zone,
    payload bytea NOT NULL,
    CONSTRAINT topic_waiting_beside_size CHECK ((((((COALESCE(octet_length(key), 0) + COALESCE(octet_length(event_type), 0)) + COALESCE(octet_length(content_type), 0)) + COALESCE(octet_length(traceparent), 0)) + COALESCE(octet_length((headers)::text), 0)) <= 99500)),
    CONSTRAINT topic_waiting_event_id_size CHECK (((octet_length(event_id) >= 1) AND (octet_length(event_id) <= 200))),
    CONSTRAINT topic_waiting_headers_object CHECK ((jsonb_typeof(headers) = 'object'::text)),
    CONSTRAINT topic_waiting_payload_size CHECK ((octet_length(payload) <= 900000)),
    CONSTRAINT topic_waiting_times CHECK (((created_at >= '0001-01-01 00:00:00+00'::timestamp with time zone) AND (created_at < '9999-12-30 00:00:00+00'::timestamp with time zone) AND (available_at >= '0001-01-01 00:00:00+00'::timestamp with time zone) AND (available_at < '9999-12-30 00:00:00+00'::timestamp with time zone)))
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='10000', autovacuum_analyze_scale_factor='0', autovacuum_analyze_threshold='50000');

CREATE TABLE messagekit.unhandled_types (
    consumer text NOT NULL COLLATE pg_catalog."C",
    topic text NOT NULL COLLATE pg_catalog."C",
    event_type text NOT NULL COLLATE pg_catalog."C",
    similar_to text[] NOT NULL,
    messages bigint NOT NULL,
    first_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    last_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
)
WITH (fillfactor='50');

ALTER TABLE messagekit.topic_waiting ALTER COLUMN seq ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME messagekit.topic_waiting_seq_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE messagekit.topics ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME messagekit.topics_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

INSERT INTO messagekit.admin_audit (id, at, operator, through, request_id, act, failed_messages, subject, done, outcome) OVERRIDING SYSTEM VALUE VALUES (1, '2026-11-01 09:30:00+00', 'ann', 'cli', NULL, 'discard', '{4,99}', NULL, 1, '{"99": "not found"}');
INSERT INTO messagekit.admin_audit (id, at, operator, through, request_id, act, failed_messages, subject, done, outcome) OVERRIDING SYSTEM VALUE VALUES (2, '2026-11-01 08:20:00+00', 'ann', 'http', 'r-1', 'replay', NULL, '1', 2, NULL);

INSERT INTO messagekit.blocked_keys (consumer, topic, key_hash, count) SELECT '', '', number, 0 FROM generate_series(1, 1000) number;
INSERT INTO messagekit.blocked_keys (consumer, topic, key_hash, count) VALUES ('billing', 'orders.order', 12, 2);

INSERT INTO messagekit.consumer_cursors (consumer, tp_id, next, ranges, expired, by_record) VALUES ('default', 1, 1, NULL, 0, true);
INSERT INTO messagekit.consumer_cursors (consumer, tp_id, next, ranges, expired, by_record) VALUES ('workers', 1, 0, '[{"from":0,"to":2,"attempts":1,"state":{"waiting":{"due":1764072000000000,"is_alone":false}}}]', 3, false);

INSERT INTO messagekit.consumer_offsets (consumer, topic, partition, key_lane, next) VALUES ('billing', 'orders.order', 0, 0, 12);
INSERT INTO messagekit.consumer_offsets (consumer, topic, partition, key_lane, next) VALUES ('billing', 'orders.order', 0, 1, 9);

INSERT INTO messagekit.consumer_primings (consumer, frontier, is_finished) VALUES ('billing', '2026-11-29 15:47:31.191027+00', true);
INSERT INTO messagekit.consumer_primings (consumer, frontier, is_finished) VALUES ('workers', NULL, false);

INSERT INTO messagekit.consumer_resets (consumer, topic, partition, "from", until, generation) VALUES ('billing', 'orders.order', 0, 3, 9, 2);

INSERT INTO messagekit.consumer_windows (consumer, seconds, noted_at, complete_since) VALUES ('billing', 604800, '2026-11-01 09:00:00+00', '2026-10-25 09:00:00+00');

INSERT INTO messagekit.failed_messages (id, origin, return_to, consumer, message_id, topic, position_topic, partition, "offset", key, key_hash, parked, state, reason, attempts, crash_count, run_length, alone, due, running_since, token, generation, event_type, headers, payload, kind, error, fingerprint, set_aside_at, changed_at, failed_runs, leased_by) OVERRIDING SYSTEM VALUE VALUES (1, 'store', NULL, 'billing', 'm-dead', 'orders.order', NULL, 0, 5, '\x6f2d31', 11, false, 'dead', 'run_failed', 4, 1, 1, 0, NULL, NULL, 7, 0, 'orders.order.placed', '\x5b5b226964222c226d2d64656164225d5d', '\xfe00', 'failed', 'no stock', 'f-1', '2026-11-01 09:00:00+00', '2026-11-01 09:10:00+00', '[{"at": 1793524200000000, "error": "no stock", "attempt": 4, "instance": "billing-1/7"}]', NULL);
INSERT INTO messagekit.failed_messages (id, origin, return_to, consumer, message_id, topic, position_topic, partition, "offset", key, key_hash, parked, state, reason, attempts, crash_count, run_length, alone, due, running_since, token, generation, event_type, headers, payload, kind, error, fingerprint, set_aside_at, changed_at, failed_runs, leased_by) OVERRIDING SYSTEM VALUE VALUES (2, 'store', NULL, 'billing', 'm-parked', 'orders.order', NULL, 0, 6, '\x6f2d32', 12, true, 'retry_scheduled', 'set_aside', 1, 0, 1, 0, '2026-11-01 09:20:00+00', '2026-11-01 09:19:00+00', 2, 0, NULL, '\x5b5d', '\x7b7d', 'failed', 'no stock', 'f-1', '2026-11-01 09:00:00+00', '2026-11-01 09:10:00+00', '[]', '2 billing-1/7');
INSERT INTO messagekit.failed_messages (id, origin, return_to, consumer, message_id, topic, position_topic, partition, "offset", key, key_hash, parked, state, reason, attempts, crash_count, run_length, alone, due, running_since, token, generation, event_type, headers, payload, kind, error, fingerprint, set_aside_at, changed_at, failed_runs, leased_by) OVERRIDING SYSTEM VALUE VALUES (3, 'store', NULL, 'billing', 'm-waiting', 'orders.order', NULL, 0, 7, '\x6f2d32', 12, true, 'blocked', 'key_blocked', 0, 0, 1, 0, NULL, NULL, 0, 0, NULL, '\x5b5d', '\x7b7d', 'behind', 'waits', 'f-2', '2026-11-01 09:00:00+00', '2026-11-01 09:00:00+00', '[]', NULL);
INSERT INTO messagekit.failed_messages (id, origin, return_to, consumer, message_id, topic, position_topic, partition, "offset", key, key_hash, parked, state, reason, attempts, crash_count, run_length, alone, due, running_since, token, generation, event_type, headers, payload, kind, error, fingerprint, set_aside_at, changed_at, failed_runs, leased_by) OVERRIDING SYSTEM VALUE VALUES (4, 'store', NULL, 'billing', 'm-discarded', 'orders.order', NULL, NULL, NULL, NULL, NULL, false, 'discarded', 'discarded', 1, 0, 1, 0, NULL, NULL, 0, 0, NULL, '\x5b5d', '\x7b7d', 'failed', 'no stock', 'f-1', '2026-11-01 09:00:00+00', '2026-11-01 09:30:00+00', '[]', NULL);
INSERT INTO messagekit.failed_messages (id, origin, return_to, consumer, message_id, topic, position_topic, partition, "offset", key, key_hash, parked, state, reason, attempts, crash_count, run_length, alone, due, running_since, token, generation, event_type, headers, payload, kind, error, fingerprint, set_aside_at, changed_at, failed_runs, leased_by) OVERRIDING SYSTEM VALUE VALUES (5, 'queue', 'printing', 'queue:printing', 'm-queue', 'orders.order', NULL, NULL, NULL, NULL, NULL, false, 'retry_requested', 'retry_requested', 0, 0, 1, 0, '2026-11-01 09:20:00+00', NULL, 0, 0, NULL, '\x5b5d', '\x7b7d', 'failed', 'rejected', 'f-3', '2026-11-01 09:00:00+00', '2026-11-01 09:20:00+00', '[]', NULL);

INSERT INTO messagekit.in_flight_attempts (consumer, message_id, runner, noted_at) VALUES ('billing', 'm-poison', 'billing-a', '2026-11-01 09:00:00+00');
INSERT INTO messagekit.in_flight_attempts (consumer, message_id, runner, noted_at) VALUES ('billing', 'm-poison', 'billing-b', '2026-11-01 09:01:00+00');

INSERT INTO messagekit.outbox_checkpoints (at, wal, oldest_xid, last_seq, xid) VALUES ('2026-11-01 08:00:00+00', '0/15D3F28', '731', 5, '733');

INSERT INTO messagekit.outbox_copies (job, at, copies) VALUES (1, '2026-11-01 08:30:00+00', 1);

INSERT INTO messagekit.outbox_events (event_id, copy, seq, topic, event_type, aggregate_id, payload, content_type, headers, traceparent, occurred_at, available_at, created_at) OVERRIDING SYSTEM VALUE VALUES ('e-1', 0, 1, 'orders.order', 'orders.order.placed', 'o-1', '\x7b226576656e744964223a22652d31222c226576656e7454797065223a226f72646572732e6f726465722e706c61636564222c226167677265676174654964223a226f2d31222c226f636375727265644174223a22323032362d31312d30315430383a30303a30302e3030303030305a222c22736f75726365223a2273686f70222c226461746156657273696f6e223a22312e30222c2270656e6365223a203939352c20226f726465725f6964223a20226f2d31227d', 'application/json', '{"tenant": "north"}', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', '2026-11-01 08:00:00+00', NULL, '2026-11-22 21:11:58.325749+00');
INSERT INTO messagekit.outbox_events (event_id, copy, seq, topic, event_type, aggregate_id, payload, content_type, headers, traceparent, occurred_at, available_at, created_at) OVERRIDING SYSTEM VALUE VALUES ('e-2', 0, 2, 'orders.order', 'orders.order.placed', 'o-2', '\x7b226576656e744964223a22652d32222c226576656e7454797065223a226f72646572732e6f726465722e706c61636564222c226167677265676174654964223a226f2d32222c226f636375727265644174223a22323032362d31312d30315430383a30313a30302e3030303030305a222c22736f75726365223a2273686f70222c226461746156657273696f6e223a22312e30222c226f726465725f6964223a20226f2d32227d', 'application/json', NULL, NULL, '2026-11-01 08:01:00+00', NULL, '2026-11-22 21:11:58.326888+00');
INSERT INTO messagekit.outbox_events (event_id, copy, seq, topic, event_type, aggregate_id, payload, content_type, headers, traceparent, occurred_at, available_at, created_at) OVERRIDING SYSTEM VALUE VALUES ('e-3', 0, 3, 'orders.order', 'orders.order.paid', 'o-2', '\x7b226576656e744964223a22652d33222c226576656e7454797065223a226f72646572732e6f726465722e70616964222c226167677265676174654964223a226f2d32222c226f636375727265644174223a22323032362d31312d30315430383a30323a30302e3030303030305a222c22736f75726365223a2273686f70222c226461746156657273696f6e223a22312e30222c226f726465725f6964223a20226f2d32227d', 'application/json', NULL, NULL, '2026-11-01 08:02:00+00', NULL, '2026-11-22 21:11:58.327312+00');
INSERT INTO messagekit.outbox_events (event_id, copy, seq, topic, event_type, aggregate_id, payload, content_type, headers, traceparent, occurred_at, available_at, created_at) OVERRIDING SYSTEM VALUE VALUES ('e-4', 0, 4, 'orders.order', NULL, NULL, '\x7b7d', NULL, NULL, NULL, NULL, '2099-01-01 00:00:00+00', '2026-11-22 21:11:58.327523+00');
INSERT INTO messagekit.outbox_events (event_id, copy, seq, topic, event_type, aggregate_id, payload, content_type, headers, traceparent, occurred_at, available_at, created_at) OVERRIDING SYSTEM VALUE VALUES ('e-1', 1, 5, 'orders.order', 'orders.order.placed', 'o-1', '\x7b226576656e744964223a22652d31222c226576656e7454797065223a226f72646572732e6f726465722e706c61636564222c226167677265676174654964223a226f2d31222c226f636375727265644174223a22323032362d31312d30315430383a30303a30302e3030303030305a222c22736f75726365223a2273686f70222c226461746156657273696f6e223a22312e30222c2270656e6365223a203939352c20226f726465725f6964223a20226f2d31227d', 'application/json', '{"tenant": "north"}', NULL, '2026-11-01 08:00:00+00', NULL, '2026-11-22 21:11:58.325749+00');

INSERT INTO messagekit.outbox_failures (event_id, consumer, reason, at) VALUES ('e-1', 'queue:printing', 'rejected', '2026-11-01 09:00:00+00');

INSERT INTO messagekit.outbox_links (event_id, correlation_id, causation_id, replay_of, created_at) VALUES ('e-3', 'e-1', 'e-2', NULL, '2026-11-22 21:11:58.327312+00');

INSERT INTO messagekit.outbox_pending (shard, attempts, copy, seq, key_hash, available_at, event_id, topic) VALUES (28, 0, 0, 1, 6682721121708123522, '2026-11-22 21:11:58.326401+00', 'e-1', 'orders.order');
INSERT INTO messagekit.outbox_pending (shard, attempts, copy, seq, key_hash, available_at, event_id, topic) VALUES (-53, 0, 0, 4, NULL, '2099-01-01 00:00:00+00', 'e-4', 'orders.order');
INSERT INTO messagekit.outbox_pending (shard, attempts, copy, seq, key_hash, available_at, event_id, topic) VALUES (28, 0, 1, 5, 6682721121708123522, '2026-11-22 21:11:58.327974+00', 'e-1', 'orders.order');

INSERT INTO messagekit.outbox_rejected (id, shard, attempts, copy, seq, key_hash, event_id, topic, error, rejected_at) OVERRIDING SYSTEM VALUE VALUES (1, 43, 1, 0, 2, 3128863472557067594, 'e-2', 'orders.order', 'record too large', '2026-11-01 08:05:00+00');
INSERT INTO messagekit.outbox_rejected (id, shard, attempts, copy, seq, key_hash, event_id, topic, error, rejected_at) OVERRIDING SYSTEM VALUE VALUES (2, 43, 0, 0, 3, 3128863472557067594, 'e-3', 'orders.order', NULL, '2026-11-01 08:05:00+00');

INSERT INTO messagekit.processed_messages (consumer, message_id, outcome, generation, earlier, processed_at, day) VALUES ('billing', 'm-done', 'done', 0, NULL, '2026-11-01 09:00:00+00', -1);
INSERT INTO messagekit.processed_messages (consumer, message_id, outcome, generation, earlier, processed_at, day) VALUES ('billing', 'm-again', 'done', 2, 1, '2026-11-01 09:00:00+00', -1);
INSERT INTO messagekit.processed_messages (consumer, message_id, outcome, generation, earlier, processed_at, day) VALUES ('billing', 'm-dead', 'held', 0, NULL, '2026-11-01 09:00:00+00', -1);
INSERT INTO messagekit.processed_messages (consumer, message_id, outcome, generation, earlier, processed_at, day) VALUES ('billing', 'm-parked', 'held', 0, NULL, '2026-11-01 09:00:00+00', -1);
INSERT INTO messagekit.processed_messages (consumer, message_id, outcome, generation, earlier, processed_at, day) VALUES ('billing', 'm-waiting', 'held', 0, NULL, '2026-11-01 09:00:00+00', -1);
INSERT INTO messagekit.processed_messages (consumer, message_id, outcome, generation, earlier, processed_at, day) VALUES ('billing', 'm-discarded', 'discarded', 0, NULL, '2026-11-01 09:00:00+00', -1);

INSERT INTO messagekit.relay_members (name, until, is_present) VALUES ('relay-1', '2026-11-01 08:10:00+00', true);

INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (2, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (3, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (4, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (5, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (6, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (7, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (8, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (9, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (10, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (11, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (12, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (13, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (14, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (15, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (16, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (17, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (18, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (19, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (20, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (21, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (22, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (23, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (24, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (25, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (26, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (27, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (28, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (29, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (30, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (31, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (32, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (33, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (34, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (35, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (36, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (37, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (38, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (39, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (40, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (41, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (42, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (43, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (44, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (45, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (46, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (47, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (48, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (49, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (50, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (51, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (52, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (53, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (54, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (55, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (56, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (57, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (58, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (59, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (60, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (61, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (62, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (63, NULL, 1);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (0, 'relay-1', 2);
INSERT INTO messagekit.relay_shards (shard, owner, epoch) VALUES (1, 'relay-1', 2);

INSERT INTO messagekit.replay_items (job, n, event_id) VALUES (1, 2, 'e-2');

INSERT INTO messagekit.replay_jobs (id, event_type, topic, key, "from", until, ids, per_second, state, events, published, "position", epoch, lease_until, ordered_by, ordered_at, changed_at, error) OVERRIDING SYSTEM VALUE VALUES (1, 'orders.order.placed', 'orders.order', NULL, '2026-11-01 00:00:00+00', '2026-11-02 00:00:00+00', 'same', 10, 'running', 2, 1, 1, 3, NULL, 'ann', '2026-11-01 08:20:00+00', '2026-11-01 08:30:00+00', NULL);

INSERT INTO messagekit.schema_migrations (version, name, applied_at, lowest_program) VALUES (1, 'schema', '2026-11-01 07:00:00+00', 1);
INSERT INTO messagekit.schema_migrations (version, name, applied_at, lowest_program) VALUES (2, 'history', '2026-11-01 07:00:00+00', 2);
INSERT INTO messagekit.schema_migrations (version, name, applied_at, lowest_program) VALUES (3, 'lowest_program', '2026-11-01 07:00:00+00', 2);
INSERT INTO messagekit.schema_migrations (version, name, applied_at, lowest_program) VALUES (4, 'topics', '2026-11-25 15:47:31.191027+00', 2);
INSERT INTO messagekit.schema_migrations (version, name, applied_at, lowest_program) VALUES (5, 'table_source_failures', '2026-11-26 15:47:31.191027+00', 2);
INSERT INTO messagekit.schema_migrations (version, name, applied_at, lowest_program) VALUES (6, 'replicated_rows', '2026-11-27 15:47:31.191027+00', 2);
INSERT INTO messagekit.schema_migrations (version, name, applied_at, lowest_program) VALUES (7, 'topic_views', '2026-11-29 15:47:31.191027+00', 2);
INSERT INTO messagekit.schema_migrations (version, name, applied_at, lowest_program) VALUES (8, 'primings', '2026-11-30 15:47:31.191027+00', 2);
INSERT INTO messagekit.schema_migrations (version, name, applied_at, lowest_program) VALUES (9, 'failed_runs', '2026-11-30 15:47:31.191027+00', 2);
INSERT INTO messagekit.schema_migrations (version, name, applied_at, lowest_program) VALUES (10, 'unhandled_types', '2026-11-30 15:47:31.191027+00', 2);

INSERT INTO messagekit.table_sources (id, topic, table_name, on_insert, on_update, on_delete, filter, payload, key, key_columns, created_at, on_failure, function_hash, on_replicated) OVERRIDING SYSTEM VALUE VALUES (1, 'shop.orders', 'public.orders', true, true, false, 'total > 100', 'diff', NULL, '{id}', '2026-11-25 15:47:31.255923+00', 'fail', NULL, false);
INSERT INTO messagekit.table_sources (id, topic, table_name, on_insert, on_update, on_delete, filter, payload, key, key_columns, created_at, on_failure, function_hash, on_replicated) OVERRIDING SYSTEM VALUE VALUES (2, 'shop.failing', 'public.orders', true, true, false, 'total > 100', 'diff', NULL, '{id}', '2026-11-25 17:46:04.407442+00', 'set-aside', '0000000000000000000000000000000000000000000000000000000000000000', true);

INSERT INTO messagekit.topic_dedup_hashes (topic_id, hash, record_id) VALUES (1, '2e7d2c03a9507ae265ecf5b5356885a5', 1);
INSERT INTO messagekit.topic_dedup_hashes (topic_id, hash, record_id) VALUES (1, '18ac3e7343f016890c510e93f9352611', 2);

INSERT INTO messagekit.topic_migrations (topic_id, migration, record_id, key, hash, payload) VALUES (1, '019ab000-0000-7000-8000-000000000001', 1, 'a', NULL, '\x7b226c696e6b223a2261227d');

INSERT INTO messagekit.topic_partitions (id, topic_id, partition, next_offset, log_start, bytes, version) OVERRIDING SYSTEM VALUE VALUES (1, 1, 0, 2, 0, 24, 1);

INSERT INTO messagekit.topic_records (tp_id, "offset", id, topic_id, event_id, event_type, key, content_type, traceparent, headers, created_at, stored_at, payload) VALUES (1, 0, 1, 1, 'r-1', NULL, 'a', 'application/json', NULL, NULL, '2026-11-25 12:00:00+00', '2026-11-25 12:00:00+00', '\x7b2275726c223a2261227d');
INSERT INTO messagekit.topic_records (tp_id, "offset", id, topic_id, event_id, event_type, key, content_type, traceparent, headers, created_at, stored_at, payload) VALUES (1, 1, 2, 1, 'r-2', NULL, 'b', 'application/json', NULL, NULL, '2026-11-25 12:00:01+00', '2026-11-25 12:00:01+00', '\x7b2275726c223a2262227d');

INSERT INTO messagekit.topic_waiting (topic_id, seq, event_id, event_type, key, content_type, traceparent, headers, created_at, available_at, payload) OVERRIDING SYSTEM VALUE VALUES (1, 1, 'r-3', 'rss.items.added', 'c', NULL, NULL, '{"tenant": "north"}', '2026-11-25 12:00:02+00', NULL, '\x7b2275726c223a2263227d');
INSERT INTO messagekit.unhandled_types (consumer, topic, event_type, similar_to, messages, first_at, last_at) VALUES ('billing', 'orders.order', 'orders.order.palced', '{orders.order.placed}', 3, '2026-11-01 09:00:00+00', '2026-11-01 10:00:00+00');

INSERT INTO messagekit.topics (id, name, is_published, schema, shape, dedup, key, version, max_age, max_bytes, keep_unhandled, created_at) OVERRIDING SYSTEM VALUE VALUES (1, 'rss.items', false, '{"type": "object"}', '{}', '{url}', 'url', 1, 604800000000, 1000000, true, '2026-11-25 15:47:31.252686+00');

SELECT pg_catalog.setval('messagekit.admin_audit_id_seq', 2, true);

SELECT pg_catalog.setval('messagekit.failed_messages_id_seq', 5, true);

SELECT pg_catalog.setval('messagekit.outbox_events_seq_seq', 5, true);

SELECT pg_catalog.setval('messagekit.outbox_rejected_id_seq', 2, true);

SELECT pg_catalog.setval('messagekit.replay_jobs_id_seq', 1, true);

SELECT pg_catalog.setval('messagekit.table_sources_id_seq', 2, true);

SELECT pg_catalog.setval('messagekit.topic_partitions_id_seq', 1, true);

SELECT pg_catalog.setval('messagekit.topic_record_ids', 2, true);

SELECT pg_catalog.setval('messagekit.topic_waiting_seq_seq', 1, true);

SELECT pg_catalog.setval('messagekit.topics_id_seq', 1, true);

ALTER TABLE ONLY messagekit.unhandled_types
    ADD CONSTRAINT unhandled_types_pkey PRIMARY KEY (consumer, topic, event_type);

ALTER TABLE ONLY messagekit.admin_audit
    ADD CONSTRAINT admin_audit_pkey PRIMARY KEY (id);

ALTER TABLE ONLY messagekit.blocked_keys
    ADD CONSTRAINT blocked_keys_pkey PRIMARY KEY (consumer, topic, key_hash);

ALTER TABLE ONLY messagekit.consumer_cursors
    ADD CONSTRAINT consumer_cursors_pkey PRIMARY KEY (tp_id, consumer);

ALTER TABLE ONLY messagekit.consumer_offsets
    ADD CONSTRAINT consumer_offsets_pkey PRIMARY KEY (consumer, topic, partition, key_lane);

ALTER TABLE ONLY messagekit.consumer_primings
    ADD CONSTRAINT consumer_primings_pkey PRIMARY KEY (consumer);

ALTER TABLE ONLY messagekit.consumer_resets
    ADD CONSTRAINT consumer_resets_pkey PRIMARY KEY (consumer, topic, partition, generation);

ALTER TABLE ONLY messagekit.consumer_windows
    ADD CONSTRAINT consumer_windows_pkey PRIMARY KEY (consumer, seconds);

ALTER TABLE ONLY messagekit.failed_messages
    ADD CONSTRAINT failed_messages_pkey PRIMARY KEY (id);

ALTER TABLE ONLY messagekit.in_flight_attempts
    ADD CONSTRAINT in_flight_attempts_pkey PRIMARY KEY (consumer, message_id, runner);

ALTER TABLE ONLY messagekit.outbox_checkpoints
    ADD CONSTRAINT outbox_checkpoints_pkey PRIMARY KEY (at);

ALTER TABLE ONLY messagekit.outbox_copies
    ADD CONSTRAINT outbox_copies_pkey PRIMARY KEY (at, job);

ALTER TABLE ONLY messagekit.outbox_events
    ADD CONSTRAINT outbox_events_pkey PRIMARY KEY (event_id, copy);

ALTER TABLE ONLY messagekit.outbox_failures
    ADD CONSTRAINT outbox_failures_pkey PRIMARY KEY (event_id, consumer);

ALTER TABLE ONLY messagekit.outbox_links
    ADD CONSTRAINT outbox_links_pkey PRIMARY KEY (event_id);

ALTER TABLE ONLY messagekit.outbox_pending
    ADD CONSTRAINT outbox_pending_pkey PRIMARY KEY (shard, topic, seq);

ALTER TABLE ONLY messagekit.outbox_rejected
    ADD CONSTRAINT outbox_rejected_pkey PRIMARY KEY (id);

ALTER TABLE ONLY messagekit.processed_messages
    ADD CONSTRAINT processed_messages_pkey PRIMARY KEY (consumer, message_id);

ALTER TABLE ONLY messagekit.relay_members
    ADD CONSTRAINT relay_members_pkey PRIMARY KEY (name);

ALTER TABLE ONLY messagekit.relay_shards
    ADD CONSTRAINT relay_shards_pkey PRIMARY KEY (shard);

ALTER TABLE ONLY messagekit.replay_items
    ADD CONSTRAINT replay_items_pkey PRIMARY KEY (job, n);

ALTER TABLE ONLY messagekit.replay_jobs
    ADD CONSTRAINT replay_jobs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY messagekit.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);

ALTER TABLE ONLY messagekit.table_sources
    ADD CONSTRAINT table_sources_pkey PRIMARY KEY (id);

ALTER TABLE ONLY messagekit.table_sources
    ADD CONSTRAINT table_sources_topic_table_name_key UNIQUE (topic, table_name);

ALTER TABLE ONLY messagekit.topic_dedup_hashes
    ADD CONSTRAINT topic_dedup_hashes_pkey PRIMARY KEY (topic_id, hash);

ALTER TABLE ONLY messagekit.topic_migrations
    ADD CONSTRAINT topic_migrations_pkey PRIMARY KEY (topic_id, migration, record_id);

ALTER TABLE ONLY messagekit.topic_partitions
    ADD CONSTRAINT topic_partitions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY messagekit.topic_partitions
    ADD CONSTRAINT topic_partitions_topic_id_partition_key UNIQUE (topic_id, partition);

ALTER TABLE ONLY messagekit.topic_records
    ADD CONSTRAINT topic_records_pkey PRIMARY KEY (tp_id, "offset");

ALTER TABLE ONLY messagekit.topic_waiting
    ADD CONSTRAINT topic_waiting_pkey PRIMARY KEY (topic_id, seq);

ALTER TABLE ONLY messagekit.topics
    ADD CONSTRAINT topics_name_key UNIQUE (name);

ALTER TABLE ONLY messagekit.topics
    ADD CONSTRAINT topics_pkey PRIMARY KEY (id);

CREATE INDEX admin_audit_at ON messagekit.admin_audit USING brin (at);

CREATE INDEX admin_audit_failed_messages ON messagekit.admin_audit USING gin (failed_messages) WITH (fastupdate=off);

CREATE INDEX admin_audit_subject ON messagekit.admin_audit USING btree (subject, id) WHERE (subject IS NOT NULL);

CREATE INDEX failed_messages_consumer ON messagekit.failed_messages USING btree (consumer, state, id);

CREATE INDEX failed_messages_due ON messagekit.failed_messages USING btree (consumer, due) WHERE (state = ANY (ARRAY['retry_scheduled'::text, 'retry_requested'::text]));

CREATE INDEX failed_messages_fingerprint ON messagekit.failed_messages USING btree (fingerprint, id);

CREATE INDEX failed_messages_key ON messagekit.failed_messages USING btree (consumer, topic, key_hash, partition, "offset") WHERE (parked AND (state = ANY (ARRAY['retry_scheduled'::text, 'blocked'::text, 'dead'::text, 'retry_requested'::text])));

CREATE INDEX failed_messages_key_hash ON messagekit.failed_messages USING btree (key_hash, id) WHERE (key_hash IS NOT NULL);

CREATE INDEX failed_messages_returns ON messagekit.failed_messages USING btree (origin, due) WHERE ((origin <> 'store'::text) AND (state = ANY (ARRAY['retry_scheduled'::text, 'retry_requested'::text])));

CREATE INDEX failed_messages_set_aside ON messagekit.failed_messages USING brin (set_aside_at);

CREATE UNIQUE INDEX failed_messages_source ON messagekit.failed_messages USING btree (consumer, message_id);

CREATE INDEX failed_messages_state ON messagekit.failed_messages USING btree (state, id);

CREATE INDEX outbox_checkpoints_wal ON messagekit.outbox_checkpoints USING btree (wal);

CREATE INDEX outbox_events_created ON messagekit.outbox_events USING brin (created_at);

CREATE INDEX outbox_links_causation ON messagekit.outbox_links USING btree (causation_id, event_id) WHERE (causation_id IS NOT NULL);

CREATE INDEX outbox_links_correlation ON messagekit.outbox_links USING btree (correlation_id, event_id) WHERE (correlation_id IS NOT NULL);

CREATE INDEX outbox_links_replay ON messagekit.outbox_links USING btree (replay_of, event_id) WHERE (replay_of IS NOT NULL);

CREATE INDEX outbox_pending_delayed ON messagekit.outbox_pending USING btree (available_at) WHERE (shard < 0);

CREATE INDEX outbox_rejected_heads ON messagekit.outbox_rejected USING btree (id) WHERE (error IS NOT NULL);

CREATE INDEX outbox_rejected_key ON messagekit.outbox_rejected USING btree (topic, key_hash, seq) WHERE (key_hash IS NOT NULL);

CREATE INDEX outbox_rejected_seq ON messagekit.outbox_rejected USING btree (seq);

CREATE INDEX replay_jobs_running ON messagekit.replay_jobs USING btree (id) WHERE (state = 'running'::text);

CREATE INDEX topic_records_event ON messagekit.topic_records USING btree (event_id);

CREATE UNIQUE INDEX topic_records_id ON messagekit.topic_records USING btree (topic_id, id);

CREATE UNIQUE INDEX topic_waiting_event ON messagekit.topic_waiting USING btree (event_id);

CREATE TRIGGER outbox_is_pending AFTER INSERT ON messagekit.outbox_events REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION messagekit.outbox_is_pending();

CREATE TRIGGER outbox_links_are_of_this_event BEFORE INSERT ON messagekit.outbox_links FOR EACH ROW EXECUTE FUNCTION messagekit.outbox_links_are_of_this_event();

CREATE TRIGGER outbox_refuses_delay BEFORE INSERT ON messagekit.outbox_events FOR EACH ROW WHEN ((new.available_at > clock_timestamp())) EXECUTE FUNCTION messagekit.outbox_refuses_delay();

ALTER TABLE messagekit.outbox_events DISABLE TRIGGER outbox_refuses_delay;

CREATE TRIGGER outbox_to_topics BEFORE INSERT ON messagekit.outbox_events FOR EACH ROW EXECUTE FUNCTION messagekit.outbox_to_topics();

ALTER TABLE ONLY messagekit.topic_partitions
    ADD CONSTRAINT topic_partitions_topic_id_fkey FOREIGN KEY (topic_id) REFERENCES messagekit.topics(id);

REVOKE ALL ON FUNCTION messagekit.keep_topics() FROM PUBLIC;

REVOKE ALL ON FUNCTION messagekit.outbox_is_pending() FROM PUBLIC;

REVOKE ALL ON FUNCTION messagekit.outbox_to_topics() FROM PUBLIC;

REVOKE ALL ON FUNCTION messagekit.publish(topic text, key text, type text, payload jsonb, id text, occurred_at timestamp with time zone, source text, data_version text, correlation_id text, causation_id text, metadata jsonb, headers jsonb, traceparent text) FROM PUBLIC;
