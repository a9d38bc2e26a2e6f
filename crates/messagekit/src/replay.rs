//! Replays: publishes kept events again.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::byte_text::{self};
use crate::failed_messages::Operator;
use crate::store::BoxFuture;
use crate::{Error, ErrorKind, Message, MessageId};

/// Selects events of the outbox; an empty filter selects all kept events. Times are those of the database's clock when
/// the row was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventFilter {
    /// Only events of this type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$"))]
    pub event_type: Option<String>,
    /// Only events of this topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$"))]
    pub topic: Option<String>,
    /// Only events with exactly this key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$"))]
    pub key: Option<String>,
    /// Only events written at or after this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub from: Option<Timestamp>,
    /// Only events written at or before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub to: Option<Timestamp>,
}

/// Holds an event as stored in the outbox.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredEvent {
    /// Its id.
    pub event_id: MessageId,
    /// Number of its republications.
    pub copies: u32,
    /// When its row was written, by the database's clock.
    pub created_at: Timestamp,
    /// The message as it is published.
    pub message: Message,
}

/// Holds what a list shows of an event: everything except the payload and the other headers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventHead {
    /// Its id.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub event_id: MessageId,
    /// Its type.
    pub event_type: Option<String>,
    /// The topic it is published to.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub topic: Arc<str>,
    /// Its key.
    #[serde(serialize_with = "byte_text::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<byte_text::ByteText>))]
    pub key: Option<Bytes>,
    /// Number of its republications.
    pub copies: u32,
    /// When its row was written, by the database's clock.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    /// The length of its payload in bytes.
    pub payload_bytes: u64,
}

impl EventHead {
    /// Returns the cursor of a page whose last event is this one.
    pub fn cursor(&self) -> EventCursor {
        EventCursor { created_at: self.created_at, event_id: self.event_id.clone() }
    }
}

/// Marks the end of a page of events; the next page begins after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventCursor {
    /// When the last event was written.
    pub created_at: Timestamp,
    /// Its id.
    pub event_id: MessageId,
}

/// Reports what a replay would publish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReplayCount {
    /// Number of selected events.
    pub events: u64,
    /// For each consumer with markers in this database: the number of events it has finished. It would skip them under
    /// the same ids.
    pub skipped_by: Vec<ConsumerEvents>,
    /// For each consumer with a recorded dedup window in this database: the number of events older than the window, or
    /// older than its complete markers. It would set them aside under the same ids.
    pub too_old_for: Vec<ConsumerEvents>,
}

/// The number of events that one consumer would not apply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConsumerEvents {
    /// The consumer.
    pub consumer: String,
    /// Number of events.
    pub events: u64,
}

/// Selects the ids of republished events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ReplayIds {
    /// The original ids: a consumer that handled an event skips it.
    #[default]
    Same,
    /// New ids, with the original id in the free header `replayOf`: every consumer handles the events again.
    New,
}

crate::__words! {
    ReplayIds, "kind of ids" {
        Same: "same",
        New: "new",
    }
}

/// Describes a replay that an operator requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReplayOrder {
    /// The events to publish.
    pub filter: EventFilter,
    /// The ids to publish under.
    pub ids: ReplayIds,
    /// Maximum number of events per second; null without a limit.
    pub per_second: Option<u32>,
    /// Number of events that the operator confirmed; any other number refuses the order. `None` confirms any number. It
    /// is not stored: replays that are read back have `None`.
    #[serde(skip)]
    pub count: Option<u64>,
}

/// States of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ReplayState {
    /// Its events are being published, or will be when a worker runs.
    Running,
    /// Every event is published.
    Done,
    /// An operator stopped it; events published before stay published.
    Cancelled,
    /// It cannot continue; `error` has the reason.
    Failed,
}

crate::__words! {
    ReplayState, "state of a replay" {
        Running: "running",
        Done: "done",
        Cancelled: "cancelled",
        Failed: "failed",
    }
}

/// Holds a replay as stored in its row.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReplayJob {
    /// Its number.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub id: i64,
    /// The order.
    #[serde(flatten)]
    pub order: ReplayOrder,
    /// The state.
    pub state: ReplayState,
    /// Number of events selected when it was ordered. Later events are not part of it.
    pub events: u64,
    /// Number of published events.
    pub published: u64,
    /// Who ordered it.
    pub ordered_by: String,
    /// When it was ordered.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub ordered_at: Timestamp,
    /// When its state or progress last changed.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub changed_at: Timestamp,
    /// Why it failed.
    pub error: Option<String>,
}

