//! Processed markers, which make effects happen once.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use super::Store;
use crate::{Error, MessageId};

/// The data of a message that a claim needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRequest {
    /// The message.
    pub id: MessageId,
    /// Its topic.
    pub topic: Arc<str>,
    /// Its key, if the message must not pass earlier messages of its topic and key. The claim then also checks whether the key
    /// is blocked.
    pub key: Option<Bytes>,
    /// 0, or a greater number while a range is reprocessed.
    pub generation: i32,
}

/// The result of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Claim {
    /// The message is new: run the handler in this transaction.
    Fresh,
    /// The message was applied before.
    Done,
    /// The message is an open failed message.
    Held,
    /// The message was a failed message that an operator discarded. It is never applied.
    Discarded,
    /// The message is new, and an earlier message blocks its key. It is claimed as held: the caller stores it with
    /// [`park_behind`](super::SetAside::park_behind) in this transaction, or rolls the transaction back.
    KeyBlocked,
}

/// Stores the marker `(consumer, message id)` in the transaction of the handler's effects.
#[diagnostic::on_unimplemented(message = "`{Self}` keeps no processed markers, so it cannot deduplicate")]
pub trait Processed: Store {
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

    /// Records the dedup window of a running consumer, which makes a [cleanup](crate::cleanup) keep its markers for longer;
    /// `None` for messages of any age. The longest recently recorded window counts.
    ///
    /// Returns the time since which the consumer's markers are complete, by the database's clock; `None` if no cleanup has
    /// removed any. A message that was written before that time and has no marker may have been applied. The time never goes
    /// back, and is [`MARGIN`](crate::cleanup::MARGIN) after the newest removed marker. Markers that a cleanup removes after
    /// this call belong to messages outside the recorded window.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn note_window(
        &self,
        consumer: &str,
        window: Option<Duration>,
    ) -> impl Future<Output = Result<Option<Timestamp>, Error>> + Send;

    /// Returns the age of the oldest open failed message that a retry publishes to one of `topics`. The age counts by the
    /// database's clock from the time when it was stored.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn oldest_return(
        &self,
        topics: &[Arc<str>],
    ) -> impl Future<Output = Result<Option<Duration>, Error>> + Send;

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
}

/// Claims one id for `consumer` inside `tx`, for custom consumer loops and HTTP idempotency keys.
///
/// Run the effects only if the result is [`Claim::Fresh`], in the same transaction.
///
/// # Errors
/// A transient error if the connection was lost: nothing was claimed, roll back and retry.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use messagekit::memory::MemoryStore;
/// use messagekit::{Claim, Store, claim};
///
/// let store = MemoryStore::new();
/// let key = "pay-7".parse()?;
/// let mut tx = store.begin().await?;
/// assert_eq!(claim(&store, &mut tx, "payments", &key).await?, Claim::Fresh);
/// store.commit(tx).await?;
///
/// let mut tx = store.begin().await?;
/// assert_eq!(claim(&store, &mut tx, "payments", &key).await?, Claim::Done);
/// # Ok::<(), messagekit::Error>(()) }).unwrap();
/// ```
pub async fn claim<S: Processed>(
    store: &S,
    tx: &mut S::Tx,
    consumer: &str,
    id: &MessageId,
) -> Result<Claim, Error> {
    let request = ClaimRequest { id: id.clone(), topic: Arc::from(""), key: None, generation: 0 };
    let answers = store.claim(tx, consumer, &[request]).await?;
    Ok(answers[0])
}
