//! What a database knows of one event, and of the events around it.

mod publication;
mod record;

pub use publication::{Publication, PublicationState, PublisherMode, PublisherState, UnpublishedEvent};
pub use record::{ConsumerOutcome, EventDetail, EventFailure, EventRecord, LinkedEvent, chosen_by};

use crate::store::BoxFuture;
use crate::{Error, MessageId};

/// The most entries of each list of an [`EventRecord`]. The newest ones are kept.
pub const MAX_ENTRIES: u32 = 100;

/// Looks up events by their id, their correlation and their causes.
///
/// Each lookup reads rows of an index, however many events are kept, and no payload. Its number of statements does not
/// depend on what it finds.
pub trait EventHistory: Send + Sync {
    /// Returns what this database knows of an event: as its outbox, and as the store of consumers.
    ///
    /// # Errors
    /// Transient if the database does not respond; a retry is useful.
    fn event_record<'a>(&'a self, id: &'a MessageId) -> BoxFuture<'a, Result<EventRecord, Error>>;

    /// Returns at most `limit` kept events with one of these ids, or with one of `causes` as their causation, oldest
    /// first.
    ///
    /// # Errors
    /// Transient if the database does not respond; a retry is useful.
    fn linked_events<'a>(
        &'a self,
        ids: &'a [MessageId],
        causes: &'a [MessageId],
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<LinkedEvent>, Error>>;

    /// Returns at most `limit` kept events of a correlation, oldest first: those that name it, and the one with this id.
    ///
    /// # Errors
    /// Transient if the database does not respond; a retry is useful.
    fn correlated_events<'a>(
        &'a self,
        correlation: &'a MessageId,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<LinkedEvent>, Error>>;

    /// Returns at most `limit` events that are not published: pending ones, oldest first, and then delayed ones, the
    /// first due first. A database that captures its log returns the events that the slot has not confirmed.
    ///
    /// # Errors
    /// Transient if the database does not respond; a retry is useful.
    fn unpublished_events(&self, limit: u32) -> BoxFuture<'_, Result<Vec<UnpublishedEvent>, Error>>;
}
