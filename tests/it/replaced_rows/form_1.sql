-- The triggers of a source as a program of schema version 10 made them, and their table.

CREATE TABLE orders (id INTEGER PRIMARY KEY, email TEXT UNIQUE);

CREATE TRIGGER messagekit_source_1_before_insert BEFORE INSERT ON "orders" FOR EACH ROW
WHEN EXISTS (SELECT 1 FROM messagekit_replaced_rows WHERE source_id = 1) OR EXISTS (SELECT 1 FROM "orders" gone WHERE ((gone."email" = NEW."email" COLLATE "BINARY") OR (gone."id" = NEW."id" COLLATE "BINARY")))
BEGIN
  DELETE FROM messagekit_replaced_rows WHERE messagekit_replaced_rows.source_id = 1 AND messagekit_replaced_rows.is_same = 1 AND messagekit_replaced_rows.row_id = CAST(NEW."id" AS TEXT);
  INSERT INTO messagekit_replaced_rows (source_id, is_same, row_id, event_type, key, row, changes)
  SELECT 1, 1, CAST(NEW."id" AS TEXT), 'shop.orders.updated', CASE WHEN 1 THEN CAST(coming."id" AS TEXT) END, CASE WHEN 1 THEN json_object('id', coming."id", 'email', CASE typeof(coming."email") WHEN 'blob' THEN '\x' || lower(hex(coming."email")) ELSE coming."email" || '' END) END, CASE WHEN 1 THEN NULL END
  FROM "orders" gone CROSS JOIN (SELECT NEW."id" AS "id", NEW."email" AS "email") coming
  WHERE (gone."id" = NEW."id" COLLATE "BINARY");
  DELETE FROM messagekit_replaced_rows WHERE source_id = 1 AND is_same = 0
    AND row_id IN (SELECT gone.rowid FROM "orders" gone WHERE ((gone."email" = NEW."email" COLLATE "BINARY") OR (gone."id" = NEW."id" COLLATE "BINARY")) AND (NOT coalesce((gone."id" = NEW."id" COLLATE "BINARY"), 0) OR NEW."id" = -1));
  INSERT INTO messagekit_replaced_rows (source_id, is_same, row_id, event_type, key, row, changes)
  SELECT 1, 0, gone.rowid, 'shop.orders.deleted', CASE WHEN 1 THEN CAST(gone."id" AS TEXT) END, CASE WHEN 1 THEN json_object('id', gone."id", 'email', CASE typeof(gone."email") WHEN 'blob' THEN '\x' || lower(hex(gone."email")) ELSE gone."email" || '' END) END, CASE WHEN 1 THEN NULL END
  FROM "orders" gone
  WHERE ((gone."email" = NEW."email" COLLATE "BINARY") OR (gone."id" = NEW."id" COLLATE "BINARY")) AND (NOT coalesce((gone."id" = NEW."id" COLLATE "BINARY"), 0) OR NEW."id" = -1);
