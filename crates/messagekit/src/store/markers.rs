//! The markers of the messages that a consumer has processed.

use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;

use super::{Claim, ClaimRequest, Store};
use crate::Error;

/// The processed markers of consumers.
///
/// The marker `(consumer, message id)` is written in the transaction of the handler's effects, so the effects happen once. It is kept as
/// long as the [window](Self::note_window) of its consumer says.
#[diagnostic::on_unimplemented(
    message = "`{Self}` keeps no processed markers, so it cannot deduplicate",
    note = "a consumer needs a store of an adapter: `messagekit_sqlite::SqliteStore`, or `messagekit::NoStore` without a database",
    note = "a store of your own implements `Markers`, `Positions` and `Inbox`"
)]
pub trait Markers: Store {
    /// Claims messages for `consumer` inside `tx`, in one statement, and returns results in input order.
    ///
    /// A claim waits for another transaction that holds the same id: it is fresh if that transaction rolls back, done if it
    /// commits. A store that cannot wait fails with [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) at once. The second
    /// copy of an id inside one call is not fresh. The claims last as long as the transaction: a rollback makes the messages
    /// fresh again. A `generation` above that of a done marker is fresh; held and discarded messages keep their state. If a
    /// message would be fresh and its key is blocked, the result is [`Claim::KeyBlocked`].
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) also if another transaction parked an earlier message of a key while
    /// the call waited for it. After a new claim, the later messages are behind it.
    /// A transient error if the connection was lost or another transaction held the id for too long: roll back and retry.
    /// [`ErrorKind::Schema`](crate::ErrorKind::Schema) if the migrations have not been run.
    fn claim(
        &self,
        tx: &mut Self::Tx,
        consumer: &str,
        requests: &[ClaimRequest],
    ) -> impl Future<Output = Result<Vec<Claim>, Error>> + Send;

    /// Removes claims of this transaction that were fresh or behind a blocked key, whose messages were neither handled nor
    /// stored.
    ///
    /// # Errors
    /// As [`claim`](Self::claim).
    fn unclaim(
        &self,
        tx: &mut Self::Tx,
        consumer: &str,
        requests: &[ClaimRequest],
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Records the dedup window of a running consumer, which makes a [cleanup](crate::cleanup) keep its markers for longer;
    /// `None` for messages of any age. The longest recently recorded window counts.
    ///
    /// Returns the time since which the consumer's markers are complete, by the database's clock; `None` if no cleanup has
    /// removed any. A message that was written before that time and has no marker may have been applied. The time never goes
    /// back, and is [`MARGIN`](crate::cleanup::MARGIN) after the newest removed marker. Markers that a cleanup removes after
    /// this call belong to messages outside the recorded window.
    ///
    /// The default is for a store whose markers are never removed: it records nothing, and returns `None`.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn note_window(
        &self,
        _consumer: &str,
        _window: Option<Duration>,
    ) -> impl Future<Output = Result<Option<Timestamp>, Error>> + Send {
        std::future::ready(Ok(None))
    }
}
