-- What the step from version 10 to 11 changes in a database of version 10.
ALTER FUNCTION messagekit.fnv1a SET standard_conforming_strings TO 'on';
ALTER FUNCTION messagekit.keep_topics SET standard_conforming_strings TO 'on';
ALTER FUNCTION messagekit.outbox_is_pending SET standard_conforming_strings TO 'on';
ALTER FUNCTION messagekit.outbox_links_are_of_this_event SET standard_conforming_strings TO 'on';
ALTER FUNCTION messagekit.outbox_to_topics SET standard_conforming_strings TO 'on';
ALTER FUNCTION messagekit.publish SET standard_conforming_strings TO 'on';
ALTER FUNCTION messagekit.set_source_row_aside SET standard_conforming_strings TO 'on';
ALTER FUNCTION messagekit.source_event_is_too_large SET standard_conforming_strings TO 'on';
ALTER TABLE messagekit.consumer_primings ADD COLUMN number int NOT NULL DEFAULT 1;
INSERT INTO messagekit.schema_migrations (version, name, applied_at, lowest_program) VALUES (11, 'conforming_literals', '2026-11-30 08:27:52.851076+00', 2);
