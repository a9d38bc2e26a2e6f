//! Rows that a write deletes without a trigger: those in the way of `REPLACE` and `UPDATE OR REPLACE`.
//!
//! Whether a statement replaces is not known before the write: a plain insert fails, and one that ignores conflicts leaves no trace. So what
//! was noted counts only in the trigger after the write, and each write forgets what the one before it has noted.

use super::event::{DISPLACED, Event, GONE, INSERTED, REPLACED, Rows};
use super::row_json::quoted;
use super::triggers::Route;

impl Route<'_> {
    /// Returns whether rows of the table can be replaced.
    pub(super) fn is_replacing(&self) -> bool {
        !self.table.unique.is_empty()
    }

    /// The condition of an insert for which there is something to note, or to forget.
    pub(super) fn is_replacing_any(&self) -> String {
        let in_the_way = self.table.in_the_way(GONE, "NEW");
        format!("{} OR {}", self.has_noted(), self.any_row(&in_the_way))
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

    /// An update is in its own way.
    fn is_displaced(&self) -> String {
        format!("{} AND NOT ({})", self.table.in_the_way(GONE, "NEW"), self.table.same_row(GONE, "OLD"))
    }

    /// Notes the rows in the way of an insert. One with its primary key is noted even where it leaves no event: the new row does not come,
    /// but stays.
    pub(super) fn note_all(&self) -> Vec<String> {
        let changes = self.source.changes;
        let mut notes = vec![self.forget()];
        let has_key = !self.table.key.is_empty();
        let same = self.table.equal_key(GONE, "NEW");
        if has_key && (changes.insert || changes.update) {
            let filter = if changes.update { self.filter() } else { "0" };
            notes.push(self.note(REPLACED, filter, &same));
        }
        if changes.delete {
            let in_the_way = self.table.in_the_way(GONE, "NEW");
            let other =
                if has_key { format!("{in_the_way} AND NOT coalesce({same}, 0)") } else { in_the_way };
            notes.push(self.note(DISPLACED, self.filter(), &other));
        }
        notes
    }

    /// Notes the rows in the way of an update.
    pub(super) fn note_displaced(&self) -> Vec<String> {
        vec![self.forget(), self.note(DISPLACED, self.filter(), &self.is_displaced())]
    }

    fn note(&self, rows: Rows, filter: &str, condition: &str) -> String {
        let Event { kind, key, row, changes, from } = self.event(rows);
        let from: String = from.iter().map(|named| format!(" CROSS JOIN {named}")).collect();
        format!(
            "
  INSERT INTO messagekit_replaced_rows (source_id, is_same, old_key, event_type, key, row, changes)
  SELECT {}, {}, {}, {kind}, {key}, CASE WHEN {filter} THEN {row} END, {changes}
  FROM {} {GONE}{from}
  WHERE {condition};",
            self.id,
            i32::from(rows.is_replaced()),
            self.table.key_text(GONE),
            quoted(&self.table.name),
        )
    }

    /// Leaves the events of the rows waiting that have given way.
    pub(super) fn wait_replaced(&self) -> String {
        self.wait_from(&format!(
            "
    SELECT event_type, key, row, changes FROM messagekit_replaced_rows
    WHERE source_id = {} AND row IS NOT NULL{}",
            self.id,
            self.is_of_this_row("is_same = 0 OR ")
        ))
    }

    /// A row that has come, and has not replaced one with its primary key.
    pub(super) fn wait_inserted(&self) -> String {
        if !self.source.changes.insert {
            return String::new();
        }
        let was_there = format!(
            "EXISTS (SELECT 1 FROM messagekit_replaced_rows WHERE source_id = {} AND is_same = 1{})",
            self.id,
            self.is_of_this_row("")
        );
        self.wait_if(&self.event(INSERTED), &format!("NOT {was_there}"))
    }

    /// The number that SQLite chooses for a row is not known before the write, where -1 stands for it.
    fn is_of_this_row(&self, unless: &str) -> String {
        if !self.table.has_row_number {
            return String::new();
        }
        format!(" AND ({unless}old_key = {})", self.table.key_text("NEW"))
    }

    pub(super) fn forget(&self) -> String {
        format!("\n  DELETE FROM messagekit_replaced_rows WHERE source_id = {};", self.id)
    }

    /// With `PRAGMA recursive_triggers` a replaced row fires the trigger of a delete.
    pub(super) fn forget_deleted(&self) -> String {
        format!(
            "\n  DELETE FROM messagekit_replaced_rows WHERE source_id = {} AND old_key IS {};",
            self.id,
            self.table.key_text("OLD")
        )
    }
}
