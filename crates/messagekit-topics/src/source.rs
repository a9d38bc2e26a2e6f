//! Tables whose changes become events.

use std::fmt;
use std::sync::Arc;

use messagekit::adapter::check_topic;
use messagekit::log::{Changes, KnownSource, OnSourceFailure, RowPayload};
use messagekit::{Error as CoreError, ErrorKind};
use messagekit_topic_store::{AddedSource, SqlDialect, TableSource, TableSources};
use sqlparser::dialect::{Dialect, PostgreSqlDialect, SQLiteDialect};

use crate::shared::Shared;
use crate::{Error, Topics, row_expression};

/// The rules of a table source, before it is [added](Self::add).
#[must_use = "a source is added by `add`"]
pub struct SourceBuilder<S> {
    shared: Shared<S>,
    table: String,
    changes: Changes,
    filter: Option<String>,
    payload: RowPayload,
    key: Option<String>,
    on_failure: OnSourceFailure,
    replicated: bool,
    replaces: bool,
}

impl<S: TableSources> Topics<S> {
    /// Names a table of the user, as SQL does, whose changes become events: `topics.source("orders").on(Change::Insert).add("shop.orders")`.
    ///
    /// The events are written by triggers in the transaction of the change, whatever program makes it.
    pub fn source(&self, table: impl Into<String>) -> SourceBuilder<S> {
        SourceBuilder {
            shared: self.shared().clone(),
            table: table.into(),
            changes: Changes::default(),
            filter: None,
            payload: RowPayload::default(),
            key: None,
            on_failure: OnSourceFailure::default(),
            replicated: false,
            replaces: false,
        }
    }

    /// Returns all table sources of the database, each with what is wrong with it.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    pub async fn sources(&self) -> Result<Vec<KnownSource>, Error> {
        Ok(self.store().sources().await?)
    }

    /// Removes a table from the sources of a topic, and returns whether it was one. The events that it has made stay.
    ///
    /// # Errors
    /// A transient error if the table is locked, or the database does not answer: retry.
    pub async fn drop_source(&self, topic: &str, table: &str) -> Result<bool, Error> {
        Ok(self.store().drop_source(topic, table).await?)
    }
}

impl<S: TableSources> SourceBuilder<S> {
    /// Sets which changes become events; without a call, all do.
    pub fn on(mut self, changes: impl Into<Changes>) -> Self {
        self.changes = changes.into();
        self
    }

    /// Sets an expression that the database evaluates for each row; only rows for which it is true become events.
    ///
    /// Columns are written bare, or behind `NEW` and `OLD`: `OLD.status <> 'paid' AND NEW.status = 'paid'`. A bare column is that of the new
    /// row, or of a row that goes. It may call immutable functions of the database, and hold no query.
    pub fn filter(mut self, expression: impl Into<String>) -> Self {
        self.filter = Some(expression.into());
        self
    }

    /// Sets what an event holds of a row; [`RowPayload::Full`] by default.
    pub fn payload(mut self, payload: RowPayload) -> Self {
        self.payload = payload;
        self
    }

    /// Sets an expression whose value is the key of an event; the primary key of the row by default. Events of one key keep their order and
    /// share a partition.
    pub fn partition_by(mut self, expression: impl Into<String>) -> Self {
        self.key = Some(expression.into());
        self
    }

    /// Sets what becomes of a write whose event cannot be written; [`OnSourceFailure::Fail`] by default.
    ///
    /// With [`OnSourceFailure::SetAside`] such a row becomes a failed message of the source, whose consumer is `route:TOPIC:TABLE`. Errors
    /// that end the transaction, like a deadlock or a cancelled statement, fail the write all the same. Only a server can set rows aside.
    pub fn on_failure(mut self, on_failure: OnSourceFailure) -> Self {
        self.on_failure = on_failure;
        self
    }

    /// Makes rows that logical replication applies to the table events, too: the table is a copy of another server's. Without this they are
    /// none, as for triggers of your own, so that a server that will replace another one does not repeat its events. Only PostgreSQL
    /// replicates.
    pub fn replicated(mut self) -> Self {
        self.replicated = true;
        self
    }

    /// Replaces a source of this table and topic that has other rules. Without this it is an error.
    pub fn replace(mut self) -> Self {
        self.replaces = true;
        self
    }

    /// Makes the changes of the table events of a topic, from now on.
    ///
    /// A topic that the database keeps gets them as records. Of any other topic they are events of the outbox, for a broker.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for a table that is not there. [`ErrorKind::WrongState`] for a source with other rules.
    /// [`ErrorKind::InvalidConfiguration`] for an expression that is none over a row or that the database cannot evaluate, and for a table
    /// that cannot be a source. A transient error if the table is locked, or the database does not answer: retry.
    pub async fn add(self, topic: impl Into<Arc<str>>) -> Result<AddedSource, Error> {
        let topic = topic.into();
        check_topic(&topic)?;
        let dialect: &dyn Dialect = match S::DIALECT {
            SqlDialect::PostgreSql => &PostgreSqlDialect {},
            SqlDialect::Sqlite => &SQLiteDialect {},
        };
        let parse = |text: &String| row_expression::parse(dialect, text);
        let source = TableSource {
            topic,
            changes: if self.changes == Changes::default() { Changes::ALL } else { self.changes },
            filter: self.filter.as_ref().map(parse).transpose()?,
            payload: self.payload,
            key: self.key.as_ref().map(parse).transpose()?,
            on_failure: self.on_failure,
            replicated: self.replicated,
            table: self.table,
        };
        if source.table.trim().is_empty() {
            return Err(CoreError::new(ErrorKind::InvalidConfiguration, "table source names no table").into());
        }
        Ok(self.shared.store.add_source(&source, self.replaces).await?)
    }
}

impl<S> fmt::Debug for SourceBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceBuilder")
            .field("table", &self.table)
            .field("changes", &self.changes)
            .field("filter", &self.filter)
            .finish_non_exhaustive()
    }
}
