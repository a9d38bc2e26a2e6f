//! Changes of a user's table as events of a topic.

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::ops::BitOr;
use std::sync::Arc;

use serde::Serialize;

use super::TopicStore;
use crate::{Error, ErrorKind};

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

impl RowPayload {
    /// Every payload.
    pub const ALL: [Self; 3] = [Self::Key, Self::Full, Self::Diff];

    /// Returns the word that tables and the command line use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Full => "full",
            Self::Diff => "diff",
        }
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

impl OnSourceFailure {
    /// Every choice.
    pub const ALL: [Self; 2] = [Self::Fail, Self::SetAside];

    /// Returns the word that tables and the command line use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::SetAside => "set-aside",
        }
    }
}

/// The SQL of a database, in which expressions over rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SqlDialect {
    /// That of PostgreSQL.
    PostgreSql,
    /// That of SQLite.
    Sqlite,
}

/// An expression over a row, that was parsed: no query, no statement, only operators, functions and columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowExpression {
    /// As it was given.
    pub text: String,
    /// As the database evaluates it: columns stand behind `new_row`, `old_row`, or `this_row`, the new one unless the row goes.
    pub expression: String,
    /// The functions that it calls, in lower case.
    pub functions: BTreeSet<String>,
}

/// A table whose changes become events of a topic, in the transaction that makes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSource {
    /// The topic.
    pub topic: Arc<str>,
    /// The table, as SQL names it.
    pub table: String,
    /// Which changes.
    pub changes: Changes,
    /// Only rows for which this is true.
    pub filter: Option<RowExpression>,
    /// What an event holds.
    pub payload: RowPayload,
    /// The key of an event, or `None` for the primary key of the row.
    pub key: Option<RowExpression>,
    /// What becomes of a write whose event cannot be written.
    pub on_failure: OnSourceFailure,
    /// Rows that replication applies to the table are events, too.
    pub replicated: bool,
}

impl TableSource {
    /// Returns the type of its events without the last part, which says what became of the row: the topic without its last part, and the
    /// plain name of the table.
    pub fn event_type(&self, table: &str) -> String {
        let domain = self.topic.rsplit_once('.').map_or(&*self.topic, |(domain, _)| domain);
        let parts = domain.split('.').chain([table]).map(part_of_type);
        parts.collect::<Vec<_>>().join(".")
    }
}

/// Refusals that name the table and the topic.
impl TableSource {
    /// Creates an error with the table and the topic.
    pub fn refused(&self, kind: ErrorKind, text: &'static str) -> Error {
        Error::new(kind, text).with("table", &self.table).with("topic", &self.topic)
    }

    /// Creates the error for a table that feeds the topic under other rules, and is not to be replaced.
    pub fn has_other_rules(&self) -> Error {
        let text =
            "table is a source of the topic with other rules, or needs repair: replace it, or drop it first";
        self.refused(ErrorKind::WrongState, text)
    }

    /// Creates the error for expressions that fail over the rows of the table.
    pub fn cannot_be_evaluated(&self) -> Error {
        let text = "database cannot evaluate the expressions of the source over rows of the table";
        self.refused(ErrorKind::InvalidConfiguration, text)
    }

    /// Refuses a table without a primary key, unless its events hold whole rows.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] with the table and the topic.
    pub fn check_key(&self, has_primary_key: bool) -> Result<(), Error> {
        if self.payload == RowPayload::Full || has_primary_key {
            return Ok(());
        }
        let text = "table has no primary key: give it one, or let the events hold whole rows";
        Err(self.refused(ErrorKind::InvalidConfiguration, text))
    }
}

/// The text of the error for a view that is to be a source.
pub const VIEW_IS_NO_SOURCE: &str = "a view has no changes of its own: name its table";

/// Returns a name as a part of the type of an event: letters and digits, and a dash for everything else.
fn part_of_type(name: &str) -> String {
    let plain = |character: char| {
        if character.is_ascii_alphanumeric() { character.to_ascii_lowercase() } else { '-' }
    };
    let name: String = name.chars().map(plain).collect();
    match name.trim_matches('-') {
        "" => "table".to_owned(),
        name => name.to_owned(),
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

    /// Returns whether a source has the same rules.
    pub fn has_rules_of(&self, source: &TableSource) -> bool {
        let text = |expression: &Option<RowExpression>| expression.as_ref().map(|given| given.text.clone());
        (self.changes, self.payload, self.on_failure, self.replicated)
            == (source.changes, source.payload, source.on_failure, source.replicated)
            && (&self.filter, &self.key) == (&text(&source.filter), &text(&source.key))
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

/// What became of a source that was to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddedSource {
    /// It was added.
    Added,
    /// It was there with the same rules.
    Same,
    /// It was there with other rules, and has these now.
    Replaced,
}

/// A database that turns changes of its tables into events.
pub trait TableSources: TopicStore {
    /// The SQL of its expressions.
    const DIALECT: SqlDialect;

    /// Adds a source. One with the same rules is left as it is, one with other rules only replaced if that is asked for.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) for a table that is not there. [`ErrorKind::WrongState`](crate::ErrorKind::WrongState)
    /// for a source with other rules. [`ErrorKind::InvalidConfiguration`](crate::ErrorKind::InvalidConfiguration) for an expression that the
    /// database cannot evaluate, and for a table that cannot be a source. A transient error if the table is locked, or the database
    /// does not answer: retry.
    fn add_source(
        &self,
        source: &TableSource,
        replaces: bool,
    ) -> impl Future<Output = Result<AddedSource, Error>> + Send;

    /// Removes the source of a topic that a table is, and returns whether there was one. Its events stay.
    ///
    /// # Errors
    /// A transient error if the table is locked, or the database does not answer: retry.
    fn drop_source(&self, topic: &str, table: &str) -> impl Future<Output = Result<bool, Error>> + Send;

    /// Returns all sources, sorted by topic and table, each with what is wrong with it.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn sources(&self) -> impl Future<Output = Result<Vec<KnownSource>, Error>> + Send;
}
