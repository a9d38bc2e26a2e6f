//! Compiles a table source to triggers.
//!
//! They fire for each row, because SQLite has no others, and do as little as they can: they leave a *waiting change*, which the engine
//! appends to its topic. They use only what every program's SQLite has.
//!
//! A row that `REPLACE` or `UPDATE OR REPLACE` deletes fires no trigger of its own. So a trigger before the write notes which rows are in
//! its way, and one after it makes their events ([`replaced`](super::replaced)).

use super::event::{DELETED, INSERTED, INSERTED_BY_NOW, UPDATED, UPDATED_BY_NOW};
use super::route::Route;
use super::row_json::quoted;

/// The number of the form of the triggers. A program makes those of an earlier form anew, and leaves those of a later one alone.
pub(crate) const FORM: u32 = 3;

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
        triggers.extend(self.triggers_of_updates());
        triggers.extend(self.triggers_of_deletes());
        triggers
    }

    fn triggers_of_inserts(&self) -> Vec<Trigger> {
        let changes = self.source.changes;
        if !self.is_replacing() {
            let trigger =
                || self.trigger("insert", "AFTER INSERT", None, &[self.wait(&self.event(INSERTED))]);
            return changes.insert.then(trigger).into_iter().collect();
        }
        let is_under = self.is_under_inserted();
        let mut after = Vec::new();
        if changes.delete {
            after.push(self.wait_displaced(&is_under, true));
        }
        if changes.update {
            after.push(self.wait_replaced());
        }
        if changes.insert {
            after.push(self.wait_inserted());
        }
        after.extend([self.forget_gone(&is_under), self.note_last()]);
        let has_noted = self.has_noted();
        // An insert that meets no note pays for the look alone. SQLite fires the newest trigger first, and promises no order.
        let plain = || {
            let body = [self.wait(&self.event(INSERTED))];
            self.trigger("insert", "AFTER INSERT", Some(&format!("NOT {has_noted}")), &body)
        };
        let replacing = [
            self.trigger("before_insert", "BEFORE INSERT", Some(&self.is_replacing_any()), &self.note_all()),
            self.trigger("insert_noted", "AFTER INSERT", Some(&has_noted), &after),
        ];
        replacing.into_iter().chain(changes.insert.then(plain)).collect()
    }

    /// A changed primary key is the end of one row, and another one. The row that had it before goes first.
    fn triggers_of_updates(&self) -> Vec<Trigger> {
        let mut triggers = Vec::new();
        let mut make = |what, moment, when: Option<&str>, body: &[String]| {
            triggers.push(self.trigger(what, moment, when, body));
        };
        let (changes, wait) = (self.source.changes, |rows| self.wait(&self.event(rows)));
        let settled = if self.is_replacing() { self.settle_update() } else { Vec::new() };
        if self.is_replacing() && changes.delete {
            make("before_update", "BEFORE UPDATE", Some(&self.is_displacing_any()), &self.note_displaced());
        }
        let same = (!self.table.key.is_empty()).then(|| self.table.same_key("OLD", "NEW"));
        let (updated, inserted) =
            if self.table.is_own_parent { (UPDATED_BY_NOW, INSERTED_BY_NOW) } else { (UPDATED, INSERTED) };
        if changes.update {
            make("update", "AFTER UPDATE", same.as_deref(), &[wait(updated)]);
        }
        let same = same.filter(|_| changes.update);
        if let Some(same) = &same {
            let body = [settled.as_slice(), &[wait(DELETED), wait(inserted)]].concat();
            make("rekey", "AFTER UPDATE", Some(&format!("NOT ({same})")), &body);
        }
        if self.is_replacing() {
            let unless_rekeyed = same.map(|same| format!(" AND ({same})")).unwrap_or_default();
            let when = format!("{}{unless_rekeyed}", self.has_noted());
            make("replace", "AFTER UPDATE", Some(&when), &settled);
        }
        triggers
    }

    /// What was noted before an update, and what it means for the notes of other writes.
    fn settle_update(&self) -> Vec<String> {
        let is_under = self.is_under_updated();
        let displaced = self.source.changes.delete.then(|| self.wait_displaced(&is_under, false));
        displaced.into_iter().chain([self.forget_gone(&is_under), self.follow_updated()]).collect()
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

    fn trigger(&self, what: &str, moment: &str, when: Option<&str>, body: &[String]) -> Trigger {
        let name = format!("{}{what}", Self::prefix(self.id));
        let (table, body) = (quoted(&self.table.name), body.concat());
        let when = when.map(|when| format!("\nWHEN {when}")).unwrap_or_default();
        let sql = format!("CREATE TRIGGER {name} {moment} ON {table} FOR EACH ROW{when}\nBEGIN{body}\nEND");
        Trigger { name, sql }
    }
}
