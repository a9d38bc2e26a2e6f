//! An event of a table source, as SQL.

use messagekit::log::RowPayload;

use super::route::Route;
use super::row_json::{literal, of, quoted};

/// The most bytes of a row as JSON, with its key as an envelope may write it: what an event may have, without its envelope.
const MAX_ROW_BYTES: u32 = 880_000;
/// The most bytes of a key.
const MAX_KEY_BYTES: u32 = 90_000;

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Inserted,
    Updated,
    Deleted,
}

/// The rows of an event, by the names that stand for them in a trigger. A row of the table itself is called [`GONE`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows {
    fate: Fate,
    new: Option<&'static str>,
    old: Option<&'static str>,
}

impl Rows {
    /// Returns whether a row gives way to one with its primary key.
    pub(super) fn is_replaced(self) -> bool {
        self.new.is_some() && self.old == Some(GONE)
    }
}

/// The name of a row of the table that a write deletes without a trigger.
pub(super) const GONE: &str = "gone";
/// The name of the row that an insert writes, with the values that `REPLACE` gives to columns that may not be NULL.
pub(super) const COMING: &str = "coming";

/// The name of the row that was written, as it is by now.
const CURRENT: &str = "current";

pub(super) const INSERTED: Rows = Rows { fate: Fate::Inserted, new: Some("NEW"), old: None };
pub(super) const UPDATED: Rows = Rows { fate: Fate::Updated, new: Some("NEW"), old: Some("OLD") };
/// A row after an update, whose foreign keys to rows of its own table may have changed since.
pub(super) const UPDATED_BY_NOW: Rows = Rows { fate: Fate::Updated, new: Some(CURRENT), old: Some("OLD") };
pub(super) const INSERTED_BY_NOW: Rows = Rows { fate: Fate::Inserted, new: Some(CURRENT), old: None };
pub(super) const DELETED: Rows = Rows { fate: Fate::Deleted, new: None, old: Some("OLD") };
/// A row gives way to one with its primary key.
pub(super) const REPLACED: Rows = Rows { fate: Fate::Updated, new: Some(COMING), old: Some(GONE) };
/// A row gives way to another one.
pub(super) const DISPLACED: Rows = Rows { fate: Fate::Deleted, new: None, old: Some(GONE) };

/// The parts of a query of an event.
pub(super) struct Event {
    pub(super) kind: String,
    pub(super) key: String,
    pub(super) row: String,
    pub(super) changes: String,
    /// The rows that the expressions name.
    pub(super) from: Vec<String>,
}

impl Route<'_> {
    pub(super) fn event(&self, rows: Rows) -> Event {
        let (table, payload) = (self.table, self.source.payload);
        let this = rows.new.or(rows.old).unwrap_or("NEW");
        let is_update = rows.fate == Fate::Updated;
        let row = match payload {
            RowPayload::Full => table.whole(this),
            RowPayload::Diff if !is_update => table.whole(this),
            RowPayload::Key | RowPayload::Diff => table.key_object(this),
        };
        let changes = match (payload, rows.old, rows.new) {
            (RowPayload::Diff, Some(old), Some(new)) => table.changes(old, new),
            _ => "NULL".to_owned(),
        };
        let key = match &self.source.key {
            Some(key) => format!("CAST(({}) AS TEXT)", key.expression),
            None => table.key_text(this),
        };
        let ending = match rows.fate {
            Fate::Inserted => "inserted",
            Fate::Updated => "updated",
            Fate::Deleted => "deleted",
        };
        let kind = literal(&format!("{}.{ending}", self.source.event_type(&table.name)));
        Event { kind, key, row, changes, from: self.named_rows(rows) }
    }

    /// Relations that no expression names cost nothing, and are left out.
    fn named_rows(&self, rows: Rows) -> Vec<String> {
        let this = rows.new.or(rows.old);
        let all = [("new_row", rows.new), ("old_row", rows.old), ("this_row", this)];
        let named = all.into_iter().filter(|(name, _)| self.names(name));
        let current = (rows.new == Some(CURRENT)).then(|| {
            let (table, same) = (quoted(&self.table.name), self.table.same_row(CURRENT, "NEW"));
            format!("(SELECT 1) CROSS JOIN {table} {CURRENT} ON {same}")
        });
        let named = named.map(|(name, row)| match row {
            Some(row @ (GONE | CURRENT)) => {
                format!("{} {name} ON {}", quoted(&self.table.name), self.table.same_row(name, row))
            }
            Some(COMING) => self.coming(name),
            Some(row) => self.one_row(name, |column| of(row, column)),
            None => self.one_row(name, |_| "NULL".to_owned()),
        });
        current.into_iter().chain(named).collect()
    }

    pub(super) fn coming(&self, name: &str) -> String {
        format!("{} {name}", self.table.written_row("NEW"))
    }

    /// Leaves an event waiting, if the filter lets it pass.
    pub(super) fn wait(&self, event: &Event) -> String {
        self.wait_if(event, "1")
    }

    pub(super) fn wait_if(&self, event: &Event, condition: &str) -> String {
        let Event { kind, key, row, changes, from } = event;
        let from = match from.join(" CROSS JOIN ") {
            from if from.is_empty() => from,
            from => format!(" FROM {from}"),
        };
        // With a limit it is evaluated once, and not wherever its columns are named.
        self.wait_from(&format!(
            "
    SELECT {kind} AS event_type, {key} AS key, {row} AS row, {changes} AS changes{from}
    WHERE ({}) AND {condition} LIMIT -1",
            self.filter()
        ))
    }

    /// Leaves the events of a query waiting. One that is too large fails the write: it could never be appended. An update that changes
    /// nothing is none.
    pub(super) fn wait_from(&self, query: &str) -> String {
        let (topic, table) = (&self.source.topic, &self.table.name);
        let too_large = literal(&format!(
            "messagekit: event of table {table} for topic {topic} is larger than {MAX_ROW_BYTES} bytes, or its key than \
             {MAX_KEY_BYTES}: keep the large part elsewhere, or let the events hold the key only"
        ));
        let (row, changes, key) = (utf8_bytes("e.row"), utf8_bytes("e.changes"), utf8_bytes("e.key"));
        format!(
            "
  INSERT INTO messagekit_waiting_changes (topic, event_type, source_table, key, row, changes, actor, changed_at)
  SELECT {}, e.event_type, {}, e.key,
    CASE WHEN {row} + {changes} + 6 * {key} > {MAX_ROW_BYTES} OR {key} > {MAX_KEY_BYTES}
      THEN RAISE(ABORT, {too_large}) ELSE e.row END,
    e.changes, (SELECT name FROM messagekit_actor), julianday('now')
  FROM ({query}) e
  WHERE e.changes IS NOT '{{}}';",
            literal(topic),
            literal(table),
        )
    }
}

/// Counts the bytes of a text in UTF-8. A file may keep its texts in UTF-16, and a cast gives the bytes that it keeps; the padding of
/// `printf` is counted in UTF-8 in every file.
fn utf8_bytes(value: &str) -> String {
    let text = format!("coalesce({value}, '')");
    format!(
        "CASE WHEN length(CAST('a' AS BLOB)) = 1 THEN length(CAST({text} AS BLOB)) \
         ELSE 5 * length({text}) - length(printf('%-*s', 4 * length({text}), {text})) END"
    )
}