END;
CREATE TRIGGER messagekit_source_1_insert AFTER INSERT ON "orders" FOR EACH ROW
BEGIN
  INSERT INTO messagekit_waiting_changes (topic, event_type, source_table, key, row, changes, actor, changed_at)
  SELECT 'shop.orders', e.event_type, 'orders', e.key,
    CASE WHEN length(CAST(coalesce(e.row, '') AS BLOB)) + length(CAST(coalesce(e.changes, '') AS BLOB)) + 6 * length(CAST(coalesce(e.key, '') AS BLOB)) > 880000 OR length(CAST(coalesce(e.key, '') AS BLOB)) > 90000
      THEN RAISE(ABORT, 'messagekit: event of table orders for topic shop.orders is larger than 880000 bytes, or its key than 90000: keep the large part elsewhere, or let the events hold the key only') ELSE e.row END,
    e.changes, (SELECT name FROM messagekit_actor), julianday('now')
  FROM (
    SELECT event_type, key, row, changes FROM messagekit_replaced_rows
    WHERE messagekit_replaced_rows.source_id = 1 AND messagekit_replaced_rows.is_same = 0 AND NOT EXISTS (SELECT 1 FROM "orders" gone WHERE gone.rowid = messagekit_replaced_rows.row_id) AND row IS NOT NULL) e
  WHERE e.changes IS NOT '{}';
  INSERT INTO messagekit_waiting_changes (topic, event_type, source_table, key, row, changes, actor, changed_at)
  SELECT 'shop.orders', e.event_type, 'orders', e.key,
    CASE WHEN length(CAST(coalesce(e.row, '') AS BLOB)) + length(CAST(coalesce(e.changes, '') AS BLOB)) + 6 * length(CAST(coalesce(e.key, '') AS BLOB)) > 880000 OR length(CAST(coalesce(e.key, '') AS BLOB)) > 90000
      THEN RAISE(ABORT, 'messagekit: event of table orders for topic shop.orders is larger than 880000 bytes, or its key than 90000: keep the large part elsewhere, or let the events hold the key only') ELSE e.row END,
    e.changes, (SELECT name FROM messagekit_actor), julianday('now')
  FROM (
    SELECT event_type, key, row, changes FROM messagekit_replaced_rows
    WHERE messagekit_replaced_rows.source_id = 1 AND messagekit_replaced_rows.is_same = 1 AND messagekit_replaced_rows.row_id = CAST(NEW."id" AS TEXT) AND row IS NOT NULL) e
  WHERE e.changes IS NOT '{}';
  INSERT INTO messagekit_waiting_changes (topic, event_type, source_table, key, row, changes, actor, changed_at)
  SELECT 'shop.orders', e.event_type, 'orders', e.key,
    CASE WHEN length(CAST(coalesce(e.row, '') AS BLOB)) + length(CAST(coalesce(e.changes, '') AS BLOB)) + 6 * length(CAST(coalesce(e.key, '') AS BLOB)) > 880000 OR length(CAST(coalesce(e.key, '') AS BLOB)) > 90000
      THEN RAISE(ABORT, 'messagekit: event of table orders for topic shop.orders is larger than 880000 bytes, or its key than 90000: keep the large part elsewhere, or let the events hold the key only') ELSE e.row END,
    e.changes, (SELECT name FROM messagekit_actor), julianday('now')
  FROM (
    SELECT 'shop.orders.inserted' AS event_type, CAST(NEW."id" AS TEXT) AS key, json_object('id', NEW."id", 'email', CASE typeof(NEW."email") WHEN 'blob' THEN '\x' || lower(hex(NEW."email")) ELSE NEW."email" || '' END) AS row, NULL AS changes
    WHERE (1) AND NOT EXISTS (SELECT 1 FROM messagekit_replaced_rows WHERE messagekit_replaced_rows.source_id = 1 AND messagekit_replaced_rows.is_same = 1 AND messagekit_replaced_rows.row_id = CAST(NEW."id" AS TEXT)) LIMIT -1) e
  WHERE e.changes IS NOT '{}';
  DELETE FROM messagekit_replaced_rows WHERE messagekit_replaced_rows.source_id = 1 AND messagekit_replaced_rows.is_same = 0 AND NOT EXISTS (SELECT 1 FROM "orders" gone WHERE gone.rowid = messagekit_replaced_rows.row_id);
  DELETE FROM messagekit_replaced_rows WHERE messagekit_replaced_rows.source_id = 1 AND messagekit_replaced_rows.is_same = 1 AND messagekit_replaced_rows.row_id = CAST(NEW."id" AS TEXT);
END;
CREATE TRIGGER messagekit_source_1_update AFTER UPDATE ON "orders" FOR EACH ROW
WHEN OLD."id" IS NEW."id" COLLATE BINARY
BEGIN
  INSERT INTO messagekit_waiting_changes (topic, event_type, source_table, key, row, changes, actor, changed_at)
  SELECT 'shop.orders', e.event_type, 'orders', e.key,
    CASE WHEN length(CAST(coalesce(e.row, '') AS BLOB)) + length(CAST(coalesce(e.changes, '') AS BLOB)) + 6 * length(CAST(coalesce(e.key, '') AS BLOB)) > 880000 OR length(CAST(coalesce(e.key, '') AS BLOB)) > 90000
      THEN RAISE(ABORT, 'messagekit: event of table orders for topic shop.orders is larger than 880000 bytes, or its key than 90000: keep the large part elsewhere, or let the events hold the key only') ELSE e.row END,
    e.changes, (SELECT name FROM messagekit_actor), julianday('now')
  FROM (
    SELECT 'shop.orders.updated' AS event_type, CAST(NEW."id" AS TEXT) AS key, json_object('id', NEW."id", 'email', CASE typeof(NEW."email") WHEN 'blob' THEN '\x' || lower(hex(NEW."email")) ELSE NEW."email" || '' END) AS row, NULL AS changes
    WHERE (1) AND 1 LIMIT -1) e
  WHERE e.changes IS NOT '{}';
