-- Lookups of one event: the events that led to it, those it led to, and what operators did with it.

-- The ids that tie an event to others, for events that have any. A table of its own: a column or an index of the outbox would
-- make this step wait for every writer, and nothing here may be published. Rows leave some time after their event.
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
  SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  DELETE FROM messagekit.outbox_links l WHERE l.event_id = NEW.event_id;
  RETURN NEW;
END
$function$;

CREATE TRIGGER outbox_links_are_of_this_event BEFORE INSERT ON messagekit.outbox_links
  FOR EACH ROW EXECUTE FUNCTION messagekit.outbox_links_are_of_this_event();

-- A role that writes, reads or cleans the outbox does the same here.
DO $rights$
DECLARE
  command text;
BEGIN
  FOR command IN
    SELECT format('GRANT %s ON messagekit.outbox_links TO %s%s', r.privilege_type,
      CASE r.grantee WHEN 0 THEN 'PUBLIC' ELSE r.grantee::regrole::text END,
      CASE WHEN r.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
    FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) r
    WHERE c.oid = 'messagekit.outbox_events'::regclass AND r.grantee <> c.relowner
      AND r.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
  LOOP
    EXECUTE command;
  END LOOP;
END
$rights$;

-- The actions on one failed message, and those on one replay or rejected event. Actions are rare: no list of pending entries, which
-- each lookup would read whole.
CREATE INDEX admin_audit_failed_messages ON messagekit.admin_audit USING gin (failed_messages) WITH (fastupdate = off);
CREATE INDEX admin_audit_subject ON messagekit.admin_audit (subject, id) WHERE subject IS NOT NULL;

-- As before, and keeps the links.
CREATE OR REPLACE FUNCTION messagekit.publish(
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
  SET search_path = pg_catalog, pg_temp
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
