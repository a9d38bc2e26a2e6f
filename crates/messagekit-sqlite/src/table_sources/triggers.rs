//! Compiles a table source to triggers.
//!
//! They fire for each row, because SQLite has no others, and do as little as they can: they leave a *waiting change*, which the engine
//! appends to its topic. They use only what every program's SQLite has.
//!
//! A row that `REPLACE` or `UPDATE OR REPLACE` deletes fires no trigger of its own. So a trigger before the write notes which rows are in
//! its way, and one after it makes their events ([`replaced`](super::replaced)).

use messagekit::log::TableSource;

use super::event::{DELETED, INSERTED, UPDATED};
use super::row_json::quoted;
use super::table::Table;

/// A source of a table, with its number in the file.
#[derive(Debug)]
pub(crate) struct Route<'a> {
    pub(crate) id: i64,
    pub(crate) source: &'a TableSource,
    pub(crate) table: &'a Table,
}

/// A trigger to be made.
#[derive(Debug)]
pub(crate) struct Trigger {
    pub(crate) name: String,
    pub(crate) sql: String,
}

impl Route<'_> {
    /// Returns a query over no row that shows what is wrong with an expression.
    pub(crate) fn trial(&self) -> String {
        let filter = self.filter();
        let key = self.source.key.as_ref().map_or("NULL", |key| key.expression.as_str());
        let table = quoted(&self.table.name);
        format!("SELECT ({filter}), ({key}) FROM {table} new_row, {table} old_row, {table} this_row WHERE 0")
    }

    /// Returns the triggers that make the events.
    pub(crate) fn triggers(&self) -> Vec<Trigger> {
        let mut triggers = self.triggers_of_inserts();
        if self.source.changes.update {
            triggers.extend(self.triggers_of_updates());
        }
        if self.source.changes.delete {
            triggers.extend(self.triggers_of_deletes());
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
        let before =
            self.trigger("before_insert", "BEFORE INSERT", Some(&self.is_replacing_any()), &self.note_all());
        let after =
            self.trigger("insert", "AFTER INSERT", None, &[self.wait_replaced(), self.wait_inserted()]);
        vec![before, after]
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
        let deleted = self.wait(&self.event(DELETED));
        if !self.is_replacing() {
            return vec![self.trigger("delete", "AFTER DELETE", None, &[deleted])];
        }
        vec![
            self.trigger("delete", "AFTER DELETE", None, &[self.forget_deleted(), deleted]),
            self.trigger(
                "before_update",
                "BEFORE UPDATE",
                Some(&self.is_displacing_any()),
                &self.note_displaced(),
            ),
            self.trigger(
                "replace",
                "AFTER UPDATE",
                Some(&self.has_noted()),
                &[self.wait_replaced(), self.forget()],
            ),
        ]
    }

    fn trigger(&self, what: &str, moment: &str, when: Option<&str>, body: &[String]) -> Trigger {
        let name = format!("{}{what}", Self::prefix(self.id));
        let (table, body) = (quoted(&self.table.name), body.concat());
        let when = when.map(|when| format!("\nWHEN {when}")).unwrap_or_default();
        let sql = format!("CREATE TRIGGER {name} {moment} ON {table} FOR EACH ROW{when}\nBEGIN{body}\nEND");
        Trigger { name, sql }
    }

    /// Returns the beginning of the names of a source's triggers.
    pub(crate) fn prefix(id: i64) -> String {
        format!("messagekit_source_{id}_")
    }

    pub(super) fn filter(&self) -> &str {
        self.source.filter.as_ref().map_or("1", |filter| filter.expression.as_str())
    }
}
