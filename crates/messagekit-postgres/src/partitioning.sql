-- Divides the outbox and the markers. What is there becomes the part of day -1 without being moved: no event is written, so none
-- of them goes out again. From the first day on, each id has the part of its day; the markers of ids that say such a day already
-- are moved there.
DO $divide$
DECLARE
  first_day CONSTANT bigint := current_setting('messagekit_by_day.first_day');
  is_relayed CONSTANT boolean := EXISTS (SELECT FROM pg_trigger
    WHERE tgrelid = 'messagekit.outbox_events'::regclass AND tgname = 'outbox_is_pending');
  is_kept CONSTANT boolean := EXISTS (SELECT FROM pg_trigger
    WHERE tgrelid = 'messagekit.outbox_events'::regclass AND tgname = 'outbox_to_topics');
  rights CONSTANT text[] := ARRAY (
    SELECT format('GRANT %s ON messagekit.%s TO %s%s', r.privilege_type, c.relname,
      CASE r.grantee WHEN 0 THEN 'PUBLIC' ELSE r.grantee::regrole::text END,
      CASE WHEN r.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
    FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) r
    WHERE r.grantee <> c.relowner
      AND (c.oid IN ('messagekit.outbox_events'::regclass, 'messagekit.processed_messages'::regclass)
        OR c.oid = pg_get_serial_sequence('messagekit.outbox_events', 'seq')::regclass));
  -- Of the parts, for a cleanup; all others go by the whole.
  rights_of_part CONSTANT text[] := ARRAY (
    SELECT format('GRANT %s ON messagekit.%s_$part TO %s',
      CASE r.privilege_type WHEN 'DELETE' THEN 'DELETE, TRUNCATE' ELSE r.privilege_type END, c.relname,
      CASE r.grantee WHEN 0 THEN 'PUBLIC' ELSE r.grantee::regrole::text END)
    FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) r
    WHERE c.oid IN ('messagekit.outbox_events'::regclass, 'messagekit.processed_messages'::regclass)
      AND r.grantee <> c.relowner AND r.privilege_type IN ('SELECT', 'UPDATE', 'DELETE'));
  owners CONSTANT text[] := ARRAY (
    SELECT format('ALTER TABLE messagekit.%s$part OWNER TO %s', relname, relowner::regrole) FROM pg_class
    WHERE oid IN ('messagekit.outbox_events'::regclass, 'messagekit.processed_messages'::regclass)
      AND relowner <> (SELECT oid FROM pg_roles WHERE rolname = current_user));
  publications CONSTANT text[] := ARRAY (
    SELECT format('ALTER PUBLICATION %I $act TABLE messagekit.%s', p.pubname, c.relname)
    FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid JOIN pg_class c ON c.oid = r.prrelid
    WHERE c.oid IN ('messagekit.outbox_events'::regclass, 'messagekit.processed_messages'::regclass));
  -- The least id of the first day: ids of version 7 are ordered by their time.
  first_id CONSTANT text := regexp_replace(lpad(to_hex(first_day * 86400000), 12, '0'), '^(.{8})(.{4})$', '\1-\2');
  next_seq bigint;
  consumer_name text;
  part text;
  command text;