/// Grants the right to work on a replay until the lease ends. A step with an earlier lease does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayLease {
    /// The job.
    pub job: i64,
    /// Fences every earlier holder.
    pub epoch: i64,
}

/// Creates the error for a replay number that does not exist; every outbox uses it.
pub fn no_replay(id: i64) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no replay {id}"))
}

/// Creates the error for a replay that is to be stopped and does not run; every outbox uses it.
pub fn replay_ended(id: i64, state: ReplayState) -> Error {
    let text = format!("replay {id} is {}: only a running one can be stopped", state.as_str());
    Error::new(ErrorKind::WrongState, text)
}

/// Creates the error for a range that begins before the oldest kept event; every outbox uses it.
pub fn out_of_range(oldest: Timestamp) -> Error {
    let text = "the range begins before the oldest event that is kept: begin it there";
    Error::new(ErrorKind::OutOfRange, text).with("oldest", oldest)
}

/// Creates the error for an order whose number of events differs from the confirmed one; every outbox uses it.
pub fn other_count(events: u64) -> Error {
    Error::new(ErrorKind::WrongState, "the events are not as many as were confirmed: count again")
        .with("count", events)
}

/// Creates the message of a republication under a new id.
pub type Republication<'a> = &'a (dyn Fn(&StoredEvent) -> Result<(MessageId, Message), Error> + Send + Sync);

/// Lists kept events and publishes them again.
///
/// An order selects its events at once and stores their list. Each step copies some of them into the outbox and deletes
/// them from the list in one transaction. A crash therefore repeats nothing, and the progress is in the database.
pub trait Replays: Send + Sync {
    /// Returns at most `limit` events after `after`, oldest first. Republications are not listed, and payloads are not
    /// read.
    ///
    /// # Errors
    /// Transient if the database does not respond; a retry is useful.
    fn events<'a>(
        &'a self,
        filter: &'a EventFilter,
        after: Option<&'a EventCursor>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<EventHead>, Error>>;

    /// Counts the events that a replay would publish, and changes nothing.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`](crate::ErrorKind::OutOfRange) with the time of the oldest kept event if the range
    /// begins before it. Transient if the database does not respond; a retry is useful.
    fn replay_count<'a>(&'a self, filter: &'a EventFilter) -> BoxFuture<'a, Result<ReplayCount, Error>>;

    /// Orders a replay and writes an audit row.
    ///
    /// # Errors
    /// As [`replay_count`](Self::replay_count). [`ErrorKind::WrongState`](crate::ErrorKind::WrongState) with the number
    /// of events in `count` if another number was confirmed; nothing is written then.
    fn order_replay<'a>(
        &'a self,
        order: &'a ReplayOrder,
        by: &'a Operator,
    ) -> BoxFuture<'a, Result<ReplayJob, Error>>;

    /// Returns one replay.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if this number does not exist. Transient if the database does
    /// not respond; a retry is useful.
    fn replay(&self, id: i64) -> BoxFuture<'_, Result<ReplayJob, Error>>;

    /// Returns at most `limit` replays, newest first, with numbers below `before`.
    ///
    /// # Errors
    /// Transient if the database does not respond; a retry is useful.
    fn replays(&self, before: Option<i64>, limit: u32) -> BoxFuture<'_, Result<Vec<ReplayJob>, Error>>;

    /// Stops a running replay and writes an audit row.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if this number does not exist;
    /// [`ErrorKind::WrongState`](crate::ErrorKind::WrongState) if it is not running. Transient if the database does not
    /// respond; a retry is useful.
    fn cancel_replay<'a>(&'a self, id: i64, by: &'a Operator) -> BoxFuture<'a, Result<(), Error>>;

    /// Leases the oldest running replay without a valid lease, for `lease` seconds.
    ///
    /// # Errors
    /// Transient if the database does not respond; a retry is useful.
    fn lease_replay(
        &self,
        lease: std::time::Duration,
    ) -> BoxFuture<'_, Result<Option<(ReplayLease, ReplayJob)>, Error>>;

    /// Publishes at most `max` further events of a leased replay and extends the lease. Returns the updated job, or
    /// `None` if the lease was superseded or the replay is not running. `renamed` creates the message under a new id.
    /// It is called for [`ReplayIds::New`] only, and its error fails the replay.
    ///
    /// # Errors
    /// Transient if the database does not respond; nothing was published, and the step can be repeated.
    fn replay_step<'a>(
        &'a self,
        lease: ReplayLease,
        max: u32,
        extend: std::time::Duration,
        renamed: Republication<'a>,
    ) -> BoxFuture<'a, Result<Option<ReplayJob>, Error>>;
}
