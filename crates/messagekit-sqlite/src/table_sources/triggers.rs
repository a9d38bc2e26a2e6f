//! Compiles a table source to triggers.
//!
//! They fire for each row, because SQLite has no others, and do as little as they can: they leave a *waiting change*, which the engine
//! appends to its topic. They use only what every program's SQLite has.
//!
//! A row that `REPLACE` or `UPDATE OR REPLACE` deletes fires no trigger of its own. So a trigger before the write notes which rows are in
//! its way, and one after it makes their events ([`replaced`](super::replaced)).

use super::event::{DELETED, INSERTED, UPDATED};
use super::route::Route;
use super::row_json::quoted;

/// The number of the form of the triggers. A program makes those of an earlier form anew, and leaves those of a later one alone.
pub(crate) const FORM: u32 = 1;

/// A trigger to be made.
#[derive(Debug)]
pub(crate) struct Trigger {
    pub(crate) name: String,
    pub(crate) sql: String,
}

impl Route<'_> {
    /// Returns the triggers that make the events.
    pub(crate) fn triggers(&self) -> Vec<Trigger> {
        let mut triggers = self.triggers_of_inserts();
        if self.source.changes.update {
            triggers.extend(self.triggers_of_updates());
        }
        triggers.extend(self.triggers_of_deletes());
        if self.is_replacing() && self.source.changes.delete {
            triggers.extend(self.triggers_of_displacing_updates());
        }
        triggers
    }

    fn triggers_of_inserts(&self) -> Vec<Trigger> {
        if !self.is_replacing() {
            let is_watched = self.source.changes.insert;
            let trigger =
                || self.trigger("insert", "AFTER INSERT", None, &[self.wait(&self.event(INSERTED))]);
            return is_watched.then(trigger).into_iter().collect();
        }
        let after =
            [self.wait_displaced(), self.wait_replaced(), self.wait_inserted(), self.forget_written()];
        vec![
            self.trigger("before_insert", "BEFORE INSERT", Some(&self.is_replacing_any()), &self.note_all()),
            self.trigger("insert", "AFTER INSERT", None, &after),
        ]
    }

    /// A changed primary key is the end of one row, and another one.
    fn triggers_of_updates(&self) -> Vec<Trigger> {
        let wait = |rows| self.wait(&self.event(rows));
        if self.table.key.is_empty() {
            return vec![self.trigger("update", "AFTER UPDATE", None, &[wait(UPDATED)])];
        }
        let same = self.table.same_key("OLD", "NEW");
        let other = format!("NOT ({same})");
        vec![
            self.trigger("update", "AFTER UPDATE", Some(&same), &[wait(UPDATED)]),
            self.trigger("rekey", "AFTER UPDATE", Some(&other), &[wait(DELETED), wait(INSERTED)]),
        ]
    }

    fn triggers_of_deletes(&self) -> Vec<Trigger> {
        let mut body = Vec::new();
        if self.is_replacing() {
            body.push(self.forget_deleted());
        }
        if self.source.changes.delete {
            body.push(self.wait(&self.event(DELETED)));
        }
        if body.is_empty() { Vec::new() } else { vec![self.trigger("delete", "AFTER DELETE", None, &body)] }
    }

    fn triggers_of_displacing_updates(&self) -> [Trigger; 2] {
        let after = [self.wait_displaced(), self.forget_displaced()];
        [
            self.trigger(
                "before_update",
                "BEFORE UPDATE",
                Some(&self.is_displacing_any()),
                &self.note_displaced(),
            ),
            self.trigger("replace", "AFTER UPDATE", Some(&self.has_noted()), &after),
        ]
    }

    fn trigger(&self, what: &str, moment: &str, when: Option<&str>, body: &[String]) -> Trigger {
        let name = format!("{}{what}", Self::prefix(self.id));
        let (table, body) = (quoted(&self.table.name), body.concat());
        let when = when.map(|when| format!("\nWHEN {when}")).unwrap_or_default();
        let sql = format!("CREATE TRIGGER {name} {moment} ON {table} FOR EACH ROW{when}\nBEGIN{body}\nEND");
        Trigger { name, sql }
    }
}
