//! Rows that a write deletes without a trigger: those in the way of `REPLACE` and `UPDATE OR REPLACE`.
//!
//! Whether a statement replaces is not known before the write: a plain insert fails, and one that ignores conflicts leaves no trace. So
//! before the write each row in its way is noted under the key that they have in common, in place of what was noted under it before. After
//! the write the row that was written has that key, so the noted rows are gone: a note is read by no other write. Until then a note follows
//! its row, which triggers of the user and foreign keys may delete or change. No write reads a note that is left over, and the engine removes it.

use super::event::{COMING, DISPLACED, Event, GONE, INSERTED, REPLACED, Rows};
use super::route::Route;
use super::row_json::{of, quoted};
use super::unique_key::UniqueKey;

const NOTES: &str = "messagekit_replaced_rows";

impl Route<'_> {
    /// Returns whether there are events of replaced rows.
    pub(super) fn is_replacing(&self) -> bool {
        !self.table.unique.is_empty() && (!self.table.key.is_empty() || self.source.changes.delete)
    }

    /// The condition of an insert for which there is something to note, or to forget.
    pub(super) fn is_replacing_any(&self) -> String {
        let any = self.table.unique.iter().map(|key| self.any_row(&self.is_in_the_way(key)));
        [self.has_noted()].into_iter().chain(any).collect::<Vec<_>>().join(" OR ")
    }

    /// The condition of an update for which there is something to note, or to forget.
    pub(super) fn is_displacing_any(&self) -> String {
        let any = |(number, key): (usize, &UniqueKey)| {
            let (forgets, displaces) =
                (self.has_noted_under(number, key), self.any_row(&self.is_displaced(key)));
            format!("{} AND ({forgets} OR {displaces})", self.is_changed(key))
        };
        self.table.unique.iter().enumerate().map(any).collect::<Vec<_>>().join(" OR ")
    }

    pub(super) fn has_noted(&self) -> String {
        format!("EXISTS (SELECT 1 FROM {NOTES} WHERE source_id = {})", self.id)
    }

    fn has_noted_under(&self, number: usize, key: &UniqueKey) -> String {
        format!("EXISTS (SELECT 1 FROM {NOTES} WHERE {})", self.is_under(number, key))
    }

    fn any_row(&self, condition: &str) -> String {
        format!("EXISTS (SELECT 1 FROM {} {GONE} WHERE {condition})", quoted(&self.table.name))
    }

    fn is_in_the_way(&self, key: &UniqueKey) -> String {
        self.table.has_key_of(GONE, "NEW", key)
    }

    /// An update is in its own way.
    fn is_displaced(&self, key: &UniqueKey) -> String {
        format!("{} AND NOT ({})", self.is_in_the_way(key), self.table.same_row(GONE, "OLD"))
    }

    /// An update that leaves a key alone displaces nothing by it.
    fn is_changed(&self, key: &UniqueKey) -> String {
        self.table.changes_key("OLD", "NEW", key)
    }

    /// The condition of the notes under a key of the written row.
    fn is_under(&self, number: usize, key: &UniqueKey) -> String {
        let in_common = self.table.in_common("NEW", key);
        format!("source_id = {} AND unique_key = {number} AND in_common = {in_common}", self.id)
    }

    /// The condition of the notes under any key that an insert has written.
    pub(super) fn is_under_inserted(&self) -> String {
        self.is_any_of(self.table.unique.iter().enumerate().map(|(number, key)| self.is_under(number, key)))
    }

    /// The condition of the notes under any key that an update has changed.
    pub(super) fn is_under_updated(&self) -> String {
        let under = |(number, key)| format!("{} AND {}", self.is_under(number, key), self.is_changed(key));
        self.is_any_of(self.table.unique.iter().enumerate().map(under))
    }

    /// Each condition finds its notes by their index, which a condition with OR would not.
    fn is_any_of(&self, conditions: impl Iterator<Item = String>) -> String {
        let found = conditions.map(|condition| format!("SELECT rowid FROM {NOTES} WHERE {condition}"));
        format!("rowid IN ({})", found.collect::<Vec<_>>().join(" UNION ALL "))
    }

    /// Notes the rows in the way of an insert. One with its primary key is noted even where it leaves no event: the new row does not come,
    /// but stays.
    pub(super) fn note_all(&self) -> Vec<String> {
        let changes = self.source.changes;
        let mut notes = vec![self.forget(&self.is_last()), self.forget(&self.is_under_inserted())];
        for (number, key) in self.table.unique.iter().enumerate() {
            let in_the_way = self.is_in_the_way(key);
            let is_same = if key.is_primary { self.is_same() } else { "0".to_owned() };
            if key.is_primary {
                let filter = if changes.update { self.filter() } else { "0" };
                notes.push(self.note(REPLACED, number, filter, &format!("{in_the_way} AND {is_same}")));
            }
            if changes.delete {
                notes.push(self.note(
                    DISPLACED,
                    number,
                    self.filter(),
                    &format!("{in_the_way} AND NOT {is_same}"),
                ));
            }
        }
        notes
    }

    /// The condition under which the row that comes is the one that goes, with other values. A write whose values are
    /// unknown before it leaves two events instead.
    fn is_same(&self) -> String {
        let varying = self.table.columns.iter().filter(|column| column.varies);
        let known = varying.map(|column| format!(" AND {} IS NOT NULL", of("NEW", &column.name)));
        format!("({}{})", self.table.same_key(GONE, COMING), known.collect::<String>())
    }

    /// Notes the rows in the way of an update.
    pub(super) fn note_displaced(&self) -> Vec<String> {
        let note = |(number, key): (usize, &UniqueKey)| {
            let condition = format!("{} AND {}", self.is_changed(key), self.is_displaced(key));
            self.note(DISPLACED, number, self.filter(), &condition)
        };
        let notes = self.table.unique.iter().enumerate().map(note);
        let first = [self.name_columns(), self.forget(&self.is_under_updated())];
        first.into_iter().chain(notes).collect()
    }

    /// Before an update SQLite computes generated columns from those columns alone that a trigger names.
    fn name_columns(&self) -> String {
        let columns: Vec<_> = self.table.columns.iter().map(|column| of("NEW", &column.name)).collect();
        let has_generated = self.table.columns.iter().any(|column| column.generated.is_some());
        if has_generated { format!("\n  SELECT {} WHERE 0;", columns.join(", ")) } else { String::new() }
    }

    fn note(&self, rows: Rows, number: usize, filter: &str, condition: &str) -> String {
        let Event { kind, key, row, changes, from } = self.event(rows);
        let has_coming = condition.contains(COMING) || rows.is_replaced();
        let coming = has_coming.then(|| self.coming(COMING));
        let from: String = coming.iter().chain(&from).map(|named| format!(" CROSS JOIN {named}")).collect();
        let unless_filtered = |value: &str| format!("CASE WHEN {filter} THEN {value} END");
        format!(
            "
  INSERT INTO {NOTES} (source_id, unique_key, in_common, is_same, row_id, event_type, key, row, changes)
  SELECT {}, {number}, {}, {}, {}, {kind}, {}, {}, {}
  FROM {} {GONE}{from}
  WHERE {condition};",
            self.id,
            self.table.in_common("NEW", &self.table.unique[number]),
            i32::from(rows.is_replaced()),
            self.table.identity(GONE),
            unless_filtered(&key),
            unless_filtered(&row),
            unless_filtered(&changes),
            quoted(&self.table.name),
        )
    }

    /// Leaves the events of rows waiting that have given way to others.
    pub(super) fn wait_displaced(&self, is_under: &str, is_insert: bool) -> String {
        let stays = self.is_of_new_row().filter(|_| is_insert);
        let stays = stays.map(|same| format!(" AND row_id NOT IN (SELECT row_id FROM {NOTES} WHERE {same})"));
        let stays = stays.unwrap_or_default();
        self.wait_noted(&format!("({is_under}) AND is_same = 0{stays}"), " GROUP BY row_id")
    }

    /// Leaves the event of the row waiting that has given way to one with its primary key.
    pub(super) fn wait_replaced(&self) -> String {
        self.is_of_new_row().map(|same| self.wait_noted(&same, "")).unwrap_or_default()
    }

    fn wait_noted(&self, condition: &str, end: &str) -> String {
        self.wait_from(&format!(
            "
    SELECT event_type, key, row, changes FROM {NOTES}
    WHERE {condition} AND row IS NOT NULL{end}"
        ))
    }

    /// A row that has come, and has not replaced one with its primary key.
    pub(super) fn wait_inserted(&self) -> String {
        let was_there =
            self.is_of_new_row().map(|same| format!("NOT EXISTS (SELECT 1 FROM {NOTES} WHERE {same})"));
        self.wait_if(&self.event(INSERTED), was_there.as_deref().unwrap_or("1"))
    }

    /// The condition of the row that had the primary key of the written one.
    fn is_of_new_row(&self) -> Option<String> {
        let (number, key) = self.table.unique.iter().enumerate().find(|(_, key)| key.is_primary)?;
        Some(format!("{} AND is_same = 1", self.is_under(number, key)))
    }

    fn forget(&self, condition: &str) -> String {
        format!("\n  DELETE FROM {NOTES} WHERE {condition};")
    }

    /// Leaves a note that names no row, until the next insert: an insert whose notes are read and forgotten still has a note for the trigger of
    /// inserts without one, whichever of the two fires first.
    pub(super) fn note_last(&self) -> String {
        format!("\n  INSERT INTO {NOTES} (source_id, unique_key) VALUES ({}, -1);", self.id)
    }

    fn is_last(&self) -> String {
        format!("source_id = {} AND unique_key = -1", self.id)
    }

    fn is_note_of(&self, row: &str) -> String {
        format!("source_id = {} AND is_same IN (0, 1) AND row_id {row}", self.id)
    }

    /// Forgets the rows that were found gone, under whatever key they are noted.
    pub(super) fn forget_gone(&self, is_under: &str) -> String {
        self.forget(&self.is_note_of(&format!("IN (SELECT row_id FROM {NOTES} WHERE {is_under})")))
    }

    /// A row that a trigger sees go is no replaced one: with `PRAGMA recursive_triggers` those fire it, too.
    pub(super) fn forget_deleted(&self) -> String {
        self.forget(&self.is_note_of(&format!("= +{}", self.table.identity("OLD"))))
    }

    /// A noted row that is updated is not in the way of a key any more that it has lost, and may have another number.
    pub(super) fn follow_updated(&self) -> String {
        let note = self.is_note_of(&format!("= +{}", self.table.identity("OLD")));
        let lost = |(number, key): (usize, &UniqueKey)| {
            format!("+unique_key = {number} AND NOT coalesce({}, 0)", self.table.share_key("OLD", "NEW", key))
        };
        let lost: Vec<_> = self.table.unique.iter().enumerate().map(lost).collect();
        let number = self.table.identity("NEW");
        let forget = self.forget(&format!("{note} AND ({})", lost.join(" OR ")));
        format!("{forget}\n  UPDATE {NOTES} SET row_id = {number} WHERE {note};")
    }
}
