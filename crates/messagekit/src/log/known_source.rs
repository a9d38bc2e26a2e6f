//! Table sources as a database keeps them.

use std::fmt;
use std::ops::BitOr;

use serde::Serialize;

/// What a statement does to a row. `Change::Insert | Change::Update` names several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// A row comes.
    Insert,
    /// A row is changed.
    Update,
    /// A row goes.
    Delete,
}

/// A set of changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Rows that come.
    pub insert: bool,
    /// Rows that are changed. An update of the primary key is two events: the old key goes, and the new one comes.
    pub update: bool,
    /// Rows that go. A table that is emptied at once is one event without a row.
    pub delete: bool,
}

impl Changes {
    /// Every change.
    pub const ALL: Self = Self { insert: true, update: true, delete: true };

    /// Returns the words for its changes, as SQL and the command line have them.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let all = [(self.insert, "insert"), (self.update, "update"), (self.delete, "delete")];
        all.into_iter().filter(|(is_in, _)| *is_in).map(|(_, name)| name)
    }
}

impl From<Change> for Changes {
    fn from(change: Change) -> Self {
        Self {
            insert: change == Change::Insert,
            update: change == Change::Update,
            delete: change == Change::Delete,
        }
    }
}

impl BitOr<Changes> for Changes {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self {
            insert: self.insert || other.insert,
            update: self.update || other.update,
            delete: self.delete || other.delete,
        }
    }
}

impl BitOr<Change> for Changes {
    type Output = Self;

    fn bitor(self, other: Change) -> Self {
        self | Self::from(other)
    }
}

impl BitOr for Change {
    type Output = Changes;

    fn bitor(self, other: Self) -> Changes {
        Changes::from(self) | other
    }
}

/// What an event holds of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RowPayload {
    /// The columns of the primary key, under `row`.
    Key,
    /// All columns, under `row`: the new ones, or those of a row that goes.
    #[default]
    Full,
    /// Of an update the columns that differ, under `changes`, each with `before` and `after`, and the primary key under `row`; an update
    /// that changes nothing is no event. Otherwise all columns.
    Diff,
}

crate::__words! {
    RowPayload {
        Key: "key",
        Full: "full",
        Diff: "diff",
    }
}

/// What becomes of a write whose event cannot be written: an expression fails on the row, or the event is larger than a message may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnSourceFailure {
    /// The write fails. No row changes without its event.
    #[default]
    Fail,
    /// The row becomes a failed message of the source, and the write goes on, with the events of its other rows.
    SetAside,
}

crate::__words! {
    OnSourceFailure {
        Fail: "fail",
        SetAside: "set-aside",
    }
}

/// What is wrong with a table source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceFault {
    /// The table is gone.
    TableMissing,
    /// The table has another name or schema. Its triggers go on: its changes are events under the old name.
    TableRenamed,
    /// A trigger is gone, or was disabled.
    TriggerMissing,
    /// The primary key of the table is another one.
    KeyChanged,
    /// A trigger is not the one that was made for its rules: it was changed by hand, or the columns of the table are others.
    TriggerChanged,
}

impl fmt::Display for SourceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::TableMissing => "the table is gone",
            Self::TableRenamed => "the table has another name",
            Self::TriggerMissing => "a trigger is gone or disabled",
            Self::KeyChanged => "the primary key is another one",
            Self::TriggerChanged => "a trigger is not the one of its rules",
        })
    }
}

/// A table source as the database keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KnownSource {
    /// Its topic.
    pub topic: String,
    /// Its table, with its schema.
    pub table: String,
    /// Which changes.
    pub changes: Changes,
    /// The filter as it was given.
    pub filter: Option<String>,
    /// What an event holds.
    pub payload: RowPayload,
    /// The key as it was given.
    pub key: Option<String>,
    /// What becomes of a write whose event cannot be written.
    pub on_failure: OnSourceFailure,
    /// Rows that replication applies to the table are events, too.
    pub replicated: bool,
    /// What is wrong with it, if anything.
    pub fault: Option<SourceFault>,
    /// The name that its table has now, if it has another one.
    pub renamed_to: Option<String>,
}

impl KnownSource {
    /// Returns the commands of `messagekit` that repair it, in their order, without the name of the program; none if it is not faulty. It is
    /// added again as it was, or, without its table, dropped. If its table has another name, it is added under that name before.
    pub fn repairs(&self) -> Vec<Vec<&str>> {
        let drop = vec!["topics", "source", "drop", &self.topic, &self.table];
        match (self.fault, &self.renamed_to) {
            (None, _) => Vec::new(),
            (Some(SourceFault::TableRenamed), Some(name)) => vec![self.added(name), drop],
            (Some(SourceFault::TableMissing | SourceFault::TableRenamed), _) => vec![drop],
            (Some(_), _) => {
                let mut again = self.added(&self.table);
                again.insert(5, "--replace");
                vec![again]
            }
        }
    }

    /// Returns the words that add it for a table of this name.
    fn added<'a>(&'a self, table: &'a str) -> Vec<&'a str> {
        let mut words = vec!["topics", "source", "add", &*self.topic, table];
        if self.changes != Changes::ALL {
            words.extend(self.changes.names().flat_map(|name| ["--on", name]));
        }
        if self.payload != RowPayload::default() {
            words.extend(["--payload", self.payload.as_str()]);
        }
        if self.on_failure != OnSourceFailure::default() {
            words.extend(["--on-failure", self.on_failure.as_str()]);
        }
        if self.replicated {
            words.push("--replicated");
        }
        for (option, expression) in [("--filter", &self.filter), ("--partition-by", &self.key)] {
            if let Some(expression) = expression {
                words.extend([option, expression]);
            }
        }
        words
    }

    /// Returns what is wrong with it as a sentence for operators, if anything.
    pub fn problem(&self) -> Option<String> {
        let fault = self.shown_fault()?;
        Some(format!("table source {} of topic {}: {fault}", self.table, self.topic))
    }

    /// Returns what is wrong with it, with the name that its table has now, if anything.
    pub fn shown_fault(&self) -> Option<String> {
        let fault = self.fault?;
        Some(match &self.renamed_to {
            Some(name) => format!("{fault}, {name}: add that one, then drop this one"),
            None => fault.to_string(),
        })
    }
}