END;
CREATE TRIGGER messagekit_source_1_rekey AFTER UPDATE ON "orders" FOR EACH ROW
WHEN NOT (OLD."id" IS NEW."id" COLLATE BINARY)
BEGIN
  INSERT INTO messagekit_waiting_changes (topic, event_type, source_table, key, row, changes, actor, changed_at)
  SELECT 'shop.orders', e.event_type, 'orders', e.key,
    CASE WHEN length(CAST(coalesce(e.row, '') AS BLOB)) + length(CAST(coalesce(e.changes, '') AS BLOB)) + 6 * length(CAST(coalesce(e.key, '') AS BLOB)) > 880000 OR length(CAST(coalesce(e.key, '') AS BLOB)) > 90000
      THEN RAISE(ABORT, 'messagekit: event of table orders for topic shop.orders is larger than 880000 bytes, or its key than 90000: keep the large part elsewhere, or let the events hold the key only') ELSE e.row END,
    e.changes, (SELECT name FROM messagekit_actor), julianday('now')
  FROM (
    SELECT 'shop.orders.deleted' AS event_type, CAST(OLD."id" AS TEXT) AS key, json_object('id', OLD."id", 'email', CASE typeof(OLD."email") WHEN 'blob' THEN '\x' || lower(hex(OLD."email")) ELSE OLD."email" || '' END) AS row, NULL AS changes
    WHERE (1) AND 1 LIMIT -1) e
  WHERE e.changes IS NOT '{}';
  INSERT INTO messagekit_waiting_changes (topic, event_type, source_table, key, row, changes, actor, changed_at)
  SELECT 'shop.orders', e.event_type, 'orders', e.key,
    CASE WHEN length(CAST(coalesce(e.row, '') AS BLOB)) + length(CAST(coalesce(e.changes, '') AS BLOB)) + 6 * length(CAST(coalesce(e.key, '') AS BLOB)) > 880000 OR length(CAST(coalesce(e.key, '') AS BLOB)) > 90000
      THEN RAISE(ABORT, 'messagekit: event of table orders for topic shop.orders is larger than 880000 bytes, or its key than 90000: keep the large part elsewhere, or let the events hold the key only') ELSE e.row END,
    e.changes, (SELECT name FROM messagekit_actor), julianday('now')
  FROM (
    SELECT 'shop.orders.inserted' AS event_type, CAST(NEW."id" AS TEXT) AS key, json_object('id', NEW."id", 'email', CASE typeof(NEW."email") WHEN 'blob' THEN '\x' || lower(hex(NEW."email")) ELSE NEW."email" || '' END) AS row, NULL AS changes
    WHERE (1) AND 1 LIMIT -1) e
  WHERE e.changes IS NOT '{}';
END;
CREATE TRIGGER messagekit_source_1_delete AFTER DELETE ON "orders" FOR EACH ROW
BEGIN
  DELETE FROM messagekit_replaced_rows
  WHERE source_id = 1 AND (is_same = 0 AND row_id = OLD.rowid OR is_same = 1 AND row_id = CAST(OLD."id" AS TEXT));
  INSERT INTO messagekit_waiting_changes (topic, event_type, source_table, key, row, changes, actor, changed_at)
  SELECT 'shop.orders', e.event_type, 'orders', e.key,
    CASE WHEN length(CAST(coalesce(e.row, '') AS BLOB)) + length(CAST(coalesce(e.changes, '') AS BLOB)) + 6 * length(CAST(coalesce(e.key, '') AS BLOB)) > 880000 OR length(CAST(coalesce(e.key, '') AS BLOB)) > 90000
      THEN RAISE(ABORT, 'messagekit: event of table orders for topic shop.orders is larger than 880000 bytes, or its key than 90000: keep the large part elsewhere, or let the events hold the key only') ELSE e.row END,
    e.changes, (SELECT name FROM messagekit_actor), julianday('now')
  FROM (
    SELECT 'shop.orders.deleted' AS event_type, CAST(OLD."id" AS TEXT) AS key, json_object('id', OLD."id", 'email', CASE typeof(OLD."email") WHEN 'blob' THEN '\x' || lower(hex(OLD."email")) ELSE OLD."email" || '' END) AS row, NULL AS changes
    WHERE (1) AND 1 LIMIT -1) e
  WHERE e.changes IS NOT '{}';
