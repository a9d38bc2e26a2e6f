-- Makes a file of the first step one of version 11, the last version before it.
DROP VIEW messagekit_system_topics;
ALTER TABLE messagekit_topic_definitions DROP COLUMN unhandled_max_age;
DELETE FROM messagekit_schema;
WITH RECURSIVE steps (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM steps WHERE n < 11)
INSERT INTO messagekit_schema (version, name, applied_at, lowest_program) SELECT n, 'step', 0, min(n, 5) FROM steps;