BEGIN
  next_seq := 1 + coalesce(
    pg_sequence_last_value(pg_get_serial_sequence('messagekit.outbox_events', 'seq')::regclass), 0);
  -- The expression is written out, and its first day is part of it: what an id tells never changes.
  EXECUTE format($function$
    CREATE OR REPLACE FUNCTION messagekit.day_of(id text) RETURNS smallint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE
      WHEN id !~ '^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$' THEN -1
      WHEN ('x' || substr(id, 1, 8) || substr(id, 10, 4))::bit(48)::bigint < %s::bigint * 86400000 THEN -1
      ELSE (('x' || substr(id, 1, 8) || substr(id, 10, 4))::bit(48)::bigint / 86400000) & 31
    END::smallint $function$, first_day);

  IF is_relayed THEN
    DROP TRIGGER outbox_is_pending ON messagekit.outbox_events;
  END IF;
  IF is_kept THEN
    DROP TRIGGER outbox_to_topics ON messagekit.outbox_events;
  END IF;
  DROP TRIGGER outbox_refuses_delay ON messagekit.outbox_events;
  ALTER TABLE messagekit.outbox_events RENAME TO outbox_events_other;
  ALTER TABLE messagekit.outbox_events_other RENAME CONSTRAINT outbox_events_pkey TO outbox_events_other_pkey;
  ALTER INDEX messagekit.outbox_events_created RENAME TO outbox_events_other_created;
  ALTER TABLE messagekit.outbox_events_other ALTER COLUMN seq DROP IDENTITY;
  CREATE TABLE messagekit.outbox_events (LIKE messagekit.outbox_events_other INCLUDING ALL EXCLUDING INDEXES)
    PARTITION BY LIST (messagekit.day_of(event_id));
  EXECUTE format('ALTER TABLE messagekit.outbox_events ALTER COLUMN seq ADD GENERATED ALWAYS AS IDENTITY (START WITH %s)', next_seq);
  ALTER TABLE messagekit.outbox_events ATTACH PARTITION messagekit.outbox_events_other FOR VALUES IN (-1);

  -- The key of the part was made before, and that all its rows are of day -1 was looked at.
  ALTER TABLE messagekit.processed_messages RENAME TO processed_messages_other;
  ALTER TABLE messagekit.processed_messages_other DROP CONSTRAINT processed_messages_pkey;
  ALTER TABLE messagekit.processed_messages_other
    ADD CONSTRAINT processed_messages_other_pkey PRIMARY KEY USING INDEX processed_messages_other_pkey;
  CREATE TABLE messagekit.processed_messages (LIKE messagekit.processed_messages_other INCLUDING ALL EXCLUDING INDEXES)
    PARTITION BY LIST (day);
  ALTER TABLE messagekit.processed_messages DROP CONSTRAINT processed_messages_whole;
  ALTER TABLE messagekit.processed_messages
    ADD CONSTRAINT processed_messages_pkey PRIMARY KEY (consumer, message_id, day);
  ALTER TABLE messagekit.processed_messages ATTACH PARTITION messagekit.processed_messages_other FOR VALUES IN (-1);
  ALTER TABLE messagekit.processed_messages_other DROP CONSTRAINT processed_messages_whole;
  -- A marker in the part of another day would not be found. What is there and says one is moved below.
  ALTER TABLE messagekit.processed_messages_other
    ADD CONSTRAINT processed_messages_day CHECK (day = messagekit.day_of(message_id)) NOT VALID;

  -- Summarised at once, because whether a part may leave is asked before any vacuum has come by.
  FOR day IN 0..31 LOOP
    part := to_char(day, 'FM00');
    EXECUTE format('CREATE TABLE messagekit.outbox_events_%s PARTITION OF messagekit.outbox_events FOR VALUES IN (%s)', part, day);
    EXECUTE format('ALTER TABLE messagekit.outbox_events_%s ADD PRIMARY KEY (event_id, copy)', part);
    EXECUTE format(
      'CREATE INDEX outbox_events_%s_created ON messagekit.outbox_events_%s USING brin (created_at, seq) WITH (autosummarize = on)',
      part, part);
    EXECUTE format(
      'CREATE TABLE messagekit.processed_messages_%s PARTITION OF messagekit.processed_messages
         (CONSTRAINT processed_messages_day CHECK (day = messagekit.day_of(message_id))) FOR VALUES IN (%s)',
      part, day);
    EXECUTE format(
      'CREATE INDEX processed_messages_%s_at ON messagekit.processed_messages_%s USING brin (processed_at) WITH (autosummarize = on)',
      part, part);
    EXECUTE format(
      'CREATE INDEX processed_messages_%s_open ON messagekit.processed_messages_%s (message_id) WHERE outcome <> ''done''',
      part, part);
    FOREACH command IN ARRAY rights_of_part LOOP
      EXECUTE replace(command, '$part', part);
    END LOOP;
    FOREACH command IN ARRAY owners LOOP
      EXECUTE replace(command, '$part', '_' || part);
    END LOOP;
  END LOOP;
  -- Any publisher may say any day. One look into the index for each consumer and for each of its ids from the first day on.
  PERFORM set_config('enable_seqscan', 'off', true);
  FOR consumer_name IN
    WITH RECURSIVE names (consumer) AS (
      (SELECT consumer FROM messagekit.processed_messages_other ORDER BY consumer LIMIT 1)
      UNION ALL
      SELECT (SELECT m.consumer FROM messagekit.processed_messages_other m WHERE m.consumer > n.consumer ORDER BY m.consumer LIMIT 1)
      FROM names n WHERE n.consumer IS NOT NULL)
    SELECT consumer FROM names WHERE consumer IS NOT NULL
  LOOP
    UPDATE messagekit.processed_messages SET day = messagekit.day_of(message_id)
    WHERE day = -1 AND consumer = consumer_name AND message_id >= first_id AND message_id < 'g' AND messagekit.day_of(message_id) <> -1;
  END LOOP;

  FOREACH command IN ARRAY rights_of_part LOOP
    EXECUTE replace(command, '$part', 'other');
  END LOOP;
  FOREACH command IN ARRAY owners || rights LOOP
    EXECUTE replace(command, '$part', '');
  END LOOP;

  CREATE TRIGGER outbox_refuses_delay BEFORE INSERT ON messagekit.outbox_events
    FOR EACH ROW WHEN (NEW.available_at > clock_timestamp()) EXECUTE FUNCTION messagekit.outbox_refuses_delay();
  IF is_relayed THEN
    CREATE TRIGGER outbox_is_pending AFTER INSERT ON messagekit.outbox_events
      REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION messagekit.outbox_is_pending();
    ALTER TABLE messagekit.outbox_events DISABLE TRIGGER outbox_refuses_delay;
  END IF;
  IF is_kept THEN
    CREATE TRIGGER outbox_to_topics BEFORE INSERT ON messagekit.outbox_events
      FOR EACH ROW EXECUTE FUNCTION messagekit.outbox_to_topics();
  END IF;
  FOREACH command IN ARRAY publications LOOP
    EXECUTE replace(command, '$act', 'DROP') || '_other';
    EXECUTE replace(command, '$act', 'ADD');
  END LOOP;
END
$divide$
