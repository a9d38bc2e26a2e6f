//! Publishing kept events again.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use crate::failed_messages::Operator;
use crate::store::BoxFuture;
use crate::{Error, ErrorKind, Message, MessageId};

/// Which events of the outbox are meant; an empty one means all that are kept. Times are those of the database's clock when
/// the row was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only those of this type.
    pub event_type: Option<String>,
    /// Only those of this topic.
    pub topic: Option<String>,
    /// Only those with exactly this key.
    pub key: Option<String>,
    /// Only those written at or after this time.
    pub from: Option<Timestamp>,
    /// Only those written at or before this time.
    pub to: Option<Timestamp>,
}

/// An event as the outbox keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredEvent {
    /// Its id.
    pub event_id: MessageId,
    /// How many times it was published again.
    pub copies: u32,
    /// When its row was written, by the database's clock.
    pub created_at: Timestamp,
    /// The message as it goes out.
    pub message: Message,
}

/// What a list shows of an event: everything but its payload and the other headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventHead {
    /// Its id.
    pub event_id: MessageId,
    /// Its type.
    pub event_type: Option<String>,
    /// The topic it goes to.
    pub topic: Arc<str>,
    /// Its key.
    pub key: Option<Bytes>,
    /// How many times it was published again.
    pub copies: u32,
    /// When its row was written, by the database's clock.
    pub created_at: Timestamp,
    /// The length of its payload.
    pub payload_bytes: u64,
}

impl EventHead {
    /// Returns where a page ends whose last event this is.
    pub fn cursor(&self) -> EventCursor {
        EventCursor { created_at: self.created_at, event_id: self.event_id.clone() }
    }
}

/// Where a page of events ended; the next page begins behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventCursor {
    /// When the last event was written.
    pub created_at: Timestamp,
    /// Its id.
    pub event_id: MessageId,
}

/// What a replay would publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayCount {
    /// How many events.
    pub events: u64,
    /// For each consumer with markers in this database: how many of them it has finished, and would pass over under the same
    /// ids.
    pub skipped_by: Vec<(String, u64)>,
    /// For each consumer that has noted a window in this database: how many of them are older than that, or than its markers
    /// are complete, and would be set aside under the same ids.
    pub too_old_for: Vec<(String, u64)>,
}

/// Under which ids events go out again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ReplayIds {
    /// Their own: whoever has handled one passes over it.
    #[default]
    Same,
    /// New ones, with the original's in the free header `replayOf`: every consumer handles them again.
    New,
}

impl ReplayIds {
    /// Returns the word that tables, the API and the command line use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::New => "new",
        }
    }
}

/// What a person orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayOrder {
    /// Which events.
    pub filter: EventFilter,
    /// Under which ids.
    pub ids: ReplayIds,
    /// At most this many per second; `None` for as fast as the database takes them.
    pub per_second: Option<u32>,
    /// How many events the person has confirmed: with any other number nothing is ordered. `None` for as many as there are.
    /// Not kept: replays that are read back have none.
    pub count: Option<u64>,
}

/// Where a replay stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReplayState {
    /// Its events go out, or will when a worker runs.
    Running,
    /// Every event went out.
    Done,
    /// A person stopped it; what went out before stays.
    Cancelled,
    /// It cannot go on; `error` says why.
    Failed,
}

impl ReplayState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Running, Self::Done, Self::Cancelled, Self::Failed];

    /// Returns the word that tables, the API and the command line use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}

/// A replay as its row tells.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplayJob {
    /// Its number.
    pub id: i64,
    /// What was ordered.
    pub order: ReplayOrder,
    /// Where it stands.
    pub state: ReplayState,
    /// How many events were chosen when it was ordered: what is written later is not part of it.
    pub events: u64,
    /// How many of them went out.
    pub published: u64,
    /// Who ordered it.
    pub ordered_by: String,
    /// When it was ordered.
    pub ordered_at: Timestamp,
    /// When it last moved.
    pub changed_at: Timestamp,
    /// Why it failed.
    pub error: Option<String>,
}

