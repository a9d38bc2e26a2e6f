//! Rows that a write deletes without a trigger: those in the way of `REPLACE` and `UPDATE OR REPLACE`.
//!
//! Whether a statement replaces is not known before the write: a plain insert fails, and one that ignores conflicts leaves no trace. So
//! before the write each row in its way is noted, and after it a note counts only if its row is gone, or if the row that was written
//! has its primary key. Other writes to the table may come between the two, by triggers of the user: a write forgets no notes but those of
//! its own rows. What is left over means nothing outside of a statement, and the engine removes it.

use super::event::{COMING, DISPLACED, Event, GONE, INSERTED, REPLACED, Rows};
use super::route::Route;
use super::row_json::{of, quoted};

impl Route<'_> {
    /// Returns whether rows of the table can be replaced.
    pub(super) fn is_replacing(&self) -> bool {
        !self.table.unique.is_empty()
    }

    /// The condition of an insert for which there is something to note, or to forget.
    pub(super) fn is_replacing_any(&self) -> String {
        format!("{} OR {}", self.has_noted(), self.any_row(&self.is_in_the_way()))
    }

    /// The condition of an update for which there is something to note, or to forget.
    pub(super) fn is_displacing_any(&self) -> String {
        format!("{} OR {}", self.has_noted(), self.any_row(&self.is_displaced()))
    }

    pub(super) fn has_noted(&self) -> String {
        format!("EXISTS (SELECT 1 FROM messagekit_replaced_rows WHERE source_id = {})", self.id)
    }

    fn any_row(&self, condition: &str) -> String {
        format!("EXISTS (SELECT 1 FROM {} {GONE} WHERE {condition})", quoted(&self.table.name))
    }

    fn is_in_the_way(&self) -> String {
        self.table.in_the_way(GONE, "NEW")
    }

    /// An update is in its own way.
    fn is_displaced(&self) -> String {
        format!("{} AND NOT ({})", self.is_in_the_way(), self.table.same_row(GONE, "OLD"))
    }

    /// Notes the rows in the way of an insert. One with its primary key is noted even where it leaves no event: the new row does not come,
    /// but stays.
    pub(super) fn note_all(&self) -> Vec<String> {
        let changes = self.source.changes;
        let mut notes = Vec::new();
        if !self.table.key.is_empty() && (changes.insert || changes.update) {
            let filter = if changes.update { self.filter() } else { "0" };
            let same = self.table.equal_key(GONE, "NEW");
            notes.push(self.forget_replaced());
            notes.push(self.note(REPLACED, filter, &same, &self.table.key_text("NEW")));
        }
        if changes.delete {
            notes.extend(self.note_those(&self.is_displaced_by_insert()));
        }
        notes
    }

    /// A row with the same primary key is replaced instead. A number that SQLite chooses is not known before the write, where -1 stands for
    /// it.
    fn is_displaced_by_insert(&self) -> String {
        if self.table.key.is_empty() {
            return self.is_in_the_way();
        }
        let same = self.table.equal_key(GONE, "NEW");
        let unless = if self.table.has_row_number {
            format!(" OR {} = -1", of("NEW", &self.table.key[0]))
        } else {
            String::new()
        };
        format!("{} AND (NOT coalesce({same}, 0){unless})", self.is_in_the_way())
    }

    /// Notes the rows in the way of an update.
    pub(super) fn note_displaced(&self) -> Vec<String> {
        self.note_those(&self.is_displaced()).into()
    }

    fn note_those(&self, condition: &str) -> [String; 2] {
        let (id, table, row) = (self.id, quoted(&self.table.name), self.table.identity(GONE));
        let forget = format!(
            "
  DELETE FROM messagekit_replaced_rows WHERE source_id = {id} AND is_same = 0
    AND row_id IN (SELECT {row} FROM {table} {GONE} WHERE {condition});"
        );
        [forget, self.note(DISPLACED, self.filter(), condition, &row)]
    }

    fn note(&self, rows: Rows, filter: &str, condition: &str, row_id: &str) -> String {
        let Event { kind, key, row, changes, from } = self.event(rows);
        let coming = rows.is_replaced().then(|| self.coming(COMING));
        let from: String = coming.iter().chain(&from).map(|named| format!(" CROSS JOIN {named}")).collect();
        let unless_filtered = |value: &str| format!("CASE WHEN {filter} THEN {value} END");
        format!(
            "
  INSERT INTO messagekit_replaced_rows (source_id, is_same, row_id, event_type, key, row, changes)
  SELECT {}, {}, {row_id}, {kind}, {}, {}, {}
  FROM {} {GONE}{from}
  WHERE {condition};",
            self.id,
            i32::from(rows.is_replaced()),
            unless_filtered(&key),
            unless_filtered(&row),
            unless_filtered(&changes),
            quoted(&self.table.name),
        )
    }

    /// Leaves the events of rows waiting that have given way to others.
    pub(super) fn wait_displaced(&self) -> String {
        if !self.source.changes.delete {
            return String::new();
        }
        self.wait_noted(&self.has_gone())
    }

    /// Leaves the event of the row waiting that has given way to one with its primary key.
    pub(super) fn wait_replaced(&self) -> String {
        if !self.source.changes.update || self.table.key.is_empty() {
            return String::new();
        }
        self.wait_noted(&self.is_of_new_row())
    }

    fn wait_noted(&self, condition: &str) -> String {
        self.wait_from(&format!(
            "
    SELECT event_type, key, row, changes FROM messagekit_replaced_rows
    WHERE {condition} AND row IS NOT NULL"
        ))
    }

    /// A row that has come, and has not replaced one with its primary key.
    pub(super) fn wait_inserted(&self) -> String {
        if !self.source.changes.insert {
            return String::new();
        }
        let was_there =
            format!("EXISTS (SELECT 1 FROM messagekit_replaced_rows WHERE {})", self.is_of_new_row());
        self.wait_if(&self.event(INSERTED), &format!("NOT {was_there}"))
    }

    /// The condition of a displaced row that is not there any more.
    fn has_gone(&self) -> String {
        let (table, row) = (quoted(&self.table.name), self.table.identity(GONE));
        format!(
            "messagekit_replaced_rows.source_id = {} AND messagekit_replaced_rows.is_same = 0 AND NOT EXISTS (SELECT 1 FROM {table} {GONE} WHERE {row} = messagekit_replaced_rows.row_id)",
            self.id
        )
    }

    /// The condition of the row that had the primary key of the written one.
    fn is_of_new_row(&self) -> String {
        format!(
            "messagekit_replaced_rows.source_id = {} AND messagekit_replaced_rows.is_same = 1 AND messagekit_replaced_rows.row_id = {}",
            self.id,
            self.table.key_text("NEW")
        )
    }

    /// Forgets what the trigger after an insert has used.
    pub(super) fn forget_written(&self) -> String {
        format!("{}{}", self.forget_displaced(), self.forget_replaced())
    }

    /// Forgets the displaced rows that are gone.
    pub(super) fn forget_displaced(&self) -> String {
        format!("\n  DELETE FROM messagekit_replaced_rows WHERE {};", self.has_gone())
    }

    fn forget_replaced(&self) -> String {
        format!("\n  DELETE FROM messagekit_replaced_rows WHERE {};", self.is_of_new_row())
    }

    /// A row that a trigger sees go is no replaced one: with `PRAGMA recursive_triggers` those fire it, too.
    pub(super) fn forget_deleted(&self) -> String {
        let (id, row, key) = (self.id, self.table.identity("OLD"), self.table.key_text("OLD"));
        format!(
            "
  DELETE FROM messagekit_replaced_rows
  WHERE source_id = {id} AND (is_same = 0 AND row_id = {row} OR is_same = 1 AND row_id = {key});"
        )
    }
}
