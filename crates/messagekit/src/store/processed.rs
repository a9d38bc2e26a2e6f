//! The markers that make effects happen once.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use super::Store;
use crate::{Error, MessageId};

/// What a claim needs to know of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRequest {
    /// The message.
    pub id: MessageId,
    /// Its topic.
    pub topic: Arc<str>,
    /// Its key, when it must not pass earlier messages of its topic and key: the claim also looks whether the key is held.
    pub key: Option<Bytes>,
    /// 0, or above it while a range is processed again.
    pub generation: i32,
}

/// The answer to a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Claim {
    /// Nobody has handled it: run the handler in this transaction.
    Fresh,
    /// It was applied before.
    Done,
    /// It is a failed message that is still open.
    Held,
    /// It was a failed message, and a person decided that it never applies.
    Discarded,
    /// Nobody has handled it, and its key is held by an earlier message. It is claimed as held:
    /// [`park_behind`](super::SetAside::park_behind) keeps it in this transaction, or the transaction is rolled back.
    KeyBlocked,
}

/// The marker `(consumer, message id)`, written in the transaction of the handler's effects.
#[diagnostic::on_unimplemented(message = "`{Self}` keeps no processed markers, so it cannot deduplicate")]
pub trait Processed: Store {
    /// Claims messages for `consumer` inside `tx`, in one statement, and answers in input order.
    ///
    /// A claim waits for a rival transaction that holds the same id: fresh if the rival rolls back, done if it commits. A
    /// store that cannot wait answers [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) at once. The second copy of an id
    /// inside one call is not fresh. The claims last as long as the transaction: a rollback makes the messages fresh again.
    /// A `generation` above that of a done marker is fresh; held and discarded messages stay what they are. Where a message
    /// would be fresh and its key is held, the answer is [`Claim::KeyBlocked`].
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) also when a rival has parked an earlier message of a key while the
    /// call waited for it: claimed once more, the later ones are behind it.
    /// Transient if the connection was lost or a rival held the id for too long; roll the transaction back then.
    /// [`ErrorKind::Schema`](crate::ErrorKind::Schema) if the migrations have not been run.
    fn claim(
        &self,
        tx: &mut Self::Tx,
        consumer: &str,
        requests: &[ClaimRequest],
    ) -> impl Future<Output = Result<Vec<Claim>, Error>> + Send;

    /// Notes how old a message of a running consumer may be, so that a [cleanup](crate::cleanup) keeps its markers for
    /// longer; `None` for any age. The longest window of those that were noted of late counts.
    ///
    /// Returns since when the consumer's markers are complete, by the database's clock, or `None` when no cleanup has removed
    /// any: a message that was written before then and has no marker may have been applied. The time never goes back, and is
    /// [`MARGIN`](crate::cleanup::MARGIN) after the newest marker that was removed. What a cleanup removes after this call
    /// belongs to messages outside of the window that it notes.
    ///
    /// # Errors
    /// Transient if the database does not answer.
    fn note_window(
        &self,
        consumer: &str,
        window: Option<Duration>,
    ) -> impl Future<Output = Result<Option<Timestamp>, Error>> + Send;

    /// Returns the age of the oldest open failed message that a retry sends to one of `topics` again, by the database's clock
    /// since it was written down.
    ///
    /// # Errors
    /// Transient if the database does not answer.
    fn oldest_return(
        &self,
        topics: &[Arc<str>],
    ) -> impl Future<Output = Result<Option<Duration>, Error>> + Send;

    /// Takes back claims of this transaction that were fresh or behind, whose messages were neither handled nor kept.
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

/// Claims one id for `consumer` inside `tx`, for people with a loop of their own or an HTTP idempotency key.
///
/// Run the effects only when the answer is [`Claim::Fresh`], in the same transaction.
///
/// # Errors
/// Transient if the connection was lost: nothing was claimed.
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