END;
CREATE TRIGGER messagekit_source_1_before_update BEFORE UPDATE ON "orders" FOR EACH ROW
WHEN EXISTS (SELECT 1 FROM messagekit_replaced_rows WHERE source_id = 1) OR EXISTS (SELECT 1 FROM "orders" gone WHERE ((gone."email" = NEW."email" COLLATE "BINARY") OR (gone."id" = NEW."id" COLLATE "BINARY")) AND NOT (gone.rowid = OLD.rowid))
BEGIN
  DELETE FROM messagekit_replaced_rows WHERE source_id = 1 AND is_same = 0
    AND row_id IN (SELECT gone.rowid FROM "orders" gone WHERE ((gone."email" = NEW."email" COLLATE "BINARY") OR (gone."id" = NEW."id" COLLATE "BINARY")) AND NOT (gone.rowid = OLD.rowid));
  INSERT INTO messagekit_replaced_rows (source_id, is_same, row_id, event_type, key, row, changes)
  SELECT 1, 0, gone.rowid, 'shop.orders.deleted', CASE WHEN 1 THEN CAST(gone."id" AS TEXT) END, CASE WHEN 1 THEN json_object('id', gone."id", 'email', CASE typeof(gone."email") WHEN 'blob' THEN '\x' || lower(hex(gone."email")) ELSE gone."email" || '' END) END, CASE WHEN 1 THEN NULL END
  FROM "orders" gone
  WHERE ((gone."email" = NEW."email" COLLATE "BINARY") OR (gone."id" = NEW."id" COLLATE "BINARY")) AND NOT (gone.rowid = OLD.rowid);
END;
CREATE TRIGGER messagekit_source_1_replace AFTER UPDATE ON "orders" FOR EACH ROW
WHEN EXISTS (SELECT 1 FROM messagekit_replaced_rows WHERE source_id = 1)
BEGIN
  INSERT INTO messagekit_waiting_changes (topic, event_type, source_table, key, row, changes, actor, changed_at)
  SELECT 'shop.orders', e.event_type, 'orders', e.key,
    CASE WHEN length(CAST(coalesce(e.row, '') AS BLOB)) + length(CAST(coalesce(e.changes, '') AS BLOB)) + 6 * length(CAST(coalesce(e.key, '') AS BLOB)) > 880000 OR length(CAST(coalesce(e.key, '') AS BLOB)) > 90000
      THEN RAISE(ABORT, 'messagekit: event of table orders for topic shop.orders is larger than 880000 bytes, or its key than 90000: keep the large part elsewhere, or let the events hold the key only') ELSE e.row END,
    e.changes, (SELECT name FROM messagekit_actor), julianday('now')
  FROM (
    SELECT event_type, key, row, changes FROM messagekit_replaced_rows
    WHERE messagekit_replaced_rows.source_id = 1 AND messagekit_replaced_rows.is_same = 0 AND NOT EXISTS (SELECT 1 FROM "orders" gone WHERE gone.rowid = messagekit_replaced_rows.row_id) AND row IS NOT NULL) e
  WHERE e.changes IS NOT '{}';
  DELETE FROM messagekit_replaced_rows WHERE messagekit_replaced_rows.source_id = 1 AND messagekit_replaced_rows.is_same = 0 AND NOT EXISTS (SELECT 1 FROM "orders" gone WHERE gone.rowid = messagekit_replaced_rows.row_id);
END;
