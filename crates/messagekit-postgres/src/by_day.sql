-- Divides the outbox and the markers. What is there becomes the part of day -1, with its indexes and without being moved: no
-- row is written, so nothing of it goes out again. From the first whole day after the newest id, each id has the part of its day.
DO $divide$
DECLARE
  first_day CONSTANT bigint := current_setting('messagekit.first_day');
  is_relayed CONSTANT boolean := EXISTS (SELECT FROM pg_trigger
    WHERE tgrelid = 'messagekit.outbox_events'::regclass AND tgname = 'outbox_is_pending');
  -- A role that may use a table may use its parts.
  rights CONSTANT text[] := ARRAY (
    SELECT format('GRANT %s ON messagekit.%s%%s TO %s%s', r.privilege_type, c.relname,
      CASE r.grantee WHEN 0 THEN 'PUBLIC' ELSE r.grantee::regrole::text END,
      CASE WHEN r.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
    FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) r
    WHERE c.oid IN ('messagekit.outbox_events'::regclass, 'messagekit.processed_messages'::regclass)
      AND r.grantee <> c.relowner);
  owners CONSTANT text[] := ARRAY (
    SELECT format('ALTER TABLE messagekit.%s%%s OWNER TO %s', relname, relowner::regrole) FROM pg_class
    WHERE oid IN ('messagekit.outbox_events'::regclass, 'messagekit.processed_messages'::regclass)
      AND relowner <> (SELECT oid FROM pg_roles WHERE rolname = current_user));
  publications CONSTANT text[] := ARRAY (
    SELECT quote_ident(p.pubname) FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid
    WHERE r.prrelid = 'messagekit.outbox_events'::regclass);
  next_place bigint;
  publication text;
  part text;
  command text;
BEGIN
  next_place := 1 + coalesce(
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
  ALTER TABLE messagekit.outbox_events RENAME TO outbox_events_other;
  ALTER TABLE messagekit.outbox_events_other RENAME CONSTRAINT outbox_events_pkey TO outbox_events_other_pkey;
  ALTER INDEX messagekit.outbox_events_created RENAME TO outbox_events_other_created;
  ALTER TABLE messagekit.outbox_events_other ALTER COLUMN seq DROP IDENTITY;
  CREATE TABLE messagekit.outbox_events (LIKE messagekit.outbox_events_other INCLUDING ALL EXCLUDING INDEXES)
    PARTITION BY LIST (messagekit.day_of(event_id));
  EXECUTE format('ALTER TABLE messagekit.outbox_events ALTER COLUMN seq ADD GENERATED ALWAYS AS IDENTITY (START WITH %s)', next_place);
  ALTER TABLE messagekit.outbox_events ATTACH PARTITION messagekit.outbox_events_other FOR VALUES IN (-1);

  ALTER TABLE messagekit.processed_messages RENAME TO processed_messages_other;
  ALTER TABLE messagekit.processed_messages_other DROP CONSTRAINT processed_messages_pkey;
  -- Whoever knows of no days must not write markers where nobody looks for them.
  ALTER TABLE messagekit.processed_messages_other ALTER COLUMN day DROP DEFAULT;
  CREATE TABLE messagekit.processed_messages (LIKE messagekit.processed_messages_other INCLUDING ALL EXCLUDING INDEXES)
    PARTITION BY LIST (day);
  ALTER TABLE messagekit.processed_messages
    ADD CONSTRAINT processed_messages_pkey PRIMARY KEY (consumer, message_id, day);
  ALTER TABLE messagekit.processed_messages ATTACH PARTITION messagekit.processed_messages_other FOR VALUES IN (-1);

  -- Summarised at once, because whether a part may leave is asked before any vacuum has come by.
  FOR day IN 0..31 LOOP
    part := to_char(day, 'FM00');
    EXECUTE format('CREATE TABLE messagekit.outbox_events_%s PARTITION OF messagekit.outbox_events FOR VALUES IN (%s)', part, day);
    EXECUTE format('ALTER TABLE messagekit.outbox_events_%s ADD PRIMARY KEY (event_id, copy)', part);
    EXECUTE format(
      'CREATE INDEX outbox_events_%s_created ON messagekit.outbox_events_%s USING brin (created_at, seq) WITH (autosummarize = on)',
      part, part);
    EXECUTE format('CREATE TABLE messagekit.processed_messages_%s PARTITION OF messagekit.processed_messages FOR VALUES IN (%s)', part, day);
    EXECUTE format(
      'CREATE INDEX processed_messages_%s_at ON messagekit.processed_messages_%s USING brin (processed_at) WITH (autosummarize = on)',
      part, part);
    EXECUTE format(
      'CREATE INDEX processed_messages_%s_open ON messagekit.processed_messages_%s (message_id) WHERE outcome <> ''done''',
      part, part);
    FOREACH command IN ARRAY rights || owners LOOP
      EXECUTE format(command, '_' || part);
    END LOOP;
  END LOOP;
  FOREACH command IN ARRAY rights || owners LOOP
    EXECUTE format(command, '');
  END LOOP;

  IF is_relayed THEN
    CREATE TRIGGER outbox_is_pending AFTER INSERT ON messagekit.outbox_events
      REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION messagekit.outbox_is_pending();
  END IF;
  FOREACH publication IN ARRAY publications LOOP
    EXECUTE format('ALTER PUBLICATION %s DROP TABLE messagekit.outbox_events_other', publication);
    EXECUTE format('ALTER PUBLICATION %s ADD TABLE messagekit.outbox_events', publication);
  END LOOP;
END
$divide$
