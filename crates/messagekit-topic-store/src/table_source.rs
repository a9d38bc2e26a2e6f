//! Changes of a user's table as events of a topic.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;

use messagekit::log::{Changes, KnownSource, OnSourceFailure, RowPayload};
use messagekit::{Error, ErrorKind};

use super::TopicStore;

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

    /// Returns whether a source that the database keeps has the same rules.
    pub fn has_rules_of(&self, known: &KnownSource) -> bool {
        let text = |expression: &Option<RowExpression>| expression.as_ref().map(|given| given.text.clone());
        (self.changes, self.payload, self.on_failure, self.replicated)
            == (known.changes, known.payload, known.on_failure, known.replicated)
            && (text(&self.filter), text(&self.key)) == (known.filter.clone(), known.key.clone())
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
    /// [`ErrorKind::NotFound`](messagekit::ErrorKind::NotFound) for a table that is not there. [`ErrorKind::WrongState`](messagekit::ErrorKind::WrongState)
    /// for a source with other rules. [`ErrorKind::InvalidConfiguration`](messagekit::ErrorKind::InvalidConfiguration) for an expression that the
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
