-- What becomes of a write to a table source whose event cannot be written.

-- on_failure: the write fails, or the row becomes a failed message and the write goes on. function_hash: the SHA-256 of the text of the
-- function source_<id>, NULL where an earlier program made it.
ALTER TABLE messagekit.table_sources
  ADD COLUMN on_failure text COLLATE "C" NOT NULL DEFAULT 'fail' CHECK (on_failure IN ('fail', 'set-aside')),
  ADD COLUMN function_hash text;

-- The hash of keys and fingerprints, FNV-1a of 64 bits, as programs compute it. The product with 2^40 + 435 is taken in two parts.
CREATE FUNCTION messagekit.fnv1a(bytes bytea) RETURNS bigint
  LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
  SET search_path = pg_catalog, pg_temp
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
  SET search_path = pg_catalog, pg_temp
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
  SET search_path = pg_catalog, pg_temp
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
