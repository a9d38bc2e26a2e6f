-- Topics whose records this database keeps: a log beside the outbox, and how far consumers are in it.

-- What a topic was made with. is_published: its events also go to a broker, through the outbox. schema: the JSON Schema of its
-- records, NULL for any object. shape: its normal form. dedup: the fields that no two records may have in common. key: the field
-- that is the key of a record. version: how often the topic was migrated; a program that knows another one must not append.
-- max_age (in microseconds), max_bytes (of each partition), keep_unhandled: its retention rule, if any of them is set.
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
  SET search_path = pg_catalog, pg_temp
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
  SET search_path = pg_catalog, pg_temp
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

-- Tables of the user whose changes become events. Each row was compiled to the function source_<id> and the triggers
-- messagekit_source_<id>_<event> on the table. table_name: with its schema, quoted. key_columns: the primary key of then, each quoted.
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
  created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  UNIQUE (topic, table_name)
);
