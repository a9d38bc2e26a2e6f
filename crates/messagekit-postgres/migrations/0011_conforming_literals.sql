-- A literal in one of our functions means the same in every session. Where standard_conforming_strings is off, a name with a backslash
-- could end its literal, and publish accepted event types that no program can read.
DO $step$
DECLARE
  ours regprocedure;
BEGIN
  FOR ours IN
    SELECT p.oid FROM pg_proc p
    WHERE p.pronamespace = (SELECT c.relnamespace FROM pg_class c WHERE c.oid = 'messagekit.outbox_events'::regclass)
      AND p.proconfig IS NOT NULL AND pg_has_role(p.proowner, 'USAGE')
  LOOP
    EXECUTE format('ALTER FUNCTION %s SET standard_conforming_strings = on', ours);
  END LOOP;
END
$step$;

-- number: counts the primings of the consumer. Each has positions of its own in consumer_offsets, under the key lane number - 2147483648,
-- so that it resumes where it was whatever the live consumer has handled.
ALTER TABLE messagekit.consumer_primings ADD COLUMN number int NOT NULL DEFAULT 1;