/// The right to work on a replay until the lease ends; a step by an earlier holder does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayLease {
    /// The job.
    pub job: i64,
    /// Fences every earlier holder.
    pub epoch: i64,
}

/// The error of every outbox for a number that no replay has.
pub fn no_replay(id: i64) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no replay {id}"))
}

/// The error of every outbox for a range that begins before the oldest event it keeps.
pub fn out_of_range(oldest: Timestamp) -> Error {
    let text = "the range begins before the oldest event that is kept: begin it there";
    Error::new(ErrorKind::OutOfRange, text).with("oldest", oldest)
}

/// The error of every outbox for an order whose events are not as many as were confirmed.
pub fn other_count(events: u64) -> Error {
    Error::new(ErrorKind::WrongState, "the events are not as many as were confirmed: count again")
        .with("count", events)
}

/// Makes the message that an event goes out as under a new id.
pub type Republication<'a> = &'a (dyn Fn(&StoredEvent) -> Result<(MessageId, Message), Error> + Send + Sync);

/// Looking at kept events and publishing them again.
///
/// An order chooses its events at once and writes their list down. Each step copies some of them into the outbox and takes
/// them from the list in one transaction, so that a process that dies repeats nothing and the progress is in the database.
pub trait Replays: Send + Sync {
    /// Returns at most `limit` events, oldest first, behind `after`. Copies are not listed, and no payload is read.
    ///
    /// # Errors
    /// Transient if the database does not answer.
    fn events<'a>(
        &'a self,
        filter: &'a EventFilter,
        after: Option<&'a EventCursor>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<EventHead>, Error>>;

    /// Counts what a replay would publish, and changes nothing.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`](crate::ErrorKind::OutOfRange) with the time of the oldest event that is kept when the range
    /// begins before it. Transient if the database does not answer.
    fn replay_count<'a>(&'a self, filter: &'a EventFilter) -> BoxFuture<'a, Result<ReplayCount, Error>>;

    /// Orders a replay, with a row of the audit.
    ///
    /// # Errors
    /// As [`replay_count`](Self::replay_count). [`ErrorKind::WrongState`](crate::ErrorKind::WrongState) with the number of
    /// events in `count` when another one was confirmed; nothing is written then.
    fn order_replay<'a>(
        &'a self,
        order: &'a ReplayOrder,
        by: &'a Operator,
    ) -> BoxFuture<'a, Result<ReplayJob, Error>>;

    /// Returns one replay.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when there is none of this number.
    fn replay(&self, id: i64) -> BoxFuture<'_, Result<ReplayJob, Error>>;

    /// Returns at most `limit` replays, newest first, with numbers below `before`.
    ///
    /// # Errors
    /// Transient if the database does not answer.
    fn replays(&self, before: Option<i64>, limit: u32) -> BoxFuture<'_, Result<Vec<ReplayJob>, Error>>;

    /// Stops a running replay, with a row of the audit.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound); [`ErrorKind::WrongState`](crate::ErrorKind::WrongState) when it
    /// does not run.
    fn cancel_replay<'a>(&'a self, id: i64, by: &'a Operator) -> BoxFuture<'a, Result<(), Error>>;

    /// Takes one running replay that nobody works on, the oldest first, for `lease` seconds.
    ///
    /// # Errors
    /// Transient if the database does not answer.
    fn lease_replay(
        &self,
        lease: std::time::Duration,
    ) -> BoxFuture<'_, Result<Option<(ReplayLease, ReplayJob)>, Error>>;

    /// Publishes at most `max` further events of a leased replay and extends its lease; answers the job as it stands then, or
    /// `None` when the lease is no longer this one or the replay does not run any more. `renamed` makes the message that goes
    /// out under a new id; it is called for [`ReplayIds::New`] only, and its error fails the replay.
    ///
    /// # Errors
    /// Transient if the database does not answer; nothing went out then.
    fn replay_step<'a>(
        &'a self,
        lease: ReplayLease,
        max: u32,
        extend: std::time::Duration,
        renamed: Republication<'a>,
    ) -> BoxFuture<'a, Result<Option<ReplayJob>, Error>>;
}
