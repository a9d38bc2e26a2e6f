//! Measures whether events leave the outbox.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::Error;
use crate::log::{KnownSource, SourceFault};
use crate::relay::RejectedEvents;
use crate::store::BoxFuture;

/// Reports the events that wait to be published, as far as the database can tell. Each count is at most
/// [`COUNT_LIMIT`](crate::operations::COUNT_LIMIT), which means at least as many: what it costs does not grow with what is kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OutboxLag {
    /// Number of events that are not proven to be published.
    pub pending: u64,
    /// Number of pending events older than ten seconds, among those that were read where the count stopped.
    pub overdue: u64,
    /// Age of the oldest pending event, or of the oldest that was read where the count stopped.
    pub oldest: Option<Duration>,
    /// Bytes of the database's log that the replication slot has not confirmed, of all tables; `None` without a slot, and on a
    /// standby.
    pub slot_bytes: Option<u64>,
    /// Human-readable problems that prevent publishing: the slot is inactive, lost or missing. Names each unread part, too. Empty
    /// if there are none.
    pub problems: Vec<String>,
    /// The parts that did not answer in time, or failed. What they would say is unknown, and the rest holds.
    pub unread: Vec<UnreadPart>,
}

impl OutboxLag {
    /// Returns whether a part answered.
    ///
    /// ```
    /// use messagekit::operations::{LagPart, OutboxLag, UnreadPart};
    ///
    /// let mut lag = OutboxLag { problems: vec!["the slot is lost".to_owned()], ..OutboxLag::default() };
    /// lag.add_unread(LagPart::Pending, "canceling statement due to statement timeout".to_owned());
    /// assert!(!lag.is_known(LagPart::Pending) && lag.is_known(LagPart::Relays));
    /// assert_eq!(lag.problems[1], "pending events could not be read: see what holds locks, and how busy the database is");
    /// ```
    pub fn is_known(&self, part: LagPart) -> bool {
        self.unread.iter().all(|unread| unread.part != part)
    }

    /// Adds a part that did not answer, and names it among the problems. The reason is for a log: it may tell more than a
    /// stranger should read.
    pub fn add_unread(&mut self, part: LagPart, reason: String) {
        self.problems
            .push(format!("{part} could not be read: see what holds locks, and how busy the database is"));
        self.unread.push(UnreadPart { part, reason });
    }
}

/// Returns the problem of events that the broker has rejected, and of the events behind them.
pub fn rejected_problem(rejected: impl fmt::Display, behind: impl fmt::Display) -> String {
    format!(
        "the broker has rejected {rejected} events, and {behind} wait behind them: look at `messagekit outbox rejected list`"
    )
}

/// Returns the problems of table sources whose changes become no events.
pub fn source_problems(sources: &[KnownSource]) -> impl Iterator<Item = String> {
    let problems = sources.iter().filter_map(KnownSource::problem);
    problems.map(|problem| format!("{problem}: `messagekit doctor` prints the repair"))
}

/// A part of a measurement that did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadPart {
    /// The part.
    pub part: LagPart,
    /// The error with its causes.
    pub reason: String,
}

/// A part of a measurement, which may be slow or fail alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LagPart {
    /// The number and the age of pending events.
    Pending,
    /// Relays, and the events that the broker has refused.
    Relays,
    /// The state of table sources.
    TableSources,
    /// The rows of table sources that could not become events.
    FailedRows,
    /// The delayed and the rejected events and the replays of an [`OutboxStatus`](crate::operations::OutboxStatus).
    Others,
}

impl fmt::Display for LagPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pending => "pending events",
            Self::Relays => "relays and refused events",
            Self::TableSources => "table sources",
            Self::FailedRows => "failed rows of table sources",
            Self::Others => "delayed, rejected and replayed events",
        })
    }
}

/// A table source, as an operator watches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceState {
    /// Its topic.
    pub topic: String,
    /// Its table, with its schema.
    pub table: String,
    /// What is wrong with it, if anything.
    pub fault: Option<SourceFault>,
}

impl From<KnownSource> for SourceState {
    fn from(source: KnownSource) -> Self {
        let KnownSource { topic, table, fault, .. } = source;
        Self { topic, table, fault }
    }
}

/// Measures the lag of an outbox.
pub trait OutboxHealth: Send + Sync {
    /// Checks that the database responds.
    ///
    /// # Errors
    /// Transient if the database does not respond; a retry is useful. [`ErrorKind::Schema`](crate::ErrorKind::Schema) if
    /// its tables are older than this program.
    fn ping(&self) -> BoxFuture<'_, Result<(), Error>>;

    /// Measures the pending events. With log-based change capture, the [checkpoints](Self::checkpoint) translate the
    /// confirmed position into a time. A part that is slow or fails is named, and costs none of the others.
    ///
    /// # Errors
    /// Transient if the database does not respond; a retry is useful.
    fn lag(&self) -> BoxFuture<'_, Result<OutboxLag, Error>>;

    /// Records the time and position of the database's log, unless another call did so within `every`. Programs that
    /// serve health or metrics call it regularly. A database without a log records nothing.
    ///
    /// # Errors
    /// Transient if the database does not respond; a retry is useful.
    fn checkpoint(&self, every: Duration) -> BoxFuture<'_, Result<(), Error>>;

    /// Returns the table sources of the database, sorted by topic and table. The default has none.
    ///
    /// # Errors
    /// Transient if the database does not respond; a retry is useful.
    fn source_states(&self) -> BoxFuture<'_, Result<Vec<SourceState>, Error>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    /// Returns the rejected events of the relay. The default is `None`: no relay can publish this outbox.
    fn rejected_events(&self) -> Option<&dyn RejectedEvents> {
        None
    }
}

impl<T: OutboxHealth + ?Sized> OutboxHealth for Arc<T> {
    fn ping(&self) -> BoxFuture<'_, Result<(), Error>> {
        (**self).ping()
    }

    fn lag(&self) -> BoxFuture<'_, Result<OutboxLag, Error>> {
        (**self).lag()
    }

    fn checkpoint(&self, every: Duration) -> BoxFuture<'_, Result<(), Error>> {
        (**self).checkpoint(every)
    }

    fn source_states(&self) -> BoxFuture<'_, Result<Vec<SourceState>, Error>> {
        (**self).source_states()
    }

    fn rejected_events(&self) -> Option<&dyn RejectedEvents> {
        (**self).rejected_events()
    }
}
