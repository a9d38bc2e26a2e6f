-- Makes a database of the first step one of version 11, the last version before it.
DROP VIEW messagekit.system_topics;
ALTER TABLE messagekit.topics DROP COLUMN unhandled_max_age;
DELETE FROM messagekit.schema_migrations;
INSERT INTO messagekit.schema_migrations (version, name, lowest_program) SELECT n, 'step', CASE n WHEN 1 THEN 1 ELSE 2 END FROM generate_series(1, 11) n;
