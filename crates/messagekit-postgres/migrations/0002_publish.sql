-- One way to write an event from anywhere: psql, triggers, jobs, services in other languages. The row is the one that the
-- Rust outbox would write: the payload is the whole wire form, the envelope's fields beside the event's own.
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

-- Runs with the rights of its owner, so that a role with USAGE on the schema and EXECUTE on this function can publish, and
-- can neither read what others wrote nor insert a row that would stop the pipeline. Nobody else may call it:
--   GRANT USAGE ON SCHEMA messagekit TO shop;
--   GRANT EXECUTE ON FUNCTION messagekit.publish TO shop;
-- Refuses with 22004 what is missing, with 22023 what breaks a form, with 54000 what is too large, with 23505 an id that was
-- there before. source is the name of the database unless given. Numbers keep their digits; the order of fields and
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
  RETURN id;
END
$function$;

REVOKE ALL ON FUNCTION messagekit.publish FROM PUBLIC;
